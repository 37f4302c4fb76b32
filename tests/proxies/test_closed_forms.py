"""Proxies of networks and batches whose scores can be written down."""

import dataclasses
import importlib
import math
import types

import numpy as np
import pytest

import proxies
from proxies import aznas, zico
from proxies.ntk import condition_number, label_gradient_alignment
from tests import proxies_cases as case
from tests.engine_cases import random_weights
from tests.proxies_cases import LABELS
from tfnas.errors import InputError
from tfnas.networks.builder import GraphBuilder


def linear_network(hidden=(7, 6), classes=5):
    """Dense layers alone on images of 2 x 2 x 3."""
    b = GraphBuilder((2, 2, 3))
    x = b.flatten("flatten", "input")
    for i, units in enumerate(hidden):
        x = b.dense(f"dense_{i}", x, units, use_bias=False)
    graph = b.finish(b.dense("classifier", x, classes, use_bias=False), features=x)
    return graph, random_weights(graph)


def test_synflow_of_a_linear_network():
    """What flows through each layer is what flows through the network: layers times 1' |W1| |W2| |W3| 1."""
    graph, weights = linear_network()
    through = np.linalg.multi_dot([np.abs(value.astype(np.float64)) for value in weights.values()]).sum()
    images = np.random.default_rng(0).standard_normal((8, 2, 2, 3))
    outcomes = proxies.evaluate(graph, weights, images, LABELS, ["synflow", "synflow_bn"])
    assert outcomes["synflow"].score == pytest.approx(3 * through, rel=1e-9)
    assert outcomes["synflow_bn"].score == pytest.approx(3 * through, rel=1e-9)


def test_tangent_kernel_of_one_dense_layer():
    """Theta_ij = C <x_i, x_j>; images alike in pairs give -inf for NCN and labels alike in pairs a high LGA."""
    graph, weights = linear_network(hidden=())
    images = np.random.default_rng(0).standard_normal((8, 2, 2, 3))
    x = images.reshape(8, -1)
    outcomes = proxies.evaluate(
        graph, weights, images, LABELS, ["fnorm", "ntk_mean", "ncn"], proxies.Options(dtype="float64")
    )
    assert outcomes["fnorm"].score == pytest.approx(5 * np.linalg.norm(x @ x.T))
    assert outcomes["ntk_mean"].score == pytest.approx(5 * np.mean(x @ x.T))
    assert outcomes["ncn"].score == pytest.approx(-np.linalg.cond(x @ x.T), rel=1e-6)
    pairs = images[LABELS]
    twins = proxies.evaluate(graph, weights, pairs, LABELS, ["ncn", "lga"], proxies.Options(dtype="float64"))
    assert twins["ncn"].score == -np.inf
    assert twins["lga"].score > 0.8


@pytest.mark.parametrize("count", [8, 128])
def test_naswot_of_twins_is_minus_infinity(count):
    """Where a decomposition of the singular kernel finds the logarithm of round-off, too."""
    images = np.random.default_rng(0).standard_normal((count, *case.graph().input_shape)).astype(np.float32)
    images[1] = images[0]
    outcome = proxies.evaluate(case.graph(), case.weights(), images, np.arange(count) % 2, ["naswot"])["naswot"]
    assert outcome.score == -np.inf
    assert outcome.status == "ok"


def test_what_is_not_finite_has_no_score():
    """Units that are no numbers are not off, and layers whose gradients are none are not left out."""
    names = [entry.name for entry in map(proxies.get, proxies.names()) if entry.subject == "network"]
    # These look at weights or at networks of their own.
    names = [name for name in names if name not in ("l2_norm", "params", "flops", "linear_regions", "zen")]
    # And these are -inf then, as in the released code.
    names = [name for name in names if name not in ("aznas_expressivity", "aznas_progressivity")]
    broken = {key: value.copy() for key, value in case.weights().items()}
    next(value for key, value in broken.items() if key.endswith("kernel"))[0] = np.nan
    options = proxies.Options(prescribed_init=False)
    found = proxies.evaluate(case.graph(), broken, case.images(), LABELS, names, options)
    assert {name: outcome.status for name, outcome in found.items()} == dict.fromkeys(names, "nan")
    assert {"naswot", "meco", "swap", "zico", "grad_norm", "lga", "ncn"} <= set(names)


