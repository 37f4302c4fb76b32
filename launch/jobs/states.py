"""Jobs that train, whose trainings keep their states until their records have been written."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import proxies
from launch.jobs.base import Job, Task, Worker, blank
from tfnas.runs import records

if TYPE_CHECKING:
    import numpy as np
    from etils import epath

    from tfnas.data import lazy
    from tfnas.networks.graph import Graph
    from tfnas.training import Checkpoint, Recipe


@dataclasses.dataclass(frozen=True)
class KeptJob(Job):
    """A job whose trainings can go on from states.

    Attributes:
        settings: of the trainings.
        output: folder of the records, in which trainings under way keep their state; "" for none.
        checkpoint_seconds: between two states.
        parts: trainings of a task, which keep a state each.
    """

    noun = "trainings"
    parts: ClassVar[int] = 1

    settings: Any
    output: str = ""
    checkpoint_seconds: float = 600.0

    @property
    def repeats(self) -> int:
        return self.settings.repeats

    def blank(self, name: str, recipe: Recipe, **options: Any) -> records.Record:
        """The record of a score of a training by a recipe, without architecture, repeat and values."""
        settings = self.settings
        options["training"] = recipe.options() | {"train_split": settings.train_split}
        if settings.dtype != "float32":
            options["dtype"] = settings.dtype
        drawn = {"seed": settings.seed, "init": settings.scheme(), "batch_size": recipe.batch_size}
        return blank(settings, name, options, bn=proxies.get(name).bn, **drawn)

    def checkpoints(self, task: Task) -> list[Checkpoint]:
        """Where the trainings of a task keep their states; none where nothing is kept."""
        from tfnas import training

        if not self.output:
            return []
        # The blanks of all that is asked for: what is recorded already does not change the training.
        keys, found = [task.fill(blank).key for blank in self.blanks()], []
        for part in range(self.parts):
            identity = json.dumps(keys if not part else [keys, part])
            name = hashlib.sha256(identity.encode()).hexdigest()[:32]
            found.append(training.Checkpoint(self._folder() / f"{name}.state", identity, self.checkpoint_seconds))
        return found

    def _folder(self) -> epath.Path:
        from etils import epath

        return epath.Path(self.output) / "checkpoints"

    def tidy(self, tasks: Sequence[Task]) -> list[Task]:
        """Removes the states of trainings whose records have been written; gives those that still wait for theirs."""
        if not (self.output and self._folder().is_dir()):
            return []
        known, waiting, blanks = records.done(self.output, retry=True), [], self.blanks()
        for task in tasks:
            if all(task.fill(blank).key in known for blank in blanks):
                for checkpoint in self.checkpoints(task):
                    checkpoint.remove()
            else:
                waiting.append(task)
        with contextlib.suppress(OSError, ValueError):  # other states are in it
            self._folder().rmdir()
        return waiting


class KeptWorker(Worker):
    """Trains one network after the other.

    Attributes:
        job: what is done.
        settings: of it.
        finished: tasks whose states are there until their records are written.
    """

    def __init__(self, job: KeptJob) -> None:
        self.job, self.settings = job, job.settings
        self.finished: list[Task] = []

    def compute(self, task: Task) -> list[dict[str, Any]]:
        if self.finished:
            self.finished = self.job.tidy(self.finished)
        return self.train(task)

    @abc.abstractmethod
    def train(self, task: Task) -> list[dict[str, Any]]:
        """What `compute` gives; adds a task that leaves a state to `finished`."""


def placed(images: np.ndarray | lazy.Images, labels: np.ndarray, dtype: str) -> tuple[Any, np.ndarray]:
    """Images to train on [N, H, W, C], on the device once for all networks unless they stay in their files."""
    import tensorflow as tf

    from tfnas.data import lazy

    return images if isinstance(images, lazy.Images) else tf.constant(images, dtype), labels


def require(graph: Graph, recipe: Recipe, precision: str, test_batch: int = 1) -> None:
    """Refuses to begin a training for which there is not enough memory.

    Raises:
        MemoryError: it would not fit.
    """
    from tfnas import memory
    from tfnas.engine.memory import training as training_memory

    needed = training_memory(graph, recipe.batch_size, test_batch, 8 if precision == "float64" else 4)
    memory.require(needed, f"training on {recipe.batch_size} images at once")
