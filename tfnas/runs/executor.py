"""Executors: how tasks are worked off. What is computed never depends on it.

An executor is anything with a method

    map(start: Start, tasks: Sequence[Any]) -> Iterator[tuple[Any, Any]]

that gives (task, result) for every task, in any order. `start(threads)` makes, once in each process, the function from
a task to its result; it and the tasks travel to other processes, so both must be picklable. What the function raises
ends the iteration; a process that dies, again when its task is tried once more, gives :class:`Died` as the result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

# Number of threads to compute with (0: no matter how many) -> function from a task to its result.
Start = Callable[[int], Callable[[Any], Any]]


@dataclasses.dataclass(frozen=True)
class Died:
    """The result of a task on which two processes died.

    Attributes:
        reason: how the last one ended, in words.
    """

    reason: str


class Executor(Protocol):
    """Works tasks off."""

    def map(self, start: Start, tasks: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """(task, result) of every task, in any order."""


class Serial:
    """One task after the other, in this process.

    Args:
        threads: to compute with; 0 leaves the choice to the libraries.
    """

    def __init__(self, threads: int = 0) -> None:
        self.threads = threads

    def map(self, start: Start, tasks: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """(task, result) of every task, in order."""
        compute = start(self.threads)
        for task in tasks:
            yield task, compute(task)
