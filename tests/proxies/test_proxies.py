"""What every proxy promises, whatever it computes."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import proxies
from proxies import base
from tests import float32
from tests import proxies_cases as case
from tests.proxies.common import baseline, evaluate
from tests.proxies_cases import LABELS
from tfnas.errors import InputError
from tfnas.networks.modes import BN_MODES

EVERY_PROXY = pytest.mark.parametrize("name", proxies.names())

# Scores that the order of the batch changes, and why.
ORDERED = {
    "zico": "the halves of the batch serve as two batches",
    "aznas_trainability": "cotangents are drawn for the places in the batch",
}


@EVERY_PROXY
class TestContract:
    def test_describes_itself(self, name):
        entry = proxies.get(name)
        assert entry.name == name
        assert entry.summary
        assert "\n" not in entry.summary
        assert base.CONSUMES[entry.consumes] == entry.subject == "network"
        assert entry.bn in ("", *BN_MODES)
        assert entry.compute.__doc__

    def test_gives_a_finite_score(self, name):
        outcome = baseline()[name]
        assert outcome.status == "ok", outcome.message
        assert np.isfinite(outcome.score)
        assert type(outcome.score) is float
        assert outcome.message == ""
        assert outcome.seconds > 0
        assert outcome.bn == proxies.get(name).bn

    def test_is_alone_what_it_is_in_company(self, name):
        """Neither the passes that it shares nor their order change a score, and it is the same every time."""
        alone = evaluate([name], dtype="float64")
        assert list(alone) == [name]
        assert alone[name].score == pytest.approx(baseline()[name].score, rel=1e-9)

    def test_order_of_the_batch(self, name):
        order = np.random.default_rng(0).permutation(len(LABELS))
        shuffled = evaluate([name], images=case.images()[order], labels=LABELS[order], dtype="float64")[name].score
        same = shuffled == pytest.approx(baseline()[name].score, rel=1e-7)
        assert same == (name not in ORDERED)

    def test_types_of_numbers(self, name):
        single = {name: evaluate([name])[name].score}
        double = {name: baseline()[name].score}
        float32.check(single, double, float32.allowed(spreads(), double))

    def test_degenerate_network_gets_a_status(self, name):
        """Nothing of the image reaches the logits of the cell without operations."""
        outcome = degenerate()[name]
        assert outcome.status in ("ok", "nan"), outcome.message
        assert np.isnan(outcome.score) == (outcome.status == "nan") == bool(outcome.message)


@functools.cache
def spreads() -> dict[str, float]:
    """What float32 may cost each score of the small network."""

    def scores(weights, images):
        options = proxies.Options(dtype="float64")
        outcomes = proxies.evaluate(case.graph(), weights, images, LABELS, proxies.names(), options)
        return {name: outcome.score for name, outcome in outcomes.items()}

    return float32.spread(scores, case.weights(), case.images())


@functools.cache
def degenerate() -> dict[str, proxies.Outcome]:
    return evaluate(proxies.names(), case.NONE)


def test_order_of_names():
    reverse = evaluate(proxies.names()[::-1], dtype="float64")
    assert list(reverse) == proxies.names()[::-1]
    for name, outcome in baseline().items():
        assert reverse[name].score == pytest.approx(outcome.score, rel=1e-9)


def test_repeated_names_are_one():
    assert list(evaluate(["snip", "params", "snip"])) == ["snip", "params"]


def test_same_process_same_bits():
    first, second = (evaluate(proxies.names()) for _ in range(2))
    assert {name: outcome.score for name, outcome in first.items()} == {
        name: outcome.score for name, outcome in second.items()
    }


def test_blocks_change_no_score():
    names = [name for name in proxies.names() if proxies.get(name).consumes == "example gradients"]
    assert len(names) >= 6
    for block in (4, 100):
        for name, outcome in evaluate(names, dtype="float64", block_size=block).items():
            assert outcome.score == pytest.approx(baseline()[name].score, rel=1e-8), (name, block)


def test_weights_and_batch_stay_as_they_are():
    x, arrays = case.images(), {key: value.copy() for key, value in case.weights().items()}
    proxies.evaluate(case.graph(), arrays, x, LABELS, proxies.names(), proxies.Options(prescribed_init=True))
    np.testing.assert_array_equal(x, case.images())
    assert arrays.keys() == case.weights().keys()
    for key, value in arrays.items():
        np.testing.assert_array_equal(value, case.weights()[key])


def test_second_batch_is_for_zico_only():
    """With it the order within a batch is free, and the batches may change places."""
    x, second = case.images(), (case.images(9), LABELS[::-1])
    names = ["zico", "snip", "gradsign"]
    one = evaluate(names, second=second, dtype="float64")
    other = evaluate(names, images=second[0][::-1], labels=second[1][::-1], second=(x, LABELS), dtype="float64")
    assert one["zico"].score == pytest.approx(other["zico"].score, rel=1e-8)
    assert one["zico"].score != pytest.approx(baseline()["zico"].score, rel=1e-6)
    assert one["snip"].score == baseline()["snip"].score
    assert one["gradsign"].score == baseline()["gradsign"].score


# Bad input and failures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ["snip", "snap"]}, "Unknown proxy.*'snap'.*snip"),
        ({"images": np.zeros((8, 8, 8, 1))}, r"Images.*\(8, 8, 8, 1\)"),
        ({"images": np.zeros((8, 8, 3))}, "Images"),
        ({"images": np.zeros((0, 8, 8, 3)), "labels": np.zeros(0, int)}, "Images"),
        ({"labels": LABELS[:-1]}, "Labels must be 8 integers"),
        ({"labels": LABELS.astype(float)}, "Labels must be 8 integers"),
        ({"labels": LABELS + 1}, "below 5.*1..5"),
        ({"labels": LABELS - 1}, "below 5.*-1..3"),
        ({"labels": np.eye(5)[LABELS]}, "Labels"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(InputError, match=message) as raised:
        evaluate(**{"names": ["params"]} | change)
    assert "\n" not in str(raised.value)


@pytest.fixture
def broken(monkeypatch):
    """Replaces what a proxy computes by raising an error."""

    def replace(name: str, error: BaseException) -> None:
        def fail(passes):
            raise error

        changed = base.dataclasses.replace(proxies.get(name), compute=fail)
        monkeypatch.setitem(base._REGISTRY, name, changed)

    return replace


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("first line\nsecond line"), "error", "ValueError: first line"),
        (KeyError(), "error", "KeyError: "),
        (InputError("not for this network"), "error", "InputError: not for this network"),
        (
            tf.errors.ResourceExhaustedError(None, None, "no room\nfor more"),
            "oom",
            "ResourceExhaustedError: no room",
        ),
        (MemoryError("no memory"), "oom", "MemoryError: no memory"),
    ],
)
def test_failure_of_one_leaves_the_others_alone(broken, error, status, message):
    broken("snip", error)
    outcomes = evaluate(["grad_norm", "snip", "plain"], dtype="float64")
    assert outcomes["snip"].status == status
    assert outcomes["snip"].message.startswith(message)
    assert "\n" not in outcomes["snip"].message
    assert np.isnan(outcomes["snip"].score)
    for name in ("grad_norm", "plain"):
        assert outcomes[name].status == "ok"
        assert outcomes[name].score == pytest.approx(baseline()[name].score, rel=1e-9)


def test_interrupts_are_not_swallowed(broken):
    broken("snip", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        evaluate(["snip"])


def test_interrupts_that_c_code_has_made_errors_of_are_none(broken):
    """As numpy does while it converts an array."""
    error = SystemError("returned a result with an exception set")
    error.__cause__ = KeyboardInterrupt()
    broken("snip", error)
    with pytest.raises(KeyboardInterrupt):
        evaluate(["snip"])


def test_scores_that_are_no_numbers(monkeypatch):
    for value, status in ((np.nan, "nan"), (-np.inf, "ok"), (np.float32(3), "ok")):
        changed = base.dataclasses.replace(proxies.get("params"), compute=lambda passes, value=value: value)
        monkeypatch.setitem(base._REGISTRY, "params", changed)
        outcome = evaluate(["params"])["params"]
        assert outcome.status == status
        assert np.array_equal(outcome.score, value, equal_nan=True)
