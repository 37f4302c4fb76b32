"""An executor of local processes, each with its share of the machine's threads.

A worker gets one task at a time and sends back its result. One that dies (killed by the system for want of memory, say)
is replaced, and its task is tried once more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing import connection
from typing import Any

from tfnas import environment
from tfnas.runs.executor import Died, Start

_TRIES = 2
# Seconds that a worker may take to notice that there is no more work.
_PATIENCE = 5.0


class Processes:
    """Works tasks off in several processes of this machine.

    Args:
        workers: number of processes.
        threads: of each; 0 shares the usable cores out evenly.
    """

    def __init__(self, workers: int, threads: int = 0) -> None:
        self.workers = workers
        self.threads = threads or max(1, environment.usable_cores() // workers)

    def map(self, start: Start, tasks: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """(task, result) of every task, as they are done; `Died` for a task on which two workers died.

        Raises:
            Exception: what `start` or the function that it makes raised in a worker.
        """
        waiting = deque(_Task(task) for task in tasks)
        crew: list[_Worker] = []
        try:
            for _ in range(min(self.workers, len(tasks))):
                crew.append(_Worker(start, self.threads))
                crew[-1].give(waiting.popleft())
            while busy := {worker.pipe: worker for worker in crew if worker.task}:
                for pipe in connection.wait(list(busy)):
                    worker = busy[pipe]
                    task, result = worker.take()
                    if isinstance(result, Died):
                        task.deaths += 1
                        if again := task.deaths < _TRIES:
                            waiting.appendleft(task)
                        worker.bury()
                        crew.remove(worker)
                        if waiting:
                            worker = _Worker(start, self.threads)
                            crew.append(worker)
                        if again:
                            worker.give(waiting.popleft())
                            continue
                    if waiting:
                        worker.give(waiting.popleft())
                    yield task.content, result
        finally:
            for worker in crew:
                worker.end()
            for worker in crew:
                worker.bury()


@dataclasses.dataclass
class _Task:
    content: Any
    deaths: int = 0


class _Worker:
    """One process, seen from the parent."""

    def __init__(self, start: Start, threads: int) -> None:
        # A fresh interpreter: TensorFlow does not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, start, threads), daemon=True)
        with theirs, _no_interrupts():
            self.process.start()
        self.task: _Task | None = None

    def give(self, task: _Task) -> None:
        self.task = task
        with contextlib.suppress(OSError):  # dead already: `take` will say so
            self.pipe.send(task.content)

    def take(self) -> tuple[_Task, Any]:
        """The task at hand and its result.

        Raises:
            Exception: what it raised.
        """
        task, self.task = self.task, None
        try:
            raised, answer = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return task, Died(_ending(self.process.exitcode))
        if raised:
            raise answer
        return task, answer

    def end(self) -> None:
        """Hangs up, after which an idle worker leaves, and stops one that is busy."""
        self.pipe.close()
        if self.task:
            self.process.kill()

    def bury(self) -> None:
        self.pipe.close()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """A process started meanwhile hears no Ctrl-C, from its first moment on; this one hears of it a little later."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"the process was ended by {signal.Signals(-code).name}"
    return f"the process ended with code {code}"


def _serve(pipe: connection.Connection, start: Start, threads: int) -> None:
    """The life of a worker: one task after the other until the parent hangs up."""
    # The parent hears of Ctrl-C and of a scheduler's SIGTERM, and ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        compute = start(threads)
        while True:
            try:
                task = pipe.recv()
            except (EOFError, OSError):  # no parent, no work
                return
            pipe.send((False, compute(task)))
    except Exception as error:  # told in the parent, with the trace of this process
        error.add_note("".join(traceback.format_exception(error)))
        with contextlib.suppress(OSError):
            pipe.send((True, error))


def _end_with_parent() -> None:
    """Ends this process when its parent is gone, also in the middle of a long task."""
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
