"""Anybody's CSV or Parquet file: read as it is, or turned into the common form."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tfnas import errors
from tfnas.tables.table import Table, read_any, recorded_space
from tfnas.tables.units import did_you_mean

if TYPE_CHECKING:  # pandas and etils take their time to import
    import pandas as pd
    from etils import epath

# The column of architectures under other names that people give it, where nobody says which it is.
_ARCH_NAMES = ("arch", "arch_str", "arch_string", "architecture", "architectures")


def load(path: epath.PathLike, *, arch_column: str = "arch", columns: Sequence[str] = ()) -> pd.DataFrame:
    """Reads value columns of any table: the common form, or a foreign CSV or Parquet file.

    Args:
        path: file, or the name of an embedded table.
        arch_column: column with the architecture strings; "arch" stands for the only one of a like name, too.
        columns: value columns that must be there; none asks for all.

    Returns:
        A frame with column `arch`, which is text, and the values, in the order of the file. Rows may repeat an
        architecture. Its `attrs["source"]` is one line about what was read, see `describe`.

    Raises:
        InputError: as `read`, a column is missing, or a row has no architecture.
    """
    frame, _ = read_any(path)
    if (guess := _guess(frame.columns, arch_column)) != arch_column:
        frame.attrs["source"] += f", architectures in column {guess}"
        arch_column = guess
    require(frame.columns, (arch_column, *columns), path)
    if columns:
        frame = frame[[arch_column, *(column for column in dict.fromkeys(columns) if column != arch_column)]]
    gaps = frame[arch_column].isna()
    if gaps.any():
        raise errors.InputError(
            f"{gaps.sum()} of {len(frame)} rows of {path} have no architecture in column {arch_column}. "
            f"Received: an empty cell in row {gaps.argmax()} (from 0). Allowed: one in each row"
        )
    if arch_column != "arch":
        frame = frame.drop(columns="arch", errors="ignore").rename(columns={arch_column: "arch"})
    return frame.assign(arch=frame["arch"].astype("str"))


def describe(path: epath.PathLike, *, arch_column: str = "arch") -> str:
    """One line about a table: the checksum and provenance of the common form, or how a foreign file was read.

    Args:
        path: file, or the name of an embedded table.
        arch_column: as in `load`.

    Raises:
        InputError: as `load`.
    """
    return load(path, arch_column=arch_column).attrs["source"]


def _guess(there: Iterable[str], arch_column: str) -> str:
    there = list(map(str, there))
    like = [column for column in there if column.strip().casefold() in _ARCH_NAMES]
    return like[0] if arch_column == "arch" and "arch" not in there and len(like) == 1 else arch_column


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
            hint = did_you_mean(column, there)
            raise errors.InputError(f"No column {column!r} in {path}.{hint} Columns: {', '.join(there)}")


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
        units: unit by name in the table; percent where the file has percent signs, else "unknown".
        provenance: where the numbers come from, in words.

    Raises:
        InputError: as `load` and `numbers`, a column is not there, or another unit than percent for one with percent
            signs.
    """
    names = dict(columns) if isinstance(columns, Mapping) else {column: column for column in columns}
    frame = load(path, arch_column=arch_column)
    names = names or numbers(frame, path)
    table = take(Table(frame, signed(frame), provenance, recorded_space(path)), names, path)
    return with_units(table, units or {}, path)


def numbers(frame: pd.DataFrame, path: epath.PathLike) -> dict[str, str]:
    """The columns of numbers, each under its own name, as `take` takes them.

    Args:
        frame: what was read, with a column `arch`.
        path: where it was read, for the message.

    Raises:
        InputError: there is none, but there are others: a single cell with text makes a column one of text.
    """
    found = {column: column for column in frame.select_dtypes(["number", "bool"])}
    if not found and (others := [column for column in frame if column != "arch"]):
        raise errors.InputError(
            f"No column of numbers in {path}. Received: {', '.join(map(str, others))}. Allowed: numbers or empty cells "
            "alone in a column, or the names of columns of text to take"
        )
    return found


def signed(frame: pd.DataFrame) -> dict[str, str]:
    """The unit of each column of a file, as `read_any` gives it, that had percent signs."""
    return dict.fromkeys(frame.attrs["percents"], "percent")


def with_units(table: Table, units: Mapping[str, str], path: epath.PathLike) -> Table:
    """A table with units that somebody tells of its columns.

    Args:
        table: what was read, with the units of `signed`.
        units: unit by name in the table.
        path: where it was read, for the message.

    Raises:
        InputError: another unit than percent for a column with percent signs.
    """
    for column in table.units.keys() & units:
        if units[column] != table.units[column]:
            raise errors.InputError(f"{column} has percent signs in {path}. Received: the unit {units[column]!r}")
    return dataclasses.replace(table, units={**table.units, **units})
