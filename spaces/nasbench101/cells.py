"""Cells of NAS-Bench-101: as strings, matrices and numbers; what of them is pruned; the hash of isomorphic ones.

Source: the published model_spec.py and graph_util.py. A cell is written as its vertices from 1 on, each with those that
it reads:

    conv3x3~0|conv1x1~01|output~12
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from spaces.base import Architecture
from spaces.nasbench101 import enumeration
from spaces.nasbench101.enumeration import MAX_EDGES, MAX_VERTICES
from tfnas.errors import InputError

Matrix = tuple[tuple[int, ...], ...]

CONV3X3, CONV1X1, MAXPOOL3X3 = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"
OPS = (CONV3X3, CONV1X1, MAXPOOL3X3)

_SHORT = dict(zip(OPS, ("conv3x3", "conv1x1", "maxpool3x3"), strict=True))
_LONG = {short: op for op, short in _SHORT.items()}
_EXAMPLE = "conv3x3~0|conv1x1~01|output~12"
# What a vertex reads, as in strings, and its column of the matrix.
_COLUMNS = {
    "".join(map(str, read)): tuple(int(u in read) for u in range(MAX_VERTICES))
    for count in range(MAX_VERTICES)
    for read in itertools.combinations(range(MAX_VERTICES - 1), count)
}


@dataclasses.dataclass(frozen=True)
class Cell(Architecture):
    """A cell as it was given, pruned or not.

    Attributes:
        matrix: [V, V] of 0 and 1, row to column, upper triangular.
        ops: label of each vertex: "input", V - 2 of `OPS`, "output".
    """

    matrix: Matrix
    ops: tuple[str, ...]

    def __str__(self) -> str:
        sources = ("".join(str(u) for u in range(v) if self.matrix[u][v]) for v in range(1, len(self.ops)))
        return "|".join(f"{_SHORT.get(op, op)}~{text}" for op, text in zip(self.ops[1:], sources, strict=True))

    @functools.cached_property
    def pruned(self) -> Cell | None:
        """The cell without vertices off every path from input to output; None if there is no such path."""
        columns = list(zip(*self.matrix, strict=True))
        # A quick look first: whole tables of cells that need no pruning are parsed.
        if all(map(any, self.matrix[:-1])) and all(map(any, columns[1:])):
            return self
        count = len(self.ops)
        reached, reaching = {0}, {count - 1}
        for v in range(1, count):
            reached |= {v} if any(self.matrix[u][v] for u in reached) else set()
        for v in reversed(range(count - 1)):
            reaching |= {v} if any(self.matrix[v][w] for w in reaching) else set()
        kept = sorted(reached & reaching)
        if len(kept) < 2:
            return None
        return Cell(tuple(tuple(self.matrix[u][v] for v in kept) for u in kept), tuple(self.ops[v] for v in kept))

    @property
    def is_valid(self) -> bool:
        """Whether the benchmark has it: input and output connected, at most 7 vertices and 9 edges after pruning."""
        cell = self.pruned
        return cell is not None and len(cell.ops) <= MAX_VERTICES and sum(map(sum, cell.matrix)) <= MAX_EDGES


def parse(text: str) -> Cell:
    """The cell of a string.

    Raises:
        InputError: no such cell, or one that the benchmark does not have; the message tells which.
    """
    parts = text.strip().split("|")
    count = len(parts) + 1
    if count > MAX_VERTICES:
        raise _bad_string(text, f"{count} vertices instead of {MAX_VERTICES} at most")
    ops, columns = ["input"], [_COLUMNS[""]]
    for v, part in enumerate(parts, start=1):
        op, mark, sources = part.partition("~")
        allowed = _LONG if v < count - 1 else ("output",)
        if op not in allowed or not mark:
            names = " or ".join(allowed)
            raise _bad_string(text, f"vertex {v} must be {names}, '~' and what it reads, not {part!r}")
        if sources not in _COLUMNS or sources[-1:] >= str(v):
            raise _bad_string(text, f"vertex {v} reads vertices below {v} in ascending order, not {sources!r}")
        ops.append(_LONG.get(op, op))
        columns.append(_COLUMNS[sources])
    cell = Cell(tuple(zip(*columns, strict=True))[:count], tuple(ops))
    _check(cell, text)
    return cell


def from_matrix(matrix: Any, ops: Sequence[str]) -> Cell:
    """The cell of an adjacency matrix and labels, as the benchmark's ModelSpec takes them.

    It stays as given unless it has more than 7 vertices: then it is pruned at once, for strings and mutations of
    cells know no more.

    Args:
        matrix: [V, V] of 0 and 1, row to column, upper triangular.
        ops: "input", V - 2 of `OPS`, "output".

    Raises:
        InputError: another form, or a cell that the benchmark does not have.
    """
    array = np.asarray(matrix)
    if array.ndim != 2 or len(set(array.shape)) != 1 or array.shape[0] != len(ops):
        raise InputError(
            f"A cell is a square matrix and a label for each vertex. Received: a matrix of shape {array.shape} "
            f"and {len(ops)} labels"
        )
    if not np.isin(array, (0, 1)).all() or np.tril(array).any():
        raise InputError(
            f"The matrix of a cell holds 0 and 1 and is 0 on and below its diagonal. Received: {array.tolist()}"
        )
    if len(ops) < 2 or ops[0] != "input" or ops[-1] != "output" or not set(ops[1:-1]) <= set(OPS):
        raise InputError(f"The labels of a cell are input, any of {', '.join(OPS)}, output. Received: {list(ops)}")
    cell = make_cell(array, ops[1:-1])
    _check(cell, str(cell))
    return cell if len(ops) <= MAX_VERTICES else cell.pruned


def make_cell(matrix: np.ndarray, interior: Sequence[str]) -> Cell:
    """The cell of an upper triangular matrix [V, V] and the labels of its V - 2 interior vertices, unchecked."""
    return Cell(tuple(tuple(row) for row in matrix.astype(int).tolist()), ("input", *interior, "output"))


def from_bits(num_vertices: int, adj_bits: int, op_labels: str) -> Cell:
    """The cell of a row in tables that store graphs as numbers; a few microseconds.

    Args:
        num_vertices: V, 2 to 7.
        adj_bits: bit x + y (y - 1) / 2 is the edge from x to y.
        op_labels: a digit for each interior vertex, its index in `OPS`.

    Raises:
        InputError: no such graph. Whether the benchmark has the cell is not checked.
    """
    pairs = num_vertices * (num_vertices - 1) // 2
    if not (2 <= num_vertices <= MAX_VERTICES and 0 <= adj_bits < 1 << pairs and _is_labels(op_labels, num_vertices)):
        raise InputError(
            "A row of NAS-Bench-101 has 2 to 7 vertices, V (V - 1) / 2 bits and V - 2 digits of 0, 1, 2. "
            f"Received: num_vertices={num_vertices}, adj_bits={adj_bits}, op_labels={op_labels!r}"
        )
    return Cell(_matrix(int(num_vertices), int(adj_bits)), ("input", *(OPS[int(c)] for c in op_labels), "output"))


def to_bits(arch: Cell) -> tuple[int, int, str]:
    """(num_vertices, adj_bits, op_labels) of a cell, pruned; the inverse of :func:`from_bits`."""
    cell = arch.pruned
    count = len(cell.ops)
    bits = sum(cell.matrix[x][y] << x + y * (y - 1) // 2 for y in range(count) for x in range(y))
    return count, bits, "".join(str(OPS.index(op)) for op in cell.ops[1:-1])


def to_code(arch: Cell) -> int:
    """The code of a cell, pruned, as `enumeration` has it."""
    count, edges, labels = to_bits(arch)
    return enumeration.encode(count, edges, int(labels or "0", enumeration.LABELS))


def from_code(code: int) -> Cell:
    """The cell of a code; the inverse of :func:`to_code`."""
    count, edges, labels = enumeration.decode(code)
    ops = (OPS[label] for label in enumeration.digits(labels, count - 2))
    return Cell(_matrix(count, edges), ("input", *ops, "output"))


def _is_labels(text: str, num_vertices: int) -> bool:
    return len(text) == num_vertices - 2 and set(text) <= set("012")


@functools.lru_cache(maxsize=8192)  # those of `enumerate` have 2,494 different ones
def _matrix(count: int, bits: int) -> Matrix:
    return tuple(tuple(bits >> x + y * (y - 1) // 2 & 1 if x < y else 0 for y in range(count)) for x in range(count))


def canonical(arch: Cell) -> str:
    """The benchmark's hash of a cell, pruned: equal for isomorphic cells."""
    cell = arch.pruned
    return graph_hash(cell.matrix, [-1, *(OPS.index(op) for op in cell.ops[1:-1]), -2])


