"""Percentile intervals of rank statistics: all of them on the same resamples of the networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfnas.evidence import rows
from tfnas.evidence.statistics import kendall, pairs

# The pair-sign matrix of n networks takes 4 n^2 bytes; beyond this many, sorting each resample is the cheaper way.
_MAX_PAIRWISE = 3000
# Numbers held at once while resampling.
_CHUNK = 2_000_000


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
        seed: same seed, same interval.
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
    kendall_of = _kendall_resampler(score, truth)
    for drawn in _resample_rows(len(score), resamples, seed):
        x, y = score[drawn], truth[drawn]
        x_ranks = rows.ranks(x) if thresholds or "spearman" in wanted else None
        x_order = rows.descending(x) if percents or "discovered" in wanted else None
        y_order = rows.descending(y) if percents else None
        if "kendall" in wanted:
            found["kendall"].append(kendall_of(drawn))
        if "spearman" in wanted:
            found["spearman"].append(rows.pearson(x_ranks, rows.ranks(y)))
        if "pearson" in wanted:
            found["pearson"].append(rows.pearson(x, y))
        if "discovered" in wanted:
            found["discovered"].append(rows.discovered(x_order, y, k))
        for percent in percents:
            found[f"top{percent:g}_spearman"].append(rows.top_spearman(x, y, y_order, percent))
            found[f"top{percent:g}_common"].append(rows.common(x_order, y_order, percent))
        for threshold in thresholds:
            found[f"pqetp_{threshold:g}"].append(rows.pqetp(x_ranks, y, threshold))
    return {name: _interval(values, level) for name, values in found.items()}


def _resample_rows(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks [b, n] of drawn indices, ascending in each row so that ties keep the order of the input."""
    rng = np.random.default_rng(seed)
    block = max(1, _CHUNK // max(n, 1))
    for start in range(0, resamples, block):
        yield np.sort(rng.integers(0, n, (min(block, resamples - start), n)), axis=1)


def _interval(found: list[np.ndarray], level: float) -> tuple[float, float]:
    values = np.concatenate(found) if found else np.empty(0)
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _kendall_resampler(score: np.ndarray, truth: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function from drawn indices [b, n] to tau-b [b].

    A resample is a vector w of counts, and then P - Q is w^T (S * T) w / 2 with S and T the signs of all pairs: one
    matrix product for a whole block of resamples. The signs are small integers, exact in float32.
    """
    n = len(score)
    if n > _MAX_PAIRWISE:
        return lambda drawn: np.array([kendall(score[row], truth[row]) for row in drawn])
    signs = [_pair_signs(values) for values in (score, truth)]
    products = [signs[0] * signs[1], np.abs(signs[0]), np.abs(signs[1])]

    def of(drawn: np.ndarray) -> np.ndarray:
        counts = np.zeros((len(drawn), n), np.float32)
        np.add.at(counts, (np.arange(len(drawn))[:, None], drawn), 1)
        signed, untied_x, untied_y = (
            np.einsum("bi,bi->b", counts @ matrix, counts, dtype=np.float64) for matrix in products
        )
        return rows.divide(signed, np.sqrt(untied_x * untied_y))

    return of


def _pair_signs(values: np.ndarray) -> np.ndarray:
    # Compared, not subtracted: inf - inf is NaN.
    return (values[:, None] > values).astype(np.float32) - (values[:, None] < values)
