"""Files that are whole or not there, on a local disk or in a bucket."""

import contextlib
import io
import os

from etils import epath


def write_atomic(path: epath.PathLike, data: bytes) -> None:
    """Writes `data` under a temporary name beside `path`, flushes it to the disk and renames it.

    A reader, or a run that is killed, never meets half a file under the final name. The temporary file is removed
    again if writing fails (a full disk).

    Args:
        path: local path or gs:// address; the folder is made if needed. An existing file is replaced.
        data: the whole content.

    Raises:
        OSError: as the file system tells it.
    """
    path = epath.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{path.name}.{os.getpid()}.tmp"
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            _fsync(file)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _fsync_folder(path.parent)


def _fsync(file: io.IOBase) -> None:
    # Files in a bucket have no descriptor and are durable once closed.
    with contextlib.suppress(AttributeError, io.UnsupportedOperation):
        os.fsync(file.fileno())


def _fsync_folder(folder: epath.Path) -> None:
    """Makes a rename durable, where folders can be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
