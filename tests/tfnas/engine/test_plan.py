"""The cuts of a graph into chains and blocks, and the nodes that matter to the output."""

import numpy as np
import pytest

import spaces
from tfnas.engine import Network, block_outputs, loses_images
from tfnas.engine.plan import live_nodes, make_chains
from tfnas.networks import weights
from tfnas.networks.builder import GraphBuilder


def test_chains_hold_every_node_once_and_run_in_order():
    space = spaces.get("nasbench201")
    rng = np.random.default_rng(0)
    for _ in range(20):
        graph = space.layer_graph(space.sample(rng), depth=2)
        for fuse in (True, False):
            chains = make_chains(graph, fuse)
            assert sorted(n.name for c in chains for n in c.nodes) == sorted(n.name for n in graph.nodes[1:])
            done = {"input"}
            for chain in chains:
                assert set(chain.inputs) <= done
                assert sum(layer.has_kernel for layer in chain.layers) <= 1
                done.add(chain.output)
                for before, after in zip(chain.nodes, chain.nodes[1:], strict=False):
                    assert after.inputs == (before.name,)
                    assert graph.consumers[before.name] == (after.name,)


def test_blocks_of_a_cell_based_network():
    space = spaces.get("nasbench201")
    rng = np.random.default_rng(1)
    for _ in range(20):
        graph = space.layer_graph(space.sample(rng), depth=1)
        blocks = block_outputs(graph)
        assert [name.partition(".node")[0].partition(".sum")[0] for name in blocks] == [
            "stem.1",
            *(f"cells.{i}" for i in range(5)),
        ]


def test_live_nodes_by_a_search_from_every_node():
    space = spaces.get("nasbench201")
    arch = space.parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|nor_conv_3x3~1|none~2|")
    graph = space.layer_graph(arch, depth=1)

    def reaches(name):
        return name == graph.output or any(
            graph.by_name[reader].op != "zero" and reaches(reader) for reader in graph.consumers[name]
        )

    assert live_nodes(graph) - {n.name for n in graph.nodes if n.op == "zero"} == {
        node.name for node in graph.nodes if node.op != "zero" and reaches(node.name)
    }


@pytest.mark.parametrize(
    ("stride", "around", "expected"), [(2, False, True), (2, True, False), (1, False, False), (1, True, False)]
)
def test_loss_of_images_is_that_of_the_logits(stride, around, expected):
    """A BN of one pixel, with and without a way around it, by the names and by the logits of two batches."""
    b = GraphBuilder((2, 2, 3))
    x = b.conv("conv", "input", 4, 2, strides=stride)
    y = b.batch_norm("bn", x, momentum=0.9, epsilon=1e-3)
    y = b.activation("act", b.add("add", [y, x]) if around else y, "tanh")
    graph = b.finish(b.dense("head", b.global_avg_pool("pool", y), 2))
    assert loses_images(graph) == expected
    network = Network(graph, weights.initialize(graph), dtype="float64")
    one, other = (np.random.default_rng(seed).standard_normal((3, 2, 2, 3)) for seed in (0, 1))
    one, other = (network.forward(x, "example").values["head"].numpy() for x in (one, other))
    assert np.allclose(one, other) == expected
