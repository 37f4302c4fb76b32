"""How much memory the work on networks may take, and the refusal of what would take more.

Linux ends a process that takes too much without a word. So what is about to run says first what it will take, by the
shapes alone (`tfnas.engine.memory`), and is refused with a MemoryError where that is more than is left. The memory of
GPUs is not looked at: TensorFlow refuses what does not fit there.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import threading
import weakref
from collections.abc import Iterator

# For TensorFlow itself, traced functions and whatever else runs on the machine; of little memory at most one half.
_RESERVE = 1 << 30
# Of Linux' control groups by their controller: where they are, and the files of the limit, the use, what is cached.
_GROUPS = {
    "": (pathlib.Path("/sys/fs/cgroup"), ("memory.max", "memory.current", "inactive_file")),
    "memory": (
        pathlib.Path("/sys/fs/cgroup/memory"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ),
}

_lock = threading.Lock()
_limit = 0
_held = 0


def share(processes: int = 1) -> int:
    """Bytes that each of some processes may take: what is free, less a reserve."""
    free = available() // processes
    return free - min(_RESERVE, free // 2)


@contextlib.contextmanager
def limit(size: int) -> Iterator[None]:
    """Inside, the process may hold this many bytes of networks (0: what is free, less a reserve)."""
    global _limit
    before, _limit = _limit, size
    try:
        yield
    finally:
        _limit = before


def left() -> int:
    """Bytes that may still be taken."""
    return max(0, _limit - _held) if _limit else share()


def require(size: int, what: str) -> None:
    """Refuses what does not fit.

    Args:
        size: bytes that it will take.
        what: it is, for people.

    Raises:
        MemoryError: less is left.
    """
    if size > (spare := left()):
        raise MemoryError(f"{what}: about {megabytes(size)} MB needed, {megabytes(spare)} MB left (--memory_mb)")


def hold(owner: object, size: int) -> None:
    """Counts bytes as taken for as long as their owner lives."""
    _count(size)
    weakref.finalize(owner, _count, -size).atexit = False


def block(wanted: int, fixed: int, each: int, what: str) -> int:
    """How many of the examples wanted fit at once.

    Args:
        wanted: examples, 1 or more.
        fixed: bytes whatever their number.
        each: bytes for each.
        what: it is, for people.

    Raises:
        MemoryError: not one fits.
    """
    fitting = (left() - fixed) // each if each else wanted
    if fitting < 1:
        require(fixed + each, what)
    return max(1, min(wanted, fitting))


def megabytes(size: int) -> int:
    """Rounded up."""
    return -(-size >> 20)


def _count(size: int) -> None:
    global _held
    with _lock:
        _held += size


def available() -> int:
    """Bytes free on this machine, or in the control group of this process where that allows less."""
    try:
        lines = pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):  # not Linux: half of the machine
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return max(0, min([free, *_group_limits()]))


def _group_limits() -> Iterator[int]:
    """Bytes free in each control group that this process is in; files kept in memory count as free."""
    try:
        entries = [line.split(":", 2) for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in entries:
        if controllers in _GROUPS:  # "": version 2
            root, names = _GROUPS[controllers]
            own = root / path.strip("/")
            for folder in (own, *own.parents):
                if folder.is_relative_to(root):
                    yield from _group_limit(folder, *names)


def _group_limit(folder: pathlib.Path, most: str, used: str, cached: str) -> Iterator[int]:
    try:
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        yield int((folder / most).read_text()) - int((folder / used).read_text()) + int(stat.get(cached, 0))
    except (OSError, ValueError):  # not there, or "max"
        return
