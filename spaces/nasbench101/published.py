"""Reads the published files of NAS-Bench-101 into the common form of tables, without TensorFlow or protobuf.

Source: google-research/nasbench, api.py and model_metrics.proto. `nasbench_only108.tfrecord` holds three trainings of
each of the 423,624 cells for 108 epochs, `nasbench_full.tfrecord` three more for each of 4, 12 and 36 epochs. A record
is JSON, [hash, epochs, adjacency, operations, metrics]: the hash of the cell, its pruned matrix row by row as digits,
its labels between commas, and in base64 a protobuf message ModelMetrics:

    ModelMetrics    1 repeated EvaluationData, 2 int32 trainable_parameters, 3 double total_time
    EvaluationData  1 double current_epoch, 2 double training_time, 3-5 double train, validation and test accuracy,
                    6 string checkpoint_path

with evaluations at the start of training (not used), half-way and at the end. Accuracies are fractions; times are
seconds of training without evaluation.

Each cell becomes a row, in the order of their hashes: `arch` (string of the space), `hash`, `params`; for each number
of epochs e in the file the means `val_e`, `test_e` and `seconds_e` over the runs that are there; and for each run r,
0 to 2 in the order of the file, `val_e_r`, `test_e_r`, `train_e_r`, `seconds_e_r` at its end and `val_half_e_r`,
`test_half_e_r`, `seconds_half_e_r` half-way. What is missing is NaN, and the facts of the table count it.
"""

from __future__ import annotations

import array
import binascii
import contextlib
import json
import math
import re
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from spaces.nasbench101.space import MAX_VERTICES, Cell, NASBench101, from_bits
from tfnas import tables
from tfnas.errors import InputError
from tfnas.tables import tfrecord

if TYPE_CHECKING:
    import pandas as pd
    from etils import epath

SOURCE = "https://storage.googleapis.com/nasbench/"
PUBLISHED = {
    "nasbench_only108.tfrecord": "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1",
    "nasbench_full.tfrecord": "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c",
}
EPOCHS = (4, 12, 36, 108)
REPEATS = 3
MEASURED = ("val", "test", "train", "seconds", "val_half", "test_half", "seconds_half")
GRAPH_COLUMNS = ("num_vertices", "adj_bits", "op_labels")
VERIFIED = 1000  # cells whose hash and number of parameters are computed again
_SIZES = {"nasbench_only108.tfrecord": "499 MB", "nasbench_full.tfrecord": "1.95 GB"}
_UNITS = {"hash": "text", "params": "count", "seconds": "seconds"}  # by the first word of a column, else a fraction
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # wire types of protobuf
_FIRST_CAPACITY = 1024
_unpack_double = struct.Struct("<d").unpack_from
_SPACE = NASBench101()


class _FormError(ValueError):
    """What is wrong with a record."""


def read(path: epath.PathLike, *, sha256: str = "") -> tables.Table:
    """The table of a published file.

    nasbench_full.tfrecord takes about two minutes of one core and 0.9 GB of memory (measured on an invented file of as
    many cells and runs).

    Args:
        path: the file.
        sha256: what the checksum of the file must be; by default that of either published file.

    Returns:
        One row for each cell, as the module says; `facts` tell what the file lacks.

    Raises:
        InputError: no such file, another checksum, a damaged or cut file, a record of another form, a cell that is not
            of the space, or one whose hash or number of parameters is not what its record says.
    """
    from etils import epath

    path = epath.Path(path)
    if not path.exists() or path.is_dir():
        raise InputError(f"No such file: {path}. {_origin(path.name)}")
    if not path.stat().length:
        raise InputError(f"{path} is empty. {_origin(path.name)}")
    digest = _checked(path, sha256.strip().lower())
    runs = _Runs()
    number = 0
    try:
        with contextlib.closing(tfrecord.blocks(path)) as blocks:
            for block in blocks:
                for record in block:
                    runs.add(*_parse(record))
                    number += 1
    except _FormError as error:
        raise InputError(f"{path}: record {number} is not one of NAS-Bench-101: {error}") from error
    facts = {"runs": str(number)} | runs.facts()
    frame = runs.frame()
    _verify(path, frame)
    units = {column: _UNITS.get(column.partition("_")[0], "fraction") for column in frame if column != "arch"}
    name = next((name for name, known in PUBLISHED.items() if known == digest), "")
    origin = f"{name} of google-research/nasbench, {SOURCE}{name}" if name else f"{path.name}, not a published file"
    return tables.Table(frame, units, f"{origin}, sha256 {digest}", _SPACE.name, facts)


