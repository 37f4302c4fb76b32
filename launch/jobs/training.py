"""Training: each architecture for a few epochs, as often as there are repeats."""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import TYPE_CHECKING, Any

from launch.flags.training import Training, after
from launch.jobs.base import Task, Worker, blank
from launch.jobs.states import KeptJob, KeptWorker, placed, require
from tfnas import seeds
from tfnas.runs import records

if TYPE_CHECKING:
    from tfnas.networks.graph import Graph
    from tfnas.training import Checkpoint, Trainer


@dataclasses.dataclass(frozen=True)
class TrainJob(KeptJob):
    """Trains architectures and measures how accurate they become, in percent."""

    whole = True

    settings: Training

    def blanks(self) -> list[records.Record]:
        settings = self.settings
        train_split, val_split, test_split = settings.splits()
        options = settings.options() | {"train_split": train_split}
        measured = {"train_accuracy": train_split, "val_accuracy": val_split, "test_accuracy": test_split}
        common = {"seed": settings.seed, "init": settings.scheme(), "bn": "batch"}
        common["batch_size"] = settings.to_recipe().batch_size
        return [
            blank(settings, name, options | {"split": measured[name.partition("_epoch")[0]]}, **common)
            for name in settings.measures()
        ]

    def worker(self) -> Worker:
        return _Trainings(self)


class _Trainings(KeptWorker):
    """Trains one network after the other on the same images."""

    def __init__(self, job: TrainJob) -> None:
        from tfnas import data, devices, training

        super().__init__(job)
        settings = job.settings
        self.strategy = devices.strategy(settings.strategy)  # before anything runs on a device
        if settings.strategy == "mirrored" and self.strategy is None:
            print("--strategy=mirrored: there is one device, which does all the work", file=sys.stderr, flush=True)
        named = zip(("train", "val", "test"), settings.splits(), strict=True)
        folder = settings.data_dir or None
        self.images = {name: data.opened(settings.dataset, split, data_dir=folder) for name, split in named if split}
        self.images["train"] = placed(*self.images["train"], training.PRECISIONS[settings.precision])
        self.arch, self.graph, self.trainer = "", None, None

    def train(self, task: Task) -> list[dict[str, Any]]:
        from tfnas.networks import weights

        settings = self.settings
        # As in NAS-Bench-201, all architectures are trained with the same seeds: the same order of images and the same
        # stream of initial weights, so that chance divides them less. Scores take seeds of their own.
        seed = seeds.derive_seed(settings.seed, "train", task.repeat)
        try:
            graph, trainer = self._trainer(task.arch)
            trainer.start(weights.initialize(graph, settings.scheme(), seed))
            if self._train(trainer, seed, next(iter(self.job.checkpoints(task)), None)):
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
        stopped = history[-1].stopped
        if self.settings.stop_on == "val_accuracy":  # which is what the trainer tests on
            stopped = stopped.replace("test_accuracy", "val_accuracy")
        if epoch and len(trainer.history) < int(epoch):
            return found | {"message": f"ended after epoch {len(history)}: {stopped}"}
        if not math.isfinite(history[-1].train_loss):
            return found | {"message": stopped}
        if not math.isfinite(trainer.notes[measure]):
            return found | {"message": "logits are not finite"}
        if not epoch and stopped:
            details["stopped"] = stopped
        details = records.dump_options(details)
        return found | {"score": 100 * trainer.notes[measure], "status": "ok", "details": details}

    def _trainer(self, arch: str) -> tuple[Graph, Trainer]:
        """The trainer of an architecture, made once for all its repeats."""
        if self.arch != arch:
            from tfnas import data, training

            self.arch, self.graph, self.trainer = "", None, None
            settings = self.settings
            graph, recipe = settings.layer_graph(arch), settings.to_recipe()
            require(graph, recipe, settings.precision, training.EVAL_BATCH)
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
