"""Scores after training: each network is trained once, and looked at after the epochs asked for."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import proxies
from launch.flags.scoring import Scoring
from launch.flags.trained import Trained
from launch.jobs.base import Task, Worker, narrow
from launch.jobs.scores import Scorer, blanks, seed_of
from launch.jobs.states import KeptJob, KeptWorker, placed, require
from tfnas import seeds
from tfnas.runs import records
from tfnas.runs.records import FAILURES

if TYPE_CHECKING:
    from tfnas.networks.graph import Graph
    from tfnas.training import Trainer

_AFTER = "_after"


def name_after(proxy: str, epochs: int) -> str:
    """What records call a score after so many epochs."""
    return f"{proxy}{_AFTER}{epochs}" if epochs else proxy


def parse_after(name: str) -> tuple[str, int]:
    """(proxy, epochs) of the name of a record; the inverse of `name_after`."""
    proxy, _, epochs = name.rpartition(_AFTER)
    return (proxy, int(epochs)) if proxy and epochs.isdecimal() else (name, 0)


@dataclasses.dataclass(frozen=True)
class AfterJob(KeptJob):
    """Scores architectures after so many epochs of one training."""

    settings: Trained

    @property
    def title(self) -> str:
        times = ", ".join(map(str, self.settings.times()))
        return f"{self.settings.dataset}, after {times} epochs of training"

    def blanks(self) -> list[records.Record]:
        """For each number of epochs the record of each proxy; none tells where the training ends."""
        settings, recipe = self.settings, self.settings.short()
        networks = [name for name in settings.after() if proxies.get(name).subject == "network"]
        trainings = [name for name in settings.after() if name not in networks]
        trained: dict[str, Any] = {"training": recipe.options() | {"train_split": settings.train_split}}
        if settings.dtype != "float32":
            trained["dtype"] = settings.dtype
        found = []
        for time in settings.times():
            made = blanks(settings, networks, trained | {"after_epochs": time})
            made += [self.blank(name, recipe, after_epochs=time) for name in trainings]
            found += [dataclasses.replace(blank, proxy=name_after(blank.proxy, time)) for blank in made]
        return found

    def worker(self) -> Worker:
        return AfterWorker(self)


class AfterWorker(KeptWorker):
    """Trains one network after the other on the same images, and scores them on the same batch."""

    def __init__(self, job: AfterJob) -> None:
        super().__init__(job)
        networks = tuple(name for name in job.settings.after() if proxies.get(name).subject == "network")
        scoring = narrow(job.settings, Scoring)
        self.scorer = Scorer(dataclasses.replace(scoring, proxies=networks)) if networks else None
        self.images = training_images(job.settings)

    def train(self, task: Task) -> list[dict[str, Any]]:
        from tfnas import data, training

        settings, recipe = self.settings, self.settings.short()
        graph = settings.layer_graph(task.arch)
        require(graph, recipe, settings.dtype)
        trainer = training.Trainer(graph, recipe, black=data.info(settings.dataset).black, precision=settings.dtype)
        wanted: dict[int, list[str]] = {}
        for blank in task.blanks:
            name, time = parse_after(blank.proxy)
            wanted.setdefault(time, []).append(name)
        found = self._train(trainer, task, graph, wanted)
        return [found.get(blank.proxy, _ended(trainer)) for blank in task.blanks]

    def _train(
        self, trainer: Trainer, task: Task, graph: Graph, wanted: dict[int, list[str]]
    ) -> dict[str, dict[str, Any]]:
        """Trains as far as anything is wanted; values by the name of their record, none of epochs after a bad end."""
        settings, last = self.settings, max(wanted)
        checkpoint = next(iter(self.job.checkpoints(task)), None)
        resumed = checkpoint is not None and trainer.resume(checkpoint)
        known = trainer.notes
        passed = [(name, time) for time, names in wanted.items() if time <= len(trainer.history) for name in names]
        if not resumed or any(name_after(name, time) not in known for name, time in passed):
            trainer.start(initial(settings, task, graph))
        found = dict(trainer.notes)
        if len(trainer.history) < last:
            seed = seeds.derive_seed(settings.seed, "train", task.repeat)
            for epoch in trainer.run(self.images, seed=seed, checkpoint=checkpoint):
                if epoch.epoch in wanted and math.isfinite(epoch.train_loss):
                    values = self.look(trainer, task, graph, wanted[epoch.epoch])
                    found |= values
                    # What failed is not kept: --retry trains again for it.
                    trainer.notes |= {key: value for key, value in values.items() if value["status"] not in FAILURES}
                if epoch.epoch >= last:
                    break
        taken = sum(epoch.seconds for epoch in trainer.history)
        if checkpoint is not None and (resumed or taken >= checkpoint.seconds):
            trainer.save(checkpoint)
            self.finished.append(task)
        return found

    def look(self, trainer: Trainer, task: Task, graph: Graph, names: list[str]) -> dict[str, dict[str, Any]]:
        """Values of all proxies at the present end of a training, by the name of their record."""
        epoch, found = len(trainer.history), {}
        networks = [name for name in names if proxies.get(name).subject == "network"]
        if networks:
            seed = seed_of(self.settings, task)
            values = self.scorer.evaluate(task.arch, graph, trainer.weights(), networks, seed)
            found = dict(zip(networks, values, strict=True))
        seconds = sum(passed.seconds for passed in trainer.history)
        for name in set(names) - set(networks):
            found[name] = value(proxies.get(name).compute(trainer.history), seconds=seconds)
        return {name_after(name, epoch): found[name] for name in names}


def _ended(trainer: Trainer) -> dict[str, Any]:
    """What is recorded of epochs that a training does not reach, with the seconds of those that it did."""
    message = f"ended after epoch {len(trainer.history)}: {trainer.history[-1].stopped}"
    return value(math.nan, seconds=sum(epoch.seconds for epoch in trainer.history), message=message)


def value(score: float, *, seconds: float, message: str = "", **more: Any) -> dict[str, Any]:
    """Values of the record of a score of a training."""
    if math.isfinite(score):
        return {"score": score, "status": "ok", "message": "", "seconds": seconds, **more}
    return {"score": math.nan, "status": "nan", "message": message, "seconds": seconds, **more}


def training_images(settings: Trained) -> tuple[Any, Any]:
    """Images and labels, as `placed`."""
    from tfnas import data

    found = data.opened(settings.dataset, settings.train_split, data_dir=settings.data_dir or None)
    return placed(*found, settings.dtype)


def initial(settings: Trained, task: Task, graph: Graph) -> dict[str, Any]:
    """Weights at the start: those that scores without training see."""
    from tfnas.networks import weights

    return weights.initialize(graph, settings.scheme(), seed_of(settings, task))
