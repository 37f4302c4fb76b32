"""Weights, images and sizes of batches that proxies prescribe, by second computations on just those."""

import numpy as np
import pytest

import proxies
from tests import proxies_cases as case
from tests.engine_cases import keras_model
from tests.proxies.common import evaluate
from tests.proxies.independent import noise, of_activations
from tests.proxies_cases import LABELS
from tfnas.networks import weights
from tfnas.seeds import derive_seed

PRESCRIBED = {"dtype": "float64", "prescribed_init": True}
REPEATS = 3


def drawn(scheme, *labels):
    """Weights of a scheme; which seed they are drawn with is no part of a proxy's definition."""
    seed = np.random.default_rng(derive_seed(0, "weights", *labels)).integers(2**62)
    return weights.initialize(case.graph(), scheme, seed)


def score(name, **more):
    outcome = evaluate([name], **PRESCRIBED | more)[name]
    assert outcome.status == "ok", outcome.message
    return outcome.score


def test_zen_is_the_mean_over_draws_of_standard_normal_weights():
    draws = [(drawn("gaussian", "zen", i), noise(16, "zen", i, 0), noise(16, "zen", i, 1)) for i in range(REPEATS)]
    expected = list(of_activations.zen_of(draws))
    assert score("zen", noise_repeats=REPEATS) == pytest.approx(np.mean(expected), rel=1e-6)
    assert np.ptp(expected) > 1e-3 * abs(np.mean(expected)), "draws that tell a mean from any one of them"


def test_swap_is_the_mean_over_draws_of_standard_normal_weights():
    models = [keras_model(case.graph(), drawn("gaussian", "swap", i)) for i in range(REPEATS)]
    expected = [of_activations.patterns(model, case.images()) for model in models]
    assert score("swap", noise_repeats=REPEATS) == np.mean(expected)
    assert len(set(expected)) > 1


@pytest.mark.parametrize("name", ["aznas_expressivity", "aznas_progressivity", "aznas_trainability"])
def test_aznas_draws_kaiming_normal_weights_and_noise(name):
    model = keras_model(case.graph(), drawn("kaiming_normal", "aznas"))
    expected = getattr(of_activations, name)(model, noise(len(LABELS), "aznas"))
    assert score(name) == pytest.approx(expected, rel=1e-6)
    gaussian = keras_model(case.graph(), drawn("gaussian", "aznas"))
    other = getattr(of_activations, name)(gaussian, noise(len(LABELS), "aznas"))
    assert other != pytest.approx(expected, rel=1e-3)


def test_swap_takes_sixteen_images_of_a_larger_batch():
    images = np.concatenate([case.images(seed) for seed in range(3)])
    labels = np.tile(LABELS, 3)
    found = evaluate(["swap"], images=images, labels=labels, dtype="float64")["swap"].score
    assert found == of_activations.patterns(case.model(), images[:16])
    assert found != of_activations.patterns(case.model(), images)


def test_epe_nas_of_more_than_a_hundred_classes():
    """Mean over the classes seen of the summed differences between their scores, each a 120th of the plain one."""
    graph = case.SPACE.layer_graph(case.SPACE.parse(case.MIXED), **case.NETWORK | {"classes": 120})
    arrays = weights.initialize(graph, "kaiming_normal", 0)
    labels = np.array([0, 110, 2, 0, 110, 2, 119, 0])
    options = proxies.Options(dtype="float64")
    found = proxies.evaluate(graph, arrays, case.images(), labels, ["epe_nas"], options)["epe_nas"].score
    rows = of_activations.correlations(keras_model(graph, arrays))
    by_class = []
    for label in (0, 2, 110, 119):
        members = [i for i in range(len(labels)) if labels[i] == label]
        by_class.append(sum(np.log(abs(rows[i] @ rows[j]) + 1e-5) for i in members for j in members) / 120)
    expected = np.mean([sum(abs(one - other) for other in by_class) for one in by_class])
    assert found == pytest.approx(expected, rel=1e-6)
    assert found != pytest.approx(120 * sum(map(abs, by_class)), rel=0.1)


def test_epe_nas_changes_its_form_above_a_hundred_classes():
    """With a hundred it is still the sum."""
    labels = np.array([0, 1, 2, 0, 1, 2, 99, 0])
    found = {}
    for classes in (100, 101):
        graph = case.SPACE.layer_graph(case.SPACE.parse(case.MIXED), **case.NETWORK | {"classes": classes})
        arrays = weights.initialize(graph, "kaiming_normal", 0)
        outcome = proxies.evaluate(graph, arrays, case.images(), labels, ["epe_nas"], proxies.Options(dtype="float64"))
        rows = of_activations.correlations(keras_model(graph, arrays))
        groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        plain = sum(abs(np.log(np.abs(rows[group] @ rows[group].T) + 1e-5).sum()) for group in groups)
        found[classes] = outcome["epe_nas"].score / plain
    assert found[100] == pytest.approx(1, rel=1e-6)
    assert found[101] < 0.1
