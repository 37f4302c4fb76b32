"""How long networks train until they reach a training accuracy: figures 2 and 4 of Dey et al. 2021."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from launch.papers.base import Inputs, Made
from launch.papers.fear import figures
from launch.papers.fear.methods import EPOCHS, TIME, Methods, epochs_to_threshold, gather
from tfnas import evidence
from tfnas.evidence import bootstrap, rows, statistics

# A search gives up what takes so many times as long as the fastest so far.
RATIO, BEST = 4.0, 10
_RESAMPLES = 1000


def times(inputs: Inputs) -> Made:
    """For each data set Spearman's rho of speed and accuracy, sizes beside it, and what a cut-off would lose.

    Speed is minus seconds, as in the paper, and minus epochs, which do not depend on how long a step takes: on a
    machine that computes as it should, large networks take longer to the same epoch.

    The last row of a data set is the share of the best 10 % by accuracy that reach the threshold within 4 times the
    seconds of the fastest network: late bloomers, which a cut-off would lose, make it less than 1.
    """
    import pandas as pd

    made, notes, parts = [], [], []
    for dataset in inputs.datasets:
        if len(inputs.datasets) > 1 and not (inputs.records["dataset"] == dataset).any():
            continue  # a line has said that it is not at hand
        methods = gather(inputs, dataset, TIME)
        # A folder may have other scores of more networks, and trainings that failed.
        timed = methods.seconds[TIME].notna()
        methods = methods.of(timed)
        epochs = epochs_to_threshold(inputs, dataset).reindex(methods.truth.index)
        passed = -epochs.where(methods.scores[TIME].notna() & (epochs > 0))
        methods = dataclasses.replace(methods, scores=methods.scores.assign(**{EPOCHS: passed}))
        parts.append(methods)
        notes += methods.notes
        speed, truth = methods.scores[TIME].to_numpy(float), methods.truth.to_numpy(float)
        lost = int(np.isnan(speed).sum())
        notes.append(f"{dataset}: {lost} of {len(truth)} networks have not reached the threshold")
        if other := int((~timed).sum()):
            notes.append(f"{dataset}: {other} networks without a time are left out")
        told = [EPOCHS] if passed.notna().any() else []
        for name in (TIME, *told, *(name for name in evidence.BASELINES if name in methods.scores)):
            made.append(_correlation(methods, name, inputs.seed))
        made.append(_kept(methods, inputs.seed))
    return Made(pd.DataFrame(made), figures.times(parts), tuple(dict.fromkeys(notes)))


def _correlation(methods: Methods, name: str, seed: int) -> dict[str, Any]:
    """Of the networks that have reached the threshold."""
    known = methods.scores[TIME].notna()
    score, truth = methods.scores[name][known], methods.truth[known]
    low, high = bootstrap.intervals(score, truth, only=("spearman",), seed=seed)["spearman"]
    ours = statistics.spearman(score, truth)
    return _row(methods, name, "spearman", int(score.notna().sum()), ours, low, high)


def _kept(methods: Methods, seed: int) -> dict[str, Any]:
    seconds, truth = -methods.scores[TIME].to_numpy(float), methods.truth.to_numpy(float)
    ours = kept(seconds, truth)
    draws = bootstrap.draws(len(truth), _RESAMPLES, seed)
    low, high = bootstrap.interval([np.array([kept(seconds[of], truth[of]) for of in block]) for block in draws])
    size = max(1, rows.top_count(len(truth), BEST))
    return _row(methods, TIME, f"share of the best {BEST} % within {RATIO:g} times the fastest", size, ours, low, high)


def kept(seconds: np.ndarray, truth: np.ndarray) -> float:
    """Share of the best 10 % by accuracy (one network at least) whose seconds are within 4 times the least of all.

    Args:
        seconds: [n], NaN where the threshold is not reached.
        truth: [n].
    """
    if np.isnan(seconds).all():
        return math.nan
    best = rows.descending(truth, np.arange(len(truth)))[: max(1, rows.top_count(len(truth), BEST))]
    return float((seconds[best] <= RATIO * np.nanmin(seconds)).mean())


def _row(methods: Methods, name: str, measure: str, n: int, ours: float, low: float, high: float) -> dict[str, Any]:
    lost = int(methods.scores[TIME].isna().sum())
    found = {"dataset": methods.dataset, "method": name, "measure": measure, "n": n, "left_out": lost}
    return found | {"ours": ours, "low": low, "high": high, "paper": math.nan}
