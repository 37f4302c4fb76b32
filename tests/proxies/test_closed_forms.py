"""Proxies of networks and batches whose scores can be written down."""

import numpy as np
import pytest

import proxies
from proxies.ntk import condition_number, label_gradient_alignment
from tests import proxies_cases as case
from tests.engine_cases import random_weights
from tests.proxies_cases import LABELS
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


def test_naswot_of_twins_is_minus_infinity():
    twins = np.repeat(case.images()[:4], 2, axis=0)
    outcome = proxies.evaluate(case.graph(), case.weights(), twins, LABELS, ["naswot"])["naswot"]
    assert outcome.score == -np.inf
    assert outcome.status == "ok"


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
