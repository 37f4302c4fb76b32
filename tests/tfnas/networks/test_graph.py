"""Layer graphs: shapes, sizes, rebuilding for other images, the cuts between blocks."""

import numpy as np
import pytest

import spaces
from tfnas.engine import block_outputs
from tfnas.engine.plan import live_nodes, make_chains
from tfnas.networks.graph import GraphBuilder, with_input_shape


def small():
    b = GraphBuilder((9, 8, 3))
    x = b.conv("stem", "input", 4, (3, 1), strides=2, padding="valid")
    x = b.batch_norm("norm", x, momentum=0.9, epsilon=1e-5)
    left = b.depthwise_conv("left", x, 3, use_bias=True)
    right = b.activation("right", x)
    x = b.add("sum", [left, right])
    x = b.concat("joined", [x, b.conv("grouped", x, 6, 1, groups=2)])
    x = b.global_avg_pool("pooled", x)
    return b.finish(b.dense("logits", x, 5), features="pooled")


def test_shapes_parameters_and_flops_by_hand():
    graph = small()
    assert graph.by_name["stem"].shape == (4, 4, 4)  # (9 - 3) // 2 + 1, (8 - 1) // 2 + 1
    assert graph.by_name["joined"].shape == (4, 4, 10)
    assert graph.num_classes == 5
    assert graph.count_params() == 3 * 1 * 3 * 4 + (4 + 4) + (9 * 4 + 4) + 2 * 6 + (10 * 5 + 5)
    assert graph.flops() == 16 * (9 * 4) + 16 * (9 * 4 + 4) + 16 * 12 + 55


def test_other_images_keep_the_weights_and_change_the_maps():
    graph = small()
    assert with_input_shape(graph, graph.input_shape) == graph
    larger = with_input_shape(graph, (17, 16, 3))
    assert larger.by_name["stem"].shape == (8, 8, 4)
    assert larger.count_params() == graph.count_params()
    with pytest.raises(ValueError, match="no pixel"):
        with_input_shape(graph, (2, 8, 3))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda b: b.conv("input", "input", 4, 3), "exists already"),
        (lambda b: b.conv("c", "input", 4, 3, groups=2), "groups must divide"),
        (lambda b: b.conv("c", "input", 4, 3, padding="full"), "'same' or 'valid'"),
        (lambda b: b.add("s", ["input", b.conv("c", "input", 4, 3)]), "cannot add"),
        (lambda b: b.concat("s", ["input", b.conv("c", "input", 4, 3, strides=2)]), "cannot concatenate"),
        (lambda b: b.multiply("m", "input", b.conv("c", "input", 4, 1)), "gate does not fit"),
        (lambda b: b.activation("a", "input", "softplus"), "Allowed: relu"),
        (lambda b: b.finish("nowhere"), "nowhere"),
    ],
)
def test_impossible_layers_are_refused(break_it, message):
    with pytest.raises((ValueError, KeyError), match=message):
        break_it(GraphBuilder((8, 8, 3)))


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
