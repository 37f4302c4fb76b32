"""Tables, and workers that stand in for real ones."""

import numpy as np
import pandas as pd

import spaces
from launch.flags.architectures import sample_architectures
from launch.jobs.base import Worker
from tfnas import seeds

ARCHS = {name: sample_architectures(spaces.get(name), 24, seed=3) for name in ("nasbench101", "nasbench201")}


def write_table(path, space="nasbench201", names=("one", "two"), **columns):
    rng = np.random.default_rng(1)
    values = {"arch": ARCHS[space]} | {name: 10 + rng.normal(size=24) for name in names} | columns
    pd.DataFrame(values).to_csv(path, index=False)
    return path


class FakeWorker(Worker):
    """Scores that are numbers of the architecture and of what is asked for, and no network."""

    def compute(self, task):
        return [
            {"score": seeds.derive_seed(0, task.arch, blank.proxy, blank.options, blank.init) % 1000 / 1000}
            for blank in task.blanks
        ]


def fake_workers(monkeypatch):
    from launch.jobs.inference import InferenceJob
    from launch.jobs.latency import LatencyJob
    from launch.jobs.scores import ScoreJob
    from launch.jobs.training import TrainJob

    for job in (InferenceJob, LatencyJob, ScoreJob, TrainJob):
        monkeypatch.setattr(job, "worker", lambda self: FakeWorker())
