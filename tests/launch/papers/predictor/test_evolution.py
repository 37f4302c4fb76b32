"""Searches on a table against a plain loop."""

import numpy as np
import pytest

import spaces
from launch.papers.predictor import evolution

CELLS, SMALL, MNAS = (spaces.get(name) for name in ("nasbench101", "nasbench201", "mnas"))


@pytest.fixture(scope="module")
def archs():
    return [str(arch) for arch in SMALL.sample_distinct(np.random.default_rng(0), 400)]


@pytest.fixture(scope="module")
def values(archs):
    """Better with every 3x3 convolution."""
    return np.array([arch.count("3x3~") for arch in archs]) + np.arange(len(archs)) / 1000


def edges_apart(one, other):
    """Edges with different operations."""
    return sum(a != b for a, b in zip(one.split("|"), other.split("|"), strict=True))


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
        child = SMALL.mutate(parents[best], rng)
        if str(child) not in archs:
            others = [row for row in range(len(archs)) if row not in history]
            least = min(edges_apart(archs[row], str(child)) for row in others)
            child = SMALL.parse(archs[rng.choice([i for i in others if edges_apart(archs[i], str(child)) == least])])
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


def test_in_a_table_that_no_mutation_meets_children_are_near_their_parents():
    """600 of 1e18 networks: the number of layers decides, and parents hand it on."""
    rng = np.random.default_rng(0)
    archs = [str(arch) for arch in MNAS.sample_distinct(rng, 600)]
    values = np.array([sum(block.layers for block in MNAS.parse(arch).blocks) for arch in archs], float)
    table = evolution.Table(MNAS, archs)
    for seed in range(3):
        evolved = evolution.regularised(table, values, 200, np.random.default_rng(seed), population=20, tournament=5)
        assert len(set(evolved.tolist())) == 200
        drawn = evolution.random_search(600, 200, np.random.default_rng(seed))
        assert values[evolved].mean() > values[drawn].mean() + 0.3 * values.std()
    parent, trained = MNAS.parse(archs[0]), np.arange(600) < 300
    children = list({table.child(parent, trained, rng)[0] for _ in range(60)})
    assert min(children) >= 300
    apart = np.abs(np.stack([MNAS.encode(MNAS.parse(arch)) for arch in archs]) - MNAS.encode(parent)).sum(1)
    assert apart[children].max() < np.quantile(apart[300:], 0.1)


def test_of_a_single_network_all_are_that_one(archs):
    table = evolution.Table(SMALL, archs[:1])
    assert evolution.regularised(table, np.ones(1), 5, np.random.default_rng(0)).tolist() == [0] * 5
