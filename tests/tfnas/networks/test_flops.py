"""tfnas.networks.flops against counting, layer by layer."""

import math

import pytest

import spaces
from tfnas.networks import flops
from tfnas.networks.builder import GraphBuilder


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
    weights, others = flops.forward_flops(chain())
    assert weights == 2 * (one + two + three + dense + 10)
    assert others == 16 * 3 * 4 + 2 * 80 + 80 + 80 + 24  # pool, BN, ReLU, sum, global pool
    # Neither `one` nor `two` has anything trainable before it, pooling or not.
    assert flops.gradient_flops(chain()) == 2 * (one + two + 2 * three + 2 * dense + 10)


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
    forward, _ = flops.forward_flops(graph)
    biases = sum(2 * math.prod(node.shape) for node in graph.weight_nodes() if "bias" in dict(node.params))
    assert flops.gradient_flops(graph) == 2 * forward - 2 * macs - biases
    assert 1.9 < flops.gradient_flops(graph) / forward < 2
