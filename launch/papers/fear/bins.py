"""Rank quality and duration of methods among the networks of highest accuracy (Dey et al. 2021, section 4.1).

A bin is the floor(n x / 100) networks of highest test accuracy; of equal ones, those whose strings come first. Inside
it stand Spearman's rho of a method and its mean duration; its common ratio is the share of the bin that is also among
as many best by the method.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from launch.papers.fear.methods import FEAR, Methods
from tfnas.evidence import bootstrap, rows, statistics

if TYPE_CHECKING:
    import pandas as pd

TABLE, CURVE = (10, 20, 30, 40, 50, 100), tuple(range(2, 101, 2))
QUALITIES = ("spearman", "common")
MEASURES = {"spearman": "Spearman's rho", "common": "common ratio"}
_RESAMPLES = 1000


def in_bins(
    methods: Methods, names: Sequence[str], percents: Sequence[int], *, seed: int | None = None
) -> pd.DataFrame:
    """A row for each method and percentage.

    Args:
        methods: the networks.
        names: of the methods.
        percents: x of the bins.
        seed: of bootstrap intervals over the networks; None for none.

    Returns:
        Columns method, percent, n (in the bin), left_out (of all), spearman and common with _lo and _hi, seconds and
        seconds_se (mean and its standard error).
    """
    import pandas as pd

    found = []
    for name in names:
        score, truth, seconds = _of(methods, name)
        low_high = {}
        if seed is not None:
            low_high = bootstrap.intervals(score, truth, percents=percents, only=("spearman",), seed=seed)
        order = rows.descending(truth, np.arange(len(truth)))
        for percent in percents:
            size = rows.top_count(len(truth), percent)
            mean, error = statistics.mean_and_error(seconds[order[:size]])
            row = {"method": name, "percent": percent, "n": size, "left_out": len(methods.truth) - len(truth)}
            row |= {
                "spearman": statistics.top_spearman(score, truth, percent),
                "common": statistics.common_ratio(score, truth, percent),
                "seconds": mean,
                "seconds_se": error,
            }
            for quality in QUALITIES:
                ends = low_high.get(f"top{percent}_{quality}", (math.nan, math.nan))
                row |= dict(zip((f"{quality}_lo", f"{quality}_hi"), ends, strict=True))
            found.append(row)
    return pd.DataFrame(found)


def _of(methods: Methods, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, accuracies and seconds [n] of the networks that a method has scored."""
    known = methods.scores[name].notna().to_numpy()
    columns = (methods.scores[name], methods.truth, methods.seconds[name])
    return tuple(column.to_numpy(float)[known] for column in columns)


def frontier(seconds: Sequence[float], quality: Sequence[float]) -> np.ndarray:
    """Which of some points no other one beats, by no more seconds and no less quality: bool [m]; none without both."""
    seconds, quality = np.asarray(seconds, float), np.asarray(quality, float)
    known = ~(np.isnan(seconds) | np.isnan(quality))
    no_slower, no_worse = seconds[:, None] <= seconds, quality[:, None] >= quality
    better = (seconds[:, None] < seconds) | (quality[:, None] > quality)
    return known & ~(no_slower & no_worse & better & known[:, None]).any(0)


def nearest(table: pd.DataFrame, seconds: float, quality: str) -> pd.Series | None:
    """Of short trainings on the frontier the one whose duration is nearest; None where there is none.

    Args:
        table: rows of `in_bins`, of one percentage.
        seconds: mean duration of FEAR.
        quality: of the frontier.
    """
    best = table[frontier(table["seconds"], table[quality])]
    return None if best.empty else best.loc[(best["seconds"] - seconds).abs().idxmin()]


@dataclasses.dataclass(frozen=True)
class Answer:
    """How FEAR compares with the best short training, with the interval of each number.

    Attributes:
        percent, quality: of the bin, and what counts as equal.
        n: networks in the bin, of those that all methods have scored.
        left_out: networks that one of the methods has not.
        speed: how many times as long as FEAR the fastest short training takes that ranks no worse; inf where none is
            as good.
        gain: quality of FEAR less that of the best short training that takes no longer; NaN where all take longer.
    """

    percent: int
    quality: str
    n: int
    left_out: int
    speed: tuple[float, float, float]
    gain: tuple[float, float, float]


