"""What the engine does with whole networks: tangent kernels, parts of passes, the cache of kernels, XLA."""

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

import spaces
from tests.engine_cases import CASES, COUNT, cotangents, images, keras_model, random_weights
from tests.tfnas.engine.test_engine import close
from tests.tfnas.engine.test_engine_second_order import direction, product_along
from tfnas.engine import (
    Network,
    Rows,
    SignSums,
    block_outputs,
    cache_size,
    hessian_product,
    reference,
    tangent_kernel,
)
from tfnas.errors import InputError
from tfnas.networks.builder import GraphBuilder
from tfnas.networks.modes import BN_MODES

SPACE = spaces.get("nasbench201")
ARCH = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
# Inference with layers that have no moving statistics is a mode of its own.
KERNEL_CASES = [("cell", bn) for bn in BN_MODES] + [("bn_without_moving", "inference"), ("bn_of_vectors", "batch")]
PARAMS = {"kernels": ("kernel",), "te_nas": ("kernel", "gamma"), "all": ("kernel", "gamma", "bias", "beta")}


def small(arch: str = ARCH, **network):
    graph = SPACE.layer_graph(SPACE.parse(arch), **{"width": 3, "depth": 1, "input_shape": (8, 8, 3)} | network)
    return graph, random_weights(graph)


# Tangent kernels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("params", PARAMS)
@pytest.mark.parametrize(("name", "bn"), KERNEL_CASES)
def test_tangent_kernels_of_the_jacobian(name, bn, params):
    """All three kernels from the Jacobian J [N, C, P] of a loop over examples and logits."""
    case = CASES[name]
    classes = case.graph.num_classes
    per_logit = [
        reference.loop(case.model, images(), np.tile(np.eye(classes)[c], (COUNT, 1)), bn) for c in range(classes)
    ]
    keys = [key for key in per_logit[0] if key.rpartition(".")[2] in PARAMS[params]]
    jacobian = np.stack([np.concatenate([g[key].reshape(COUNT, -1) for key in keys], 1) for g in per_logit], 1)
    full = np.einsum("icp,jdp->icjd", jacobian, jacobian)
    expected = {
        "full": full.reshape(COUNT * classes, -1),
        "trace": np.einsum("icjc->ij", full),
        "sum_logits": full.sum(axis=(1, 3)),
    }
    for kernel, value in expected.items():
        close(tangent_kernel(case.network, images(), bn, kernel=kernel, params=params), value)


@pytest.mark.parametrize("kernel", ["sum_logits", "trace", "full"])
@pytest.mark.parametrize("bn", ["example", "batch"])
class TestTangentKernel:
    """Properties, where examples are alone and where BN couples them."""

    def compute(self, bn, kernel, order=slice(None), **options):
        return tangent_kernel(CASES["cell"].network, images(5)[order], bn, kernel=kernel, **options)

    def test_blocks_do_not_matter(self, bn, kernel):
        whole = self.compute(bn, kernel)
        for block in (1, 2, 3, 5, 9):
            close(self.compute(bn, kernel, block=block), whole, 1e-12)

    def test_is_positive_and_symmetric(self, bn, kernel):
        gram = self.compute(bn, kernel)
        assert gram.dtype == np.float64
        close(gram, gram.T, 1e-13)
        values = np.linalg.eigvalsh(gram)
        assert values[0] > -1e-12 * values[-1]
        assert values[-1] > 0

    def test_permuted_examples_permute_the_kernel(self, bn, kernel):
        order = np.array([3, 0, 4, 1, 2])
        gram = self.compute(bn, kernel)
        classes = len(gram) // 5
        rows = (order[:, None] * classes + np.arange(classes)).ravel()
        close(self.compute(bn, kernel, order), gram[np.ix_(rows, rows)], 1e-10)


def test_norms_without_moving_statistics_couple_examples():
    """Their statistics are the batch's in mode "inference" too, so examples are not alone."""
    network = CASES["bn_without_moving"].network
    assert network.couples_examples("inference")
    assert not network.couples_examples("example")
    assert network.couples_examples("batch")
    assert not CASES["bn"].network.couples_examples("inference")
    alone = [tangent_kernel(network, images()[i : i + 1], "inference")[0, 0] for i in range(COUNT)]
    together = np.diag(tangent_kernel(network, images(), "inference"))
    assert np.abs(together - alone).min() > 1e-3 * together.max()


def test_unknown_kernel_and_mode():
    network = CASES["cell"].network
    with pytest.raises(InputError, match="kernel"):
        tangent_kernel(network, images(), "batch", kernel="ntk")
    with pytest.raises(InputError, match="BN mode"):
        network.forward(images(), "train")


