"""Rank statistics: how well scores order networks by their known performance.

Every function takes `score` [n] and `truth` [n], higher is better in both, and returns a float. A pair with a NaN is
left out; -inf and +inf are the lowest and the highest rank. What cannot be computed (constant input, too few pairs, one
class only) is NaN, never 0. Wherever something is sorted, `seed` breaks ties at random; without a seed they keep the
order of the input, as in the sources' code, and that order is then part of the result.

Sources: Park et al. 2020 (Kendall tau as in equation 6, PQETP, discovered performance); Dey et al. 2021 (top-x%
Spearman and common ratio); zero-cost-nas and GradSign leave out NaN as is done here. Those take the absolute value of
Spearman's coefficient; here the sign stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfnas import seeds
from tfnas.evidence import rows


def pairs(score: Sequence[float], truth: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 [m], without the pairs that hold a NaN, in the order given."""
    score, truth = np.asarray(score, np.float64), np.asarray(truth, np.float64)
    if score.shape != truth.shape or score.ndim != 1:
        raise ValueError(f"score and truth must be vectors of one length. Received: {score.shape} and {truth.shape}")
    keep = ~(np.isnan(score) | np.isnan(truth))
    return score[keep], truth[keep]


def tie_keys(n: int, seed: int | None) -> np.ndarray:
    """Keys [2, n] that order networks of equal score (first row) or equal truth (second), the lowest first."""
    if seed is None:
        return np.tile(np.arange(n), (2, 1))
    rng = np.random.default_rng(seeds.derive_seed(seed, "ties"))
    return np.stack([rng.permutation(n), rng.permutation(n)])


# Correlations ---------------------------------------------------------------------------------------------------------


def kendall(score: Sequence[float], truth: Sequence[float]) -> float:
    """Kendall's tau-b, (P - Q) / sqrt((P + Q + U)(P + Q + T)): Park et al. 2020, equation 6.

    P and Q count concordant and discordant pairs, U and T pairs tied in exactly one of the orders; pairs tied in both
    count nowhere.
    """
    from scipy import stats

    score, truth = pairs(score, truth)
    if _constant(score) or _constant(truth):
        return math.nan
    return float(stats.kendalltau(score, truth, variant="b").statistic)


def kendall_a(score: Sequence[float], truth: Sequence[float]) -> float:
    """Kendall's tau-a, (P - Q) / (n (n - 1) / 2): ties pull it towards zero."""
    score, truth = pairs(score, truth)
    tau_b = kendall(score, truth)
    # tau-b is (P - Q) over the geometric mean of the numbers of untied pairs; undo that instead of counting again.
    all_pairs = len(score) * (len(score) - 1) / 2
    return tau_b * math.sqrt(_untied(score) * _untied(truth)) / all_pairs if all_pairs else math.nan


def spearman(score: Sequence[float], truth: Sequence[float]) -> float:
    """Spearman's rho: Pearson correlation of average ranks, signed."""
    return float(rows.pearson(*(rows.ranks(values[None]) for values in pairs(score, truth)))[0])


def pearson(score: Sequence[float], truth: Sequence[float]) -> float:
    """Pearson's correlation; NaN as soon as a value is infinite."""
    return float(rows.pearson(*(values[None] for values in pairs(score, truth)))[0])


# Finding the good ones ------------------------------------------------------------------------------------------------


def pqetp(score: Sequence[float], truth: Sequence[float], threshold: float) -> float:
    """AUROC of the score for the label `truth > threshold` (strict), ties counting one half: Park et al. 2020.

    NaN where no network, or every network, lies above the threshold.
    """
    return float(pqetp_curve(score, truth, [threshold])[0])


def pqetp_curve(score: Sequence[float], truth: Sequence[float], thresholds: Sequence[float]) -> np.ndarray:
    """`pqetp` at each of some thresholds [t]: [t]."""
    score, truth = pairs(score, truth)
    order = np.argsort(-truth, kind="stable")
    # Mann-Whitney's form: it needs only the rank sum of the positives, which are the first of this order.
    sums = np.append(0, np.cumsum(rows.ranks(score)[order]))
    count = np.searchsorted(-truth[order], -np.asarray(thresholds, float), "left")
    return rows.divide(sums[count] - count * (count + 1) / 2, count * (len(truth) - count))


