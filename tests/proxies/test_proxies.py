"""What every proxy promises, whatever it computes."""

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import proxies
from proxies import base
from tests import proxies_cases as case
from tests.proxies_cases import LABELS
from tfnas.errors import InputError
from tfnas.networks.keras_reader import from_keras

EVERY_PROXY = pytest.mark.parametrize("name", proxies.names())
CONSUMES = {"nothing", "activations", "gradients", "example gradients", "second order"}

# Scores that the order of the batch changes, and why.
ORDERED = {
    "zico": "the halves of the batch serve as two batches",
    "aznas_trainability": "cotangents are drawn for the places in the batch",
}
# Relative difference between float32 and float64 where it may exceed 1e-3.
ROUND_OFF = {
    "ncn": "the smallest eigenvalue is a small difference of large numbers",
    "epe_nas": "logarithms of correlations near zero",
    "plain": "terms cancel",
    "grasp": "terms cancel",
    "aznas_progressivity": "a difference of entropies",
}


def evaluate(names, arch=case.MIXED, images=None, labels=LABELS, **options):
    images = case.images() if images is None else images
    keywords = {key: options.pop(key) for key in ("second", "thin") if key in options}
    return proxies.evaluate(
        case.graph(arch), case.weights(arch), images, labels, names, proxies.Options(**options), **keywords
    )


@functools.cache
def baseline() -> dict[str, proxies.Outcome]:
    return evaluate(proxies.names(), dtype="float64")


@EVERY_PROXY
class TestContract:
    def test_describes_itself(self, name):
        entry = proxies.get(name)
        assert entry.name == name
        assert entry.summary
        assert "\n" not in entry.summary
        assert entry.consumes in CONSUMES
        assert entry.bn in ("", *base.BN_MODES)
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
        single = evaluate([name])[name].score
        assert single == pytest.approx(baseline()[name].score, rel=3e-2 if name in ROUND_OFF else 1e-3)

    def test_degenerate_network_gets_a_status(self, name):
        """Nothing of the image reaches the logits of the cell without operations."""
        outcome = degenerate()[name]
        assert outcome.status in ("ok", "nan"), outcome.message
        assert np.isnan(outcome.score) == (outcome.status == "nan") == bool(outcome.message)


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
        for name, outcome in evaluate(names, dtype="float64", block=block).items():
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


# Options -------------------------------------------------------------------------------------------------------------


def test_seed_moves_only_what_draws_noise():
    """Scores of the batch alone do not hear of the seed."""
    moved = {
        name
        for name, outcome in evaluate(proxies.names(), dtype="float64", seed=1).items()
        if outcome.score != baseline()[name].score
    }
    assert {"zen", "meco", "aznas_trainability"} <= moved <= {"zen", "meco", "aznas_trainability", "linear_regions"}


def test_prescribed_initialisation_replaces_weights():
    changed = {
        name
        for name, outcome in evaluate(proxies.names(), dtype="float64", prescribed_init=True, noise_repeats=2).items()
        if outcome.score != baseline()[name].score
    }
    assert changed == {"zen", "swap", "aznas_expressivity", "aznas_progressivity", "aznas_trainability"}


@pytest.mark.parametrize("bn", base.BN_MODES)
def test_bn_mode_is_used_where_it_may_be_chosen(bn):
    outcomes = evaluate(proxies.names(), dtype="float64", bn=bn)
    for name, outcome in outcomes.items():
        entry = proxies.get(name)
        assert outcome.bn == (bn if entry.bn and bn in entry.modes else entry.bn)
        assert not (name.startswith("gradsign") and outcome.bn == "batch")  # it couples the examples
        if outcome.bn == entry.bn:
            assert outcome.score == pytest.approx(baseline()[name].score, rel=1e-9)
        else:
            assert outcome.score != pytest.approx(baseline()[name].score, rel=1e-6)


def test_options_of_the_tangent_kernel():
    names = ["fnorm", "ntk_mean", "ncn", "lga"]
    settings = [{"kernel": "trace"}, {"params": "kernels"}, {"params": "all"}, {"ntk_batch_size": 5}]
    found = [baseline(), *(evaluate(names, dtype="float64", **setting) for setting in settings)]
    for name in names:
        assert len({outcomes[name].score for outcomes in found}) == len(found)
    few = evaluate(names, images=case.images()[:5], labels=LABELS[:5], dtype="float64")
    for name in names:
        assert found[-1][name].score == pytest.approx(few[name].score, rel=1e-9)


def test_thin_network_of_linear_regions():
    """Where the architecture can be rebuilt, the score is that of the small network: the given weights do not count."""
    asked = []

    def thin(**network):
        asked.append(network)
        return case.SPACE.layer_graph(case.SPACE.parse(case.MIXED), **case.NETWORK | {"width": 1} | network)

    one = evaluate(["linear_regions"], thin=thin)["linear_regions"]
    other = proxies.evaluate(
        case.graph(),
        {key: value + 1 for key, value in case.weights().items()},
        case.images(),
        LABELS,
        ["linear_regions"],
        thin=thin,
    )["linear_regions"]
    assert asked[0] == {"depth": 1, "input_shape": (4, 4, 3)}
    assert one.status == "ok"
    assert one.score == other.score
    assert 1 < one.score <= 1000


