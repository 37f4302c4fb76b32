"""Many records in one small file, with where they come from and a checksum.

The columns are those of `tfnas.runs.records`, in the order of their keys. Text is stored as a dictionary, so that what
is the same in all records costs nothing; numbers byte by byte, which packs better. The key-value metadata of the file,
under "tfnas.kept", is a JSON object with the version of this form, the provenance and a SHA-256 of the content.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfnas import files, paths
from tfnas.errors import InputError, first_line
from tfnas.runs import records

if TYPE_CHECKING:  # they take their time to import
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from etils import epath

_VERSION = 1
_MARK = b"tfnas.kept"
_NUMBERS = ("score", "seconds")
SECONDS_DIGITS = 2


def write(frame: pd.DataFrame, path: epath.PathLike, provenance: Mapping[str, Any], *, digits: int = 0) -> str:
    """Writes records, whole or not at all, and returns their checksum.

    Args:
        frame: of `tfnas.runs.records.read`.
        path: Parquet file; one that is there is replaced.
        provenance: where the records come from, for JSON.
        digits: significant digits of the scores (0: all). Whole numbers are kept as they are. Seconds have two.
    """
    import pyarrow as pa
    from pyarrow import parquet

    frame = frame[list(records.COLUMNS)].sort_values(list(records.KEY), kind="stable", ignore_index=True)
    score, seconds = (frame[name].to_numpy(float) for name in _NUMBERS)
    frame = frame.assign(score=rounded(score, digits) if digits else score, seconds=rounded(seconds, SECONDS_DIGITS))
    schema = records.schema()
    # Not as pandas has it, to which NaN is nothing.
    columns = [pa.array(frame[field.name].to_numpy(), field.type, from_pandas=False) for field in schema]
    arrow = pa.Table.from_arrays(columns, schema=schema)
    header = {"version": _VERSION, "provenance": dict(provenance)}
    header["sha256"] = checksum(arrow, header)
    text = [name for name in records.COLUMNS if name not in _NUMBERS]
    buffer = io.BytesIO()
    parquet.write_table(
        arrow.replace_schema_metadata({_MARK: json.dumps(header, sort_keys=True)}),
        buffer,
        compression="zstd",
        compression_level=15,
        use_dictionary=text,
        column_encoding=dict.fromkeys(_NUMBERS, "BYTE_STREAM_SPLIT"),
        # One group and large pages, so that what repeats is found; statistics repeat long texts.
        write_statistics=False,
        row_group_size=max(1, len(frame)),
        data_page_size=2**24,
        write_page_checksum=True,
    )
    files.write_atomic(path, buffer.getvalue())
    return header["sha256"]


def read(path: epath.PathLike) -> pd.DataFrame:
    """Records of one file, sorted by key; `frame.attrs` has their "provenance" and "sha256".

    Raises:
        InputError: no such file, not one of this form or of another version of it, damaged, or content that does not
            match its checksum.
    """
    import pyarrow as pa
    from etils import epath
    from pyarrow import parquet

    file = epath.Path(paths.expand(path))
    try:
        content = io.BytesIO(file.read_bytes())
        header = _header(parquet.read_schema(content))
        if header is None:
            raise InputError(f"Not a file of kept scores: {file}. Make one with python -m launch.prepare --scores")
        if header["version"] != _VERSION:
            raise InputError(f"{file} is of version {header['version']} of kept scores. Allowed: {_VERSION}")
        arrow = parquet.read_table(content, page_checksum_verification=True)
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"Cannot read kept scores {file}: {first_line(error)}") from error
    if not arrow.schema.equals(records.schema()) or checksum(arrow, header) != header.get("sha256"):
        raise InputError(f"{file} is damaged: its content does not match its checksum. Get or make it again")
    frame = arrow.replace_schema_metadata(None).to_pandas()
    frame.attrs = {"provenance": header["provenance"], "sha256": header["sha256"], "skipped": []}
    return frame


def is_kept(path: epath.PathLike) -> bool:
    """Whether a path is a Parquet file of this form, as far as it says so itself."""
    import pyarrow as pa
    from etils import epath
    from pyarrow import parquet

    file = epath.Path(paths.expand(path))
    if file.suffix.lower() != ".parquet" or not file.exists() or file.is_dir():
        return False
    try:
        with file.open("rb") as stream:
            return _MARK in (parquet.read_schema(stream).metadata or {})
    except (pa.ArrowException, OSError):
        return False


def checksum(arrow: pa.Table, header: Mapping[str, Any]) -> str:
    """SHA-256 of names and values of all columns and of the header without its checksum, however they are stored."""
    import pyarrow.compute as pc

    digest = hashlib.sha256()

    def add(data: bytes) -> None:
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)

    add(json.dumps({key: header[key] for key in header if key != "sha256"}, sort_keys=True).encode())
    for field in dataclasses.fields(records.Record):
        column = arrow.column(field.name).combine_chunks()
        add(field.name.encode())
        if str(field.type) == "str":
            column = pc.dictionary_encode(column)  # numbered as they appear
            add(json.dumps(column.dictionary.to_pylist()).encode())
            column = column.indices
        values = column.to_numpy(zero_copy_only=False)
        add(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def rounded(values: np.ndarray, digits: int) -> np.ndarray:
    """Numbers to so many significant decimal digits, cut to the bits that these need; whole numbers stay."""
    import numpy as np

    bits = math.ceil(digits * math.log2(10)) + 1
    mantissa, exponent = np.frexp(values)
    return np.where(values == np.round(values), values, np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits))


def _header(schema: pa.Schema) -> dict | None:
    mark = (schema.metadata or {}).get(_MARK)
    return None if mark is None else json.loads(mark)
