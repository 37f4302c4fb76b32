"""The records of NAS-Bench-101's published files: what each says, and the table that all of them make.

Source: google-research/nasbench, api.py and model_metrics.proto. A record is one training of a cell, as JSON, [hash,
epochs, adjacency, operations, metrics]: the hash of the cell, its pruned matrix row by row as digits, its labels
between commas, and in base64 a protobuf message ModelMetrics:

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
import json
import math
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spaces.nasbench101 import cells
from spaces.nasbench101.cells import Cell
from tfnas.errors import InputError
from tfnas.tables import protobuf

if TYPE_CHECKING:
    import pandas as pd

EPOCHS = (4, 12, 36, 108)
REPEATS = 3
MEASURED = ("val", "test", "train", "seconds", "val_half", "test_half", "seconds_half")
_FIRST_CAPACITY = 1024


class FormError(ValueError):
    """What is wrong with a record."""


class Record(NamedTuple):
    """One training of a cell.

    Attributes:
        hash: of the cell.
        epochs: one of `EPOCHS`.
        adjacency: the pruned matrix row by row, as digits.
        operations: labels of the vertices between commas.
        params: trainable parameters.
        values: as `MEASURED`; NaN for what is missing.
    """

    hash: str
    epochs: int
    adjacency: str
    operations: str
    params: int
    values: tuple[float, ...]


def parse(record: bytes) -> Record:
    """What a record says.

    Raises:
        FormError: it has another form.
    """
    try:
        fields = json.loads(record)
    except (ValueError, RecursionError) as error:
        raise FormError(f"not JSON ({error})") from error
    kinds = [type(field).__name__ for field in fields] if isinstance(fields, list) else type(fields).__name__
    if kinds != ["str", "int", "str", "str", "str"]:
        raise FormError(f"JSON of {kinds} instead of [hash, epochs, adjacency, operations, metrics]")
    key, epochs, adjacency, operations, metrics = fields
    if not re.fullmatch("[0-9a-f]{32}", key):
        raise FormError(f"the hash is {key!r} instead of 32 hexadecimal digits")
    if epochs not in EPOCHS:
        raise FormError(f"{epochs} epochs instead of one of {', '.join(map(str, EPOCHS))}")
    try:
        message = binascii.a2b_base64(metrics.replace("\n", ""), strict_mode=True)
    except ValueError as error:
        raise FormError(f"the metrics are not base64 ({error})") from error
    try:
        params, evaluations = _metrics(message)
        half, end = (_evaluation(data) for data in evaluations[1:])
    except protobuf.MessageError as error:
        raise FormError(f"the metrics are no ModelMetrics: {error}") from error
    values = (end[4], end[5], end[3], end[2], half[4], half[5], half[2])
    return Record(key, epochs, adjacency, operations, params, values)


def _metrics(message: bytes) -> tuple[int, list[bytes]]:
    """(trainable_parameters, the three evaluations) of a ModelMetrics message."""
    params, evaluations = None, []
    for field, wire, value in protobuf.fields(message):
        if field == 1:
            protobuf.expect(field, wire, protobuf.BYTES)
            evaluations.append(value)
        elif field == 2:
            protobuf.expect(field, wire, protobuf.VARINT)
            params = value
    if params is None or not 0 < params < 1 << 31:
        raise FormError(f"{params} trainable parameters")
    if len(evaluations) != 3:
        raise FormError(f"{len(evaluations)} evaluations instead of 3 (start, half-way, end)")
    return params, evaluations


def _evaluation(message: bytes) -> list[float]:
    """Values of an EvaluationData message by field number; NaN for those that are not there."""
    values = [math.nan] * 6
    for field, wire, value in protobuf.fields(message):
        if field <= 5:
            protobuf.expect(field, wire, protobuf.DOUBLE)
            values[field] = value
    for value in values[3:]:
        if value < 0 or value > 1:
            raise FormError(f"an accuracy of {value} instead of a fraction")
    if values[2] < 0 or values[2] == math.inf:
        raise FormError(f"{values[2]} seconds of training")
    return values


class Runs:
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

    def add(self, record: Record) -> None:
        """Takes in a record.

        Raises:
            FormError: a cell that is not of the space, one that is not what earlier records say, or a fourth run.
        """
        key, epochs, adjacency, operations, params, values = record
        row = self._rows.get(key)
        given = hash((adjacency, operations, params))
        if row is None:
            row = self._add_cell(key, str(_cell(adjacency, operations)), params, given)
        elif given != self._given[row]:
            self._compare(row, key, _cell(adjacency, operations), params)
        repeat = self._counts[epochs][row]
        if repeat == REPEATS:
            raise FormError(f"more than {REPEATS} runs of {key} for {epochs} epochs")
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
        if cells.canonical(cell) != key:
            raise FormError(f"{cell} under the hash {key}, which is that of {self._archs[row]}")
        if str(cell) == self._archs[row]:
            raise FormError(f"{params} parameters of {cell}, which has {self._params[row]} in an earlier record")
        self._renumbered += 1

    def facts(self, size: int) -> dict[str, str]:
        """What there is of the `size` cells of the space and what is missing, in words; call it before `frame`."""
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
            "cells": f"{cells} of {size}",
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
        raise FormError(f"an adjacency matrix of {len(adjacency)} digits, which is no square")
    matrix = np.frombuffer(adjacency.encode("ascii", "replace"), np.uint8).astype(int) - ord("0")
    try:
        cell = cells.from_matrix(matrix.reshape(side, side), operations.split(","))
    except InputError as error:
        raise FormError(str(error)) from error
    if len(cell.pruned.ops) != side:
        raise FormError(f"{cell} is not pruned")
    return cell