def archs(frame: pd.DataFrame) -> list[str]:
    """The cell of each row of a table that stores graphs as numbers, as strings of the space.

    Args:
        frame: columns `GRAPH_COLUMNS`: the number of vertices V; the edges, bit x + y (y - 1) / 2 for that from x to y;
            a digit for each interior vertex, 0 conv3x3, 1 conv1x1, 2 maxpool3x3. Readers of CSV take such digits for
            numbers and drop leading zeros, which are put back.

    Raises:
        InputError: a row that is not so; the message names it.
    """
    rows = zip(*(frame[column].tolist() for column in GRAPH_COLUMNS), strict=True)
    return [_arch(row, *values) for row, values in enumerate(rows)]


def _arch(row: int, vertices: Any, bits: Any, labels: Any) -> str:
    try:
        count, edges = int(vertices), int(bits)
        digits = labels if isinstance(labels, str) else _digits(labels, count - 2)
    except (TypeError, ValueError, OverflowError):
        count, edges, digits = 0, 0, ""
    if (
        (count, edges) != (vertices, bits)
        or not 2 <= count <= MAX_VERTICES
        or not 0 <= edges < 1 << count * (count - 1) // 2
        or len(digits) != count - 2
        or not set(digits) <= set("012")
    ):
        raise InputError(
            f"Row {row} (from 0) is no cell of NAS-Bench-101. Received: num_vertices={vertices}, adj_bits={bits}, "
            f"op_labels={labels!r}. Allowed: 2 to {MAX_VERTICES} vertices, a bit for each pair of them, a digit of 0, "
            "1, 2 for each but the first and the last"
        )
    return str(from_bits(count, edges, digits))


def _digits(number: float | None, count: int) -> str:
    """Digits that were taken for a number; a missing one stands for none."""
    if number is None or number != number:
        return ""
    if number != int(number):
        raise ValueError
    return str(int(number)).zfill(count)


def _origin(name: str) -> str:
    return "; ".join(
        f"{known} ({_SIZES[known]}, sha256 {digest}) comes from {SOURCE}{known}"
        for known, digest in PUBLISHED.items()
        if known == name or name not in PUBLISHED
    )


def _checked(path: epath.Path, given: str) -> str:
    """SHA-256 of the file, which must be the one that is given or, if none is, a published one."""
    if given and not re.fullmatch("[0-9a-f]{64}", given):
        raise InputError(f"A sha256 has 64 hexadecimal digits. Received: {given!r}")
    digest = tfrecord.sha256(path)
    if digest in ([given] if given else PUBLISHED.values()):
        return digest
    try:
        for _ in tfrecord.blocks(path):
            pass
        found = "Its records are whole: if you trust it, give its own sha256"
    except InputError as error:
        found = str(error)
    expected = given or " or ".join(f"{known} ({name})" for name, known in PUBLISHED.items())
    raise InputError(f"{path} is not the file it should be: its sha256 is {digest}. Expected: {expected}. {found}")


def _parse(record: bytes) -> tuple[str, int, str, str, int, tuple[float, ...]]:
    """(hash, epochs, adjacency, operations, params, values as in `MEASURED`) of a record."""
    try:
        fields = json.loads(record)
    except (ValueError, RecursionError) as error:
        raise _FormError(f"not JSON ({error})") from error
    kinds = [type(field).__name__ for field in fields] if isinstance(fields, list) else type(fields).__name__
    if kinds != ["str", "int", "str", "str", "str"]:
        raise _FormError(f"JSON of {kinds} instead of [hash, epochs, adjacency, operations, metrics]")
    key, epochs, adjacency, operations, metrics = fields
    if not re.fullmatch("[0-9a-f]{32}", key):
        raise _FormError(f"the hash is {key!r} instead of 32 hexadecimal digits")
    if epochs not in EPOCHS:
        raise _FormError(f"{epochs} epochs instead of one of {', '.join(map(str, EPOCHS))}")
    try:
        message = binascii.a2b_base64(metrics.replace("\n", ""), strict_mode=True)
    except ValueError as error:
        raise _FormError(f"the metrics are not base64 ({error})") from error
    params, evaluations = _metrics(message)
    half, end = (_evaluation(data) for data in evaluations[1:])
    values = (end[4], end[5], end[3], end[2], half[4], half[5], half[2])
    return key, epochs, adjacency, operations, params, values


