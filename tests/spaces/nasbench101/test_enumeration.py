"""All cells, in order: against every labelled graph, and the file that later processes read."""

import collections
import itertools
import os

import numpy as np
import pytest

from spaces.nasbench101 import cells, enumeration
from spaces.nasbench101.cells import OPS
from tests import nasbench101_plain
from tests.spaces.nasbench101.cases import COUNTS, SPACE
from tfnas.errors import InputError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The file of the cells, in an empty folder, for a process that has not looked at it."""
    enumeration.codes()
    monkeypatch.setenv("TFNAS_CACHE", str(tmp_path / "new" / "cache"))
    _forget()
    yield tmp_path / "new" / "cache" / "nasbench101_7c8cdfc2.bin"
    monkeypatch.undo()
    _forget()


def _forget():
    enumeration.codes.cache_clear()


class TestEnumeration:
    def test_cells_by_vertices(self):
        cells = list(SPACE.enumerate())
        assert collections.Counter(len(cell.ops) for cell in cells) == COUNTS
        assert len(set(cells)) == len(cells) == SPACE.size
        assert all(cell.pruned is cell for cell in cells[::50])
        assert [SPACE.index(cell) for cell in cells[::1000]] == list(range(0, len(cells), 1000))
        assert all(SPACE.parse(str(cell)) == cell for cell in cells[::100])

    @pytest.mark.parametrize("count", [2, 3, 4, 5, pytest.param(6, marks=pytest.mark.slow)])
    def test_against_all_labelled_graphs(self, count):
        """Every matrix and labelling, in the published order; the first of each class, by relabelling it."""
        pairs = [(x, y) for y in range(count) for x in range(y)]
        found, seen = [], set()
        for flags in itertools.product((0, 1), repeat=len(pairs)):
            matrix = np.zeros((count, count), int)
            for (x, y), flag in zip(pairs, reversed(flags), strict=True):
                matrix[x, y] = flag
            if not (matrix[:-1].any(1).all() and matrix[:, 1:].any(0).all() and matrix.sum() <= 9):
                continue
            for labels in itertools.product(OPS, repeat=count - 2):
                cell = cells.make_cell(matrix, labels)
                if cell not in seen:
                    found.append(cell)
                    seen.update(cells.make_cell(np.array(m), ops[1:-1]) for m, ops in nasbench101_plain.isomorphs(cell))
        assert found == [cell for cell in SPACE.enumerate() if len(cell.ops) == count]

    def test_index_out_of_range(self):
        for index in (-1, SPACE.size):
            with pytest.raises(InputError, match=rf"lies in \[0, {SPACE.size}\). Received: {index}"):
                SPACE.at(index)

    def test_later_processes_read_a_file(self, cache, monkeypatch):
        codes = enumeration.codes()
        assert cache.read_bytes() == codes.tobytes()
        assert [file.name for file in cache.parent.iterdir()] == [cache.name]
        _forget()
        monkeypatch.setattr(enumeration, "compute", None)
        assert np.array_equal(enumeration.codes(), codes)
        with pytest.raises(ValueError, match="read-only"):
            enumeration.codes()[0] = 0

    def test_a_bad_file_is_replaced(self, cache, monkeypatch):
        codes = enumeration.codes()
        computed = []
        monkeypatch.setattr(enumeration, "compute", lambda: computed.append(1) or codes)
        whole = cache.read_bytes()
        for number, damaged in enumerate((b"", whole[:-4], whole + b"\n", whole[::-1]), start=1):
            cache.write_bytes(damaged)
            _forget()
            assert np.array_equal(enumeration.codes(), codes)
            assert len(computed) == number
            assert cache.read_bytes() == whole

    def test_no_file_can_be_written(self, cache, tmp_path):
        (tmp_path / "new").write_text("a file where the folder should be")
        assert len(enumeration.codes()) == SPACE.size
        assert not cache.exists()

    def test_no_home(self, cache, tmp_path, monkeypatch):
        for variable in ("TFNAS_CACHE", "XDG_CACHE_HOME"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
        monkeypatch.chdir(tmp_path)
        assert len(enumeration.codes()) == SPACE.size
        assert not list(tmp_path.iterdir())
