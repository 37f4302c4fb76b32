"""Records of invented trainings, and statistics of them by plain loops."""

import json
import math

import numpy as np
import pandas as pd
from scipy import stats

import spaces
from launch.flags.architectures import sample_architectures
from launch.papers.base import Inputs
from launch.papers.registry import EXPERIMENTS
from tfnas.runs import records

SPACE = spaces.get("nasbench201")
N = 40
ARCHS = sorted(sample_architectures(SPACE, N, seed=5))
LENGTHS = ((1, 256), (4, 256), (1, 512), (4, 512))
RECIPE = {"learning_rate": 0.1, "clip_norm": 5.0, "train_split": "train"}
NETWORK = {"classes": 10, "input_shape": [32, 32, 3]}


def truth_of(seed=0, dataset="cifar10", archs=ARCHS):
    """Accuracies with some ties."""
    values = np.round(np.random.default_rng(seed).normal(80, 8, len(archs)))
    return pd.DataFrame({dataset: values}, pd.Index(archs, name="arch"))


def record(arch, proxy, score, seconds, *, batch=256, training=None, details=None, device="here", **options):
    """One record; without a score its status is nan."""
    options = NETWORK | options | ({"training": training} if training else {})
    return records.Record(
        space="nasbench201",
        arch=arch,
        dataset="cifar10",
        proxy=proxy,
        score=score,
        status="nan" if math.isnan(score) else "ok",
        details=json.dumps(details or {}),
        init="torch",
        batch_size=batch,
        width=16,
        depth=5,
        flavour="tiny",
        options=records.dump_options(options),
        seconds=seconds,
        device=device,
    )


def frame(rows):
    return pd.DataFrame([vars(row) for row in rows], columns=records.COLUMNS)


def all_records(truth, *, seed=1, never=3, lengths=LENGTHS):
    """FEAR, short trainings and scores of every network; the last `never` do not reach the threshold."""
    rng, rows, known = np.random.default_rng(seed), [], truth.iloc[:, 0]
    for place, (arch, accuracy) in enumerate(known.items()):
        reached = place < len(known) - never
        epochs = int(rng.integers(2, 9)) if reached else 20
        first, second = epochs * float(rng.uniform(5, 7)), float(rng.uniform(10, 14))
        both, recipe = {"epochs": epochs}, RECIPE | {"epochs": 200, "batch_size": 256}
        score = accuracy / 100 + rng.normal(0, 0.05) if reached else math.nan
        common = {"training": recipe, "threshold": 0.6, "details": both}
        later = {"cells": 4, "stage_2": {"epochs": 5}}
        rows.append(record(arch, "fear", score, first + second * reached, **later, **common))
        rows.append(record(arch, "time_to_threshold", -first if reached else math.nan, first, **common))
        for length, batch in lengths:
            score = accuracy / 100 + rng.normal(0, 0.2 / length)
            recipe = RECIPE | {"epochs": length, "batch_size": batch}
            took = length * float(rng.uniform(4, 8)) * 256 / batch
            name = f"shortreg_after{length}"
            rows.append(record(arch, name, score, took, batch=batch, training=recipe, after_epochs=length))
        for name in ("snip", "jacob_cov", "params"):
            rows.append(record(arch, name, float(rng.normal()), 0.1, batch=64))
        for kept in ((), ("stem", "cells", "lastact")):
            rows.append(record(arch, "synflow", float(rng.normal()), 0.1, batch=64, synflow_kept_bn=list(kept)))
    return frame(rows)


def inputs_of(name, found, truth, seed=0):
    return Inputs(EXPERIMENTS[name], SPACE, truth, tuple(truth), found, seed)


def top(truth, percent):
    """Places of the best by accuracy, the first of equal ones first."""
    order = sorted(range(len(truth)), key=lambda place: -truth[place])  # stable
    return order[: len(truth) * percent // 100]


def spearman(score, truth, percent):
    best = top(truth, percent)
    if len({truth[place] for place in best}) < 2 or len({score[place] for place in best}) < 2:
        return math.nan
    return stats.spearmanr([score[place] for place in best], [truth[place] for place in best])[0]


def common(score, truth, percent):
    best = top(truth, percent)
    return len(set(best) & set(top(score, percent))) / len(best) if best else math.nan


def one(rows, method, measure):
    """The only row of a method and a measure."""
    found = rows[(rows["method"] == method) & (rows["measure"] == measure)]
    assert len(found) == 1, (method, measure, len(found))
    return found.iloc[0]
