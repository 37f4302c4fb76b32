"""Hessian-vector products of the engine on every kind of layer: finite differences and nested tapes, in float64."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests import float32
from tests.engine_cases import CASES, CLASSES, COUNT, SLOW, Case, build, images, keras_model
from tests.tfnas.engine.test_engine import close
from tfnas.engine import Network, hessian_product, normalization, reference
from tfnas.engine.plan import Layer
from tfnas.engine.signature import Params
from tfnas.networks.modes import BN_MODES

LABELS = np.arange(COUNT) % CLASSES
# Every case with the statistics of the batch, where derivatives flow through them; those of BN in every mode.
PAIRS = [
    pytest.param(case, bn, id=f"{name}-{bn}", marks=[pytest.mark.slow] if name in SLOW else [])
    for name, case in CASES.items()
    for bn in BN_MODES
    if bn == "batch" or name in ("bn", "bn_without_moving", "bn_of_vectors", "cell")
]


def direction(graph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {key: rng.standard_normal(shape) for key, shape in kernels_of(graph).items()}


def kernels_of(graph) -> dict[str, tuple[int, ...]]:
    return {f"{node.name}.kernel": dict(node.params)["kernel"] for node in graph.weight_nodes()}


def gradients(network: Network, bn: str, x: np.ndarray | None = None):
    """Forward pass and gradient of the mean cross-entropy."""
    run = network.forward(images() if x is None else x, bn)
    probabilities = tf.nn.softmax(run.values[network.graph.output])
    cotangent = (probabilities - tf.one_hot(LABELS, CLASSES, dtype=network.dtype)) / COUNT
    return run, probabilities, network.gradients(run, cotangent, keep=True)


def product_along(
    network: Network, bn: str, v: dict[str, np.ndarray], x: np.ndarray | None = None, **options
) -> dict[str, np.ndarray]:
    run, probabilities, pulled = gradients(network, bn, x)

    def curvature(u):
        """The Hessian of the mean cross-entropy by the logits, times u: (diag p - p p') u / N."""
        return probabilities * (u - tf.reduce_sum(probabilities * u, 1, keepdims=True)) / COUNT

    product = hessian_product(network, run, pulled, v, curvature, **options)
    return {
        key: product[key].numpy() if key in product else np.zeros(shape)
        for key, shape in kernels_of(network.graph).items()
    }


@pytest.mark.parametrize(("case", "bn"), PAIRS)
def test_finite_differences(case: Case, bn):
    """(g(w + h v) - g(w - h v)) / 2h; at random weights no kink lies between, so kinked layers take part."""
    v, step = direction(case.graph), 1e-6
    after, before = (
        gradients(case.network.with_weights(moved(case, v, sign * step)), bn)[2].params for sign in (1, -1)
    )
    for key, value in product_along(case.network, bn, v).items():
        expected = (after[key] - before[key]) / (2 * step) if key in after else np.zeros_like(value)
        close(value, expected, 1e-6)


def moved(case: Case, v: dict[str, np.ndarray], step: float) -> dict[str, np.ndarray]:
    return {key: value.astype(np.float64) + step * v.get(key, 0) for key, value in case.weights.items()}


@pytest.mark.parametrize(("case", "bn"), PAIRS)
def test_nested_tapes(case: Case, bn):
    """Automatic second derivatives of a model whose BN writes its statistics out, as Keras' own are wrong."""
    model, arrays = case.model, case.weights
    if bn != "inference":
        graph = with_explicit_norms(build(case.for_keras or case.body))
        arrays = {key: value for key, value in arrays.items() if ".moving_" not in key}
        model = keras_model(graph, arrays)
    v = direction(case.graph)
    layers = [model.get_layer(node.name) for node in case.graph.weight_nodes()]
    sources = [layer.kernel.value for layer in layers]
    vectors = [tf.constant(v[f"{layer.name}.kernel"]) for layer in layers]
    x, labels = tf.constant(images()), tf.constant(LABELS)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = reference.logits(model, x, bn)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, y))
        first = inner.gradient(loss, sources, unconnected_gradients="zero")
        moved = tf.add_n([tf.reduce_sum(g * u) for g, u in zip(first, vectors, strict=True)])
    second = outer.gradient(moved, sources, unconnected_gradients="zero")
    actual = product_along(case.network, bn, v)
    for layer, expected in zip(layers, second, strict=True):
        close(actual[f"{layer.name}.kernel"], expected, 1e-8)


