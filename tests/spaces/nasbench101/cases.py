"""What the tests of NAS-Bench-101 share."""

import collections
import itertools
import math
import statistics

import numpy as np
import pytest

import spaces
from spaces.nasbench101 import cells, published
from spaces.nasbench101.cells import OPS
from tests import nasbench101_cases
from tfnas.errors import InputError

SPACE = spaces.get("nasbench101")
COUNTS = {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}  # published, cells by number of vertices
INCEPTION = SPACE.parse("conv1x1~0|conv3x3~0|conv3x3~0|conv3x3~3|maxpool3x3~0|output~1245")
# On 7 vertices, of which 1, 4 and 5 are pruned: they end nowhere, begin nowhere, are alone.
LOOSE = SPACE.parse("conv1x1~0|conv3x3~0|maxpool3x3~02|conv3x3~|conv1x1~|output~34")


def draw(count, seed=0):
    rng = np.random.default_rng(seed)
    return [SPACE.sample(rng) for _ in range(count)]


def draw_uniform(count, seed=0):
    rng = np.random.default_rng(seed)
    return [SPACE.sample_uniform(rng) for _ in range(count)]


def one_change_away(cell):
    """All cells one label or edge from a cell, valid or not."""
    count = len(cell.ops)
    matrix = np.array(cell.matrix)
    for v, op in itertools.product(range(1, count - 1), OPS):
        if op != cell.ops[v]:
            yield cells.make_cell(matrix, [*cell.ops[1:v], op, *cell.ops[v + 1 : -1]])
    for u, v in itertools.combinations(range(count), 2):
        matrix[u, v] ^= 1
        yield cells.make_cell(matrix, cell.ops[1:-1])
        matrix[u, v] ^= 1


def read(path, content):
    return published.read(path, sha256=nasbench101_cases.write(path, content))


def refused(path, content, **read_options):
    """The one line that a file is refused with."""
    digest = nasbench101_cases.write(path, content)
    with pytest.raises(InputError) as error:
        published.read(path, **{"sha256": digest} | read_options)
    text = str(error.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def expected(runs):
    """{hash: {column: value}} of runs, by plain dictionaries and lists."""
    rows, seen = {}, collections.Counter()
    for run in runs:
        row = rows.setdefault(run.hash, {"arch": str(run.cell), "hash": run.hash, "params": run.params})
        place = f"{run.epochs}_{seen[run.hash, run.epochs]}"
        seen[run.hash, run.epochs] += 1
        row |= {f"{name}_{place}": getattr(run.end, name) for name in ("val", "test", "train", "seconds")}
        row |= {f"{name}_half_{place}": getattr(run.half, name) for name in ("val", "test", "seconds")}
    for key, epochs in seen:
        for name in ("val", "test", "seconds"):
            values = [rows[key][f"{name}_{epochs}_{repeat}"] for repeat in range(seen[key, epochs])]
            rows[key][f"{name}_{epochs}"] = pytest.approx(statistics.fmean(values), rel=1e-15)
    return rows


def assert_same(frame, rows):
    assert frame["hash"].tolist() == sorted(rows)
    for row in frame.to_dict("records"):
        known = rows[row["hash"]]
        assert known.keys() <= row.keys()
        for column, value in row.items():
            assert value == known[column] if column in known else math.isnan(value), column