# Keras models --------------------------------------------------------------------------------------------------------


def sequential(norm: bool) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    body = [layers.Conv2D(6, 3, padding="same"), *([layers.BatchNormalization()] * norm), layers.ReLU()]
    body += [layers.MaxPooling2D(), layers.Conv2D(8, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((8, 8, 3)), *body, layers.Dense(5, activation="softmax")])


@pytest.mark.parametrize("norm", [True, False], ids=["bn", "no_bn"])
@EVERY_PROXY
def test_plain_keras_models_have_scores(name, norm):
    outcome = scored_sequential(norm)[name]
    assert outcome.status == "ok", outcome.message
    assert np.isfinite(outcome.score)


@functools.cache
def scored_sequential(norm: bool) -> dict[str, proxies.Outcome]:
    return proxies.evaluate(*from_keras(sequential(norm)), case.images(), LABELS, proxies.names())


def test_score_of_a_keras_model():
    """The short call gives the same numbers, by name, and leaves the model alone."""
    model = sequential(norm=True)
    before = model.get_weights()
    scores = proxies.score(model, case.images(), LABELS, "all")
    assert scores == pytest.approx({name: outcome.score for name, outcome in scored_sequential(True).items()})
    assert proxies.score(model, case.images(), LABELS, "snip") == {"snip": scores["snip"]}
    two = proxies.score(model, case.images(), LABELS, ["synflow", "fnorm"], params="all", bn="inference")
    assert two["synflow"] == scores["synflow"]
    assert two["fnorm"] != scores["fnorm"]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_networks_of_one_block():
    """AZ-NAS compares blocks; without convolutions there may be none to compare."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(5)])
    for name, outcome in proxies.evaluate(*from_keras(model), case.images(), LABELS, proxies.names()).items():
        if name.startswith("aznas"):
            assert outcome.message == "InputError: AZ-NAS needs a network of two blocks or more. Received: 0"
        elif name == "zen":
            assert outcome.message.startswith("InputError: Zen needs a map")
        elif name == "meco":
            assert outcome.message.startswith("InputError: MeCo needs")
        elif name in ("naswot", "linear_regions"):  # no ReLU
            assert outcome.status == "nan"
        else:
            assert outcome.status == "ok", outcome.message


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bn": "train"}, "Unknown bn"),
        ({"kernel": "full"}, "Unknown kernel"),
        ({"params": "weights"}, "Unknown params"),
        ({"dtype": "float16"}, "Unknown dtype"),
        ({"noise_repeats": 0}, "noise_repeats must be at least 1"),
        ({"block": -1}, "block must be at least 0"),
        ({"ntk_batch_size": -1}, "ntk_batch_size must be at least 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        proxies.Options(**options)
    with pytest.raises(InputError, match=message):
        proxies.score(sequential(norm=False), case.images(), LABELS, ["params"], **options)


def test_unknown_options():
    with pytest.raises(InputError, match=r"colour.*Allowed: bn"):
        proxies.score(sequential(norm=False), case.images(), LABELS, ["params"], colour="red")


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


def test_scores_that_are_no_numbers(monkeypatch):
    for value, status in ((np.nan, "nan"), (-np.inf, "ok"), (np.float32(3), "ok")):
        changed = base.dataclasses.replace(proxies.get("params"), compute=lambda passes, value=value: value)
        monkeypatch.setitem(base._REGISTRY, "params", changed)
        outcome = evaluate(["params"])["params"]
        assert outcome.status == status
        assert np.array_equal(outcome.score, value, equal_nan=True)


def test_registry():
    assert len(set(proxies.names())) == len(proxies.names())
    with pytest.raises(InputError, match=r"Unknown proxy.*grasp"):
        proxies.get("grass")
    with pytest.raises(ValueError, match="registered already"):
        base.proxy("snip", consumes="nothing", summary="again")(lambda passes: 0.0)


def test_importing_proxies_needs_no_tensorflow():
    code = "import sys, proxies; proxies.names(); print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_proxies_of_a_model_that_some_do_not_fit():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    images = np.random.default_rng(0).standard_normal((4, 6, 6, 1)).astype(np.float32)
    with pytest.warns(UserWarning, match="Not scored on this model: .*zen"):
        scores = proxies.score(model, images, np.array([0, 1, 2, 0]), "all")
    assert set(scores) == set(proxies.names())
    assert np.isnan(scores["zen"])
    assert scores["params"] == 37 * 3
    with pytest.raises(RuntimeError, match="zen"):
        proxies.score(model, images, np.array([0, 1, 2, 0]), ["zen"])