def answers(methods: Methods, percents: Sequence[int], seed: int) -> list[Answer]:
    """Is FEAR faster than short training at equal rank quality, and better at equal duration?

    All methods are of the same networks and see the same resamples of them. Which short training is the best is found
    anew in each resample, with the truth known: that favours short training.
    """
    names = [FEAR, *methods.short]
    known = methods.scores[names].notna().all(axis=1).to_numpy()
    truth = methods.truth.to_numpy(float)[known]
    scores, seconds = (frame[names].to_numpy(float)[known].T for frame in (methods.scores, methods.seconds))
    options = {"percents": percents, "only": ("spearman",), "resamples": _RESAMPLES, "seed": seed}
    drawn = [bootstrap.resampled(score, truth, **options) for score in scores]
    times = drawn_seconds(seconds, truth, percents, resamples=_RESAMPLES, seed=seed)
    order = rows.descending(truth, np.arange(len(truth)))
    found = []
    for place, percent in enumerate(percents):
        best = order[: rows.top_count(len(truth), percent)]
        if not len(best):
            continue
        for quality, statistic in zip(QUALITIES, (statistics.top_spearman, statistics.common_ratio), strict=True):
            if quality == "common" and percent == 100:
                continue  # all of all
            ours = np.array([[statistic(score, truth, percent) for score in scores]])
            speed, gain = compare(ours, seconds[:, best].mean(1)[None])
            resampled = np.stack([of[f"top{percent}_{quality}"] for of in drawn], 1)
            ends = [_interval(values) for values in compare(resampled, times[place])]
            found.append(
                Answer(percent, quality, len(best), int((~known).sum()), (speed[0], *ends[0]), (gain[0], *ends[1]))
            )
    return found


def compare(quality: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`Answer.speed` and `Answer.gain` [b] of qualities and durations [b, 1 + m] of FEAR and m short trainings."""
    fear, short = quality[:, :1], quality[:, 1:]
    undefined = np.isnan(fear[:, 0])
    fastest = np.where(short >= fear, seconds[:, 1:], math.inf).min(1, initial=math.inf)
    speed = np.where(undefined, math.nan, fastest / seconds[:, 0])
    no_slower = (seconds[:, 1:] <= seconds[:, :1]) & ~np.isnan(short)
    best = np.where(no_slower, short, -math.inf).max(1, initial=-math.inf)
    return speed, np.where(no_slower.any(1), fear[:, 0] - best, math.nan)


def drawn_seconds(
    seconds: np.ndarray, truth: np.ndarray, percents: Sequence[int], *, resamples: int, seed: int
) -> np.ndarray:
    """Mean durations in the bins of resamples, those of `bootstrap.resampled`: [percents, resamples, methods].

    Args:
        seconds: [methods, n].
        truth: [n].
        percents: x of the bins, none of them empty.
        resamples: their number.
        seed: theirs.
    """
    size = len(truth)
    order = rows.descending(truth, statistics.tie_keys(size, seed)[1])
    found: list[list[np.ndarray]] = [[] for _ in percents]
    for counts in bootstrap.drawn_counts(size, resamples, seed):
        counts = counts[:, order].astype(float)
        before = np.cumsum(counts, 1) - counts
        for percent, blocks in zip(percents, found, strict=True):
            top = rows.top_count(size, percent)
            weights = np.clip(top - before, 0, counts)
            blocks.append(rows.divide(weights @ seconds[:, order].T, np.array([[top]])))
    return np.stack([np.concatenate(blocks) for blocks in found])


def _interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of values that may be infinite, NaN aside: each end is one of them."""
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    return tuple(
        float(np.quantile(values, level, method=method)) for level, method in ((0.025, "lower"), (0.975, "higher"))
    )
