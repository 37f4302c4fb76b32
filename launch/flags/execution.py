"""The flags that say how the work is done: none of them changes a record."""

from __future__ import annotations

import dataclasses

from launch import app
from launch.flags.networks import check_least, check_most
from tfnas import environment, memory
from tfnas.runs.executor import Executor, Serial
from tfnas.runs.processes import Processes
from tfnas.runs.shards import parse_shard

# No machine has more cores, and TensorFlow starts whatever it is told to.
MOST_PROCESSES = 4096


@dataclasses.dataclass(frozen=True)
class Workers:
    """With how many processes, and whether failures are tried again."""

    workers: int = app.flag(1, "processes that share the work (0: one for every two cores)")
    threads: int = app.flag(0, "threads of each process (0: all cores, shared out among the workers)")
    memory_mb: int = app.flag(
        0, "MB that each process may take for networks (0: what is free, less a reserve, shared out among the workers)"
    )
    retry: bool = app.flag(False, "compute again what ended in oom or error")

    def check(self) -> None:
        """Raises InputError for numbers that make no sense."""
        check_least(self, workers=0, threads=0, memory_mb=0)
        check_most(self, workers=MOST_PROCESSES, threads=MOST_PROCESSES)

    def start_tensorflow(self) -> None:
        """TensorFlow, if this process does the work itself: else workers would wait while it is imported."""
        if self.processes() == 1:
            environment.start_tensorflow(self.threads)

    def processes(self) -> int:
        """Number of processes that compute."""
        return self.workers or max(1, environment.usable_cores() // 2)

    def memory(self) -> int:
        """Bytes that the networks of one process may take."""
        return self.memory_mb << 20 or memory.share(self.processes())

    def executor(self) -> Executor:
        """What works the tasks off."""
        return Serial(self.threads) if self.processes() == 1 else Processes(self.processes(), self.threads)


@dataclasses.dataclass(frozen=True)
class Execution(Workers):
    """Where records go too, and which part of the work this run does."""

    output: str = app.path_flag(None, "folder for the records, local or gs://", writes="folder")
    shard: str = app.flag("0/1", "i/n: the i-th of n parts (i from 0); shards may share a folder")

    def check(self) -> None:
        """Raises InputError for what no run can be done with."""
        super().check()
        parse_shard(self.shard)
