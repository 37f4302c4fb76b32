"""Blocks of mobile networks against Keras layers written out, and the engine on them against the tape."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from spaces.mobile import blocks
from spaces.mobile.blocks import Style
from tests.engine_cases import in_float64, keras_model, random_weights
from tfnas.engine import Network, Rows, hessian_product, reference
from tfnas.networks.activations import ACTIVATIONS
from tfnas.networks.builder import GraphBuilder

SHAPE = (7, 6, 4)


def style(activation="relu"):
    return Style(activation, bn_momentum=0.99, bn_epsilon=1e-3)


# One network for each kind of block: (builder, node to read, style) -> last node.
BLOCKS = {
    "conv": lambda b, x, s: blocks.conv_block(b, "block", x, s, 4, kernel=3, squeezed=2),
    "separable": lambda b, x, s: blocks.separable(b, "block", x, s, 6, kernel=5, strides=2),
    "mbconv": lambda b, x, s: blocks.mbconv(b, "block", x, s, 4, kernel=3, expanded=12),
    "mbconv_se": lambda b, x, s: blocks.mbconv(b, "block", x, s, 4, kernel=5, strides=2, expanded=8, squeezed=1),
    "identity": lambda b, x, s: blocks.skip(b, "block", x, BLOCKS["mbconv"](b, x, s), "identity"),
    "pool": lambda b, x, s: blocks.skip(b, "block", x, BLOCKS["mbconv_se"](b, x, s), "pool", strides=2),
}


def network(block, activation="relu"):
    """The block behind a linear convolution, which makes every gradient by the images one of the block."""
    b = GraphBuilder(SHAPE)
    x = BLOCKS[block](b, b.conv("stem", "input", 4, 1, use_bias=True), style(activation))
    return b.finish(b.dense("head", b.global_avg_pool("pool", x), 3), features="pool")


def by_hand(block, activation="relu"):
    """The same network by Keras' functional API, layers in the order of their weights."""

    def norm(x):
        return layers.BatchNormalization(momentum=0.99, epsilon=1e-3)(x)

    def act(x):
        return layers.Activation(ACTIVATIONS[activation].keras_function)(x)

    def conv(x, filters, size=1):
        return norm(layers.Conv2D(filters, size, padding="same", use_bias=False)(x))

    def depthwise(x, size, strides=1):
        return act(norm(layers.DepthwiseConv2D(size, strides, padding="same", use_bias=False)(x)))

    def excite(x, squeezed):
        mean = layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = layers.Conv2D(x.shape[-1], 1)(act(layers.Conv2D(squeezed, 1)(mean)))
        return layers.Multiply()([layers.Activation("sigmoid")(gate), x])

    x = start = layers.Conv2D(4, 1)(image := keras.Input(SHAPE))
    if block == "conv":
        x = excite(act(conv(x, 4, 3)), 2)
    elif block == "separable":
        x = conv(depthwise(x, 5, 2), 6)
    elif block in ("mbconv", "identity"):
        x = conv(depthwise(act(conv(x, 12)), 3), 4)
    else:
        x = conv(excite(depthwise(act(conv(x, 8)), 5, 2), 1), 4)
    if block == "identity":
        x = layers.Add()([x, start])
    if block == "pool":
        x = layers.Add()([x, layers.AveragePooling2D(3, 2, "same")(start)])
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


@functools.cache
def case(block, activation):
    graph = network(block, activation)
    arrays = random_weights(graph)
    return graph, arrays, keras_model(graph, arrays)


def images():
    return np.random.default_rng(1).standard_normal((3, *SHAPE))


def cotangents():
    return np.random.default_rng(2).standard_normal((3, 3))


def close(actual, expected, tolerance=1e-8):
    expected = np.asarray(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(np.abs(expected).max(initial=0), 1e-3))


@pytest.mark.parametrize("activation", ["relu", "relu6", "swish"])
@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_are_those_of_keras(block, activation):
    graph, arrays, _ = case(block, activation)
    with in_float64():
        model = by_hand(block, activation)
    trainable = [value for key, value in arrays.items() if ".moving_" not in key]
    moving = [value for key, value in arrays.items() if ".moving_" in key]
    for variables, values in ((model.trainable_variables, trainable), (model.non_trainable_variables, moving)):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    engine = Network(graph, arrays, dtype="float64")
    for bn, training in (("inference", False), ("batch", True)):
        close(engine.forward(images(), bn).values[graph.output], model(images(), training=training))


