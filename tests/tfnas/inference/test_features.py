"""Features of networks: BN statistics against Keras, folding, batches, and kernels against their closed form."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import spaces
from tests import engine_cases, float32
from tests.engine_cases import BN, random_weights
from tfnas.engine import Network
from tfnas.errors import InputError
from tfnas.inference import features
from tfnas.networks import weights
from tfnas.networks.builder import GraphBuilder
from tfnas.networks.keras_model import to_keras

SHAPE = (8, 8, 3)
NETWORKS = {"nasbench101": {"width": 8, "depth": 1, "stages": 2}, "nasbench201": {"width": 4, "depth": 1}}


def images(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32)


def network(name, seed=0, **options):
    """A small network of a space and weights that no mistake hides behind."""
    space = spaces.get(name)
    graph = space.layer_graph(space.sample(np.random.default_rng(seed)), input_shape=SHAPE, **NETWORKS[name], **options)
    return graph, random_weights(graph, seed)


def close(found, expected, tolerance=1e-12):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    return True


def widened(arrays):
    return {key: value.astype(np.float64) for key, value in arrays.items()}


def of_keras(model, graph, x):
    return keras.Model(model.input, model.get_layer(graph.features).output)(x, training=False).numpy()


# Folding -------------------------------------------------------------------------------------------------------------

# What is between the input and the pooled features, the BN layers that stay, and nothing else to know.
BODIES = {
    "after a convolution": (lambda b, x: b.batch_norm("bn", b.conv("c", x, 4, 3), **BN), []),
    "after a biased convolution": (lambda b, x: b.batch_norm("bn", b.conv("c", x, 4, 3, use_bias=True), **BN), []),
    "after strides, no padding": (
        lambda b, x: b.batch_norm("bn", b.conv("c", x, 4, 3, strides=2, padding="valid"), **BN),
        [],
    ),
    "after groups": (
        lambda b, x: b.batch_norm("bn", b.conv("c", b.conv("stem", x, 4, 1), 6, 3, groups=2), **BN),
        [],
    ),
    "without scale": (lambda b, x: b.batch_norm("bn", b.conv("c", x, 4, 3), **BN, scale=False), []),
    "without centre": (lambda b, x: b.batch_norm("bn", b.conv("c", x, 4, 3), **BN, center=False), []),
    "without both": (
        lambda b, x: b.batch_norm("bn", b.conv("c", x, 4, 3, use_bias=True), **BN, scale=False, center=False),
        [],
    ),
    "on the images": (lambda b, x: b.conv("c", b.batch_norm("bn", x, **BN), 4, 3), ["bn"]),
    "after a ReLU": (lambda b, x: b.batch_norm("bn", b.activation("relu", b.conv("c", x, 4, 3)), **BN), ["bn"]),
    "after a depthwise convolution": (lambda b, x: b.batch_norm("bn", b.depthwise_conv("c", x, 3), **BN), ["bn"]),
    "after another": (lambda b, x: b.batch_norm("bn2", b.batch_norm("bn", b.conv("c", x, 4, 3), **BN), **BN), ["bn2"]),
    "a convolution read by two": (
        lambda b, x: b.add("sum", [b.batch_norm("bn", b.conv("c", x, 4, 3), **BN), b.batch_norm("bn2", "c", **BN)]),
        ["bn", "bn2"],
    ),
    "a convolution read beside": (
        lambda b, x: b.add("sum", [b.batch_norm("bn", b.conv("c", x, 4, 3), **BN), "c"]),
        ["bn"],
    ),
    "its output read by two": (
        lambda b, x: b.add("sum", [b.activation("relu", b.batch_norm("bn", b.conv("c", x, 4, 3), **BN)), "bn"]),
        [],
    ),
    "without moving statistics": (lambda b, x: b.batch_norm("bn", b.conv("c", x, 4, 3), **BN, moving=False), ["bn"]),
}


def small(body, last="gap"):
    b = GraphBuilder(SHAPE)
    x = b.global_avg_pool("gap", b.activation("last", body(b, "input"), "tanh"))
    return b.finish(b.dense("head", x, 3), last)


@pytest.mark.parametrize("case", BODIES)
def test_a_folded_network_equals_the_network_and_the_model(case):
    body, stay = BODIES[case]
    graph = small(body)
    arrays = widened(random_weights(graph))
    folded, folded_arrays = features.fold_batch_norm(graph, arrays)
    assert [node.name for node in folded.nodes if node.op == "batch_norm"] == stay
    assert {key: value.shape for key, value in folded_arrays.items()} == {
        f"{node.name}.{param}": shape for node in folded.nodes for param, shape in node.params
    }
    x = images(5).astype(np.float64)
    expected = of_keras(engine_cases.keras_model(graph, arrays), graph, x)
    for network in (Network(graph, arrays, dtype="float64"), Network(folded, folded_arrays, dtype="float64")):
        run = network.forward(x, "inference")
        assert close(run.values[network.graph.features].numpy(), expected)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", range(2))
def test_features_are_those_of_the_model_in_both_precisions(name, seed):
    graph, arrays = network(name, seed)

    def moved(weights, batch, dtype):
        return features.calibrate(graph, weights, batch, 0.5, dtype=dtype)

    def extract(weights, batches, dtype="float64"):
        calibrated = moved(weights, batches[0], dtype)
        return {"features": features.extract(graph, calibrated, batches[1], batch_size=4, dtype=dtype)}

    batches = [images(9, 1), images(6)]
    in_float64, in_float32 = (extract(arrays, batches, dtype)["features"] for dtype in ("float64", "float32"))
    assert (in_float64.dtype, in_float32.dtype) == (np.float64, np.float32)
    model = engine_cases.keras_model(graph, moved(arrays, batches[0], "float64"))
    assert close(in_float64, of_keras(model, graph, batches[1].astype(np.float64)))
    model = to_keras(graph, moved(arrays, batches[0], "float32"))
    allowed = float32.allowed(float32.spread(extract, arrays, batches), {"features": in_float64})
    for found in (in_float32, of_keras(model, graph, batches[1])):
        float32.check({"features": found}, {"features": in_float64}, allowed)


def plain(last):
    b = GraphBuilder(SHAPE)
    x = b.global_avg_pool("gap", b.batch_norm("bn", b.conv("c", "input", 4, 3), **BN))
    return b.finish(b.dense("head", x, 3), last)


@pytest.mark.parametrize(("last", "stays"), [("gap", False), ("bn", False), ("c", True)])
def test_a_convolution_that_is_asked_for_is_not_folded(last, stays):
    graph = plain(last)
    arrays = widened(random_weights(graph))
    folded, folded_arrays = features.fold_batch_norm(graph, arrays)
    assert ("bn" in folded.by_name) == stays
    x = images(2)
    expected = Network(graph, arrays, dtype="float64").forward(x, "inference").values[last].numpy()
    found = Network(folded, folded_arrays, dtype="float64").forward(x, "inference").values[folded.features].numpy()
    assert close(found, expected)


# Statistics ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.997, 0.9, 0.0])
@pytest.mark.parametrize("name", NETWORKS)
def test_statistics_move_as_those_of_the_model(name, momentum):
    graph, arrays = network(name, bn_momentum=momentum)
    x = images(10)
    model = engine_cases.keras_model(graph, arrays)
    model(x.astype(np.float64), training=True)
    moved = features.calibrate(graph, arrays, x, dtype="float64")
    in_float32 = features.calibrate(graph, arrays, x)
    spread = float32.spread(lambda *args: features.calibrate(graph, *args, dtype="float64"), arrays, x)
    allowed = float32.allowed(spread, moved)
    other, _ = network(name, bn_momentum=0.5)
    overruled = features.calibrate(other, arrays, x, momentum)
    assert moved.keys() == in_float32.keys() == arrays.keys()
    count = 0
    for layer in model.layers:
        for param in ("moving_mean", "moving_variance"):
            if (variable := getattr(layer, param, None)) is None:
                continue
            key, expected = f"{layer.name}.{param}", variable.numpy()
            assert np.abs(expected - arrays[key]).max() > 1e-4
            np.testing.assert_allclose(moved[key], expected, rtol=1e-10, atol=1e-12)
            float32.check({key: in_float32[key]}, {key: expected}, allowed)
            np.testing.assert_array_equal(overruled[key], in_float32[key])
            assert in_float32[key].dtype == np.float32
            count += 1
    assert count == sum(key.rpartition(".")[2].startswith("moving_") for key in arrays)
    for key in arrays:
        assert ".moving_" in key or moved[key] is arrays[key]


def test_calibration_changes_no_array_of_the_caller():
    graph, arrays = network("nasbench201")
    before = {key: value.copy() for key, value in arrays.items()}
    features.calibrate(graph, arrays, images(3))
    for key, value in before.items():
        np.testing.assert_array_equal(arrays[key], value)


# Batches -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_batches_padding_and_order_do_not_matter(name):
    graph, arrays = network(name)
    x = images(7)
    extract = functools.partial(features.extract, graph, arrays, dtype="float64")
    expected = extract(x, batch_size=7)
    for batch_size in (1, 3, 50):
        assert close(extract(x, batch_size=batch_size), expected)
    order = np.random.default_rng(1).permutation(7)
    assert close(extract(x[order], batch_size=3), expected[order])
    assert close(extract(x[4:5], batch_size=3), expected[4:5])
    assert extract(x[:0]).shape == (0, expected.shape[1])


def test_batches_that_overlap_give_the_bits_of_one_after_the_other():
    graph, arrays = network("nasbench101")
    x = images(40)
    folded = Network(*features.fold_batch_norm(graph, arrays))
    alone = [folded.forward(x[i : i + 4], "inference", keep=False).values[graph.features] for i in range(0, 40, 4)]
    for _ in range(3):
        assert np.array_equal(features.extract(graph, arrays, x, batch_size=4), np.concatenate(alone))


def test_features_that_overflow_are_left_to_the_caller():
    graph = plain("gap")
    arrays = random_weights(graph)
    arrays["c.kernel"] *= np.float32(1e38)
    assert not np.isfinite(features.extract(graph, arrays, images(2))).all()


@pytest.mark.parametrize("jit", [False, True])
def test_the_traced_network_gives_the_same_with_and_without_xla(jit):
    graph, arrays = network("nasbench101")
    x = images(4).astype(np.float64)
    folded, folded_arrays = features.fold_batch_norm(graph, widened(arrays))
    traced = tf.function(lambda *args: features.forward(folded, *args), jit_compile=jit)
    found = traced({key: tf.constant(value) for key, value in folded_arrays.items()}, tf.constant(x))
    assert close(found.numpy(), features.extract(graph, arrays, x, dtype="float64"))


# Bad input -----------------------------------------------------------------------------------------------------------


def test_a_network_without_features():
    graph = small(BODIES["on the images"][0], last="")
    with pytest.raises(InputError, match=r"names no layer of features\. Allowed: a graph finished with"):
        features.extract(graph, random_weights(graph), images(2))


def test_a_network_that_couples_the_images_of_a_batch():
    graph = small(BODIES["without moving statistics"][0])
    with pytest.raises(InputError, match=r"BN layer without moving statistics.*Received: 'bn'\. Allowed: "):
        features.extract(graph, random_weights(graph), images(2))


def test_images_and_batches_that_do_not_fit():
    graph = small(BODIES["on the images"][0])
    arrays = random_weights(graph)
    with pytest.raises(InputError, match=r"Received: \(2, 8, 8, 1\)\. Allowed: \(N, 8, 8, 3\)$"):
        features.extract(graph, arrays, images(2)[..., :1])
    with pytest.raises(InputError, match=r"batch size must be at least 1\. Received: 0"):
        features.extract(graph, arrays, images(2), batch_size=0)


# The kernel of wide networks -----------------------------------------------------------------------------------------


def arc_cosine(x, depth):
    """Kernel of infinitely wide ReLU layers with He's initialisation (Cho and Saul 2009, degree 1), [N, N].

    A layer's inputs are Gaussian with twice the kernel below it as covariance, |x| |y| cos(angle) / inputs at first.
    """
    kernel = x @ x.T / x.shape[1]
    for _ in range(depth):
        norms = np.sqrt(np.diag(2 * kernel))
        cosine = np.clip(2 * kernel / np.outer(norms, norms), -1, 1)
        angle = np.arccos(cosine)
        kernel = np.outer(norms, norms) / (2 * np.pi) * (np.sin(angle) + (np.pi - angle) * cosine)
    return kernel


def monte_carlo(x, depth, width, members, first_seed):
    """Mean over freshly initialised ReLU networks of the second moments of their features."""
    b = GraphBuilder(SHAPE)
    last = b.flatten("flat", "input")
    for layer in range(depth):
        last = b.activation(f"relu{layer}", b.dense(f"dense{layer}", last, width, use_bias=False))
    graph = b.finish(b.dense("head", last, 3), last)
    total = 0
    for seed in range(first_seed, first_seed + members):
        z = features.extract(graph, weights.initialize(graph, "kaiming_normal", seed), x, batch_size=len(x))
        total = total + z.astype(np.float64) @ z.T
    return total / (width * members)


@pytest.mark.parametrize("depth", [1, 2])
def test_wide_networks_and_large_ensembles_tend_to_the_arc_cosine_kernel(depth):
    x = images(6)
    expected = arc_cosine(x.reshape(len(x), -1).astype(np.float64), depth)
    errors = []
    for width, members in ((64, 8), (256, 8), (256, 32)):
        found = [monte_carlo(x, depth, width, members, repeat * members) for repeat in range(12)]
        errors.append(np.sqrt(np.mean(np.square(found - expected))) / np.sqrt(np.mean(np.square(expected))))
    assert errors[2] < 0.04
    for more, less in itertools.pairwise(errors):
        assert 0.35 < less / more < 0.7
