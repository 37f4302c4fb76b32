"""Tables of known performance: one columnar form, and a reader for anybody's CSV or Parquet file.

Local paths and gs:// addresses both work. Nothing here imports TensorFlow; pandas is imported when a table is read.
"""

from tfnas.tables.foreign import import_table, load
from tfnas.tables.paths import embedded, embedded_names, resolve
from tfnas.tables.table import SCHEMA_VERSION, Table, checksum, read, write

__all__ = [
    "SCHEMA_VERSION",
    "Table",
    "checksum",
    "embedded",
    "embedded_names",
    "import_table",
    "load",
    "read",
    "resolve",
    "write",
]
