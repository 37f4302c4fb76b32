"""Operations of a network: what is folded, what is free, and how they are written."""

import collections

import numpy as np
import pytest

import spaces
from tfnas.latency import operations
from tfnas.networks.builder import GraphBuilder

BN = {"momentum": 0.9, "epsilon": 1e-3}


def squeeze(b, x):
    """A depthwise convolution with squeeze-and-excitation behind, as mobile networks have it."""
    x = b.activation("relu", b.batch_norm("bn", b.depthwise_conv("dw", x, 5, strides=2), **BN))
    gate = b.reshape("one", b.global_avg_pool("mean", x), (1, 1, 8))
    gate = b.activation("sigmoid", b.conv("expand", gate, 8, 1, use_bias=True), "sigmoid")
    return b.multiply("gate", x, gate)


def test_a_small_network_by_hand():
    b = GraphBuilder((9, 9, 3))
    x = b.activation("stem.relu", b.batch_norm("stem.bn", b.conv("stem", "input", 8, 3), **BN))
    x = squeeze(b, x)
    x = b.dropout("drop", b.global_avg_pool("pool", x), 0.2)
    graph = b.finish(b.dense("dense", x, 10))
    assert operations.count(graph) == {
        "conv 9x9x3>9x9x8 k3x3 s1": 1,
        "depthwise_conv 9x9x8>5x5x8 k5x5 s2": 1,
        "global_avg_pool 5x5x8>8": 2,
        "conv 1x1x8>1x1x8 k1x1 s1": 1,
        "activation 1x1x8>1x1x8 sigmoid": 1,
        "multiply 5x5x8,1x1x8>5x5x8": 1,
        "dense 8>10": 1,
    }


def test_what_others_read_too_is_no_part_of_the_operation_before():
    b = GraphBuilder((4, 4, 2))
    x = b.conv("conv", "input", 2, 3)
    y = b.activation("relu", x)  # the sum reads the convolution as well
    y = b.batch_norm("first", y, **BN)
    x = b.activation("after", b.add("add", [x, y]))
    graph = b.finish(b.dense("dense", b.global_avg_pool("pool", x), 2))
    assert [node.name for node in operations.timed(graph)] == ["conv", "relu", "first", "add", "pool", "dense"]


def test_what_is_computed_twice_runs_once():
    """Equal ReLUs of a sum become one, which goes into the sum; convolutions have weights of their own."""
    b = GraphBuilder((4, 4, 2))
    x = b.add("sum", [b.conv("left", "input", 2, 3), b.conv("right", "input", 2, 3)])
    first, second = (b.activation(name, of) for name, of in (("relu1", x), ("relu2", b.identity("name", x))))
    x = b.add("add", [b.conv("one", first, 2, 3), b.conv("two", second, 2, 3)])
    x = b.add(
        "pools",
        [b.max_pool(name, x, size, strides=1, padding="same") for name, size in (("p1", 2), ("p2", 2), ("other", 3))],
    )
    graph = b.finish(b.dense("dense", b.global_avg_pool("mean", x), 2))
    assert [node.name for node in operations.timed(graph)] == [
        "left", "right", "sum", "one", "two", "add", "p1", "other", "pools", "mean", "dense"
    ]  # fmt: skip


def test_batch_normalisation_goes_into_weights_alone():
    b = GraphBuilder((4, 4, 2))
    x = b.add("add", [b.max_pool("pool", "input", 1, strides=1), "input"])
    x = b.batch_norm("after sum", x, **BN)  # takes the activation behind it, though
    x = b.conv("conv", b.activation("relu", x), 2, 3)
    x = b.batch_norm("late", b.activation("between", x), **BN)
    x = b.batch_norm("of the batch", b.conv("last", x, 2, 3), moving=False, **BN)
    graph = b.finish(b.dense("dense", b.flatten("flat", x), 2))
    assert [node.name for node in operations.timed(graph)] == [
        "pool", "add", "after sum", "conv", "late", "last", "of the batch", "dense"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"groups": 2}, "g2"), ({"dilation": 2}, "d2"), ({"strides": 2}, "s2"), ({}, "k3x3 s1")],
)
def test_what_changes_the_time_changes_the_signature(changes, told):
    b = GraphBuilder((8, 8, 4))
    name = b.conv("conv", "input", 4, 3, **changes)
    graph = b.finish(b.flatten("flat", name))
    assert operations.signature(graph, graph.by_name["conv"]).endswith(told)


@pytest.mark.parametrize("name", spaces.names())
def test_weights_are_never_free_and_names_do_not_matter(name):
    space = spaces.get(name)
    archs = space.sample_distinct(np.random.default_rng(0), 3)
    for arch in archs:
        graph = space.layer_graph(arch)
        timed = operations.timed(graph)
        assert {node.name for node in graph.weight_nodes()} <= {node.name for node in timed}
        assert sum(operations.count(graph).values()) == len(timed)
        # Every convolution on a map is told apart by its shapes alone.
        shapes = collections.Counter(
            (node.shape, graph.by_name[node.inputs[0]].shape, node.params[0][1][:2], node["strides"], node.op)
            for node in timed
            if node.op in ("conv", "depthwise_conv")
        )
        written = {key: n for key, n in operations.count(graph).items() if key.startswith(("conv ", "depthwise_conv "))}
        assert sorted(shapes.values()) == sorted(written.values())
