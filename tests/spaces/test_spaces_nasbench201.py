"""NAS-Bench-201 against what follows from its definition."""

import collections
import functools
import itertools

import networkx
import numpy as np
import pytest

import spaces
from spaces.nasbench201 import size as nasbench201_size
from spaces.nasbench201 import space as nasbench201
from tfnas.errors import InputError

_TOPOLOGY = spaces.get("nasbench201")
_SIZE = spaces.get("nasbench201_size")
_ONE_EACH = _TOPOLOGY.parse("|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|")


def _value(cell, source=1.0):
    """The cell computed on a number, with a function that maps 0 to 0 for each operation."""
    functions = {
        "none": lambda x: 0.0,
        "skip_connect": lambda x: x,
        "nor_conv_1x1": lambda x: np.sin(3 * x),
        "nor_conv_3x3": lambda x: np.tanh(2 * x) * (1 + x),
        "avg_pool_3x3": lambda x: x * np.exp(-0.3 * x),
    }
    states = [source, 0.0, 0.0, 0.0]
    for op, (start, end) in zip(cell.ops, nasbench201.EDGES, strict=True):
        states[end] += functions[op](states[start])
    return round(float(states[3]), 9)


class TestCells:
    def test_equal_unique_strings_compute_the_same(self):
        classes = collections.defaultdict(set)
        values = set()
        for cell in _TOPOLOGY.enumerate():
            value = _value(cell)
            values.add(value)
            classes[_TOPOLOGY.canonical(cell)].add(value)
        assert all(len(found) == 1 for found in classes.values())
        # The published rule leaves dead terms in; by what cells compute there are fewer classes than its 6,466.
        assert len(values) == 4930

    def test_validity_is_a_path_without_none(self):
        for cell in itertools.islice(_TOPOLOGY.enumerate(), 1500):
            edges = [edge for edge, op in zip(nasbench201.EDGES, cell.ops, strict=True) if op != "none"]
            graph = networkx.DiGraph(edges)
            graph.add_nodes_from((0, 3))
            assert nasbench201.is_valid(cell) == networkx.has_path(graph, 0, 3)

    def test_graph_has_the_paths_of_the_cell(self):
        graph = _TOPOLOGY.graph(_ONE_EACH)
        paths = [[graph.nodes[node]["op"] for node in path[1:-1]] for path in networkx.all_simple_paths(graph, 0, 7)]
        assert sorted(paths) == sorted(
            [
                ["nor_conv_3x3"],  # 0-3
                ["none", "avg_pool_3x3"],  # 0-1-3
                ["skip_connect", "none"],  # 0-2-3
                ["none", "nor_conv_1x1", "none"],  # 0-1-2-3
            ]
        )

    def test_encoding_is_one_hot(self):
        code = _TOPOLOGY.encode(_ONE_EACH).reshape(6, 5)
        assert [nasbench201.OPS[i] for i in code.argmax(1)] == list(_ONE_EACH.ops)
        assert np.array_equal(code.sum(1), np.ones(6))

    def test_neighbors_change_one_edge(self):
        neighbors = _TOPOLOGY.neighbors(_ONE_EACH)
        assert len(neighbors) == 24
        for other in neighbors:
            assert sum(a != b for a, b in zip(other.ops, _ONE_EACH.ops, strict=True)) == 1

    def test_mutation_picks_the_node_first(self):
        rng = np.random.default_rng(0)
        count = 9000
        edges, ops = collections.Counter(), collections.Counter()
        for _ in range(count):
            child = _TOPOLOGY.mutate(_ONE_EACH, rng)
            (edge,) = [i for i in range(6) if child.ops[i] != _ONE_EACH.ops[i]]
            edges[edge] += 1
            ops[child.ops[0]] += edge == 0
        for edge, share in enumerate((1 / 3, 1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9)):
            assert edges[edge] / count == pytest.approx(share, abs=4 * np.sqrt(share / count))
        for op in nasbench201.OPS[1:]:
            assert ops[op] / count == pytest.approx(1 / 12, abs=4 * np.sqrt(1 / 12 / count))

    def test_samples_are_uniform(self):
        rng = np.random.default_rng(0)
        drawn = [_TOPOLOGY.sample(rng).ops for _ in range(5000)]
        for edge in range(6):
            counts = collections.Counter(ops[edge] for ops in drawn)
            for op in nasbench201.OPS:
                assert counts[op] == pytest.approx(1000, abs=4 * np.sqrt(1000))

    @pytest.mark.parametrize("space", [_TOPOLOGY, _SIZE], ids=lambda space: space.name)
    def test_index_out_of_range(self, space):
        for index in (-1, space.size):
            with pytest.raises(InputError, match=rf"lies in \[0, {space.size}\). Received: {index}"):
                space.at(index)


