"""Percentile intervals of rank statistics: all of them on the same resamples of the networks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from tfnas import seeds
from tfnas.evidence.statistics import pairs, tie_keys
from tfnas.evidence.weighted import Moments, Orders, Resamples

# Draws held at once: few enough for what is made of them to stay in the cache.
_CHUNK = 250_000


def intervals(
    score: Sequence[float],
    truth: Sequence[float],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    thresholds: Sequence[float] = (),
    percents: Sequence[float] = (),
    k: int = 10,
    only: Sequence[str] = (),
    groups: Sequence[int] | None = None,
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of the statistics of `tfnas.evidence.statistics`, networks drawn with replacement.

    Networks of one group are drawn together or not at all (the cluster bootstrap of Field and Welsh 2007): a resample
    has as many groups as there are, and whatever number of networks comes with them.

    All statistics see the same resamples. A resample in which a statistic is undefined does not count for it. The
    networks of a resample repeat, so its top k holds fewer different ones: the interval of the discovered performance
    leans low.

    Args:
        score: [n].
        truth: [n].
        resamples: number of resamples; with 0 every bound is NaN.
        seed: same seed, same interval; it also breaks ties, as in `tfnas.evidence.statistics`.
        level: coverage asked for.
        thresholds: of `pqetp`, reported under "pqetp_<threshold>".
        percents: of `top_spearman` and `common_ratio`, reported under "top<x>_spearman" and "top<x>_common".
        k: of `discovered`.
        only: of "kendall", "spearman", "pearson", "discovered", those that are wanted; none asks for all.
        groups: [n], equal for networks that are drawn together; by default each is drawn by itself.

    Returns:
        (low, high) by name: "kendall", "spearman", "pearson", "discovered" and the names above.
    """
    drawn = resampled(
        score,
        truth,
        resamples=resamples,
        seed=seed,
        thresholds=thresholds,
        percents=percents,
        k=k,
        only=only,
        groups=groups,
    )
    return {name: interval([values], level) for name, values in drawn.items()}


def resampled(
    score: Sequence[float],
    truth: Sequence[float],
    *,
    resamples: int = 1000,
    seed: int = 0,
    thresholds: Sequence[float] = (),
    percents: Sequence[float] = (),
    k: int = 10,
    only: Sequence[str] = (),
    groups: Sequence[int] | None = None,
) -> dict[str, np.ndarray]:
    """The statistics of each resample, [resamples] by name; arguments as in `intervals`.

    Two scores of the same networks have the same resamples: their differences are paired.
    """
    members = members_of(groups, ~(np.isnan(np.asarray(score, float)) | np.isnan(np.asarray(truth, float))))
    score, truth = pairs(score, truth)
    wanted = only or ("kendall", "spearman", "pearson", "discovered")
    found: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    found |= {f"top{percent:g}_{name}": [] for percent in percents for name in ("spearman", "common")}
    found |= {f"pqetp_{threshold:g}": [] for threshold in thresholds}
    orders, moments = Orders(score, truth, tie_keys(len(score), seed)), Moments(score, truth)
    for drawn in drawn_counts(len(score), resamples, seed, members):
        sample = Resamples(orders, drawn)
        if "kendall" in wanted:
            found["kendall"].append(sample.kendall())
        if "spearman" in wanted:
            found["spearman"].append(sample.spearman())
        if "pearson" in wanted:
            found["pearson"].append(moments.pearson(drawn))
        if "discovered" in wanted:
            found["discovered"].append(sample.discovered(k))
        for percent in percents:
            found[f"top{percent:g}_spearman"].append(sample.top_spearman(percent))
            found[f"top{percent:g}_common"].append(sample.common(percent))
        for threshold in thresholds:
            found[f"pqetp_{threshold:g}"].append(sample.pqetp(threshold))
    return {name: np.concatenate(values) if values else np.empty(0) for name, values in found.items()}


def members_of(groups: Sequence[int] | None, kept: np.ndarray) -> np.ndarray | None:
    """Number of the group of each network that is kept, from 0 in order of appearance; None where there are no groups.

    Args:
        groups: [n], or None.
        kept: [n], whether a network is.
    """
    import pandas as pd

    if groups is None:
        return None
    members, there = pd.factorize(np.asarray(groups)[kept])
    return None if len(there) == len(members) else members


def drawn_counts(n: int, resamples: int, seed: int, members: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Blocks float32 [b, n]: how often each network is drawn.

    Args:
        n: networks.
        resamples: all rows together.
        seed: of the draws.
        members: of `members_of`.
    """
    if members is None:
        yield from map(counts, draws(n, resamples, seed))
        return
    block = max(1, _CHUNK // max(n, 1))
    for drawn in draws(int(members.max(initial=-1)) + 1, resamples, seed, block):
        yield np.take(counts(drawn), members, axis=1)


def draws(n: int, resamples: int, seed: int, block: int = 0) -> Iterator[np.ndarray]:
    """Blocks [b, n] of indices drawn with replacement.

    Args:
        n: networks, or groups of them.
        resamples: all rows together.
        seed: of the draws.
        block: rows of a block; 0 for as many as the cache holds.
    """
    rng = seeds.generator(seed)
    block = block or max(1, _CHUNK // max(n, 1))
    for start in range(0, resamples if n else 0, block):
        yield rng.integers(0, n, (min(block, resamples - start), n))


def counts(drawn: np.ndarray) -> np.ndarray:
    """How often each index was drawn: [b, n] of draws [b, n]."""
    b, n = drawn.shape
    flat = drawn + n * np.arange(b)[:, None]
    return np.bincount(flat.ravel(), minlength=b * n).reshape(b, n).astype(np.float32)


def interval(found: Sequence[np.ndarray], level: float = 0.95) -> tuple[float, float]:
    """The middle `level` of values in some blocks, NaN aside."""
    values = np.concatenate(found) if found else np.empty(0)
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
