"""Searches on a table against a plain loop."""

import numpy as np
import pytest

import spaces
from launch.papers.predictor import evolution
from tfnas.errors import InputError

CELLS, SMALL = spaces.get("nasbench101"), spaces.get("nasbench201")


@pytest.fixture(scope="module")
def archs():
    return [str(arch) for arch in SMALL.sample_distinct(np.random.default_rng(0), 400)]


@pytest.fixture(scope="module")
def values(archs):
    """Better with every 3x3 convolution."""
    return np.array([arch.count("3x3~") for arch in archs]) + np.arange(len(archs)) / 1000


def plain(archs, values, budget, rng, population, tournament):
    """As the paper tells it, on lists."""
    history = [int(row) for row in rng.permutation(len(values))[:population]]
    parents = {row: SMALL.parse(archs[row]) for row in history}
    alive = list(history)
    while len(history) < budget:
        places = rng.permutation(len(alive))[:tournament]
        best = alive[places[0]]
        for place in places[1:]:
            if values[alive[place]] > values[best]:
                best = alive[place]
        child = parents[best]
        while True:
            child = SMALL.mutate(child, rng)
            if str(child) in archs:
                break
        row = archs.index(str(child))
        parents[row] = child
        history.append(row)
        alive = [*alive[1:], row]
    return history


@pytest.mark.parametrize(("population", "tournament"), [(10, 3), (4, 4), (5, 1)])
def test_is_that_of_a_loop(archs, values, population, tournament):
    table = evolution.Table(SMALL, archs)
    sizes = {"population": population, "tournament": tournament}
    found = evolution.regularised(table, values, 40, np.random.default_rng(5), **sizes)
    assert found.tolist() == plain(archs, values, 40, np.random.default_rng(5), population, tournament)


def test_finds_what_random_search_does_not():
    """Where the table has the whole space, children are near their parents."""
    archs = [str(arch) for arch in SMALL.enumerate()]
    values = np.array([arch.count("conv_3x3~") for arch in archs])
    table = evolution.Table(SMALL, archs)
    for seed in range(3):
        evolved = evolution.regularised(table, values, 200, np.random.default_rng(seed), population=20, tournament=5)
        drawn = evolution.random_search(len(archs), 200, np.random.default_rng(seed))
        assert len(set(drawn.tolist())) == 200
        # Of six edges one in five is such a convolution by chance.
        assert values[drawn].mean() == pytest.approx(6 / 5, abs=0.3)
        assert values[evolved[100:]].mean() > 3


def test_isomorphic_cells_are_one_network():
    known = [str(cell) for cell in CELLS.sample_distinct(np.random.default_rng(1), 5)]
    for keys in (None, [CELLS.canonical(CELLS.parse(arch)) for arch in known]):
        table = evolution.Table(CELLS, known, keys)
        assert [table.row(CELLS.parse(arch)) for arch in known] == list(range(5))
    matrix = [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    one, other = (
        CELLS.cell(matrix, ["input", *ops, "output"])
        for ops in (("conv1x1-bn-relu", "maxpool3x3"), ("maxpool3x3", "conv1x1-bn-relu"))
    )
    assert str(one) != str(other)
    assert evolution.Table(CELLS, [str(one)]).row(other) == 0


def test_a_table_that_mutations_never_meet(monkeypatch, archs, values):
    monkeypatch.setattr(evolution, "_MOST", 3)
    table = evolution.Table(SMALL, archs[:2])
    with pytest.raises(InputError, match=r"met no network of the table in 3 mutations\. It holds 2"):
        evolution.regularised(table, values[:2], 9, np.random.default_rng(0))
