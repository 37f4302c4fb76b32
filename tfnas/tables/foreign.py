"""Anybody's CSV or Parquet file: read as it is, or turned into the common form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tfnas import errors
from tfnas.tables.paths import resolve
from tfnas.tables.table import Table, read_any, write

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
    path = resolve(path)
    frame, _ = read_any(path)
    for column in (arch_column, *columns):
        if column not in frame:
            raise errors.InputError(f"No column {column!r} in {path}. Columns: {', '.join(map(str, frame.columns))}")
    if columns:
        frame = frame[[arch_column, *(column for column in dict.fromkeys(columns) if column != arch_column)]]
    if arch_column != "arch":
        frame = frame.drop(columns="arch", errors="ignore").rename(columns={arch_column: "arch"})
    return frame


def import_table(
    source: epath.PathLike,
    out: epath.PathLike,
    *,
    arch_column: str = "arch",
    columns: Mapping[str, str] | Sequence[str] = (),
    units: Mapping[str, str] | None = None,
    provenance: str,
    space: str,
    facts: Mapping[str, str] | None = None,
) -> Table:
    """Turns a CSV or Parquet file into the common form.

    Args:
        source: file to read.
        out: file to write.
        arch_column: column of `source` with the architecture strings.
        columns: columns of `source` to take, or {name in `source`: name in the table}; none takes every column of
            numbers.
        units: unit by name in the table; a column without one is recorded as "unknown".
        provenance: where the numbers come from, in words.
        space: name of the search space.
        facts: further text for the header.

    Returns:
        What was written.

    Raises:
        InputError: as `read` and `write`.
    """
    names = dict(columns) if isinstance(columns, Mapping) else {column: column for column in columns}
    frame = load(source, arch_column=arch_column, columns=list(names))
    if not names:
        names = {column: column for column in frame.select_dtypes(["number", "bool"])}
    frame = frame[["arch", *names]].rename(columns=names)
    frame = frame.assign(arch=frame["arch"].astype("str"))
    table = Table(frame, dict(units or {}), provenance, space, dict(facts or {}))
    write(table, out)
    return table
