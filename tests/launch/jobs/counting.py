"""A launcher whose job costs nothing: for each architecture its length and its number of bars.

What an architecture says is done first: "die" ends the process, "die once" only the first time, "hang" waits for ever,
"error" and "memory" raise, "bad" is bad input. Each call is noted in a file beside the records.
"""

import dataclasses
import os
import pathlib
import signal
import sys
import time

from launch import app
from launch.flags.execution import Execution
from launch.jobs import base, summary
from tfnas import environment
from tfnas.errors import InputError
from tfnas.runs import records

PROXIES = ("length", "bars")

if __name__ in ("__main__", "__mp_main__"):  # the program and its workers, not the tests that import this
    environment.start_tensorflow = lambda threads: None
    environment.device = lambda: "test"
    environment.out_of_memory = lambda error: isinstance(error, MemoryError)


@dataclasses.dataclass(frozen=True)
class CountingJob(base.Job):
    noun = "strings"
    flush_every = 1

    notes: str
    names: tuple[str, ...] = PROXIES
    repetitions: int = 1
    whole: bool = False
    leads: bool = True

    @property
    def repeats(self):
        return self.repetitions

    def blanks(self):
        return [records.Record("strings", "", "none", name, float("nan")) for name in self.names]

    def worker(self):
        return Counter(self)


class Counter(base.Worker):
    def __init__(self, job):
        self.job, self.leads = job, job.leads

    def compute(self, task):
        noted = "+".join(blank.proxy for blank in task.blanks)
        path = pathlib.Path(self.job.notes, f"calls-{os.getpid()}")
        with path.open("a") as file:
            file.write(f"{task.arch} {task.repeat} {noted}\n")
        died = pathlib.Path(self.job.notes, "died")
        if "die" in task.arch and not ("once" in task.arch and died.exists()):
            if "once" in task.arch:
                died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if "error" in task.arch:
            raise RuntimeError("broken\nlayer")
        if "memory" in task.arch:
            raise MemoryError("all of it")
        if "bad" in task.arch:
            raise InputError("labels do not fit")
        while "hang" in task.arch and not pathlib.Path(self.job.notes, "go").exists():
            time.sleep(0.05)
        values = {"length": len(task.arch), "bars": task.arch.count("|")}
        return [{"score": values[blank.proxy] + 0.1 * task.repeat, "seconds": 1.0} for blank in task.blanks]


def calls(notes):
    """[(architecture, repeat, proxies)] of all calls so far, by all processes."""
    lines = [line for path in sorted(pathlib.Path(notes).glob("calls-*")) for line in path.read_text().splitlines()]
    return [tuple(line.rsplit(" ", 2)) for line in lines]


@dataclasses.dataclass(frozen=True)
class Config(Execution):
    archs: tuple[str, ...] = app.flag((), "strings")
    notes: str = app.flag(None, "folder for notes")


def run(config):
    job = CountingJob(config.notes)
    base.run(job, config.archs, config)
    return summary.tell(job.results(config.archs, config.output), config.output)


if __name__ == "__main__":
    sys.exit(app.launch(Config, run, __doc__))
