"""Samples, mutations, neighbours and counts of NAS-Bench-101 against what follows from their definition."""

import collections

import numpy as np
import pytest
from scipy import stats

from spaces.nasbench101.cells import OPS
from tests.spaces.nasbench101.cases import COUNTS, INCEPTION, LOOSE, SPACE, draw, draw_uniform, one_change_away


def _valid(matrices):
    """Which matrices [N, 7, 7] make a valid cell, and how many vertices it keeps: ([N] bool, [N] int)."""
    reach = np.linalg.matrix_power(np.eye(7, dtype=np.int64) + matrices, 7) > 0
    kept = reach[:, 0, :] & reach[:, :, 6]
    edges = (matrices * kept[:, :, None] * kept[:, None, :]).sum((1, 2))
    return kept[:, 0] & (edges <= 9), kept.sum(1)


class TestDraws:
    def test_uniform_samples(self):
        sizes = collections.Counter(max(len(cell.ops), 5) for cell in draw_uniform(3000))
        expected = {5: sum(COUNTS[count] for count in range(2, 6)), 6: COUNTS[6], 7: COUNTS[7]}
        received = [sizes[count] for count in expected]
        assert stats.chisquare(received, [3000 * number / SPACE.size for number in expected.values()]).pvalue > 1e-3

    def test_published_samples(self):
        """Sizes as those of fair matrices that make a valid cell; not those of the benchmark."""
        matrices = np.triu(np.random.default_rng(1).integers(2, size=(40_000, 7, 7)), 1)
        valid, kept = _valid(matrices)
        shares = np.bincount(kept[valid], minlength=8)[2:] / valid.sum()
        received = np.bincount([len(cell.pruned.ops) for cell in draw(2000)], minlength=8)[2:] / 2000
        assert received == pytest.approx(shares, abs=5 * np.sqrt(0.25 / 2000))
        assert received[0] > 100 * COUNTS[2] / SPACE.size
        labels = collections.Counter(op for cell in draw(300) for op in cell.ops[1:-1])
        assert [labels[op] / 1500 for op in OPS] == pytest.approx([1 / 3] * 3, abs=5 * np.sqrt(2 / 9 / 1500))

    def test_mutations(self):
        """Labels change as published, whatever the edges; edges as flips of 1/7 that leave a valid cell."""
        parent = draw(1, seed=5)[0]
        count = 3000
        rng = np.random.default_rng(0)
        children = [SPACE.mutate(parent, rng) for _ in range(count)]

        masks = np.triu(np.random.default_rng(1).random((60_000, 7, 7)) < 1 / 7, 1)
        valid, _ = _valid(np.array(parent.matrix) ^ masks)
        flips = np.mean([np.array(child.matrix) ^ np.array(parent.matrix) for child in children], 0)
        assert flips == pytest.approx(masks[valid].mean(0), abs=5 * np.sqrt(0.2 / count))
        for v in range(1, 6):
            for op in OPS:
                share = sum(child.ops[v] == op for child in children) / count
                assert share == pytest.approx(0.8 if op == parent.ops[v] else 0.1, abs=5 * np.sqrt(0.16 / count))

    def test_mutations_of_small_cells(self):
        rng = np.random.default_rng(0)
        children = [SPACE.mutate(SPACE.parse("output~0"), rng) for _ in range(300)]
        assert {len(child.ops) for child in children} == {7}
        assert len({len(child.pruned.ops) for child in children}) >= 4
        assert {child.ops[v] for child in children for v in range(1, 6)} == set(OPS)

    def test_neighbors(self):
        for cell in [INCEPTION, LOOSE, *draw(3)]:
            changed = list(one_change_away(cell))
            assert len(changed) == 10 + 21
            neighbors = SPACE.neighbors(cell)
            assert set(neighbors) <= set(changed)
            expected = {SPACE.canonical(other) for other in changed if other.is_valid} - {SPACE.canonical(cell)}
            assert sorted(map(SPACE.canonical, neighbors)) == sorted(expected)
        assert SPACE.neighbors(SPACE.parse("output~0")) == []


class TestResidualConnections:
    @pytest.mark.parametrize(
        ("arch", "count"),
        [
            ("output~0", 0),
            ("conv3x3~0|output~1", 0),
            ("conv3x3~0|output~01", 1),  # 0-2
            ("conv3x3~0|conv1x1~01|output~12", 2),  # 0-2, 1-3
            ("conv3x3~0|conv1x1~0|maxpool3x3~1|output~0123", 5),  # 0-2, 1-3, 0-4, 1-4, 2-4
            ("conv3x3~0|conv1x1~0|output~1", 0),  # vertex 2 leads nowhere and is pruned
        ],
    )
    def test_by_hand(self, arch, count):
        assert SPACE.residual_connections(SPACE.parse(arch)) == count

    def test_edges_of_the_graph_that_pass_over_a_vertex(self):
        for cell in [INCEPTION, LOOSE, *draw(50)]:
            edges = SPACE.graph(cell).edges
            assert SPACE.residual_connections(cell) == sum(target > source + 1 for source, target in edges)
