"""Tables, records, and workers that stand in for real ones."""

import itertools
import math

import numpy as np
import pandas as pd

import spaces
from launch.flags.architectures import sample_architectures
from launch.jobs.base import Worker
from launch.papers.base import Inputs
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
    from launch.jobs.after import AfterJob
    from launch.jobs.inference import InferenceJob
    from launch.jobs.latency import LatencyJob
    from launch.jobs.scores import ScoreJob
    from launch.jobs.training import TrainJob
    from launch.papers.lga.movement import MovementJob

    for job in (AfterJob, MovementJob, InferenceJob, LatencyJob, ScoreJob, TrainJob):
        monkeypatch.setattr(job, "worker", lambda self: FakeWorker())


def tau(score, truth):
    """Kendall's tau-b, pair by pair."""
    both = list(zip(score, truth, strict=True))
    signs = [(np.sign(a - c), np.sign(b - d)) for (a, b), (c, d) in itertools.combinations(both, 2)]
    untied = [sum(sign[i] != 0 for sign in signs) for i in (0, 1)]
    return sum(a * b for a, b in signs) / math.sqrt(untied[0] * untied[1])


def frame_of(columns, archs, dataset="digits", **settings):
    """Records of scores by name."""
    common = {"dataset": dataset, "status": "ok", "init": "torch", "width": 4, "depth": 1, "flavour": "tiny"}
    common |= {"options": "{}", "seconds": 1.0, "bn": "", "batch_size": 64} | settings
    rows = [
        {"arch": arch, "proxy": name, "score": score} | common
        for name, scores in columns.items()
        for arch, score in zip(archs, scores, strict=True)
    ]
    return pd.DataFrame(rows)


def inputs_of(experiment, records, truth, **more):
    truth = pd.DataFrame(truth).rename_axis("arch")
    return Inputs(experiment, spaces.get("nasbench201"), truth, tuple(truth), records, 0, **more)
