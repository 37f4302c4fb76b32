"""Tables of known performance: one columnar form, and a reader for anybody's CSV or Parquet file.

Local paths and gs:// addresses both work. Nothing here imports TensorFlow; pandas is imported when a table is read.
"""

from tfnas.tables.foreign import as_table, load, require, take
from tfnas.tables.paths import embedded, embedded_names, is_same_file, resolve
from tfnas.tables.table import SCHEMA_VERSION, Table, checksum, columns, read, read_any, recorded_space, write

__all__ = [
    "SCHEMA_VERSION",
    "Table",
    "as_table",
    "checksum",
    "columns",
    "embedded",
    "embedded_names",
    "is_same_file",
    "load",
    "read",
    "read_any",
    "recorded_space",
    "require",
    "resolve",
    "take",
    "write",
]
