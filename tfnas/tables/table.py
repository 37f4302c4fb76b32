"""The common form of tables: a Parquet file with its units, provenance and checksum.

It has a text column `arch`, unique, and columns of values. Its key-value metadata, under "tfnas.table", is a JSON
object with the version of this form, a checksum of the content, the unit of each column, the space and the provenance.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tfnas import errors
from tfnas.tables import text, units
from tfnas.tables.paths import SUFFIXES, resolve

if TYPE_CHECKING:  # pandas and etils take their time to import: only what reads or writes pays for them
    import pandas as pd
    import pyarrow as pa
    from etils import epath

SCHEMA_VERSION = 1
_MARK = b"tfnas.table"


@dataclasses.dataclass(frozen=True)
class Table:
    """Known values of architectures.

    Attributes:
        frame: column `arch` (canonical strings, unique) and the values.
        units: unit of each value column, of `units.UNITS` or "other:" and a name, e.g. {"accuracy": "percent"}.
        provenance: where the numbers come from: command, source, licence.
        space: name of the search space; "" where it is not known.
        facts: further text, e.g. {"dataset": "digits"}.
    """

    frame: pd.DataFrame
    units: Mapping[str, str]
    provenance: str
    space: str
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)


def write(table: Table, path: epath.PathLike) -> str:
    """Writes the common form, whole or not at all, and returns its checksum.

    Raises:
        InputError: the table breaks the form (no `arch`, doubled or empty keys, an unknown unit or one for an absent
            column, a column that holds neither numbers nor text).
    """
    import pyarrow as pa
    from pyarrow import parquet

    from tfnas import files

    values = _values_of(table.frame)
    if stray := sorted(set(table.units) - set(values)):
        raise errors.InputError(f"Units for columns that are not there. Received: {stray}. Columns: {values}")
    units.check(table.units)
    header = {
        "schema_version": SCHEMA_VERSION,
        "space": table.space,
        "provenance": table.provenance,
        "units": {column: table.units.get(column, units.UNKNOWN) for column in values},
        "facts": dict(table.facts),
    }
    header["sha256"] = checksum(table.frame, header)
    arrow = pa.Table.from_pandas(table.frame, preserve_index=False).replace_schema_metadata(
        {_MARK: json.dumps(header, sort_keys=True)}
    )
    buffer = io.BytesIO()
    parquet.write_table(arrow, buffer, compression="zstd", write_page_checksum=True)
    files.write_atomic(path, buffer.getvalue())
    return header["sha256"]


def read(path: epath.PathLike) -> Table:
    """Reads the common form and verifies it.

    Args:
        path: file, or the name of an embedded table.

    Raises:
        InputError: no such file, not a table of this form, another version of it, or content that does not match its
            checksum.
    """
    frame, header = read_any(path)
    if header is None:
        raise errors.InputError(
            f"Not a table of the common form: {path}. Import it with python -m launch.prepare, or give the columns of "
            "this file where a foreign CSV or Parquet file is allowed"
        )
    return Table(frame, header["units"], header["provenance"], header["space"], header["facts"])


def checksum(frame: pd.DataFrame, header: Mapping[str, object]) -> str:
    """SHA-256 of names, kinds and values of all columns and of the header without its checksum.

    It depends on the content alone, not on how Parquet happens to lay it out.
    """
    digest = hashlib.sha256()

    def add(data: bytes) -> None:
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)

    add(json.dumps({key: header[key] for key in header if key != "sha256"}, sort_keys=True).encode())
    for column in frame.columns:
        values = frame[column]
        add(column.encode())
        if values.dtype.kind in "biuf":
            array = values.to_numpy().astype(values.dtype.newbyteorder("<"))
            add(array.dtype.str.encode())
            add(array.tobytes())
        else:
            add(b"text")
            for value in values:
                add(value.encode() if isinstance(value, str) else b"\xff")
    return digest.hexdigest()


def read_any(path: epath.PathLike) -> tuple[pd.DataFrame, dict | None]:
    """Content of a CSV or Parquet file, and the header if it is of the common form.

    A foreign Parquet file has no checksum of its content; those of its pages are verified where it has them.

    Args:
        path: file, or the name of an embedded table.

    Returns:
        The content, with one line about how it was read in `frame.attrs["source"]` and the columns that had percent
        signs in `frame.attrs["percents"]`; and the header, None for foreign files.

    Raises:
        InputError: no such file, a file of another kind, torn, damaged, ambiguous (see `tables.text`), or of another
            version of the common form.
    """
    from pyarrow import parquet

    path = resolve(path)
    with _reading(path):
        if _suffix(path) != ".parquet":
            frame, dialect = text.read(path.read_bytes())
            frame.attrs = {"source": f"{path}: {dialect}", "percents": list(dialect.percents)}
            return frame, None
        arrow = parquet.read_table(io.BytesIO(path.read_bytes()), page_checksum_verification=True)
        header = _header(arrow.schema)
        frame = arrow.to_pandas()
    frame.attrs = {"source": f"{path}: Parquet without a checksum of its content", "percents": []}
    if header is not None:
        if header.get("schema_version") != SCHEMA_VERSION:
            raise errors.InputError(
                f"{path} is of version {header.get('schema_version')} of the table form. Allowed: {SCHEMA_VERSION}"
            )
        if checksum(frame, header) != header.get("sha256"):
            raise errors.InputError(f"{path} is damaged: its content does not match its checksum. Get or make it again")
        found = f"{len(frame)} architectures of {header['space'] or 'no space that it names'}"
        frame.attrs["source"] = f"{path}: {found}, {header['provenance']}, sha256 {header['sha256']}"
    return frame, header


def columns(path: epath.PathLike) -> list[str]:
    """Names of the columns of a CSV or Parquet file, without reading their values.

    Args:
        path: file, or the name of an embedded table.

    Raises:
        InputError: no such file, a file of another kind, or one that cannot be read.
    """
    from pyarrow import parquet

    path = resolve(path)
    with _reading(path), path.open("rb") as file:
        return parquet.read_schema(file).names if _suffix(path) == ".parquet" else text.columns(file.read(text.HEAD))


def recorded_space(path: epath.PathLike) -> str:
    """The search space that a table of the common form names; "" for any other file. Values are not read.

    Args:
        path: file, or the name of an embedded table.

    Raises:
        InputError: as `columns`.
    """
    from pyarrow import parquet

    path = resolve(path)
    if _suffix(path) != ".parquet":
        return ""
    with _reading(path), path.open("rb") as file:
        return (_header(parquet.read_schema(file)) or {}).get("space", "")


def _suffix(path: epath.Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise errors.InputError(f"Tables are {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} files. Received: {path}")
    return suffix


def _header(schema: pa.Schema) -> dict | None:
    mark = (schema.metadata or {}).get(_MARK)
    return None if mark is None else json.loads(mark)


@contextlib.contextmanager
def _reading(path: epath.Path) -> Iterator[None]:
    """What the readers of CSV and Parquet raise, in one line."""
    import pyarrow as pa

    try:
        yield
    except errors.InputError as error:
        raise errors.InputError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise errors.InputError(f"Cannot read {path}: {errors.first_line(error)}") from error


def _values_of(frame: pd.DataFrame) -> list[str]:
    """Names of the value columns of a frame that may become a table."""
    import numpy as np
    from pandas.api import types

    if "arch" not in frame or not types.is_string_dtype(frame["arch"]) or frame["arch"].isna().any():
        raise errors.InputError(f"A table needs a text column 'arch' without gaps. Columns: {', '.join(frame.columns)}")
    if len(doubled := frame["arch"][frame["arch"].duplicated()]):
        raise errors.InputError(f"{len(doubled)} rows repeat an architecture, the first: {doubled.iloc[0]!r}")
    for column in frame.columns:
        dtype = frame[column].dtype
        numbers = isinstance(dtype, np.dtype) and dtype.kind in "biuf"
        if not isinstance(column, str) or not (numbers or types.is_string_dtype(frame[column])):
            raise errors.InputError(f"Columns hold numbers or text. Received: {column!r} of type {dtype}")
    return [column for column in frame.columns if column != "arch"]
