"""What NAS-Bench-101 is published in, and the importers of it; neither TensorFlow nor protobuf is needed.

`nasbench_only108.tfrecord` of google-research/nasbench holds three trainings of each of the 423,624 cells for 108
epochs, `nasbench_full.tfrecord` three more for each of 4, 12 and 36 epochs; `records` tells their form and the columns
that they become. Others publish tables of graphs as numbers, or name cells by their hash alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spaces.importers import Importer, Options
from spaces.nasbench101 import records
from spaces.nasbench101.cells import from_bits
from spaces.nasbench101.enumeration import MAX_VERTICES
from spaces.nasbench101.space import NASBench101
from tfnas import paths, tables
from tfnas.errors import InputError
from tfnas.progress import Progress
from tfnas.tables import tfrecord

if TYPE_CHECKING:
    import pandas as pd
    from etils import epath

SOURCE = "https://storage.googleapis.com/nasbench/"
PUBLISHED = {
    "nasbench_only108.tfrecord": "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1",
    "nasbench_full.tfrecord": "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c",
}
GRAPH_COLUMNS = ("num_vertices", "adj_bits", "op_labels")
VERIFIED = 1000  # cells whose hash and number of parameters are computed again
_SIZES = {"nasbench_only108.tfrecord": "499 MB", "nasbench_full.tfrecord": "1.95 GB"}
_UNITS = {"hash": "text", "params": "count", "seconds": "seconds"}  # by the first word of a column, else a fraction
_SPACE = NASBench101()


def read(path: epath.PathLike, *, sha256: str = "") -> tables.Table:
    """The table of a published file.

    nasbench_full.tfrecord takes about two minutes of one core and 0.9 GB of memory (measured on an invented file of as
    many cells and runs).

    Args:
        path: the file.
        sha256: what the checksum of the file must be; by default that of either published file.

    Returns:
        One row for each cell, as `records` says; `facts` tell what the file lacks.

    Raises:
        InputError: no such file, another checksum, a damaged or cut file, a record of another form, a cell that is not
            of the space, or one whose hash or number of parameters is not what its record says.
    """
    from etils import epath

    path = epath.Path(paths.expand(path))
    if not path.exists() or path.is_dir():
        raise InputError(f"No such file: {path}. {_origin(path.name)}")
    if not path.stat().length:
        raise InputError(f"{path} is empty. {_origin(path.name)}")
    digest = _checked(path, sha256.strip().lower())
    runs = records.Runs()
    number = 0
    try:
        with contextlib.closing(tfrecord.blocks(path)) as blocks:
            for block in blocks:
                for record in block:
                    runs.add(records.parse(record))
                    number += 1
    except records.FormError as error:
        raise InputError(f"{path}: record {number} is not one of NAS-Bench-101: {error}") from error
    facts = {"runs": str(number)} | runs.facts(_SPACE.size)
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


def of_hashes(hashes: Sequence[str]) -> list[str]:
    """The cell of each hash of the benchmark, as a string of the space.

    All cells are gone through in their order until those of all hashes are found: two minutes at most.

    Raises:
        InputError: one is that of no cell; the message names the first.
    """
    wanted, found = set(hashes), {}
    with Progress("cells by their hash", _SPACE.size) as bar:
        for cell in _SPACE.enumerate():
            if (key := _SPACE.canonical(cell)) in wanted:
                found[key] = str(cell)
                if len(found) == len(wanted):
                    break
            bar.advance()
        for row, key in enumerate(hashes):
            if key not in found:
                raise InputError(
                    f"{len(wanted) - len(found)} of {len(wanted)} hashes are of no cell of NAS-Bench-101. Received: "
                    f"{key!r} in row {row} (from 0). Allowed: 32 hexadecimal digits, as in the published files"
                )
    return [found[key] for key in hashes]


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


def _import_records(path: epath.PathLike, options: Options) -> tables.Table:
    table = read(path, sha256=options.sha256)
    if options.provenance:
        table = dataclasses.replace(table, provenance=f"{options.provenance}; {table.provenance}")
    return tables.take(table, options.columns, path) if options.columns else table


def _import_graphs(path: epath.PathLike, options: Options) -> tables.Table:
    frame, _ = tables.read_any(path)
    tables.require(frame.columns, GRAPH_COLUMNS, path)
    units = tables.signed(frame)
    frame = frame.assign(arch=archs(frame))
    return _table(frame, units, frame.drop(columns=list(GRAPH_COLUMNS)), options, path)


def _import_hashes(path: epath.PathLike, options: Options) -> tables.Table:
    frame, _ = tables.read_any(path)
    tables.require(frame.columns, ("hash",), path)
    units = tables.signed(frame)
    frame = frame.assign(arch=of_hashes(frame["hash"].tolist()))
    if frame["arch"].duplicated().any():
        # Repeats of a measurement, as no table has two rows of one architecture.
        numbers = list(frame.select_dtypes(["number", "bool"]))
        frame = frame.groupby("arch", sort=False)[numbers].mean().reset_index()
    return _table(frame, units, frame.drop(columns="hash", errors="ignore"), options, path)


def _table(
    frame: pd.DataFrame, units: dict[str, str], values: pd.DataFrame, options: Options, path: epath.PathLike
) -> tables.Table:
    """Of a frame with a column `arch` the columns that are asked for, or all numbers of `values`, with their units."""
    columns = options.columns or tables.numbers(values, path)
    table = tables.take(tables.Table(frame, units, options.provenance, _SPACE.name), columns, path)
    return tables.with_units(table, options.units, path)


IMPORTERS = (
    Importer(
        name="nasbench101_tfrecord",
        text="nasbench_only108.tfrecord or nasbench_full.tfrecord (3 minutes), with their own units and provenance",
        recognises=lambda suffix, columns: suffix == ".tfrecord",
        read=_import_records,
        space=_SPACE.name,
        takes=frozenset({"sha256"}),
        tells_provenance=True,
    ),
    Importer(
        name="nasbench101_graphs",
        text="CSV or Parquet file with graphs as numbers: num_vertices, adj_bits (bit x+y(y-1)/2 is the edge from x to "
        "y), op_labels (a digit for each vertex between input and output: 0 conv3x3, 1 conv1x1, 2 maxpool3x3)",
        recognises=lambda suffix, columns: "arch" not in columns and set(GRAPH_COLUMNS) <= set(columns),
        read=_import_graphs,
        space=_SPACE.name,
        takes=frozenset({"units"}),
    ),
    Importer(
        name="nasbench101_hashes",
        text="CSV or Parquet file with a column hash, the benchmark's, and no graphs (2 minutes); numbers are averaged "
        "where a hash repeats",
        recognises=lambda suffix, columns: "hash" in columns and not {"arch", *GRAPH_COLUMNS} & set(columns),
        read=_import_hashes,
        space=_SPACE.name,
        takes=frozenset({"units"}),
    ),
)
