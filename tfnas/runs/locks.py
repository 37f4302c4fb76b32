"""A lock that two equal runs on one folder cannot both hold; the system lets go of it when its process ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from etils import epath

from tfnas.errors import InputError


@contextlib.contextmanager
def only_run(folder: epath.PathLike, name: str) -> Iterator[None]:
    """Holds the lock `name` of a folder; without effect where the folder is no local one.

    Raises:
        InputError: another process holds it.
    """
    path = os.path.join(os.fspath(folder), f".lock-{name}")
    descriptor = _acquire(path)
    if descriptor is None:
        yield
        return
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        # While it is held: whoever has opened the file meanwhile sees that it is no longer the one in the folder.
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(descriptor)


def _acquire(path: str) -> int | None:
    """Descriptor of the locked file; None where the system has no locks for it (a bucket, some network disks)."""
    try:
        import fcntl
    except ImportError:
        return None
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            raise InputError(
                f"The same run is at work in {os.path.dirname(path)} already (process {holder or 'unknown'}). "
                "Wait for it, or share the work with --shard=i/n or --workers=N"
            ) from None
        except FileNotFoundError:  # its holder has just removed it
            pass
        except OSError:
            os.close(descriptor)
            return None
        os.close(descriptor)