class TestNetworks:
    @pytest.mark.parametrize("flavour", ["tiny", "zcnas"])
    @pytest.mark.parametrize(("width", "depth", "classes", "channels"), [(16, 5, 10, 3), (4, 1, 3, 1), (6, 2, 7, 3)])
    def test_parameters_by_hand(self, flavour, width, depth, classes, channels):
        tiny = flavour == "tiny"

        def norm(c):
            return 2 * c

        def cell(c):
            areas = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}
            return sum(areas[op] * c * c + (norm(c) if tiny else c) for op in _ONE_EACH.ops if op in areas)

        def reduction(c):
            return 9 * c * 2 * c + 9 * 4 * c * c + 2 * norm(2 * c) + c * 2 * c

        c = width
        expected = 9 * channels * c + norm(c) + norm(4 * c) + 4 * c * classes + classes
        expected += depth * sum(map(cell, (c, 2 * c, 4 * c))) + reduction(c) + reduction(2 * c)
        graph = _TOPOLOGY.layer_graph(
            _ONE_EACH, flavour=flavour, width=width, depth=depth, classes=classes, input_shape=(8, 8, channels)
        )
        assert graph.count_params() == expected
        assert graph.by_name[graph.features].shape == (4 * c,)

    def test_zcnas_norms(self):
        graph = _TOPOLOGY.layer_graph(_ONE_EACH, flavour="zcnas", depth=1)
        for node in graph.nodes:
            if node.op == "batch_norm":
                in_cell = node.name.startswith("stack_cell")
                assert (node["scale"], node["center"], node["moving"]) == (not in_cell,) * 3
            if node.op == "conv":
                assert node["use_bias"] == node.name.startswith("stack_cell")

    @pytest.mark.parametrize("shape", [(30, 32, 3), (32, 6, 3)])
    def test_image_size(self, shape):
        with pytest.raises(InputError, match="divisible by 4"):
            _TOPOLOGY.layer_graph(_ONE_EACH, input_shape=shape)

    def test_width_zero(self):
        with pytest.raises(InputError, match=r"1 or more\. Received: 0"):
            _TOPOLOGY.config(width=0)


class TestSizes:
    def test_counting_order(self):
        assert [str(_SIZE.at(i)) for i in (0, 1, 8, 32767)] == [
            "8:8:8:8:8",
            "8:8:8:8:16",
            "8:8:8:16:8",
            "64:64:64:64:64",
        ]

    def test_mutation_may_return_the_parent(self):
        rng = np.random.default_rng(0)
        parent = _SIZE.parse("8:16:24:32:40")
        count = 8000
        children = [_SIZE.mutate(parent, rng) for _ in range(count)]
        assert children.count(parent) / count == pytest.approx(1 / 8, abs=4 * np.sqrt(1 / 8 / count))
        for block in range(5):
            changed = sum(child.widths[block] != parent.widths[block] for child in children)
            assert changed / count == pytest.approx(7 / 40, abs=4 * np.sqrt(7 / 40 / count))

    def test_fixed_cell_is_the_published_string(self):
        cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
        assert _TOPOLOGY.parse(cell).ops == nasbench201_size.CELL

    def test_widths_of_the_blocks(self):
        graph = _SIZE.layer_graph(_SIZE.parse("8:16:24:32:40"))
        ends = ["stem.1", "cells.0.node3", "cells.1.sum", "cells.2.node3", "cells.3.sum", "cells.4.node3"]
        assert [graph.by_name[name].shape[-1] for name in ends] == [8, 8, 16, 24, 32, 40]
        # A skip that changes the width is a convolution and BN without ReLU; one that keeps it is the identity.
        assert graph.by_name["cells.0.layers.3"].op == "identity"
        assert graph.by_name["cells.2.layers.3.conv"].inputs == ("cells.1.sum",)
        assert graph.by_name["cells.2.layers.3.bn"].inputs == ("cells.2.layers.3.conv",)

    @pytest.mark.parametrize(("setting", "message"), [({"width": 16}, "fixed by"), ({"depth": 2}, "depth=2")])
    def test_nothing_else_is_free(self, setting, message):
        with pytest.raises(InputError, match=message):
            _SIZE.layer_graph(_SIZE.at(0), **setting)

    def test_encoding_and_graph_carry_the_widths(self):
        arch = _SIZE.parse("8:16:24:32:64")
        code = _SIZE.encode(arch).reshape(5, 8)
        assert tuple((code @ np.array(nasbench201_size.WIDTHS)).astype(int)) == arch.widths
        ops = networkx.get_node_attributes(_SIZE.graph(arch), "op")
        assert list(ops.values()) == [
            "input",
            "cell_8",
            "reduction_16",
            "cell_24",
            "reduction_32",
            "cell_64",
            "output",
        ]

    def test_index_is_base_eight(self):
        arch = _SIZE.parse("16:8:64:24:32")
        assert _SIZE.index(arch) == functools.reduce(lambda n, width: 8 * n + width // 8 - 1, arch.widths, 0)
        assert _SIZE.at(_SIZE.index(arch)) == arch
