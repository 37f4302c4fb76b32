"""The same for many scores, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent import futures
from typing import TypeVar

from tfnas import environment

_Item, _Found = TypeVar("_Item"), TypeVar("_Found")
# Each works in memory of its own, and all share the machine's with whatever else runs there.
_MOST = 8


def run(work: Callable[[_Item], _Found], items: Sequence[_Item]) -> list[_Found]:
    """What `work` gives for each item, in their order; it must be of numpy, which lets other threads work.

    What one raises is raised; those that have not begun are not done then.
    """
    pool = futures.ThreadPoolExecutor(min(environment.usable_cores(), _MOST))
    try:
        return list(pool.map(work, items))
    finally:
        pool.shutdown(cancel_futures=True)
