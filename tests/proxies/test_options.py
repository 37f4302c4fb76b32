"""Options: which scores they change, and which are refused."""

import numpy as np
import pytest

import proxies
from launch.flags.trained import Trained
from tests import proxies_cases as case
from tests.proxies.common import baseline, evaluate
from tests.proxies_cases import LABELS
from tfnas.errors import InputError
from tfnas.networks.modes import BN_MODES


def test_seed_moves_only_what_draws_noise():
    """Scores of the batch alone do not hear of the seed."""
    moved = {
        name
        for name, outcome in evaluate(proxies.names(), dtype="float64", seed=1).items()
        if outcome.score != baseline()[name].score
    }
    assert {"zen", "meco", "aznas_trainability"} <= moved <= {"zen", "meco", "aznas_trainability", "linear_regions"}


def test_prescribed_initialisation_replaces_weights():
    """Of those that prescribe one, scores do not hear of the weights given; all others hear of nothing else."""
    own = {"zen", "swap", "aznas_expressivity", "aznas_progressivity", "aznas_trainability"}
    names = [name for name in proxies.names() if proxies.get(name).consumes != "nothing" and name != "meco"]
    options = proxies.Options(dtype="float64", prescribed_init=True, noise_repeats=2)
    first = evaluate(names, dtype="float64", prescribed_init=True, noise_repeats=2)
    rng = np.random.default_rng(0)
    given = {key: (value * rng.uniform(0.5, 1.5, value.shape)).astype("f") for key, value in case.weights().items()}
    other = proxies.evaluate(case.graph(), given, case.images(), LABELS, names, options)
    assert {name for name in names if first[name].score == other[name].score} - {"linear_regions"} == own
    for name in set(names) - own:
        assert first[name].score == pytest.approx(baseline()[name].score, rel=1e-9)
    assert {name for name in own if first[name].score == baseline()[name].score} == set()


@pytest.mark.parametrize("bn", BN_MODES)
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
    settings = [{"ntk_logits": "trace"}, {"ntk_params": "kernels"}, {"ntk_params": "all"}, {"ntk_batch_size": 5}]
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bn": "train"}, "Unknown bn"),
        ({"ntk_logits": "full"}, "Unknown ntk_logits"),
        ({"ntk_params": "weights"}, "Unknown ntk_params"),
        ({"dtype": "float16"}, "Unknown dtype"),
        ({"noise_repeats": 0}, "noise_repeats must be at least 1"),
        ({"block_size": -1}, "block_size must be at least 0"),
        ({"ntk_batch_size": -1}, "ntk_batch_size must be at least 0"),
        ({"n_train": 0}, "n_train must be at least 1"),
        ({"ensemble": 0}, "ensemble must be at least 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        proxies.Options(**options)
    with pytest.raises(InputError, match=message):
        proxies.score(None, None, None, ["params"], **options)


def test_every_registered_option_is_one():
    """Of scores of trainings, a flag."""
    for name in proxies.names(None):
        entry = proxies.get(name)
        trained = entry.subject in ("training", "stages")
        known = set((Trained if trained else proxies.Options).__dataclass_fields__)
        assert set(entry.options) | ({entry.batch_option} - {""}) <= known, name


@pytest.mark.parametrize("old", ["kernel", "params", "block"])
def test_names_of_earlier_versions_are_told_their_present_one(old):
    present = {"kernel": "ntk_logits", "params": "ntk_params", "block": "block_size"}[old]
    with pytest.raises(InputError, match=f"{old} has another name now: {present}"):
        proxies.score(None, None, None, "snip", **{old: 1})


@pytest.mark.parametrize("n_train", [1, 100, 101, 8000])
def test_images_that_move_the_statistics(n_train):
    assert proxies.calibration_size(n_train) == (250 if n_train > 100 else 100)


def test_unknown_options():
    with pytest.raises(InputError, match=r"colour.*Allowed: bn"):
        proxies.score(None, None, None, ["params"], colour="red")