def _metrics(message: bytes) -> tuple[int, list[bytes]]:
    """(trainable_parameters, the three evaluations) of a ModelMetrics message."""
    params, evaluations = None, []
    for field, wire, value in _fields(message):
        if field == 1:
            _expect(field, wire, _BYTES)
            evaluations.append(value)
        elif field == 2:
            _expect(field, wire, _VARINT)
            params = value
    if params is None or not 0 < params < 1 << 31:
        raise _FormError(f"{params} trainable parameters")
    if len(evaluations) != 3:
        raise _FormError(f"{len(evaluations)} evaluations instead of 3 (start, half-way, end)")
    return params, evaluations


def _evaluation(message: bytes) -> list[float]:
    """Values of an EvaluationData message by field number; NaN for those that are not there."""
    values = [math.nan] * 6
    for field, wire, value in _fields(message):
        if field <= 5:
            _expect(field, wire, _DOUBLE)
            values[field] = value
    for value in values[3:]:
        if value < 0 or value > 1:
            raise _FormError(f"an accuracy of {value} instead of a fraction")
    if values[2] < 0 or values[2] == math.inf:
        raise _FormError(f"{values[2]} seconds of training")
    return values


def _expect(field: int, wire: int, expected: int) -> None:
    if wire != expected:
        raise _FormError(f"field {field} of the metrics has wire type {wire} instead of {expected}")


