"""Training: each architecture for a few epochs, as often as there are repeats."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from launch.flags.training import Training, after
from launch.jobs.base import Job, Task, Worker
from tfnas import seeds
from tfnas.runs import records

if TYPE_CHECKING:
    from etils import epath

    from tfnas.networks.graph import Graph
    from tfnas.training import Checkpoint, Trainer


@dataclasses.dataclass(frozen=True)
class TrainJob(Job):
    """Trains architectures and measures how accurate they become, in percent.

    Attributes:
        settings: of the trainings.
        output: folder of the records, in which trainings under way keep their state; "" for none.
        checkpoint_seconds: between two states.
    """

    noun = "trainings"
    whole = True

    settings: Training
    output: str = ""
    checkpoint_seconds: float = 600.0

    @property
    def repeats(self) -> int:
        return self.settings.repeats

    def blanks(self) -> list[records.Record]:
        settings, network = self.settings, self.settings.network()
        train_split, val_split, test_split = settings.splits()
        options = settings.options()
        options |= {"train_split": train_split, "classes": network.classes, "input_shape": network.input_shape}
        measured = {"train_accuracy": train_split, "val_accuracy": val_split, "test_accuracy": test_split}
        return [
            records.Record(
                space=settings.space,
                arch="",
                dataset=settings.dataset,
                proxy=name,
                score=math.nan,
                seed=settings.seed,
                init=settings.scheme(),
                bn="batch",
                batch_size=settings.to_recipe().batch_size,
                width=network.width,
                depth=network.depth,
                flavour=network.flavour,
                options=records.dump_options(options | {"split": measured[name.partition("_epoch")[0]]}),
            )
            for name in settings.measures()
        ]

    def worker(self) -> Worker:
        return _Trainings(self)

    def checkpoint(self, task: Task) -> Checkpoint | None:
        """Where a training keeps its state."""
        from tfnas import training

        if not self.output:
            return None
        # The blanks of all that is asked for: what is recorded already does not change the training.
        identity = json.dumps([task.fill(blank).key for blank in self.blanks()])
        name = hashlib.sha256(identity.encode()).hexdigest()[:32]
        return training.Checkpoint(self._folder() / f"{name}.state", identity, self.checkpoint_seconds)

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
                self.checkpoint(task).remove()
            else:
                waiting.append(task)
        with contextlib.suppress(OSError, ValueError):  # other states are in it
            self._folder().rmdir()
        return waiting


class _Trainings(Worker):
    """Trains one network after the other on the same images."""

    def __init__(self, job: TrainJob) -> None:
        import tensorflow as tf

        from tfnas import data, devices, training

        self.job, self.settings = job, job.settings
        settings = job.settings
        self.strategy = devices.strategy(settings.strategy)  # before anything runs on a device
        if settings.strategy == "mirrored" and self.strategy is None:
            print("--strategy=mirrored: there is one device, which does all the work", file=sys.stderr, flush=True)
        named = zip(("train", "val", "test"), settings.splits(), strict=True)
        folder = settings.data_dir or None
        self.images = {name: data.load(settings.dataset, split, data_dir=folder) for name, split in named if split}
        # On the device once, whatever the number of networks.
        images, labels = self.images["train"]
        self.images["train"] = tf.constant(images, training.PRECISIONS[settings.precision]), labels
        self.arch, self.graph, self.trainer = "", None, None
        self.finished: list[Task] = []  # whose state is there until their records are written

    def compute(self, task: Task) -> list[dict[str, Any]]:
        from tfnas.networks import weights

        settings = self.settings
        # As in NAS-Bench-201, all architectures are trained with the same seeds: the same order of images and the same
        # stream of initial weights, so that chance divides them less. Scores take seeds of their own.
        seed = seeds.derive_seed(settings.seed, "train", task.repeat)
        if self.finished:
            self.finished = self.job.tidy(self.finished)
        try:
            graph, trainer = self._trainer(task.arch)
            trainer.start(weights.initialize(graph, settings.scheme(), seed))
            if self._train(trainer, seed, self.job.checkpoint(task)):
                self.finished.append(task)
        except Exception:
            self.arch = ""  # what is left of the trainer is not used again
            raise
        return [self._values(trainer, blank.proxy) for blank in task.blanks]

    def _train(self, trainer: Trainer, seed: int, checkpoint: Checkpoint | None) -> bool:
        """Trains, and notes all accuracies that are asked for; tells whether it has left a state."""
        settings, resumed = self.settings, checkpoint is not None and trainer.resume(checkpoint)
        held_out = self.images.get("val") if settings.stop_on == "val_accuracy" else None
        epochs = trainer.run(self.images["train"], held_out, seed=seed, stop=settings.rules(), checkpoint=checkpoint)
        for epoch in epochs:
            if epoch.epoch in settings.measured_epochs:
                trainer.notes |= {after(name, epoch.epoch): value for name, value in self._measure(trainer).items()}
        trainer.notes |= self._measure(trainer)
        taken = sum(epoch.seconds for epoch in trainer.history)
        if left := checkpoint is not None and (resumed or taken >= checkpoint.seconds):
            trainer.save(checkpoint)
        return left

    def _measure(self, trainer: Trainer) -> dict[str, float]:
        """All accuracies after the last epoch so far, as fractions."""
        epoch = trainer.history[-1]
        found = {"train_accuracy": epoch.train_accuracy}
        if math.isfinite(epoch.train_loss):
            found |= {
                f"{name}_accuracy": trainer.evaluate(self.images[name])
                for name in ("test", "val")
                if name in self.images
            }
        return found

    def _values(self, trainer: Trainer, measure: str) -> dict[str, Any]:
        """The record of one accuracy."""
        epoch = measure.partition("_epoch")[2]
        history = trainer.history[: int(epoch)] if epoch else trainer.history
        details = {"epochs": len(history), "train_loss": history[-1].train_loss}
        found = {"seconds": sum(entry.seconds for entry in history), "score": math.nan, "status": "nan"}
        if epoch and len(trainer.history) < int(epoch):
            return found | {"message": f"ended after epoch {len(history)}: {history[-1].stopped}"}
        if not math.isfinite(history[-1].train_loss):
            return found | {"message": history[-1].stopped}
        if not epoch and history[-1].stopped:
            details["stopped"] = history[-1].stopped
        details = records.dump_options(details)
        return found | {"score": 100 * trainer.notes[measure], "status": "ok", "details": details}

    def _trainer(self, arch: str) -> tuple[Graph, Trainer]:
        """The trainer of an architecture, made once for all its repeats."""
        if self.arch != arch:
            from tfnas import data, memory, training
            from tfnas.engine.memory import training as training_memory

            self.arch, self.graph, self.trainer = "", None, None
            settings = self.settings
            graph, recipe = settings.layer_graph(arch), settings.to_recipe()
            itemsize = 8 if settings.precision == "float64" else 4
            needed = training_memory(graph, recipe.batch_size, training.EVAL_BATCH, itemsize)
            memory.require(needed, f"training on {recipe.batch_size} images at once")
            self.trainer = training.Trainer(
                graph,
                recipe,
                trained=training.last_cells(graph, settings.train_last) if settings.train_last else None,
                black=data.info(settings.dataset).black,
                precision=settings.precision,
                jit=settings.jit,
                strategy=self.strategy,
                synchronized=settings.synchronized_bn,
            )
            self.arch, self.graph = arch, graph
        return self.graph, self.trainer
