"""FEAR: each network is trained in two stages, and what is found is scored."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import proxies
from launch.flags.trained import Trained
from launch.jobs.after import initial, training_images, value
from launch.jobs.base import Task, Worker
from launch.jobs.states import KeptJob, KeptWorker, require
from tfnas import seeds
from tfnas.runs import records


@dataclasses.dataclass(frozen=True)
class FearJob(KeptJob):
    """Scores architectures by FEAR and by the time that its first stage takes, which come together."""

    parts: ClassVar[int] = 2

    settings: Trained

    @property
    def title(self) -> str:
        return f"{self.settings.dataset}, FEAR"

    def blanks(self) -> list[records.Record]:
        stages, seconds = self.settings.stages(), self.settings.fear_seconds
        first: dict[str, Any] = {"threshold": stages.threshold} | ({"seconds": seconds} if seconds else {})
        later = {"cells": stages.cells, "stage_2": stages.second.options()}
        both = [name for name in proxies.names("stages") if "fear_cells" in proxies.get(name).options]
        return [
            self.blank(name, stages.first, **first | (later if name in both else {}))
            for name in proxies.names("stages")
        ]

    def worker(self) -> Worker:
        return _Stages(self)


class _Stages(KeptWorker):
    """Takes one network after the other through both stages on the same images."""

    def __init__(self, job: FearJob) -> None:
        super().__init__(job)
        self.images = training_images(job.settings)

    def train(self, task: Task) -> list[dict[str, Any]]:
        from tfnas import data, training

        settings, stages = self.settings, self.settings.stages()
        graph = settings.layer_graph(task.arch)
        for recipe in (stages.first, stages.second):
            require(graph, recipe, settings.dtype)
        found = training.fear_score(
            graph,
            initial(settings, task, graph),
            self.images,
            stages,
            seed=seeds.derive_seed(settings.seed, "train", task.repeat),
            checkpoints=self.job.checkpoints(task),
            black=data.info(settings.dataset).black,
            precision=settings.dtype,
        )
        self.finished.append(task)
        message = "the training of the last cells diverged"
        if not found.reached:
            message = f"stage 1 has not reached {stages.threshold:g} in {found.epochs} epochs"
        details = records.dump_options({"epochs": found.epochs})
        seconds = {"time_to_threshold": found.seconds[0]}
        return [
            value(
                proxies.get(blank.proxy).compute(found),
                seconds=seconds.get(blank.proxy, sum(found.seconds)),
                message=message,
                details=details,
            )
            for blank in task.blanks
        ]
