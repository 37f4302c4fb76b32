"""Neural Predictor against numbers of the published reimplementation."""

import dataclasses
import json

import numpy as np
import pytest

from tests.conftest import needed
from tfnas.predictor import gcn, training
from tfnas.predictor.graphs import Graphs, normalised
from tfnas.predictor.pareto import soft_front
from tfnas.predictor.settings import REFERENCE


@pytest.fixture
def arrays(shared):
    return np.load(needed(shared / "golden/proxies/neural_predictor.npz"))


@pytest.fixture
def expected(shared):
    return json.loads(needed(shared / "golden/proxies/expected_extra.json").read_text())


def _graphs(arrays):
    return Graphs(arrays["operations"], arrays["adjacency"] > 0, arrays["num_vertices"])


def _model(arrays, settings):
    """The golden weights, in a model whose heads have biases of 0 where it has any."""
    model = gcn.GCN(settings, arrays["operations"].shape[-1])
    for i, layer in enumerate(model.convolutions):
        halves = [arrays[f"w{2 * i + j:02}_gcn_{i}_weight{j + 1}"] for j in range(2)]
        layer.kernel.assign(np.hstack(halves)[None])
    for i, layer in enumerate(model.denses):
        layer.kernel.assign(arrays[f"w0{6 + i}_fc{i + 1}_weight"].T[None])
    return model


SMALL = dataclasses.replace(REFERENCE, width=24, heads=(16,))


def test_golden_normalisation(arrays):
    found = normalised(arrays["adjacency"] > 0, "reference")[0]
    np.testing.assert_allclose(found, arrays["norm_adj"], rtol=1e-6)


def test_golden_first_layer(arrays):
    model, graphs = _model(arrays, SMALL), _graphs(arrays)
    nodes, ahead, behind, _, _ = (part[None] for part in training.inputs_of(graphs, "reference"))
    np.testing.assert_allclose(
        model.convolutions[0](nodes, ahead, behind)[0], arrays["layer1_out"], rtol=1e-5, atol=1e-6
    )


def test_golden_forward(arrays, expected):
    inputs = [part[None] for part in training.inputs_of(_graphs(arrays), "reference")]
    np.testing.assert_allclose(_model(arrays, SMALL)(inputs)[0], expected["neural_predictor"]["pred_linear"], rtol=1e-5)
    sigmoid = _model(arrays, dataclasses.replace(SMALL, output="sigmoid"))
    sigmoid.offset.assign([[0.1]])
    sigmoid.scale.assign([[0.9]])
    np.testing.assert_allclose(sigmoid(inputs)[0], expected["neural_predictor"]["pred_sigmoid_10_100"], rtol=1e-5)


def test_golden_soft_front(expected):
    case = expected["soft_pareto"]
    assert soft_front(case["pred_acc"], case["latency"], 6, previous="all").tolist() == case["selected_J6"]