# Parts of passes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bn", BN_MODES)
def test_fused_chains_change_nothing(bn):
    graph, weights = small()
    x, cotangent = images(4, graph.input_shape), cotangents(4, graph.num_classes)
    passes = []
    for fuse in (True, False):
        network = Network(graph, weights, dtype="float64", fuse=fuse)
        run = network.forward(x, bn, codes=True)
        pulled = network.gradients(run, cotangent, params="all").params
        passes.append((run, pulled, network.input_gradients(run, cotangent)))
    (run, pulled, by_x), (plain_run, plain, plain_by_x) = passes
    close(run.values[graph.output], plain_run.values[graph.output])
    np.testing.assert_array_equal(run.codes, plain_run.codes)
    close(by_x, plain_by_x)
    assert pulled.keys() == plain.keys()
    for key, value in plain.items():
        close(pulled[key], value)


@pytest.mark.parametrize("bn", BN_MODES)
def test_observed_values_codes_and_statistics(bn):
    """Each node's output against the Keras model; codes and BN statistics computed from these outputs."""
    graph, weights = small()
    x = images(4, graph.input_shape)
    network = Network(graph, weights, dtype="float64", fuse=False)
    seen = {}
    run = network.forward(x, bn, codes=True, observer=lambda name, value: seen.__setitem__(name, value.numpy()))
    assert list(seen) == [node.name for node in graph.nodes[1:]]
    if bn == "inference":
        model = keras_model(graph, weights)
        for name in (graph.features, *block_outputs(graph)):
            tensor = model.get_layer(name).output
            close(seen[name], type(model)(model.input, tensor)(x, training=False))
    codes = 0
    for node in graph.nodes:
        if node.op == "activation":
            on = (seen[node.name] > 0).reshape(4, -1).astype(float)
            codes = codes + on @ on.T + (1 - on) @ (1 - on).T
    np.testing.assert_array_equal(run.codes, codes)
    statistics = run.statistics
    norms = [node for node in graph.nodes if node.op == "batch_norm"]
    assert set(statistics) == ({node.name for node in norms} if bn != "inference" else set())
    axes = (1, 2) if bn == "example" else (0, 1, 2)
    for node in norms:
        if bn != "inference":
            mean, variance = (np.squeeze(value) for value in statistics[node.name])
            read = seen[node.inputs[0]]
            close(mean, read.mean(axis=axes))
            close(variance, read.var(axis=axes))


def test_dead_branches_may_be_left_out():
    case = CASES["zero_branch"]
    whole, living = (case.network.forward(images(), "batch", dead_branches=dead) for dead in (True, False))
    assert living.values.get("dead_bn") is None
    close(*(case.network.input_gradients(run, cotangents()) for run in (whole, living)), 1e-12)
    pulled = [case.network.gradients(run, cotangents(), params="all").params for run in (whole, living)]
    assert pulled[0].keys() == pulled[1].keys()
    assert not {"dead.kernel", "dead_bn.gamma"} & pulled[0].keys()


@pytest.mark.parametrize("name", ["zero_branch", "zero_map", "cell"])
@pytest.mark.parametrize("shape", [(8, 6, 3), (7, 6, 1), (3, 7, 6), (7, 6)])
def test_images_of_another_size_are_refused(name, shape):
    with pytest.raises(InputError, match=r"Images do not fit.*Received: \(2, .*Allowed: \(N, 7, 6, 3\)"):
        CASES[name].network.forward(images(2, shape), "batch")


def test_backward_passes_need_what_forward_passes_keep():
    network = CASES["cell"].network
    run = network.forward(images(), "example", keep=False)
    for call in (network.gradients, network.input_gradients):
        with pytest.raises(ValueError, match="keep=True"):
            call(run, cotangents())
    with pytest.raises(ValueError, match="keep=True"):
        network.example_gradients(run, cotangents(), Rows())
    run = network.forward(images(), "example")
    with pytest.raises(ValueError, match="keep=True"):
        hessian_product(network, run, network.gradients(run, cotangents()), {}, lambda u: u)


def test_a_network_without_kernels_does_not_move():
    """Its images are read by a chain of which nothing is wanted, its logits are no function of kernels."""
    b = GraphBuilder((4, 4, 2))
    pooled = b.global_avg_pool("pool", b.add("sum", [b.activation("relu", "input"), b.identity("same", "input")]))
    graph = b.finish(pooled)
    network = Network(graph, {}, dtype="float64")
    x = images(3, graph.input_shape)
    run = network.forward(x, "batch")
    np.testing.assert_allclose(run.values[graph.output], (np.maximum(x, 0) + x).mean(axis=(1, 2)), atol=1e-14)
    cotangent = cotangents(3, 2)
    found = network.gradients(run, cotangent, params="all", fisher=True, keep=True)
    assert found.params == found.fisher == {}
    assert hessian_product(network, run, found, {}, lambda u: u) == {}
    np.testing.assert_allclose(
        network.input_gradients(run, cotangent), ((x > 0) + 1.0) * cotangent[:, None, None, :] / 16, atol=1e-14
    )