def discovered(score: Sequence[float], truth: Sequence[float], k: int = 10, *, seed: int | None = None) -> float:
    """Discovered performance: the best truth among the k networks of highest score (Park et al. 2020: k = 10)."""
    score, truth = pairs(score, truth)
    if not len(score) or k < 1:
        return math.nan
    return float(truth[rows.descending(score, tie_keys(len(score), seed)[0])[:k]].max())


def discovered_subsets(
    score: Sequence[float],
    truth: Sequence[float],
    k: int = 10,
    *,
    size: int,
    subsets: int = 10,
    seed: int = 0,
) -> tuple[float, float]:
    """Mean and standard error of the discovered performance over random subsets, drawn without replacement.

    Park et al. 2020 draw 10 subsets of 10,000 networks. Each subset breaks its ties anew.
    """
    score, truth = pairs(score, truth)
    if not 1 < size <= len(score):
        return math.nan, math.nan
    drawn = enumerate(subset_rows(len(score), size, subsets, seed))
    return mean_and_error(
        [discovered(score[some], truth[some], k, seed=seeds.derive_seed(seed, i)) for i, some in drawn]
    )


def subset_rows(n: int, size: int, subsets: int, seed: int) -> np.ndarray:
    """Random subsets of n, each drawn without replacement: indices [subsets, size], ascending in each row."""
    rng = seeds.generator(seed)
    return np.stack([np.sort(rng.choice(n, size, replace=False)) for _ in range(subsets)])


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error; values that are NaN do not count, and one value alone has no error."""
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def percentiles(values: Sequence[float]) -> np.ndarray:
    """Place of each value among all in percent, 100 (rank - 1/2) / n with the average rank of ties; NaN stays NaN."""
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    out = np.full(len(values), math.nan)
    out[known] = 100 * (rows.ranks(values[known]) - 0.5) / max(known.sum(), 1)
    return out


def top_spearman(score: Sequence[float], truth: Sequence[float], percent: float, *, seed: int | None = None) -> float:
    """Spearman's rho among the floor(n percent / 100) networks of highest truth: Dey et al. 2021."""
    score, truth = pairs(score, truth)
    best = rows.descending(truth, tie_keys(len(truth), seed)[1])[: rows.top_count(len(truth), percent)]
    return spearman(score[best], truth[best])


def common_ratio(score: Sequence[float], truth: Sequence[float], percent: float, *, seed: int | None = None) -> float:
    """Share of the floor(n percent / 100) best by truth that are also among as many best by score: Dey et al. 2021."""
    score, truth = pairs(score, truth)
    return precision_at_k(score, truth, rows.top_count(len(score), percent), seed=seed)


def precision_at_k(score: Sequence[float], truth: Sequence[float], k: int = 10, *, seed: int | None = None) -> float:
    """Share of the k networks of highest score that are among the k of highest truth."""
    both = pairs(score, truth)
    if not 0 < k <= len(both[0]):
        return math.nan
    ties = tie_keys(len(both[0]), seed)
    chosen = [set(rows.descending(values, keys)[:k]) for values, keys in zip(both, ties, strict=True)]
    return len(set.intersection(*chosen)) / k


def regret(score: Sequence[float], truth: Sequence[float], *, seed: int | None = None) -> float:
    """Best truth of all minus the truth of the network of highest score."""
    score, truth = pairs(score, truth)
    return float(truth.max()) - discovered(score, truth, 1, seed=seed) if len(score) else math.nan


def _constant(values: np.ndarray) -> bool:
    return len(values) < 2 or bool((values == values[0]).all())


def _untied(values: np.ndarray) -> float:
    """Number of pairs with different values."""
    counts = np.unique(values, return_counts=True)[1].astype(np.float64)
    return (len(values) * (len(values) - 1) - (counts * (counts - 1)).sum()) / 2
