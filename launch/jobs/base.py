"""What a job is, and the loop that runs every job: what is done, shards, executor, failures, records, progress.

A job says which records it gives of each architecture (their keys are all settings that could change them) and how a
process computes them. The loop leaves out what the folder holds, and nothing that goes wrong with one architecture ends
it: a failure becomes the status of its records.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import hashlib
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tfnas import environment, memory
from tfnas.errors import InputError
from tfnas.progress import Progress
from tfnas.runs import locks, records
from tfnas.runs.executor import Died
from tfnas.runs.shards import in_shard, parse_shard

if TYPE_CHECKING:
    import pandas as pd

    from launch.flags.execution import Execution
    from launch.flags.networks import Networks


def narrow(config: Any, settings: type) -> Any:
    """Of a launcher's config the fields of one group of settings, as that group."""
    return settings(**{field.name: getattr(config, field.name) for field in dataclasses.fields(settings)})


def blank(settings: Networks, proxy: str, options: Mapping[str, Any], **more: Any) -> records.Record:
    """A record of a network, without architecture, repeat and values.

    Args:
        settings: of the networks.
        proxy: what the record is of.
        options: settings that are in its key beside the classes and the images of the network.
        **more: other fields.
    """
    network = settings.network()
    options = {"classes": network.classes, "input_shape": network.input_shape, **options}
    return records.Record(
        space=settings.space,
        arch="",
        dataset=settings.dataset,
        proxy=proxy,
        score=math.nan,
        width=network.width,
        depth=network.depth,
        flavour=network.flavour,
        options=records.dump_options(options),
        **more,
    )


@dataclasses.dataclass(frozen=True)
class Task:
    """What is done in one go.

    Attributes:
        arch: the architecture.
        repeat: index of the independent initialisation.
        blanks: the records that are to come, as `Job.blanks` gives them: tasks share them.
    """

    arch: str
    repeat: int
    blanks: tuple[records.Record, ...]

    def fill(self, blank: records.Record, **values: Any) -> records.Record:
        """The record of this task that a blank becomes."""
        return dataclasses.replace(blank, arch=self.arch, repeat=self.repeat, **values)


class Worker(abc.ABC):
    """Computes tasks in one process; what many of them need is set up once.

    Attributes:
        leads: whether this process writes the records, where several compute the same ones together.
    """

    leads = True

    @abc.abstractmethod
    def compute(self, task: Task) -> list[dict[str, Any]]:
        """For each blank of the task, in order, the values of its record.

        Raises:
            InputError: the run makes no sense and has to end.
            Exception: anything else becomes the status of the task's records.
        """


class Job(abc.ABC):
    """Something that is done to architectures. Jobs travel to other processes and hold settings alone.

    Attributes:
        settings: what is done, and how: a group of flags, with the data set that it is of and a `check`.
        noun: what the progress bar counts.
        whole: whether a task with any record missing is done anew with all of them.
        flush_every: records that may wait to be written: few where they are dear.
        alone: why its tasks run one at a time, where they have to.
    """

    noun: ClassVar[str] = "networks"
    whole: ClassVar[bool] = False
    flush_every: ClassVar[int] = 500

    settings: Any

    @property
    def alone(self) -> str:
        return ""

    @property
    def title(self) -> str:
        """What it does, in a few words for people."""
        return f"{type(self).__name__} on {self.settings.dataset}"

    @property
    def repeats(self) -> int:
        """Independent initialisations of each architecture."""
        return 1

    @abc.abstractmethod
    def blanks(self) -> list[records.Record]:
        """The records of an architecture, without architecture, repeat and values."""

    @abc.abstractmethod
    def worker(self) -> Worker:
        """What computes in this process; may be expensive."""

    def tasks(self, archs: Sequence[str]) -> list[Task]:
        """Everything to do about these architectures."""
        blanks = tuple(self.blanks())
        return [Task(arch, repeat, blanks) for arch in archs for repeat in range(self.repeats)]

    def tidy(self, tasks: Sequence[Task]) -> list[Task]:
        """Removes what tasks have left beside their records that these make needless; gives those that still wait."""
        return []

    def warnings(self, found: pd.DataFrame) -> list[str]:
        """What to say of its records, as `results` gives them, beside failures."""
        return []

    def results(self, archs: Sequence[str], folder: str) -> pd.DataFrame:
        """The records in a folder that this job gives of these architectures, and no others.

        `attrs["skipped"]` is that of `records.read`, `attrs["asked"]` how many records there should be.
        """
        keys = {task.fill(blank).key for task in self.tasks(archs) for blank in task.blanks}
        frame = records.read(folder)
        wanted = [key in keys for key in frame[list(records.KEY)].itertuples(index=False, name=None)]
        found = frame.loc[wanted].reset_index(drop=True)
        found.attrs = frame.attrs | {"asked": len(keys)}
        return found


