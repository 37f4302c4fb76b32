"""Anybody's CSV or Parquet file: read as it is, or turned into the common form."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tfnas import errors
from tfnas.tables.table import Table, read_any, recorded_space

if TYPE_CHECKING:  # pandas and etils take their time to import
    import pandas as pd
    from etils import epath


def load(path: epath.PathLike, *, arch_column: str = "arch", columns: Sequence[str] = ()) -> pd.DataFrame:
    """Reads value columns of any table: the common form, or a foreign CSV or Parquet file.

    Args:
        path: file, or the name of an embedded table.
        arch_column: column with the architecture strings.
        columns: value columns that must be there; none asks for all.

    Returns:
        A frame with column `arch` and the values, in the order of the file. Rows may repeat an architecture.

    Raises:
        InputError: as `read`, or a column is missing.
    """
    frame, _ = read_any(path)
    require(frame.columns, (arch_column, *columns), path)
    if columns:
        frame = frame[[arch_column, *(column for column in dict.fromkeys(columns) if column != arch_column)]]
    if arch_column != "arch":
        frame = frame.drop(columns="arch", errors="ignore").rename(columns={arch_column: "arch"})
    return frame


def require(there: Iterable[str], columns: Iterable[str], path: epath.PathLike) -> None:
    """Checks that a file has columns.

    Args:
        there: those that it has.
        columns: those that are needed.
        path: the file, for the message.

    Raises:
        InputError: it lacks one.
    """
    there = list(map(str, there))
    for column in columns:
        if column not in there:
            raise errors.InputError(f"No column {column!r} in {path}. Columns: {', '.join(there)}")


def take(table: Table, columns: Mapping[str, str], path: epath.PathLike) -> Table:
    """A table of some columns, under new names and with their units.

    Args:
        table: what was read.
        columns: {name in `table`: new name}.
        path: where it was read, for the message.

    Raises:
        InputError: a column is not there, or is that of the architectures.
    """
    require((name for name in table.frame if name != "arch"), columns, path)
    frame = table.frame[["arch", *columns]].rename(columns=columns)
    units = {new: table.units[old] for old, new in columns.items() if old in table.units}
    return dataclasses.replace(table, frame=frame, units=units)


def as_table(
    path: epath.PathLike,
    *,
    arch_column: str = "arch",
    columns: Mapping[str, str] | Sequence[str] = (),
    units: Mapping[str, str] | None = None,
    provenance: str,
) -> Table:
    """A CSV or Parquet file as a table of the common form; its space is the recorded one, "" for foreign files.

    Args:
        path: file to read, or the name of an embedded table.
        arch_column: column with the architecture strings.
        columns: columns to take, or {name in the file: name in the table}; none takes every column of numbers.
        units: unit by name in the table; a column without one is recorded as "unknown".
        provenance: where the numbers come from, in words.

    Raises:
        InputError: as `load`, or a column is not there.
    """
    names = dict(columns) if isinstance(columns, Mapping) else {column: column for column in columns}
    frame = load(path, arch_column=arch_column)
    frame = frame.assign(arch=frame["arch"].astype("str"))
    names = names or {column: column for column in frame.select_dtypes(["number", "bool"])}
    table = take(Table(frame, {}, provenance, recorded_space(path)), names, path)
    return dataclasses.replace(table, units=dict(units or {}))