@pytest.mark.parametrize(
    ("block", "activation"),
    [("conv", "swish"), ("separable", "relu6"), ("identity", "relu"), ("pool", "relu6"), ("pool", "swish")],
)
class TestEngine:
    @pytest.mark.parametrize("bn", ["inference", "batch"])
    def test_gradients_are_those_of_the_tape(self, block, activation, bn):
        graph, arrays, model = case(block, activation)
        engine = Network(graph, arrays, dtype="float64")
        run = engine.forward(images(), bn)
        found = engine.gradients(run, cotangents(), params="all").params
        x = tf.constant(images())
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = reference.logits(model, x, bn)
        sources = [x, *(variable.value for variable in model.trainable_variables)]
        by_image, *values = tape.gradient(y, sources, tf.constant(cotangents()))
        close(engine.input_gradients(run, cotangents()), by_image)
        assert len(found) == len(values)
        for variable, value in zip(model.trainable_variables, values, strict=True):
            close(found[variable.path.replace("/", ".")], value)

    @pytest.mark.parametrize("bn", ["inference", "example"])
    def test_example_gradients_are_those_of_the_loop(self, block, activation, bn):
        graph, arrays, model = case(block, activation)
        engine = Network(graph, arrays, dtype="float64")
        expected = reference.loop(model, images(), cotangents(), bn)
        found = engine.example_gradients(engine.forward(images(), bn), cotangents(), Rows(), params="all")
        for chain in engine.chains:
            keys = [key for node in chain.nodes for key in node.param_keys() if ".moving_" not in key]
            if keys:
                close(found[chain.output], np.concatenate([expected[key].reshape(3, -1) for key in keys], 1))


def directions(graph):
    rng = np.random.default_rng(3)
    return {f"{node.name}.kernel": rng.standard_normal(dict(node.params)["kernel"]) for node in graph.weight_nodes()}


def product(engine, run, v):
    """The Hessian of <logits, cotangents> by the kernels, times v."""
    pulled = engine.gradients(run, cotangents(), keep=True)
    return hessian_product(engine, run, pulled, v, lambda u: 0 * u)


@pytest.mark.parametrize("block", ["conv", "pool"])
def test_hessian_products_are_finite_differences(block):
    """Of swish, which has a second derivative; of the others they are in the tests of all layers."""
    graph, arrays, _ = case(block, "swish")
    v, step, gradients = directions(graph), 1e-5, []
    for sign in (1, -1):
        moved = {key: value + sign * step * v.get(key, 0) for key, value in arrays.items()}
        engine = Network(graph, moved, dtype="float64")
        gradients.append(engine.gradients(engine.forward(images(), "batch"), cotangents()).params)
    engine = Network(graph, arrays, dtype="float64")
    found = product(engine, engine.forward(images(), "batch"), v)
    assert found.keys() == gradients[0].keys() == v.keys()
    largest = max(np.abs(value).max() for value in found.values())
    for key, value in found.items():
        expected = (gradients[0][key] - gradients[1][key]) / (2 * step)
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-6 * largest)


def test_what_passes_by():
    assert blocks.skipped("identity", 1, 8, 8) == "identity"
    assert blocks.skipped("identity", 2, 8, 8) == blocks.skipped("identity", 1, 8, 16) == "none"
    assert blocks.skipped("pool", 2, 8, 8) == "pool"
    assert blocks.skipped("pool", 1, 8, 16) == blocks.skipped("none", 1, 8, 8) == "none"


@pytest.mark.parametrize("activation", [pytest.param("relu6", marks=pytest.mark.slow), "swish"])
def test_xla_computes_the_same(activation):
    """Outputs, gradients, a Hessian product and per-example gradients, each relative to the largest of its kind."""
    graph, arrays, _ = case("pool", activation)
    x, dy = images().astype(np.float32), cotangents().astype(np.float32)

    def passes(engine):
        run = engine.forward(x, "batch")
        yield [run.values[graph.output]]
        yield [engine.input_gradients(run, dy)]
        yield engine.gradients(run, dy, params="all").params.values()
        yield product(engine, run, directions(graph)).values()
        yield engine.example_gradients(engine.forward(x, "example"), dy, Rows(), params="all").values()

    plain, compiled = (passes(Network(graph, arrays, jit=jit)) for jit in (False, True))
    for expected, actual in zip(plain, compiled, strict=True):
        close(*(np.concatenate([np.ravel(part) for part in parts]) for parts in (actual, expected)), 1e-5)
