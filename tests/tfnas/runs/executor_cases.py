"""Functions that travel to other processes."""

import dataclasses
import os
import pathlib
import signal
import time

from tfnas.errors import InputError


@dataclasses.dataclass(frozen=True)
class Squares:
    """Squares numbers, notes each call in `folder` and does what the task's number is down for first."""

    folder: pathlib.Path
    dies_once: tuple[int, ...] = ()
    dies: tuple[int, ...] = ()
    exits: tuple[int, ...] = ()
    raises: tuple[int, ...] = ()
    hangs: tuple[int, ...] = ()

    def __call__(self, threads):
        (self.folder / f"start-{os.getpid()}").write_text(str(threads))
        return self.compute

    def compute(self, number):
        tries = self.folder / f"task-{number}"
        with tries.open("a") as file:
            file.write(f"{os.getpid()}\n")
        first = len(tries.read_text().splitlines()) == 1
        if number in self.dies or (number in self.dies_once and first):
            os.kill(os.getpid(), signal.SIGKILL)
        if number in self.exits:
            os._exit(3)
        if number in self.raises:
            raise InputError(f"no {number}")
        while number in self.hangs:
            time.sleep(1)
        return number**2

    def tries(self, number):
        """Processes that the task was given to."""
        path = self.folder / f"task-{number}"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def processes(self):
        return {int(path.name.partition("-")[2]): path.read_text() for path in self.folder.glob("start-*")}


class NotToBePickled:
    """A result that cannot travel."""

    def __reduce__(self):
        raise TypeError("stays here")


@dataclasses.dataclass(frozen=True)
class Constant:
    """Gives a result that cannot travel."""

    def __call__(self, threads):
        return lambda task: NotToBePickled()
