"""Cells: strings, matrices, numbers, pruning, and which of them are isomorphic."""

import itertools
import pickle

import networkx
import numpy as np
import pytest

from spaces.nasbench101 import cells, enumeration
from spaces.nasbench101.cells import CONV1X1, CONV3X3, MAXPOOL3X3
from tests import nasbench101_plain
from tests.spaces.nasbench101.cases import INCEPTION, LOOSE, SPACE, draw, draw_uniform, one_change_away
from tfnas.errors import InputError


class TestCells:
    def test_strings(self):
        assert str(INCEPTION) == "conv1x1~0|conv3x3~0|conv3x3~0|conv3x3~3|maxpool3x3~0|output~1245"
        assert INCEPTION.ops == ("input", CONV1X1, CONV3X3, CONV3X3, CONV3X3, MAXPOOL3X3, "output")
        assert [v for v in range(7) if INCEPTION.matrix[0][v]] == [1, 2, 3, 5]
        assert str(SPACE.cell([[0, 1], [0, 0]], ["input", "output"])) == "output~0"

    def test_pruning(self):
        assert str(LOOSE.pruned) == "conv3x3~0|maxpool3x3~01|output~2"
        assert LOOSE.pruned.pruned is LOOSE.pruned
        for cell in draw(100):
            graph = networkx.DiGraph(zip(*np.nonzero(cell.matrix), strict=True))
            kept = sorted(({0} | networkx.descendants(graph, 0)) & ({6} | networkx.ancestors(graph, 6)))
            assert cell.pruned.ops == tuple(cell.ops[v] for v in kept)
            assert np.array_equal(cell.pruned.matrix, np.array(cell.matrix)[np.ix_(kept, kept)])

    def test_pickling(self):
        assert pickle.loads(pickle.dumps(LOOSE)) == LOOSE
        assert pickle.loads(pickle.dumps(LOOSE.pruned)) == LOOSE.pruned

    def test_large_cells_are_pruned(self):
        """Limits hold after pruning, as in the benchmark."""
        matrix = np.zeros((9, 9), bool)
        matrix[0, 8] = matrix[0, 3] = matrix[3, 8] = matrix[4, 5] = True
        cell = SPACE.cell(matrix, ["input", *[CONV3X3] * 7, "output"])
        assert str(cell) == "conv3x3~0|output~01"
        matrix[range(8), range(1, 9)] = True
        with pytest.raises(InputError, match="9 vertices and 11 edges after pruning instead of 7 and 9 at most"):
            SPACE.cell(matrix, ["input", *[CONV3X3] * 7, "output"])

    @pytest.mark.parametrize(
        ("matrix", "ops", "message"),
        [
            ([[0, 1]], ["input", "output"], r"shape \(1, 2\) and 2 labels"),
            ([[0, 1], [0, 0]], ["input", CONV3X3, "output"], r"shape \(2, 2\) and 3 labels"),
            ([[0, 1], [1, 0]], ["input", "output"], r"0 on and below its diagonal. Received: \[\[0, 1\], \[1, 0\]\]"),
            ([[0, 2], [0, 0]], ["input", "output"], "0 on and below its diagonal"),
            ([[0, 1], [0, 0]], ["output", "input"], r"Received: \['output', 'input'\]"),
            (np.eye(3, k=1), ["input", "conv3x3", "output"], "Received: .*'conv3x3'"),
            ([[0]], ["input"], r"Received: \['input'\]"),
            (np.zeros((3, 3)), ["input", CONV3X3, "output"], "no path from input to output"),
        ],
    )
    def test_bad_matrices(self, matrix, ops, message):
        with pytest.raises(InputError, match=message) as error:
            SPACE.cell(matrix, ops)
        assert "\n" not in str(error.value)

    def test_bits(self):
        assert cells.from_bits(2, 1, "") == SPACE.parse("output~0")
        # Edges 0-1, 0-2 and 1-2 are bits 0, 1 and 2.
        assert cells.from_bits(3, 0b111, "2") == SPACE.parse("maxpool3x3~0|output~01")
        assert cells.to_bits(LOOSE) == cells.to_bits(LOOSE.pruned) == (4, 0b100111, "02")
        for cell in draw(50):
            assert cells.from_bits(*cells.to_bits(cell)) == cell.pruned

    @pytest.mark.parametrize("row", [(1, 0, ""), (8, 1, "000000"), (3, 8, "0"), (3, -1, "0"), (3, 7, ""), (3, 7, "3")])
    def test_bad_bits(self, row):
        with pytest.raises(
            InputError, match=f"Received: num_vertices={row[0]}, adj_bits={row[1]}, op_labels={row[2]!r}"
        ):
            cells.from_bits(*row)

    def test_graph_is_the_pruned_cell(self):
        graph = SPACE.graph(LOOSE)
        assert list(graph.nodes(data="op")) == [(0, "input"), (1, CONV3X3), (2, MAXPOOL3X3), (3, "output")]
        assert sorted(graph.edges) == [(0, 1), (0, 2), (1, 2), (2, 3)]

    def test_encoding(self):
        code = SPACE.encode(LOOSE)
        edges = np.zeros((7, 7))
        edges[np.triu_indices(7, 1)] = code[:21]
        assert list(zip(*np.nonzero(edges), strict=True)) == [(0, 1), (0, 2), (1, 2), (2, 6)]
        assert np.array_equal(code[21:].reshape(5, 3), [[1, 0, 0], [0, 0, 1], *[[0, 0, 0]] * 3])


class TestIsomorphism:
    def test_published_hashes(self):
        assert SPACE.canonical(INCEPTION) == "28cfc7874f6d200472e1a9dcd8650aa0"
        assert SPACE.canonical(SPACE.parse("output~0")) == "043721b9c7fe8c5fad811d47d83132ec"

    def test_order_of_the_vertices_does_not_matter(self):
        for cell in [INCEPTION, *draw(30)]:
            others = [SPACE.cell(*found) for found in nasbench101_plain.isomorphs(cell.pruned)]
            assert cell.pruned in others
            assert {SPACE.canonical(other) for other in others} == {SPACE.canonical(cell)}
            assert {SPACE.index(other) for other in others} == {SPACE.index(cell)}
            # The cell of the benchmark is the first of its class.
            assert SPACE.at(SPACE.index(cell)) == min(others, key=_order)

    def test_different_cells_differ(self):
        """Networkx against hash and index, on cells one change apart, hence alike."""
        equal = 0
        for cell in draw(10) + draw_uniform(10):
            changed = [other for other in one_change_away(cell) if other.is_valid]
            for first, second in itertools.islice(itertools.combinations([cell, *changed], 2), 0, None, 7):
                same = _is_isomorphic(first, second)
                assert (SPACE.canonical(first) == SPACE.canonical(second)) == same
                assert (SPACE.index(first) == SPACE.index(second)) == same
                equal += same
        assert equal > 10


def _order(cell):
    count, edges, labels = cells.to_bits(cell)
    return enumeration.encode(count, edges, int(labels or "0", 3))


def _is_isomorphic(first, second):
    return networkx.is_isomorphic(SPACE.graph(first), SPACE.graph(second), lambda a, b: a["op"] == b["op"])