def run(job: Job, archs: Sequence[str], execution: Execution) -> None:
    """Does a job into `execution.output`, leaving out what is there already.

    Args:
        job: what is done.
        archs: strings of the space; those of other shards are passed over.
        execution: where and with what.

    Raises:
        InputError: the same run is at work in this folder, or the job finds its settings wrong.
    """
    if job.alone and execution.processes() > 1:
        told = f"warning: {job.noun} are found by one process: {job.alone}. Received: --workers={execution.workers}"
        print(told, file=sys.stderr)
        execution = dataclasses.replace(execution, workers=1)
    index, count = parse_shard(execution.shard)
    tasks = job.tasks([arch for arch in archs if in_shard(arch, index, count)])
    with _alone(job, archs, execution):
        known = records.done(execution.output, retry=execution.retry)
        left = [_left(task, known, job.whole) for task in tasks]
        todo = [task for task in left if task.blanks]
        ready = len(tasks) - len(todo)
        if known:
            found = f"{len(known)} records found; {ready} of {len(tasks)} {job.noun} are done"
            print(f"{execution.output}: {found}", flush=True)
        if not todo:
            job.tidy(tasks)
            return
        with (
            records.Writer(execution.output, f"{index}of{count}", every=job.flush_every) as writer,
            Progress(job.noun, len(tasks), done=ready) as bar,
            contextlib.closing(execution.executor().map(Start(job, execution.memory()), todo)) as results,
        ):
            for task, found in results:
                writer.add(record for record in _records(task, found) if record.key not in known)
                bar.advance()
        job.tidy(tasks)


def _left(task: Task, known: set[tuple], whole: bool) -> Task:
    missing = tuple(blank for blank in task.blanks if task.fill(blank).key not in known)
    untouched = len(missing) == len(task.blanks)
    return task if untouched or (whole and missing) else dataclasses.replace(task, blanks=missing)


def _alone(job: Job, archs: Sequence[str], execution: Execution) -> contextlib.AbstractContextManager[None]:
    """No other process does the very same at this time; processes of a cluster work together."""
    from etils import epath

    parts = [repr(job), *archs, execution.shard, os.environ.get("TF_CONFIG", "")]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    epath.Path(execution.output).mkdir(parents=True, exist_ok=True)
    return locks.only_run(execution.output, digest)


@dataclasses.dataclass(frozen=True)
class Start:
    """Makes a job's worker in a process, and of it the function from a task to its records.

    Attributes:
        job: what is done.
        memory: bytes that the networks of each process may take (0: what is free, less a reserve).
    """

    job: Job
    memory: int = 0

    def __call__(self, threads: int) -> _Attempt:
        environment.start_tensorflow(threads)
        return _Attempt(self.job.worker(), self.memory)


@dataclasses.dataclass(frozen=True)
class _Attempt:
    worker: Worker
    memory: int

    def __call__(self, task: Task) -> list[records.Record]:
        """The records of a task; none where another process writes them."""
        try:
            with memory.limit(self.memory):
                values = self.worker.compute(task)
        except InputError:
            raise
        except Exception as error:  # whatever breaks one architecture must not take the run down
            environment.raise_interruption(error)
            values = [failure(error)] * len(task.blanks)
        return _filled(task, values, environment.device()) if self.worker.leads else []


def _records(task: Task, found: list[records.Record] | Died) -> list[records.Record]:
    if not isinstance(found, Died):
        return found
    return _filled(task, [{"status": "error", "message": found.reason}] * len(task.blanks), "")


def _filled(task: Task, values: Sequence[dict[str, Any]], device: str) -> list[records.Record]:
    common = {"device": device} | versions()
    return [task.fill(blank, **common | found) for blank, found in zip(task.blanks, values, strict=True)]


def failure(error: Exception) -> dict[str, Any]:
    """Values of a record that an exception has ended."""
    status = "oom" if environment.out_of_memory(error) else "error"
    message = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    return {"score": math.nan, "status": status, "message": message}


def versions() -> dict[str, str]:
    """What made a record, as it has it."""
    return {f"{name}_version": environment.version(name) for name in ("tfnas", "tensorflow", "keras")}