def with_explicit_norms(graph):
    def explicit(node):
        if node.op != "batch_norm":
            return node
        attrs = tuple((key, False if key == "moving" else value) for key, value in node.attrs)
        params = tuple((name, shape) for name, shape in node.params if not name.startswith("moving_"))
        return dataclasses.replace(node, attrs=attrs, params=params)

    return dataclasses.replace(graph, nodes=tuple(explicit(node) for node in graph.nodes))


@pytest.mark.parametrize("bn", BN_MODES)
def test_product_is_symmetric_and_linear(bn):
    """<a, H b> = <b, H a>, H (2 a) = 2 H a, and a missing direction is zeros."""
    network = CASES["cell"].network
    a, b = direction(network.graph), direction(network.graph)
    b = {key: value[::-1].copy() for key, value in b.items()}
    product_a, product_b = (product_along(network, bn, v) for v in (a, b))
    inner = [sum(np.sum(v[key] * h[key]) for key in v) for v, h in ((a, product_b), (b, product_a))]
    close(inner[0], inner[1])
    doubled = product_along(network, bn, {key: 2 * value for key, value in a.items()})
    one = {"stem.kernel": a["stem.kernel"]}
    partial = product_along(network, bn, one)
    padded = product_along(network, bn, {key: value if key in one else 0 * value for key, value in a.items()})
    for key in a:
        close(doubled[key], 2 * product_a[key])
        close(partial[key], padded[key], 1e-12)


@pytest.mark.parametrize("name", ["conv_groups_2", "depthwise_stride_2", "dense_on_maps", "zero_branch", "cell"])
@pytest.mark.parametrize("bn", BN_MODES)
def test_dot_is_the_product_with_the_weights(name, bn):
    """With `dot`, <kernel, Hv> of each kernel, which needs no Hv."""
    case = CASES[name]
    network, v = case.network, direction(case.graph)
    run, probabilities, pulled = gradients(network, bn)
    dots = hessian_product(network, run, pulled, v, lambda u: probabilities * u, dot=True)
    product = hessian_product(network, run, pulled, v, lambda u: probabilities * u)
    assert dots.keys() == product.keys()
    for key, value in product.items():
        close(dots[key], np.sum(value.numpy() * network.weights[key].numpy()))


@pytest.mark.parametrize("has_gamma", [True, False])
def test_one_op_projects_as_the_formulas_do(has_gamma):
    """In float32 the statistics of the batch have an op of TensorFlow; float64 writes the same out."""
    rng = np.random.default_rng(0)
    node = CASES["bn"].graph.by_name["op"]
    layer = Layer(node.op, node.attrs, (7, 6, 5), (), ((7, 6, 5),))
    maps = np.stack([3 + rng.standard_normal((4, 7, 6, 5)), *rng.standard_normal((3, 4, 7, 6, 5))]).astype(np.float32)
    gammas = {"gamma": rng.uniform(0.5, 1.5, 5).astype(np.float32)} if has_gamma else {}

    def project(gammas, maps, dtype="float64", jit=False):
        x, u, dy, dy_dot = tf.constant(maps, dtype)
        params = Params(**{key: tf.constant(value, dtype) for key, value in gammas.items()})
        stats = normalization.statistics(layer, params, x, "batch")
        norm = normalization.normalize(layer, params, x, stats, "batch", jit)
        assert norm.fused == (dtype == "float32" and not jit)
        (moved, x_u), (pulled, x_dy) = norm.project(u), norm.project(dy)
        bent, inner = norm.project_tangent(u, x_u, pulled, x_dy, dy_dot)
        if dtype == "float64":
            close(inner, tf.reduce_sum(u * pulled + x * bent))
        found = {"moved": moved, "x_u": x_u, "pulled": pulled, "x_dy": x_dy, "bent": bent, "inner": inner}
        return {key: value.numpy() for key, value in found.items()}

    expected = project(gammas, maps)
    allowed = float32.allowed(float32.spread(project, gammas, maps), expected)
    for jit in (True, False):
        actual = project(gammas, maps, "float32", jit)
        assert {key: value.shape for key, value in actual.items()} == {
            key: value.shape for key, value in expected.items()
        }
        float32.check(actual, expected, allowed)


@pytest.mark.parametrize("name", ["bn", "bn_of_vectors", "cell"])
@pytest.mark.parametrize("bn", BN_MODES)
def test_single_precision(name, bn):
    case, x = CASES[name], images().astype(np.float32)
    v = direction(case.graph)

    def product(weights, x, dtype="float64"):
        return product_along(Network(case.graph, weights, dtype=dtype), bn, v, x)

    expected = product(case.weights, x)
    allowed = float32.allowed(float32.spread(product, case.weights, x), expected)
    float32.check(product(case.weights, x, "float32"), expected, allowed)
