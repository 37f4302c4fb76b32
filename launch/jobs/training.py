"""Training: each architecture for a few epochs, as often as there are repeats."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from launch.flags.training import Training
from launch.jobs.base import Job, Task, Worker
from tfnas import seeds
from tfnas.runs import records

if TYPE_CHECKING:
    from tfnas.networks.graph import Graph
    from tfnas.training import Trainer


@dataclasses.dataclass(frozen=True)
class TrainJob(Job):
    """Trains architectures and measures how accurate they become, in percent."""

    noun = "trainings"
    whole = True

    settings: Training

    @property
    def repeats(self) -> int:
        return self.settings.repeats

    def blanks(self) -> list[records.Record]:
        settings, network = self.settings, self.settings.network()
        train_split, val_split, test_split = settings.splits()
        options = dataclasses.asdict(settings.recipe())
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
                batch_size=settings.batch_size,
                width=network.width,
                depth=network.depth,
                flavour=network.flavour,
                options=records.dump_options(options | {"split": measured[name]}),
            )
            for name in settings.measures()
        ]

    def worker(self) -> Worker:
        return _Trainings(self.settings)


class _Trainings(Worker):
    """Trains one network after the other on the same images."""

    def __init__(self, settings: Training) -> None:
        from tfnas import data

        self.settings = settings
        named = zip(("train", "val", "test"), settings.splits(), strict=True)
        folder = settings.data_dir or None
        self.images = {name: data.load(settings.dataset, split, data_dir=folder) for name, split in named if split}
        self.arch, self.graph, self.trainer = "", None, None

    def compute(self, task: Task) -> list[dict[str, Any]]:
        from tfnas import training
        from tfnas.networks import weights

        settings = self.settings
        # As in NAS-Bench-201, all architectures are trained with the same seeds: the same order of images and the same
        # stream of initial weights, so that chance divides them less. Scores take seeds of their own.
        seed = seeds.derive_seed(settings.seed, "train", task.repeat)
        try:
            graph, trainer = self._trainer(task.arch)
            training.assign(trainer.model, weights.initialize(graph, settings.scheme(), seed))
            epochs = list(trainer.run(self.images["train"], seed=seed))
            found = {"train_accuracy": epochs[-1].train_accuracy}
            for name in ("test", "val"):
                if name in self.images:
                    found[f"{name}_accuracy"] = trainer.evaluate(self.images[name])
        except Exception:
            self.arch = ""  # what is left of the trainer is not used again
            raise
        finite = math.isfinite(epochs[-1].train_loss)
        return [
            {
                "score": 100 * found[blank.proxy] if finite else math.nan,
                "status": "ok" if finite else "nan",
                "message": "" if finite else "the training diverged",
                "seconds": sum(epoch.seconds for epoch in epochs),
            }
            for blank in task.blanks
        ]

    def _trainer(self, arch: str) -> tuple[Graph, Trainer]:
        """The network of an architecture, built and traced once for all its repeats."""
        if self.arch != arch:
            import keras

            from tfnas import data, memory, training
            from tfnas.engine.memory import training as training_memory
            from tfnas.networks import keras_model, weights

            self.arch, self.graph, self.trainer = "", None, None
            # Keras keeps every layer's symbolic tensors until told otherwise.
            keras.backend.clear_session()
            settings = self.settings
            graph = settings.layer_graph(arch)
            needed = training_memory(graph, settings.batch_size, training.EVAL_BATCH)
            memory.require(needed, f"training on {settings.batch_size} images at once")
            model = keras_model.to_keras(graph, weights.initialize(graph, settings.scheme(), 0))
            black = data.info(settings.dataset).black
            self.trainer = training.Trainer(model, settings.recipe(), black=black)
            self.arch, self.graph = arch, graph
        return self.graph, self.trainer
