"""tfnas.networks.flops: the formulas against the paper's numbers and against counting, layer by layer."""

import math

import pytest

import spaces
from tfnas.networks import flops as cost
from tfnas.networks.builder import GraphBuilder

F = 2.51e9


def pflop(value):
    return value / cost.PFLOP


# The numbers that follow from the paper's own F = 2.51 GFLOPs.
@pytest.mark.parametrize(("epochs", "expected"), [(4, 0.828), (12, 2.435), (36, 7.254)])
def test_training_costs_what_the_paper_says(epochs, expected):
    assert pflop(cost.training_flops(F, epochs)) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("sizes", "expected"), [((100, 500, 1), 1.506e-3), ((8000, 10000, 32), 1.454)])
def test_nngp_costs_what_the_paper_says(sizes, expected):
    assert pflop(cost.nngp_flops(F, *sizes)) == pytest.approx(expected, rel=5e-4)


def test_verbatim_formula_is_equation_4():
    flops, n_train, n_val, ensemble, d, r, classes = 3e6, 70, 30, 5, 64, 7, 11
    n = n_train + n_val
    printed = ensemble * flops * n + r * n_train**3 / 3 + 2 * (d * ensemble + 2 * classes * r) * n_train * n
    options = {"features": d, "regularizers": r, "classes": classes}
    assert cost.nngp_flops(flops, n_train, n_val, ensemble, **options) == pytest.approx(printed, rel=1e-12)
    summed = cost.kernel_flops(flops, n_train, n_val, ensemble, d) + cost.inference_flops(n_train, n_val, r, classes)
    consistent = cost.nngp_flops(flops, n_train, n_val, ensemble, verbatim=False, **options)
    assert consistent == pytest.approx(summed, rel=1e-12)
    assert printed - consistent == pytest.approx(2 * classes * r * n_train * n)


def test_parts_count_what_a_loop_counts():
    """A product [a, b] x [b, c] takes 2 a b c, a triangular solve of n for c columns n^2 c twice."""
    n_train, n_val, ensemble, d, r, classes, flops = 6, 4, 3, 5, 2, 7, 100.0
    kernel = inference = 0.0
    for _ in range(ensemble):
        kernel += flops * (n_train + n_val)
        kernel += 2 * n_train * d * n_train + 2 * n_val * d * n_train
    for _ in range(r):
        inference += n_train**3 / 3 + 2 * n_train**2 * classes + 2 * n_val * n_train * classes
    assert cost.kernel_flops(flops, n_train, n_val, ensemble, d) == pytest.approx(kernel)
    assert cost.inference_flops(n_train, n_val, r, classes) == pytest.approx(inference)


def test_the_two_sums_differ_little_on_the_benchmark():
    for n_train in (100, 500, 2000, 8000):
        for n_val in (500, 10000):
            both = [cost.nngp_flops(F, n_train, n_val, 1, verbatim=verbatim) for verbatim in (True, False)]
            assert 1 < both[0] / both[1] < 1.002


def test_costs_grow_with_every_size():
    base = cost.nngp_flops(F, 100, 500, 1)
    for more in ((101, 500, 1), (100, 501, 1), (100, 500, 2)):
        assert cost.nngp_flops(F, *more) > base
    assert cost.training_flops(F, 4, 100, 0) == 4 * 2 * F * 100
    assert cost.training_flops(F, 0, 100, 50) == F * 50
    assert cost.training_flops(F, 1, 100, 0, step=3) == 3 * F * 100


def chain():
    """Two convolutions, one of them behind a pooling of the image, and a classifier with bias."""
    b = GraphBuilder((8, 8, 3))
    x = b.avg_pool("pool", "input", 2, strides=2)  # [4, 4, 3]
    left = b.activation("relu", b.batch_norm("bn", b.conv("one", x, 5, 3), momentum=0.9, epsilon=1e-5))
    right = b.conv("two", x, 5, 1)
    x = b.conv("three", b.add("add", [left, right]), 6, 3, strides=2)  # [2, 2, 6]
    x = b.global_avg_pool("gap", x)
    return b.finish(b.dense("dense", x, 10), features="gap")


def test_flops_of_a_network_counted_by_hand():
    one, two, three, dense = 16 * 9 * 3 * 5, 16 * 3 * 5, 4 * 9 * 5 * 6, 6 * 10
    weights, others = cost.forward_flops(chain())
    assert weights == 2 * (one + two + three + dense + 10)
    assert others == 16 * 3 * 4 + 2 * 80 + 80 + 80 + 24  # pool, BN, ReLU, sum, global pool
    # Neither `one` nor `two` has anything trainable before it, pooling or not.
    assert cost.gradient_flops(chain()) == 2 * (one + two + 2 * three + 2 * dense + 10)


@pytest.mark.parametrize(
    ("name", "arch"),
    [
        ("nasbench101", "conv3x3~0|conv1x1~01|maxpool3x3~1|output~023"),
        ("nasbench201", "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"),
    ],
)
def test_gradients_cost_twice_a_forward_pass_less_the_stem(name, arch):
    graph = spaces.get(name).layer_graph(arch)
    stem = graph.weight_nodes()[0]
    height, width, channels = stem.shape
    macs = height * width * channels * math.prod(dict(stem.params)["kernel"][:3])
    forward, _ = cost.forward_flops(graph)
    biases = sum(2 * math.prod(node.shape) for node in graph.weight_nodes() if "bias" in dict(node.params))
    assert cost.gradient_flops(graph) == 2 * forward - 2 * macs - biases
    assert 1.9 < cost.gradient_flops(graph) / forward < 2
