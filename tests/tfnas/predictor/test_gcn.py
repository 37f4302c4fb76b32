"""The network against plain NumPy, and what must not change its predictions."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.tfnas.predictor import cases
from tfnas.errors import InputError
from tfnas.predictor import gcn, training
from tfnas.predictor.graphs import NORMS, Graphs, equal_chains, normalised
from tfnas.predictor.settings import CHAIN, FLAVOURS, KEEPING, PAPER, REFERENCE, Settings

SMALL = dataclasses.replace(PAPER, width=12, heads=(8,))


def make(settings=SMALL, predictors=1, extras=0, seed=0):
    model = gcn.GCN(settings, cases.FEATURES, extras, predictors)
    model.initialize([seed + i for i in range(predictors)])
    rng = np.random.default_rng(seed)
    for layer in model.denses:
        if layer.use_bias:
            layer.bias.assign(rng.normal(size=layer.bias.shape))
    return model


def predict(model, graphs):
    inputs = [part[None] for part in training.inputs_of(graphs, model.settings.norm)]
    return model(inputs).numpy()


def plain(model, graphs, predictor):
    """One graph after the other, one direction after the other, in float64: [N]."""
    settings = model.settings
    found = []
    for row in range(len(graphs)):
        count = int(graphs.counts[row])
        x = graphs.nodes[row, :count].astype(np.float64)
        # Without the padding, unlike the model.
        ahead, behind = (m[0] for m in normalised(graphs.edges[row : row + 1, :count, :count], settings.norm))
        for layer in model.convolutions:
            forth, back = np.hsplit(layer.kernel.numpy().astype(np.float64)[predictor], 2)
            x = np.maximum(ahead @ x @ forth, 0) / 2 + np.maximum(behind @ x @ back, 0) / 2
        y = np.concatenate([x.mean(0), graphs.extras[row]])
        for place, layer in enumerate(model.denses):
            y = y @ layer.kernel.numpy().astype(np.float64)[predictor]
            if layer.use_bias:
                y = y + layer.bias.numpy().astype(np.float64)[predictor, 0]
            if settings.activate and place < len(model.denses) - 1:
                y = np.maximum(y, 0)
        z = y[0] if settings.output == "linear" else 1 / (1 + np.exp(-y[0]))
        offset, scale = (v.numpy().astype(np.float64)[predictor, 0] for v in (model.offset, model.scale))
        found.append(offset + scale * z)
    return np.array(found)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("norm", NORMS)
def test_is_that_of_plain_numpy(flavour, norm):
    form = FLAVOURS[flavour]
    settings = dataclasses.replace(form, width=12, heads=(*form.heads[:-1], 8), layers=min(form.layers, 5), norm=norm)
    graphs = cases.graphs(12, extras=2)
    model = make(settings, predictors=3, extras=2)
    model.offset.assign([[0.1], [0.2], [0.3]])
    model.scale.assign([[0.9], [0.7], [0.5]])
    found = predict(model, graphs)
    assert found.shape == (3, 12)
    for predictor in range(3):
        np.testing.assert_allclose(found[predictor], plain(model, graphs, predictor), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("flavour", ["paper", "reference"])
def test_the_order_of_nodes_does_not_matter(flavour):
    graphs, model = cases.graphs(20), make(dataclasses.replace(FLAVOURS[flavour], width=24))
    rng = np.random.default_rng(1)
    nodes, edges = graphs.nodes.copy(), graphs.edges.copy()
    for row, count in enumerate(graphs.counts):
        order = np.concatenate([rng.permutation(count), np.arange(count, nodes.shape[1])])
        nodes[row], edges[row] = nodes[row][order], edges[row][np.ix_(order, order)]
    moved = Graphs(nodes, edges, graphs.counts)
    assert not np.array_equal(moved.nodes, graphs.nodes)
    np.testing.assert_allclose(predict(model, moved), predict(model, graphs), rtol=0, atol=1e-6)


def test_padding_does_not_matter():
    graphs, model = cases.graphs(20), make()
    nodes = np.pad(graphs.nodes, ((0, 0), (0, 4), (0, 0)))
    padded = Graphs(nodes, np.pad(graphs.edges, ((0, 0), (0, 4), (0, 4))), graphs.counts)
    np.testing.assert_allclose(predict(model, padded), predict(model, graphs), rtol=0, atol=1e-6)


def test_direction_matters():
    graphs, model = cases.graphs(20), make()
    turned = dataclasses.replace(graphs, edges=graphs.edges.transpose(0, 2, 1))
    assert np.abs(predict(model, turned) - predict(model, graphs)).max() > 1e-4


def test_predictors_share_nothing():
    graphs, model = cases.graphs(8), make(predictors=2)
    before = predict(model, graphs)
    for variable in model.trainable_variables:
        value = variable.numpy().copy()
        value[1] = 0.3
        variable.assign(value)
    after = predict(model, graphs)
    assert np.array_equal(after[0], before[0])
    assert not np.array_equal(after[1], before[1])


def test_initial_weights():
    """Uniform as Glorot and Bengio's, each direction by fans of its own, the same alone and beside others."""
    model = gcn.GCN(PAPER, cases.FEATURES, 0, 2)
    model.initialize([7, 8])
    alone = gcn.GCN(PAPER, cases.FEATURES, 0, 1)
    alone.initialize([8])
    for both, one in zip(model.trainable_variables, alone.trainable_variables, strict=True):
        assert np.array_equal(both.numpy()[1], one.numpy()[0])
    kernel = model.convolutions[1].kernel.numpy()[0]
    limit = np.sqrt(6 / (144 + 144))
    assert 0.98 * limit < np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)


