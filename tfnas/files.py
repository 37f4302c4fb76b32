"""Files that are whole or not there, on a local disk or in a bucket."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from etils import epath

from tfnas.paths import expand

if TYPE_CHECKING:
    import numpy as np


def write_atomic(path: epath.PathLike, data: bytes, *, replace: bool = True) -> None:
    """Writes `data` under a temporary name beside `path`, flushes it to the disk and renames it.

    A reader, or a run that is killed, never meets half a file under the final name. The temporary file is removed
    again if writing fails (a full disk).

    Args:
        path: local path or gs:// address; the folder is made if needed.
        data: the whole content.
        replace: whether an existing file is replaced.

    Raises:
        InputError: as `paths.expand`.
        FileExistsError: there is a file of that name, and it is not to be replaced.
        OSError: as the file system tells it.
    """
    path = epath.Path(expand(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Drawn, as processes of several machines may share the folder, and a number.
    temporary = path.parent / f"{path.name}.{secrets.token_hex(4)}.tmp"
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            _fsync(file)
        if replace:
            temporary.replace(path)
        else:
            _rename_to_new(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _fsync_folder(path.parent)


def to_npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by their names as the content of an .npz file, for `write_atomic`."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def from_npz(content: bytes) -> dict[str, np.ndarray]:
    """The arrays in the content of an .npz file; nothing is unpickled.

    Raises:
        Exception: the content is something else, or damaged; zipfile, numpy and zlib each have errors of their own.
    """
    import numpy as np

    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        return dict(found)


def _rename_to_new(temporary: epath.Path, path: epath.Path) -> None:
    """Renames, but never onto a file: two writers of one name cannot both succeed on a local disk."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a bucket, or a file system without links: the name has to be unique by itself
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.replace(path)
    else:
        temporary.unlink()


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
