"""Records of scored architectures, in immutable Parquet part files.

A folder of records holds files `part-<shard>-<writer>-<number>.parquet`, each written whole or not at all and never
touched again. The writer's name is drawn anew by each, so that any number of them may write to one folder at a time. A
run that is killed loses at most the records it had not flushed; starting it again skips what is there. Parts merge by
being read together. Local paths and gs:// addresses both work.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from etils import epath

from tfnas import files, paths

if TYPE_CHECKING:  # pandas and pyarrow take a second to import: only what reads or writes pays for them
    import pandas as pd
    import pyarrow as pa

STATUSES = ("ok", "nan", "oom", "error")
# "nan" is a property of the network; these may be of the moment.
FAILURES = ("oom", "error")

# What identifies a score: two records with the same key hold the same number, whoever computed it.
KEY = (
    "space",
    "arch",
    "dataset",
    "proxy",
    "seed",
    "repeat",
    "init",
    "bn",
    "batch_size",
    "width",
    "depth",
    "flavour",
    "options",
)
# What differs between two undisturbed runs of the same command.
HOST = ("seconds", "tfnas_version", "tensorflow_version", "keras_version", "device")

_SCHEMA_VERSION = "2"
_MARK = b"tfnas.records"
# What `files.write_atomic` leaves behind where it is killed. No write takes an hour.
_UNFINISHED = re.compile(r"(part-.+\.parquet|(config|environment).*\.json)\.[0-9a-f]{8}\.tmp")
_DEAD_AFTER = 3600.0


@dataclasses.dataclass(frozen=True)
class Record:
    """One proxy of one architecture, with every setting that could change the score.

    Attributes:
        space, arch: name of the search space and canonical string of the architecture.
        dataset, proxy: names.
        score: higher is better; NaN unless status is "ok".
        status: "ok", "nan" (the proxy is not finite here), "oom" (memory ran out) or "error".
        message: why, where status is not "ok".
        details: further numbers behind the score, as JSON.
        seed: base seed of the run. The network's own seed derives from it, the architecture and `repeat`.
        repeat: index of the independent initialisation.
        init, bn: initialisation scheme and batch-normalisation mode.
        batch_size, width, depth, flavour: of the batch and of the network, as used (defaults filled in).
        options: the settings not named above, as JSON with sorted keys (see :func:`dump_options`).
        seconds: wall time this proxy took.
        device: what it ran on.
    """

    space: str
    arch: str
    dataset: str
    proxy: str
    score: float
    status: str = "ok"
    message: str = ""
    details: str = "{}"
    seed: int = 0
    repeat: int = 0
    init: str = ""
    bn: str = ""
    batch_size: int = 0
    width: int = 0
    depth: int = 0
    flavour: str = ""
    options: str = "{}"
    seconds: float = 0.0
    tfnas_version: str = ""
    tensorflow_version: str = ""
    keras_version: str = ""
    device: str = ""

    @property
    def key(self) -> tuple:
        return tuple(getattr(self, column) for column in KEY)


COLUMNS = tuple(field.name for field in dataclasses.fields(Record))


def dump_options(options: Mapping[str, Any]) -> str:
    """The one text that stands for these options, whatever their order."""
    return json.dumps(dict(options), sort_keys=True, separators=(",", ":"))


class Writer:
    """Adds records to a folder. Use as a context manager: leaving it, also by an exception, flushes.

    Args:
        folder: made if needed; other writers may use it at the same time. Temporary files of runs that were killed
            while they wrote are removed from it, once they are an hour old.
        shard: shown in the names of this writer's part files.
        every: flush once this many records wait.
        seconds: flush once this long has passed since the last flush.
    """

    def __init__(self, folder: epath.PathLike, shard: str = "0of1", *, every: int = 500, seconds: float = 60.0) -> None:
        self.folder = epath.Path(paths.expand(folder))
        self.shard, self.every, self.seconds = shard, every, seconds
        self._waiting: list[Record] = []
        self._flushed = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        # In the order in which runs were started; the draw keeps apart those of one second.
        self._name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}{secrets.token_hex(4)}"
        self._number = 0
        self._failed = False
        _remove_unfinished(self.folder)

    def add(self, records: Iterable[Record]) -> None:
        """Takes records that belong together (all of one network): they land in the same part."""
        self._waiting.extend(records)
        if len(self._waiting) >= self.every or time.monotonic() - self._flushed >= self.seconds:
            self.flush()

    def flush(self) -> None:
        """Writes what waits as one part.

        Raises:
            OSError: the disk is full, or the like. Parts written before are untouched.
        """
        if not self._waiting:
            return
        import pyarrow as pa
        from pyarrow import parquet

        buffer = io.BytesIO()
        rows = [dataclasses.asdict(record) for record in self._waiting]
        parquet.write_table(pa.Table.from_pylist(rows, schema=schema()), buffer, write_page_checksum=True)
        path = self.folder / f"part-{self.shard}-{self._name}-{self._number:05d}.parquet"
        # Counted first: who is interrupted between writing and noting it writes again, under another name.
        self._number += 1
        self._failed = True
        files.write_atomic(path, buffer.getvalue(), replace=False)
        self._failed = False
        self._waiting.clear()
        self._flushed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Where flushing failed, trying again would only hide it.
        if not (self._failed and isinstance(error, OSError)):
            self.flush()


def read(folder: epath.PathLike, *, stable: bool = False) -> pd.DataFrame:
    """All records of a folder, sorted by key.

    Of several records with one key the first wins, by the order of part names; but a failure (oom, error) yields to a
    score. Files that cannot be read as records are skipped and left alone; `frame.attrs["skipped"]` has one line for
    each.

    Args:
        folder: local path or gs:// address; missing or empty gives an empty frame.
        stable: drop the columns that time and host decide (`HOST`), so that runs can be compared bit for bit.
    """
    columns = [column for column in COLUMNS if not (stable and column in HOST)]
    frame, skipped = _merge(folder, columns)
    frame = once(frame)
    frame.attrs["skipped"] = skipped
    return frame


def once(frame: pd.DataFrame) -> pd.DataFrame:
    """Records sorted by key. Of several with one key the first wins; but a failure yields to a score."""
    frame = frame.sort_values("status", key=lambda status: status.isin(FAILURES), kind="stable")
    return frame.drop_duplicates(list(KEY)).sort_values(list(KEY), kind="stable", ignore_index=True)


def done(folder: epath.PathLike, *, retry: bool = False) -> set[tuple]:
    """Keys of the records in a folder, as `Record.key` gives them; with `retry`, failures do not count."""
    frame, _ = _merge(folder, [*KEY, "status"])
    if retry:
        frame = frame[~frame.status.isin(FAILURES)]
    return set(frame[list(KEY)].itertuples(index=False, name=None))


def _remove_unfinished(folder: epath.Path) -> None:
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name):
            with contextlib.suppress(OSError):  # another run was faster, or the folder is not ours
                if path.stat().mtime < time.time() - _DEAD_AFTER:
                    path.unlink()


def _merge(folder: epath.PathLike, columns: list[str]) -> tuple[pd.DataFrame, list[str]]:
    import pyarrow as pa

    tables, skipped = [schema().empty_table().select(columns)], []
    folder = epath.Path(paths.expand(folder))
    for path in sorted(folder.iterdir(), key=lambda path: path.name) if folder.is_dir() else ():
        if path.name.endswith(".parquet"):
            if path.is_dir():
                skipped.append(f"{path}: not a file")
                continue
            content = path.read_bytes()
            try:
                tables.append(_parse_part(content, columns))
            except (pa.ArrowException, OSError, ValueError) as error:  # Arrow has plain OSErrors for torn content
                skipped.append(f"{path}: not a whole file of records ({str(error).splitlines()[0]})")
    return pa.concat_tables(tables).to_pandas(), skipped


def _parse_part(content: bytes, columns: list[str]) -> pa.Table:
    from pyarrow import parquet

    file = parquet.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
    mark = (file.schema_arrow.metadata or {}).get(_MARK, b"").decode()
    if mark != _SCHEMA_VERSION:
        raise ValueError(f"schema version {mark or 'none'}, expected {_SCHEMA_VERSION}")
    if not file.schema_arrow.equals(schema()):
        raise ValueError("other columns")
    return file.read(columns=columns)


def schema() -> pa.Schema:
    """Columns of a part file."""
    import pyarrow as pa

    types = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
    fields = [pa.field(field.name, types[str(field.type)], nullable=False) for field in dataclasses.fields(Record)]
    return pa.schema(fields, metadata={_MARK: _SCHEMA_VERSION})
