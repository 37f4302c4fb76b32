"""Networks of the space: constants, dropout, sizes of images, the engine and the proxies on them."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import proxies
import spaces
from spaces.mobile.mnas import published
from tests.engine_cases import keras_model, random_weights
from tests.spaces.mobile.test_blocks import close, directions
from tfnas.engine import Network, Rows, cache_size, hessian_product
from tfnas.errors import InputError
from tfnas.networks import weights

SPACE = spaces.get("mnas")
# Every kind of layer, strides and skip in few layers.
ARCH = (
    "r1_k3_s11_e1_i32_o16_noskip|r1_k3_s22_e1_i16_o24_conv|r2_k5_s22_e3_i24_o32_se0.25_poolskip|r1_k3_s22_e6_i32_o64|"
    "r2_k3_s11_e3_i64_o64_se0.25|r1_k5_s22_e1_i64_o64_poolskip|r1_k3_s11_e1_i64_o64_se0.25_conv"
)
LABELS = np.arange(8) % 5


@functools.cache
def case(size):
    graph = SPACE.layer_graph(ARCH, width=8, classes=5, input_shape=(size, size, 3))
    return graph, random_weights(graph)


def images(size, count=8, dtype=np.float32):
    return np.random.default_rng(0).standard_normal((count, size, size, 3)).astype(dtype)


class TestNetwork:
    def test_constants(self):
        graph = SPACE.layer_graph(published.named("a1"))
        norms = {(node["momentum"], node["epsilon"]) for node in graph.nodes if node.op == "batch_norm"}
        assert norms == {(0.99, 1e-3)}
        kinds = {node["kind"] for node in graph.nodes if node.op == "activation" and not node.name.endswith(".gate")}
        assert kinds == {"relu"}
        assert {node["padding"] for node in graph.nodes if node.op in ("conv", "depthwise_conv")} == {"same"}
        assert SPACE.init == "mnas"

    def test_dropout_and_features(self):
        for flavour, rates in (("mnasnet", [0.2]), ("mnasnet_small", [])):
            graph = SPACE.layer_graph(published.named("small"), flavour=flavour)
            assert [node["rate"] for node in graph.nodes if node.op == "dropout"] == rates
            assert graph.by_name[graph.features].shape == (1280,)

    @pytest.mark.parametrize("size", [32, 33, 97, 224])
    @pytest.mark.parametrize("classes", [2, 1000])
    def test_any_size_and_classes(self, size, classes):
        graph = SPACE.layer_graph(published.named("a1"), input_shape=(size, size, 3), classes=classes)
        assert graph.by_name["head.activation"].shape == (-(-size // 32), -(-size // 32), 1280)
        assert graph.num_classes == classes

    def test_width_scales_all_but_the_head(self):
        graph = SPACE.layer_graph(published.named("b1"), width=64)
        assert [graph.by_name[name].shape[-1] for name in ("stem.conv", "blocks.0.project.conv", "head.conv")] == [
            *(64, 32, 1280)
        ]

    def test_depth_is_that_of_the_architecture(self):
        with pytest.raises(InputError, match=r"Received: depth=2\. Allowed: 1"):
            SPACE.layer_graph(ARCH, depth=2)

    def test_initial_weights(self):
        """N(0, 2 / (k k C_out)), depthwise N(0, 2 / (k k)), dense U(+-1 / sqrt(classes)); biases 0."""
        graph = SPACE.layer_graph(published.named("b1"))
        arrays = weights.initialize(graph, SPACE.init, 0)
        for node in graph.weight_nodes():
            kernel = arrays[f"{node.name}.kernel"]
            if kernel.size < 10_000:
                continue
            if node.op == "dense":
                assert np.abs(kernel).max() == pytest.approx(1 / np.sqrt(1000), rel=1e-3)
            else:
                fan = np.prod(kernel.shape[:2]) * (1 if node.op == "depthwise_conv" else kernel.shape[-1])
                assert kernel.std() == pytest.approx(np.sqrt(2 / fan), rel=0.05)
        assert not any(arrays[key].any() for key in arrays if key.endswith(".bias"))


class TestEngine:
    def test_passes_are_those_of_keras(self):
        """Logits and gradients of all parameters in training mode (dropout aside), in float64."""
        graph, arrays = case(48)
        engine = Network(graph, arrays, dtype="float64")
        x, dy = images(48, 3, np.float64), np.random.default_rng(1).standard_normal((3, 5))
        run = engine.forward(x, "batch")
        plain = SPACE.layer_graph(ARCH, width=8, classes=5, input_shape=(48, 48, 3), flavour="mnasnet_small")
        model = keras_model(plain, arrays)
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
        close(run.values[graph.output], logits)
        sources = model.trainable_variables
        expected = tape.gradient(logits, [v.value for v in sources], tf.constant(dy))
        found = engine.gradients(run, dy, params="all").params
        assert len(found) == len(sources)
        largest = max(np.abs(value).max() for value in found.values())
        for variable, value in zip(sources, expected, strict=True):
            actual = found[variable.path.replace("/", ".")]
            np.testing.assert_allclose(actual, value, rtol=0, atol=1e-8 * largest)

    @pytest.mark.slow
    def test_xla_computes_the_same(self):
        """In float64: the kernels of one block agree to 1e-5 in float32, but round-off grows through a network."""
        graph, arrays = case(64)
        x, dy = images(64, 3, np.float64), np.random.default_rng(1).standard_normal((3, 5))

        def passes(engine):
            run = engine.forward(x, "batch")
            pulled = engine.gradients(run, dy, params="all", keep=True)
            yield [run.values[graph.output]]
            yield pulled.params.values()
            yield hessian_product(engine, run, pulled, directions(graph), lambda u: u).values()
            yield engine.example_gradients(engine.forward(x, "example"), dy, Rows(), params="all").values()

        plain, compiled = (passes(Network(graph, arrays, dtype="float64", jit=jit)) for jit in (False, True))
        for expected, actual in zip(plain, compiled, strict=True):
            close(*(np.concatenate([np.ravel(part) for part in parts]) for parts in (actual, expected)), 1e-9)

    def test_kernels_are_shared(self):
        """A forward pass of an architecture whose layers have all been met compiles nothing."""

        def forward(arch):
            graph = SPACE.layer_graph(arch, width=8, classes=5, input_shape=(32, 32, 3))
            Network(graph, weights.initialize(graph, "mnas")).forward(images(32), "batch")
            return cache_size()

        one, other = (ARCH.replace("r2_k5", layers) for layers in ("r2_k5", "r4_k5"))
        assert forward(one) == forward(other) == forward(one)


class TestProxies:
    @pytest.mark.parametrize("size", [32, pytest.param(64, marks=pytest.mark.slow)])
    def test_every_proxy_has_a_score_or_says_why_not(self, size):
        graph, arrays = case(size)
        outcomes = proxies.evaluate(
            graph, arrays, images(size), LABELS, proxies.names(), thin=functools.partial(thin, size)
        )
        without = {name for name in proxies.names() if proxies.get(name).bn == "example"}
        assert without
        for name, outcome in outcomes.items():
            if size == 32 and name in without:
                assert outcome.status == "nan"
                assert "maps of one pixel" in outcome.message
            else:
                assert (outcome.status, outcome.message) == ("ok", ""), name
                assert np.isfinite(outcome.score), name

    def test_moving_statistics_score_what_single_examples_cannot(self):
        graph, arrays = case(32)
        options = proxies.Options(bn="inference")
        found = proxies.evaluate(graph, arrays, images(32), LABELS, ["gradsign"], options)["gradsign"]
        assert found.status == "ok"
        assert found.score > 0


def thin(size, **changes):
    """What launchers give to proxies that are published on a small network."""
    settings = {"width": SPACE.min_width, "classes": 5, "input_shape": (size, size, 3)}
    return SPACE.layer_graph(ARCH, **settings | changes)