def test_images_that_are_not_finite_are_refused():
    images = case.images().copy()
    images[0, 0, 0, 0] = np.inf
    with pytest.raises(InputError, match="Images must be finite"):
        proxies.evaluate(case.graph(), case.weights(), images, LABELS, ["snip"])


def test_norms_do_not_overflow():
    gradients = types.SimpleNamespace(kernel_gradients=lambda: {"a": np.full((2, 2), 1e25, np.float32)})
    assert proxies.get("grad_norm").compute(gradients) == pytest.approx(2e25)
    kernel, labels = np.random.default_rng(0).standard_normal((6, 6)), np.arange(6) % 2
    kernel = kernel @ kernel.T
    for scale in (1e160, 1e-170):
        of_scale = types.SimpleNamespace(ntk=lambda scale=scale: scale * kernel)
        assert proxies.get("fnorm").compute(of_scale) == pytest.approx(scale * np.linalg.norm(kernel))
        aligned = label_gradient_alignment(scale * kernel, labels)
        assert aligned == pytest.approx(label_gradient_alignment(kernel, labels))


def test_an_overflow_is_no_best_score():
    entry = dataclasses.replace(proxies.get("plain"), compute=lambda passes: math.inf)
    of_one = importlib.import_module("proxies.score")._outcome  # `proxies.score` is a function
    outcome = of_one(entry, types.SimpleNamespace(graph=case.graph()), proxies.Options())
    assert outcome.status == "nan"
    assert math.isnan(outcome.score)


def test_zico_of_layers_of_which_one_is_not_finite():
    rng = np.random.default_rng(0)
    layers = [{"a": rng.standard_normal((2, 2)), "b": rng.standard_normal(3)} for _ in range(2)]
    assert math.isfinite(zico.zico_score(layers))
    layers[0]["a"][0, 0] = np.nan
    assert math.isnan(zico.zico_score(layers))


def test_trainability_of_odd_maps():
    """A last output of odd maps covers what lies outside as well."""
    rng = np.random.default_rng(0)
    g_in, g_out = rng.standard_normal((2, 7, 7, 8)), rng.standard_normal((2, 4, 4, 6))
    covered = np.zeros((2, 4, 4, 8, 2, 2))
    for row in range(7):
        for column in range(7):
            covered[:, row // 2, column // 2, :, row % 2, column % 2] = g_in[:, row, column]
    norm = np.linalg.norm(covered.reshape(32, -1).T @ g_out.reshape(32, -1) / 32, ord=2)
    assert aznas._trainability(g_in, g_out) == pytest.approx(2 - norm - 1 / (norm + aznas._SINGULAR_EPSILON))


def test_jacob_cov_of_a_linear_network():
    """All images have one gradient: eigenvalues N, 0, ..., 0."""
    graph, weights = linear_network()
    images = np.random.default_rng(0).standard_normal((8, 2, 2, 3))
    score = proxies.evaluate(graph, weights, images, LABELS, ["jacob_cov"], proxies.Options(dtype="float64"))
    v = np.array([8.0] + [0.0] * 7) + 1e-5
    assert score["jacob_cov"].score == pytest.approx(-np.sum(np.log(v) + 1 / v), rel=1e-6)


def test_alignment_of_kernels_that_say_nothing():
    labels = np.array([0, 0, 1])
    assert label_gradient_alignment(np.ones((3, 3)), labels) == 0
    assert label_gradient_alignment(np.eye(3), np.zeros(3)) == 0
    for value in (np.inf, np.nan):
        assert np.isnan(label_gradient_alignment(np.diag([1.0, 1.0, value]), labels))


def test_condition_numbers_beyond_1e12_are_round_off():
    """A kernel's smallest eigenvalue is uncertain by its largest times the precision of its numbers."""
    assert condition_number(np.diag([1.0, 0.5, 1e-11])) == pytest.approx(1e11, rel=1e-6)
    for smallest in (1e-13, 0.0, -1e-13):
        assert condition_number(np.diag([1.0, 0.5, smallest])) == np.inf
    assert condition_number(np.zeros((2, 2))) == np.inf
    assert condition_number(1e6 * np.diag([1.0, 1e-11])) == pytest.approx(1e11, rel=1e-6)