def test_blocks_are_the_maps_that_every_path_crosses():
    graph, _ = small(depth=2)
    digraph = nx.DiGraph((source, node.name) for node in graph.nodes for source in node.inputs)
    blocks = block_outputs(graph)
    for node in graph.nodes[1:]:
        rest = digraph.subgraph(set(digraph) - {node.name})
        crossed = node.name == graph.output or not nx.has_path(rest, "input", graph.output)
        if node.name in blocks:
            assert crossed
            assert len(node.shape) == 3
    # One for the stem, every cell and reduction, and the tail.
    assert [name for name in blocks if name.startswith("cells")] == [
        max((node.name for node in graph.nodes if node.name.startswith(f"cells.{i}.")), key=list(digraph).index)
        for i in range(8)
    ]


@pytest.mark.parametrize("bn", ["inference", "batch"])
def test_backward_between_blocks(bn):
    """From one map to an earlier one, against a tape between the same layers of the Keras model."""
    graph, weights = small()
    blocks = block_outputs(graph)
    model = keras_model(graph, weights)
    pair = type(model)(model.input, [model.get_layer(name).output for name in blocks])
    x = images(4, graph.input_shape)
    network = Network(graph, weights, dtype="float64")
    run = network.forward(x, bn)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(start := tf.constant(x))
        maps = pair(start, training=bn == "batch")
        signs = [tf.sign(tf.sin(1000 * value)) for value in maps]
    for i in range(1, len(blocks)):
        expected = tape.gradient(maps[i], maps[i - 1], output_gradients=signs[i])
        close(network.input_gradients(run, signs[i], start=blocks[i], stop=blocks[i - 1]), expected)


# The cache of kernels and XLA ----------------------------------------------------------------------------------------


def run_all(graph, weights, **options):
    """Every kind of pass on one network."""
    network = Network(graph, weights, **options)
    x, cotangent = images(3, graph.input_shape), cotangents(3, graph.num_classes)
    run = network.forward(x, "example", codes=True)
    rows, signs = (network.example_gradients(run, cotangent, reducer) for reducer in (Rows(), SignSums()))
    batch = network.forward(x, "batch")
    pulled = network.gradients(batch, cotangent, fisher=True, keep=True)
    product = hessian_product(network, batch, pulled, direction(graph), lambda u: u)
    return [
        *(run.values[graph.output], run.codes, network.input_gradients(batch, cotangent)),
        *(value for found in (rows, signs, pulled.params, pulled.fisher, product) for value in found.values()),
    ]


def test_new_architectures_need_no_new_kernels():
    """All edges alike, for each operation, and one mixture: then every kernel of the space has been traced."""
    operations = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    cell = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
    for arch in (*(cell.format(*[op] * 6) for op in operations), ARCH):
        run_all(*small(arch, width=2))
    known = cache_size()
    rng = np.random.default_rng(0)
    for _ in range(5):
        run_all(*small(str(SPACE.sample(rng)), width=2))
    assert cache_size() == known


def test_weights_are_arguments_of_kernels():
    graph, weights = small()
    first = run_all(graph, weights)
    known = cache_size()
    other = run_all(graph, random_weights(graph, seed=5))
    again = run_all(graph, weights)
    assert cache_size() == known
    assert not np.allclose(first[0], other[0])
    for before, after in zip(first, again, strict=True):
        np.testing.assert_array_equal(before, after)


def test_shapes_and_types_have_kernels_of_their_own():
    graph, weights = small()
    network = Network(graph, weights)
    known = [cache_size()]
    for count, dtype in ((2, "float32"), (2, "float32"), (6, "float32"), (2, "float64")):
        Network(graph, weights, dtype=dtype).forward(images(count, graph.input_shape), "batch")
        known.append(cache_size())
    assert known[1] == known[2] < known[3] < known[4]
    # Nor do kernels mix up the modes.
    logits = [network.forward(images(2, graph.input_shape), bn).values[graph.output].numpy() for bn in BN_MODES]
    assert not np.allclose(logits[0], logits[1])
    assert not np.allclose(logits[1], logits[2])


def test_xla_computes_the_same():
    case = CASES["cell"]
    plain, compiled = (run_all(case.graph, case.weights, dtype="float64", jit=jit) for jit in (False, True))
    assert len(plain) == len(compiled) > 20
    for expected, actual in zip(plain, compiled, strict=True):
        close(actual, expected)


@pytest.mark.parametrize(
    "name",
    [
        "max_pool_3_1_same",
        pytest.param("conv_groups_dilated_stride_2", marks=pytest.mark.slow),
        pytest.param("depthwise_dilated_stride_2", marks=pytest.mark.slow),
    ],
)
def test_xla_compiles_odd_layers(name):
    case = CASES[name]
    compiled = Network(case.graph, case.weights, dtype="float64", jit=True)
    run = compiled.forward(images(), "batch")
    plain_run = case.network.forward(images(), "batch")
    close(compiled.input_gradients(run, cotangents()), case.network.input_gradients(plain_run, cotangents()))
    pulled = compiled.gradients(run, cotangents(), params="all").params
    for key, value in case.network.gradients(plain_run, cotangents(), params="all").params.items():
        close(pulled[key], value)
    v = direction(case.graph)
    product = product_along(compiled, "batch", v)
    for key, value in product_along(case.network, "batch", v).items():
        close(product[key], value)