def test_a_deep_network_starts_by_telling_networks_apart():
    """With the gain of chains, 18 layers keep the mean square within a decade; without, nothing is left."""
    chains = equal_chains(np.eye(7)[np.random.default_rng(0).integers(7, size=(40, 22))].astype(np.float32))
    nodes, ahead, behind, _, _ = (part[None] for part in training.inputs_of(chains, CHAIN.norm))

    def scale(gain):
        model = gcn.GCN(dataclasses.replace(CHAIN, gain=gain), 7)
        model.initialize([0])
        x = nodes
        for layer in model.convolutions:
            x = layer(x, ahead, behind).numpy()
            yield np.sqrt((x**2).mean())

    first, *_, last = scale(CHAIN.gain)
    assert 0.1 < last / first < 10
    first, *_, last = scale(1.0)
    assert last / first < 1e-3


def test_the_gain_is_that_of_normal_numbers():
    z = np.random.default_rng(0).standard_normal((2, 400_000))
    kept = np.mean((np.maximum(z[0], 0) / 2 + np.maximum(z[1], 0) / 2) ** 2)
    assert KEEPING**2 * kept == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("settings", [PAPER, CHAIN, REFERENCE, Settings(heads=(), layers=1, width=3)])
def test_number_of_parameters(settings):
    model = gcn.GCN(settings, cases.FEATURES, 2)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == settings.count_params(cases.FEATURES, 2)


def test_dropout_is_of_each_predictor_alone_and_keeps_the_mean():
    settings = dataclasses.replace(REFERENCE, width=64, heads=(64,), dropout=0.5)
    model, graphs = make(settings, predictors=2), cases.graphs(16)
    inputs = [part[None] for part in training.inputs_of(graphs, settings.norm)]
    drawn = [model(inputs, dropout_seeds=tf.constant([[1, t * 64], [2, t * 64]])).numpy() for t in range(2)]
    assert not np.array_equal(drawn[0], drawn[1])
    swapped = model(inputs, dropout_seeds=tf.constant([[1, 0], [9, 0]])).numpy()
    assert np.array_equal(swapped[0], drawn[0][0])
    assert not np.array_equal(swapped[1], drawn[0][1])
    ones = model._drop(tf.ones((2, 50, 100)), tf.constant([[1, 0], [2, 0]]), 0).numpy()
    assert set(np.unique(ones)) == {0, 2}
    assert ones.mean((1, 2)) == pytest.approx([1, 1], abs=5 / np.sqrt(5000))


@pytest.mark.parametrize(
    "wrong",
    [
        {"output": "softmax"},
        {"norm": "column"},
        {"layers": 0},
        {"width": 0},
        {"heads": (0,)},
        {"epochs": 0},
        {"batch_size": 0},
        {"low": 0.9, "high": 0.1},
        {"high": 90.0},
        {"dropout": 1.0},
        {"learning_rate": 0.0},
        {"weight_decay": float("nan")},
    ],
)
def test_bad_settings(wrong):
    with pytest.raises(InputError, match="Received: ") as error:
        Settings(**wrong)
    assert "\n" not in str(error.value)
