"""Scoring by a predictor that launch.predict has written."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from typing import Any

from launch.flags.predicting import Predicting
from launch.jobs.base import Job, Task, Worker
from tfnas import paths
from tfnas.runs import records


@dataclasses.dataclass(frozen=True)
class PredictorJob(Job):
    """Predicted accuracies, in percent, of several predictors in a file the mean; records tell the file's content."""

    noun = "predictions"

    settings: Predicting

    @property
    def title(self) -> str:
        return self.settings.proxy

    def blanks(self) -> list[records.Record]:
        from etils import epath

        content = epath.Path(paths.expand(self.settings.path)).read_bytes()
        return [
            records.Record(
                space=self.settings.space,
                arch="",
                dataset=self.settings.dataset,
                proxy=self.settings.proxy,
                score=math.nan,
                options=records.dump_options({"sha256": hashlib.sha256(content).hexdigest()}),
            )
        ]

    def worker(self) -> Worker:
        return _Predictor(self.settings)


class _Predictor(Worker):
    """Predicts one architecture after the other."""

    def __init__(self, settings: Predicting) -> None:
        from tfnas.predictor import model

        self.space, self.predictor = settings.search_space(), model.load(settings.path)

    def compute(self, task: Task) -> list[dict[str, Any]]:
        started = time.perf_counter()
        found = self.predictor.predict_graphs(self.space.features([task.arch]), progress=False)
        values = {"score": 100 * float(found.mean()), "seconds": time.perf_counter() - started}
        return [values] * len(task.blanks)
