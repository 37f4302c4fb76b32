"""The flags that say how the work is done: none of them changes a record."""

from __future__ import annotations

import dataclasses

from launch import app
from launch.flags.networks import check_least
from tfnas import environment
from tfnas.runs.executor import Executor, Serial
from tfnas.runs.processes import Processes
from tfnas.runs.shards import parse_shard


@dataclasses.dataclass(frozen=True)
class Workers:
    """With how many processes, and whether failures are tried again."""

    workers: int = app.flag(1, "processes that share the work (0: one for every two cores)")
    threads: int = app.flag(0, "threads of each process (0: all cores, shared out among the workers)")
    retry: bool = app.flag(False, "compute again what ended in oom or error")

    def check(self) -> None:
        """Raises InputError for numbers that make no sense."""
        check_least(self, workers=0, threads=0)

    def start_tensorflow(self) -> None:
        """TensorFlow in this process, with its threads where it does the work itself."""
        environment.start_tensorflow(self.threads if self.processes() == 1 else 0)

    def processes(self) -> int:
        """Number of processes that compute."""
        return self.workers or max(1, environment.usable_cores() // 2)

    def executor(self) -> Executor:
        """What works the tasks off."""
        return Serial(self.threads) if self.processes() == 1 else Processes(self.processes(), self.threads)


@dataclasses.dataclass(frozen=True)
class Execution(Workers):
    """Where records go too, and which part of the work this run does."""

    output: str = app.flag(None, "folder for the records, local or gs://")
    shard: str = app.flag("0/1", "i/n: the i-th of n parts (i from 0); shards may share a folder")

    def check(self) -> None:
        """Raises InputError for what no run can be done with."""
        super().check()
        parse_shard(self.shard)