def graph_hash(matrix: Matrix, labels: Sequence[int]) -> str:
    """The benchmark's isomorphism-invariant hash (graph_util.hash_module).

    Vertices start with the MD5 of (out-degree, in-degree, label) and V times take in those of their neighbours.

    Args:
        matrix: [V, V], row to column.
        labels: of each vertex: -1 for the input, -2 for the output, else the index in `OPS`.
    """
    count = len(labels)
    before = [[u for u in range(count) if matrix[u][v]] for v in range(count)]
    after = [[w for w in range(count) if matrix[v][w]] for v in range(count)]
    hashes = [_md5(str((len(after[v]), len(before[v]), labels[v]))) for v in range(count)]
    for _ in range(count):
        joined = (
            "".join(sorted(hashes[u] for u in before[v]))
            + "|"
            + "".join(sorted(hashes[w] for w in after[v]))
            + "|"
            + hashes[v]
            for v in range(count)
        )
        hashes = [_md5(text) for text in joined]
    return _md5(str(sorted(hashes)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def with_lone_vertices(cell: Cell, labels: Sequence[str]) -> Cell:
    """A cell with vertices that no edge touches, of these labels, before its output."""
    places = [*range(len(cell.ops) - 1), len(cell.ops) - 1 + len(labels)]
    matrix = np.zeros((places[-1] + 1,) * 2, int)
    matrix[np.ix_(places, places)] = cell.matrix
    return make_cell(matrix, [*cell.ops[1:-1], *labels])


def _check(cell: Cell, text: str) -> None:
    if cell.pruned is None:
        raise _bad_string(text, "no path from input to output")
    if not cell.is_valid:
        kept, edges = len(cell.pruned.ops), sum(map(sum, cell.pruned.matrix))
        raise _bad_string(
            text,
            f"{kept} vertices and {edges} edges after pruning instead of {MAX_VERTICES} and {MAX_EDGES} at most",
        )


def _bad_string(text: str, reason: str) -> InputError:
    return InputError(f"Not a cell of NAS-Bench-101: {reason}. Received: {text!r}. Allowed: such as {_EXAMPLE!r}")
