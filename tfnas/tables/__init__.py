"""Tables of known performance: one columnar form, and a reader for anybody's CSV or Parquet file.

Local paths and gs:// addresses both work. Nothing here imports TensorFlow; pandas is imported when a table is read.
"""

from tfnas.tables.foreign import as_table, describe, load, numbers, require, signed, take, with_units
from tfnas.tables.paths import SUFFIXES, embedded, embedded_names, is_same_file, is_table, resolve
from tfnas.tables.table import SCHEMA_VERSION, Table, checksum, columns, read, read_any, recorded_space, write
from tfnas.tables.units import did_you_mean

__all__ = [
    "SCHEMA_VERSION",
    "SUFFIXES",
    "Table",
    "as_table",
    "checksum",
    "columns",
    "describe",
    "did_you_mean",
    "embedded",
    "embedded_names",
    "is_same_file",
    "is_table",
    "load",
    "numbers",
    "read",
    "read_any",
    "recorded_space",
    "require",
    "resolve",
    "signed",
    "take",
    "with_units",
    "write",
]
