"""Networks of the space: constants, padding, the engine and the proxies on them."""

import functools

import keras
import numpy as np
import pytest

import proxies
import spaces
from spaces.mobile.proxylessnas import network, published
from tests.engine_cases import keras_model, random_weights
from tfnas.engine import Network
from tfnas.errors import InputError
from tfnas.networks import weights

SPACE = spaces.get("proxylessnas")
# Every kernel, expansion and stride in few layers.
ARCH = "k5e1|k7e6:k3e3:skip:skip|k5e3:skip:skip:skip|k3e3:k5e6:skip:skip|k3e6:skip:skip:skip|k5e3:skip:skip:skip|k7e3"
LABELS = np.arange(8) % 5


@functools.cache
def case(size):
    graph = SPACE.layer_graph(ARCH, width=8, classes=5, input_shape=(size, size, 3))
    return graph, random_weights(graph)


def images(size, count=8):
    return np.random.default_rng(0).standard_normal((count, size, size, 3)).astype(np.float32)


def _thin(**changes):
    settings = {"classes": 5, "input_shape": (64, 64, 3)} | changes
    return SPACE.layer_graph(ARCH, width=SPACE.min_width, **settings)


class TestNetwork:
    def test_constants(self):
        graph = SPACE.layer_graph(published.named("proxyless_mobile"))
        assert {(n["momentum"], n["epsilon"]) for n in graph.nodes if n.op == "batch_norm"} == {(0.9, 1e-3)}
        assert {n["kind"] for n in graph.nodes if n.op == "activation"} == {"relu6"}
        assert graph.by_name[graph.features].shape == (1280,)
        assert SPACE.init == "proxylessnas"

    def test_dropout_is_that_of_the_release(self):
        for flavour, rates in (("mobile", [0.1]), ("cpu", [0.2]), ("gpu", [0.3]), ("search", [])):
            graph = SPACE.layer_graph(ARCH, flavour=flavour)
            assert [node["rate"] for node in graph.nodes if node.op == "dropout"] == rates

    def test_strided_layers_are_padded_on_all_sides(self):
        graph = SPACE.layer_graph(ARCH)
        for node in graph.weight_nodes():
            if node.op == "dense":
                continue
            source = graph.by_name[node.inputs[0]]
            assert (source.op == "pad") == (node["strides"] == 2)
            if source.op == "pad":
                assert source["amount"] == (node["kernel_size"][0] // 2,) * 4
                assert node["padding"] == "valid"

    @pytest.mark.parametrize("size", [32, 33, 97, 224])
    def test_any_size(self, size):
        graph = SPACE.layer_graph(ARCH, input_shape=(size, size, 3))
        assert graph.by_name["head.activation"].shape == (-(-size // 32), -(-size // 32), 1280)

    def test_width_scales_all_but_the_head(self):
        graph = SPACE.layer_graph(ARCH, width=64)
        names = ("stem.conv", "blocks.0.project.conv", "blocks.1.project.conv", "head.conv")
        assert [graph.by_name[name].shape[-1] for name in names] == [64, 32, 64, 1280]

    def test_depth_is_that_of_the_architecture(self):
        with pytest.raises(InputError, match=r"Received: depth=2\. Allowed: 1"):
            SPACE.layer_graph(ARCH, depth=2)

    def test_checkpoint_names_are_all_different(self):
        graph = SPACE.layer_graph(ARCH)
        keys = [key for node in graph.nodes for key in node.param_keys()]
        assert len({published.checkpoint_name(key) for key in keys}) == len(keys)

    def test_by_hand(self):
        """One strided layer and one with its input added, by Keras layers written out."""
        graph, arrays = case(32)
        names = ["stem.activation", "blocks.1.project.bn", "blocks.2.add"]
        model = keras_model(graph, arrays)
        outputs = keras.Model(model.input, [model.get_layer(name).output for name in names])
        x = images(32).astype(np.float64)
        _, first, second = (np.array(y) for y in outputs(x, training=True))
        assert first.shape == second.shape
        y = first
        for part, op in (("expand", "conv"), ("depthwise", "depthwise"), ("project", "conv")):
            kernel = arrays[f"blocks.2.{part}.conv.kernel"].astype(np.float64)
            y = _conv(y, kernel) if op == "conv" else _depthwise(y, kernel)
            mean, variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
            gamma, beta = (arrays[f"blocks.2.{part}.bn.{key}"].astype(np.float64) for key in ("gamma", "beta"))
            y = gamma * (y - mean) / np.sqrt(variance + 1e-3) + beta
            y = y if part == "project" else np.clip(y, 0, 6)
        np.testing.assert_allclose(second, first + y, rtol=1e-9, atol=1e-9)


def _conv(x, kernel):
    return x @ kernel[0, 0]


def _depthwise(x, kernel):
    size = kernel.shape[0]
    padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)))
    height, width = x.shape[1:3]
    return sum(padded[:, i : i + height, j : j + width] * kernel[i, j, :, 0] for i in range(size) for j in range(size))


class TestEngine:
    def test_codes_of_relu6_units(self):
        """NASWOT counts units that agree, by their outputs: [N, N]."""
        graph, arrays = case(33)
        engine, x = Network(graph, arrays, dtype="float64"), images(33)
        model = keras_model(graph, arrays)
        names = [node.name for node in graph.nodes if node.op == "activation"]
        outputs = keras.Model(model.input, [model.get_layer(name).output for name in names])
        on = np.concatenate([np.reshape(y, (len(x), -1)) > 0 for y in outputs(x.astype(np.float64))], axis=1)
        agree = (on[:, None] == on[None]).sum(-1)
        assert np.array_equal(engine.forward(x, "inference", codes=True).codes, agree)

    def test_passes_are_those_of_keras(self):
        """Logits in both modes, in float64."""
        graph, arrays = case(33)
        engine, x = Network(graph, arrays, dtype="float64"), images(33).astype(np.float64)
        model = keras_model(graph, arrays)
        model.get_layer("head.dropout").rate = 0.0
        for mode in ("inference", "batch"):
            expected = model(x, training=mode == "batch")
            found = engine.forward(x, mode).values[graph.output]
            np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)

    def test_every_proxy_scores_them(self):
        graph, arrays = case(64)
        found = proxies.evaluate(graph, arrays, images(64), LABELS, proxies.names(), thin=_thin)
        assert {name: outcome.status for name, outcome in found.items()} == dict.fromkeys(proxies.names(), "ok")
        assert found["params"].score == graph.count_params()

    def test_scores_of_the_keras_model_are_those_of_the_graph(self):
        graph = SPACE.layer_graph(ARCH, width=8, classes=5, input_shape=(64, 64, 3))
        model = SPACE.build(ARCH, width=8, classes=5, input_shape=(64, 64, 3), seed=1)
        arrays = weights.initialize(graph, SPACE.init, 1)
        names = ["synflow", "gradsign", "naswot"]
        by_model = proxies.score(model, images(64), LABELS, names)
        by_graph = proxies.evaluate(graph, arrays, images(64), LABELS, names)
        assert {name: by_graph[name].score for name in names} == pytest.approx(by_model, rel=1e-5)

    def test_channels_are_told_apart(self):
        assert set(network.CHANNELS) == set(SPACE.flavours)
