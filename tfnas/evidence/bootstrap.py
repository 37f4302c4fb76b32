"""Percentile intervals of rank statistics: all of them on the same resamples of the networks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from tfnas import seeds
from tfnas.evidence import rows
from tfnas.evidence.statistics import pairs, tie_keys
from tfnas.evidence.weighted import Orders, Resamples

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
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of the statistics of `tfnas.evidence.statistics`, networks drawn with replacement.

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

    Returns:
        (low, high) by name: "kendall", "spearman", "pearson", "discovered" and the names above.
    """
    score, truth = pairs(score, truth)
    wanted = only or ("kendall", "spearman", "pearson", "discovered")
    found: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    found |= {f"top{percent:g}_{name}": [] for percent in percents for name in ("spearman", "common")}
    found |= {f"pqetp_{threshold:g}": [] for threshold in thresholds}
    orders = Orders(score, truth, tie_keys(len(score), seed))
    for drawn in _draws(len(score), resamples, seed):
        sample = Resamples(orders, counts(drawn))
        if "kendall" in wanted:
            found["kendall"].append(sample.kendall())
        if "spearman" in wanted:
            found["spearman"].append(sample.spearman())
        if "pearson" in wanted:
            found["pearson"].append(rows.pearson(score[drawn], truth[drawn]))
        if "discovered" in wanted:
            found["discovered"].append(sample.discovered(k))
        for percent in percents:
            found[f"top{percent:g}_spearman"].append(sample.top_spearman(percent))
            found[f"top{percent:g}_common"].append(sample.common(percent))
        for threshold in thresholds:
            found[f"pqetp_{threshold:g}"].append(sample.pqetp(threshold))
    return {name: _interval(values, level) for name, values in found.items()}


def _draws(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks [b, n] of indices drawn with replacement."""
    rng = seeds.generator(seed)
    block = max(1, _CHUNK // max(n, 1))
    for start in range(0, resamples if n else 0, block):
        yield rng.integers(0, n, (min(block, resamples - start), n))


def counts(drawn: np.ndarray) -> np.ndarray:
    """How often each index was drawn: [b, n] of draws [b, n]."""
    b, n = drawn.shape
    flat = drawn + n * np.arange(b)[:, None]
    return np.bincount(flat.ravel(), minlength=b * n).reshape(b, n).astype(np.float32)


def _interval(found: list[np.ndarray], level: float) -> tuple[float, float]:
    values = np.concatenate(found) if found else np.empty(0)
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
