"""The cells of NAS-Bench-201 against what follows from their definition."""

import collections
import itertools

import networkx
import numpy as np
import pytest

import spaces
from spaces.nasbench201 import space as nasbench201
from tfnas.errors import InputError

SPACE = spaces.get("nasbench201")
_ONE_EACH = SPACE.parse("|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|")


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
        for cell in SPACE.enumerate():
            value = _value(cell)
            values.add(value)
            classes[SPACE.canonical(cell)].add(value)
        assert all(len(found) == 1 for found in classes.values())
        # The published rule leaves dead terms in; by what cells compute there are fewer classes than its 6,466.
        assert len(values) == 4930

    def test_validity_is_a_path_without_none(self):
        for cell in itertools.islice(SPACE.enumerate(), 1500):
            edges = [edge for edge, op in zip(nasbench201.EDGES, cell.ops, strict=True) if op != "none"]
            graph = networkx.DiGraph(edges)
            graph.add_nodes_from((0, 3))
            assert nasbench201.is_valid(cell) == networkx.has_path(graph, 0, 3)

    def test_graph_has_the_paths_of_the_cell(self):
        graph = SPACE.graph(_ONE_EACH)
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
        code = SPACE.encode(_ONE_EACH).reshape(6, 5)
        assert [nasbench201.OPS[i] for i in code.argmax(1)] == list(_ONE_EACH.ops)
        assert np.array_equal(code.sum(1), np.ones(6))

    def test_neighbors_change_one_edge(self):
        neighbors = SPACE.neighbors(_ONE_EACH)
        assert len(neighbors) == 24
        for other in neighbors:
            assert sum(a != b for a, b in zip(other.ops, _ONE_EACH.ops, strict=True)) == 1

    def test_mutation_picks_the_node_first(self):
        rng = np.random.default_rng(0)
        count = 9000
        edges, ops = collections.Counter(), collections.Counter()
        for _ in range(count):
            child = SPACE.mutate(_ONE_EACH, rng)
            (edge,) = [i for i in range(6) if child.ops[i] != _ONE_EACH.ops[i]]
            edges[edge] += 1
            ops[child.ops[0]] += edge == 0
        for edge, share in enumerate((1 / 3, 1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9)):
            assert edges[edge] / count == pytest.approx(share, abs=4 * np.sqrt(share / count))
        for op in nasbench201.OPS[1:]:
            assert ops[op] / count == pytest.approx(1 / 12, abs=4 * np.sqrt(1 / 12 / count))

    def test_samples_are_uniform(self):
        rng = np.random.default_rng(0)
        drawn = [SPACE.sample(rng).ops for _ in range(5000)]
        for edge in range(6):
            counts = collections.Counter(ops[edge] for ops in drawn)
            for op in nasbench201.OPS:
                assert counts[op] == pytest.approx(1000, abs=4 * np.sqrt(1000))

    def test_index_out_of_range(self):
        for index in (-1, SPACE.size):
            with pytest.raises(InputError, match=rf"lies in \[0, {SPACE.size}\). Received: {index}"):
                SPACE.at(index)

    def test_residual_connections_are_the_skips(self):
        cell = SPACE.parse("|none~0|+|skip_connect~0|none~1|+|skip_connect~0|avg_pool_3x3~1|skip_connect~2|")
        assert SPACE.residual_connections(cell) == 3
        for other in itertools.islice(SPACE.enumerate(), 0, None, 97):
            ops = networkx.get_node_attributes(SPACE.graph(other), "op")
            assert SPACE.residual_connections(other) == collections.Counter(ops.values())["skip_connect"]