def _fields(message: bytes) -> Iterator[tuple[int, int, Any]]:
    """(number, wire type, value) of each field of a protobuf message, in its order."""
    position, end = 0, len(message)
    while position < end:
        tag = message[position]
        position += 1
        if tag > 127:  # all fields of the benchmark have tags of one byte, and there are millions
            tag, position = _varint(message, position - 1)
        wire = tag & 7
        if wire == _VARINT:
            value, position = _varint(message, position)
        elif wire in (_DOUBLE, _FLOAT, _BYTES):
            size = 8 if wire == _DOUBLE else 4
            if wire == _BYTES:
                size, position = _varint(message, position)
            start, position = position, position + size
            if position > end:
                raise _FormError("the metrics end within a field")
            value = _unpack_double(message, start)[0] if wire == _DOUBLE else message[start:position]
        else:
            raise _FormError(f"the metrics have a field of wire type {wire}")
        yield tag >> 3, wire, value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """(value, where the next byte is) of a number in groups of seven bits, the lowest first."""
    value = 0
    for i, byte in enumerate(message[position : position + 10]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, position + i + 1
    raise _FormError("the metrics end within a number, or one is too long")


class _Runs:
    """Cells and their runs as they come: arrays that double, one for each number of epochs and repeat."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._archs: list[str] = []
        self._params = array.array("q")
        self._given = array.array("q")  # hash of what a record says of the cell itself, to compare the next one's
        self._counts = {epochs: bytearray() for epochs in EPOCHS}
        self._values: dict[tuple[int, int], np.ndarray] = {}
        self._capacity = _FIRST_CAPACITY
        self._renumbered = 0

    def add(self, key: str, epochs: int, adjacency: str, operations: str, params: int, values: tuple) -> None:
        """Takes in a record.

        Raises:
            _FormError: a cell that is not of the space, one that is not what earlier records say, or a fourth run.
        """
        row = self._rows.get(key)
        given = hash((adjacency, operations, params))
        if row is None:
            row = self._add_cell(key, str(_cell(adjacency, operations)), params, given)
        elif given != self._given[row]:
            self._compare(row, key, _cell(adjacency, operations), params)
        repeat = self._counts[epochs][row]
        if repeat == REPEATS:
            raise _FormError(f"more than {REPEATS} runs of {key} for {epochs} epochs")
        self._counts[epochs][row] += 1
        if (epochs, repeat) not in self._values:
            self._values[epochs, repeat] = np.full((self._capacity, len(MEASURED)), np.nan)
        self._values[epochs, repeat][row] = values

    def _add_cell(self, key: str, arch: str, params: int, given: int) -> int:
        row = self._rows[key] = len(self._archs)
        self._archs.append(arch)
        self._params.append(params)
        self._given.append(given)
        for counts in self._counts.values():
            counts.append(0)
        if row == self._capacity:
            for place, old in self._values.items():
                self._values[place] = np.concatenate([old, np.full_like(old, np.nan)])
            self._capacity *= 2
        return row

    def _compare(self, row: int, key: str, cell: Cell, params: int) -> None:
        """Allows another numbering of the vertices: the benchmark's code goes by the hash alone."""
        if _SPACE.canonical(cell) != key:
            raise _FormError(f"{cell} under the hash {key}, which is that of {self._archs[row]}")
        if str(cell) == self._archs[row]:
            raise _FormError(f"{params} parameters of {cell}, which has {self._params[row]} in an earlier record")
        self._renumbered += 1

    def facts(self) -> dict[str, str]:
        """What there is and what is missing, in words; to be called before `frame`."""
        cells = len(self._archs)
        present = [epochs for epochs in EPOCHS if any(self._counts[epochs])]
        lacking = {epochs: sum(count < REPEATS for count in self._counts[epochs]) for epochs in present}
        absent = 0
        for (epochs, repeat), values in self._values.items():
            there = sum(count > repeat for count in self._counts[epochs])
            absent += int(np.isnan(values[:cells]).sum()) - (cells - there) * len(MEASURED)
        few = ", ".join(f"{count} ({epochs} epochs)" for epochs, count in lacking.items() if count)
        missing = ", ".join(str(epochs) for epochs in EPOCHS if epochs not in present)
        return {
            "cells": f"{cells} of {_SPACE.size}",
            "epochs": ", ".join(map(str, present)),
            "epochs that the file lacks": missing or "none",
            f"cells with fewer than {REPEATS} runs": few or "none",
            "values that runs lack": str(absent),
            "records with another numbering of their cell's vertices": str(self._renumbered),
        }

    def frame(self) -> pd.DataFrame:
        """The columns, as the module says; gives up the arrays one by one, so that there is never all of it twice."""
        import pandas as pd

        keys = sorted(self._rows)
        order = np.fromiter((self._rows[key] for key in keys), np.int64, len(keys))
        columns = {
            "arch": [self._archs[row] for row in order],
            "hash": keys,
            "params": np.array(self._params, np.int64)[order],
        }
        for epochs in EPOCHS:
            if (epochs, 0) not in self._values:
                continue
            runs = {}
            for repeat in range(REPEATS):
                values = self._values.pop((epochs, repeat), np.full((len(keys), len(MEASURED)), np.nan))
                runs |= {f"{name}_{epochs}_{repeat}": values[order, i] for i, name in enumerate(MEASURED)}
            for name in ("val", "test", "seconds"):
                columns[f"{name}_{epochs}"] = _mean([runs[f"{name}_{epochs}_{repeat}"] for repeat in range(REPEATS)])
            columns |= runs
        return pd.DataFrame(columns, copy=False)


def _mean(runs: list[np.ndarray]) -> np.ndarray:
    """Mean over the runs that are there, the same in whatever order they come: [cells]."""
    values = np.sort(np.stack(runs, axis=1), axis=1)
    count = np.sum(~np.isnan(values), axis=1)
    return np.divide(np.nansum(values, axis=1), count, out=np.full(len(values), np.nan), where=count > 0)


def _cell(adjacency: str, operations: str) -> Cell:
    side = math.isqrt(len(adjacency))
    if side * side != len(adjacency):
        raise _FormError(f"an adjacency matrix of {len(adjacency)} digits, which is no square")
    matrix = np.frombuffer(adjacency.encode(), np.uint8).astype(int) - ord("0")
    try:
        cell = _SPACE.cell(matrix[: side * side].reshape(side, side), operations.split(","))
    except InputError as error:
        raise _FormError(str(error)) from error
    if len(cell.pruned.ops) != side:
        raise _FormError(f"{cell} is not pruned")
    return cell


def _verify(path: epath.Path, frame: pd.DataFrame) -> None:
    """Computes the hash and the parameters of some cells, spread over the table, from their strings."""
    for i in np.unique(np.linspace(0, len(frame) - 1, VERIFIED).astype(int)):
        cell = _SPACE.parse(frame["arch"].iloc[i])
        found = (_SPACE.canonical(cell), _SPACE.layer_graph(cell).count_params())
        given = (frame["hash"].iloc[i], int(frame["params"].iloc[i]))
        if found != given:
            raise InputError(
                f"{path}: {cell} has hash {found[0]} and {found[1]} parameters. Received: {given[0]}, {given[1]}"
            )
