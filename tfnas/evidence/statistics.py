"""Rank statistics: how well scores order networks by their known performance.

Every function takes `score` [n] and `truth` [n], higher is better in both, and returns a float. A pair with a NaN is
left out; -inf and +inf are the lowest and the highest rank. What cannot be computed (constant input, too few pairs, one
class only) is NaN, never 0. Ties keep the order of the input wherever something is sorted.

Sources: Park et al. 2020 (Kendall tau as in equation 6, PQETP, discovered performance); Dey et al. 2021 (top-x%
Spearman and common ratio); zero-cost-nas and GradSign leave out NaN as is done here. Those take the absolute value of
Spearman's coefficient; here the sign stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

# The pair-sign matrix of n networks takes 4 n^2 bytes; beyond this many, sorting each resample is the cheaper way.
_MAX_PAIRWISE = 3000
# Numbers held at once while resampling.
_CHUNK = 2_000_000


def pairs(score: Sequence[float], truth: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 [m], without the pairs that hold a NaN, in the order given."""
    score, truth = np.asarray(score, np.float64), np.asarray(truth, np.float64)
    if score.shape != truth.shape or score.ndim != 1:
        raise ValueError(f"score and truth must be vectors of one length. Received: {score.shape} and {truth.shape}")
    keep = ~(np.isnan(score) | np.isnan(truth))
    return score[keep], truth[keep]


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
    return float(_pearson_rows(*(_ranks(values[None]) for values in pairs(score, truth)))[0])


def pearson(score: Sequence[float], truth: Sequence[float]) -> float:
    """Pearson's correlation; NaN as soon as a value is infinite."""
    return float(_pearson_rows(*(values[None] for values in pairs(score, truth)))[0])


# Finding the good ones ------------------------------------------------------------------------------------------------


def pqetp(score: Sequence[float], truth: Sequence[float], threshold: float) -> float:
    """AUROC of the score for the label `truth > threshold` (strict), ties counting one half: Park et al. 2020.

    NaN where no network, or every network, lies above the threshold.
    """
    score, truth = pairs(score, truth)
    return float(_pqetp_rows(_ranks(score[None]), truth[None], threshold)[0])


def discovered(score: Sequence[float], truth: Sequence[float], k: int = 10) -> float:
    """Discovered performance: the best truth among the k networks of highest score (Park et al. 2020: k = 10)."""
    score, truth = pairs(score, truth)
    return float(_discovered_rows(_descending(score[None]), truth[None], k)[0])


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

    Park et al. 2020 draw 10 subsets of 10,000 networks.
    """
    score, truth = pairs(score, truth)
    if not 1 < size <= len(score):
        return math.nan, math.nan
    rows = subset_rows(len(score), size, subsets, seed)
    return mean_and_error(_discovered_rows(_descending(score[rows]), truth[rows], k))


def subset_rows(n: int, size: int, subsets: int, seed: int) -> np.ndarray:
    """Random subsets of n, each drawn without replacement: indices [subsets, size], ascending in each row."""
    rng = np.random.default_rng(seed)
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
    out[known] = 100 * (_ranks(values[known]) - 0.5) / max(known.sum(), 1)
    return out


def top_spearman(score: Sequence[float], truth: Sequence[float], percent: float) -> float:
    """Spearman's rho among the floor(n percent / 100) networks of highest truth: Dey et al. 2021."""
    score, truth = pairs(score, truth)
    return float(_top_spearman_rows(score[None], truth[None], _descending(truth[None]), percent)[0])


def common_ratio(score: Sequence[float], truth: Sequence[float], percent: float) -> float:
    """Share of the floor(n percent / 100) best by truth that are also among as many best by score: Dey et al. 2021."""
    return float(_common_rows(*(_descending(values[None]) for values in pairs(score, truth)), percent)[0])


def precision_at_k(score: Sequence[float], truth: Sequence[float], k: int = 10) -> float:
    """Share of the k networks of highest score that are among the k of highest truth."""
    score, truth = pairs(score, truth)
    if not 0 < k <= len(score):
        return math.nan
    return len(set(_descending(score)[:k]) & set(_descending(truth)[:k])) / k


def regret(score: Sequence[float], truth: Sequence[float]) -> float:
    """Best truth of all minus the truth of the network of highest score (the first of them)."""
    score, truth = pairs(score, truth)
    return float(truth.max() - truth[score.argmax()]) if len(score) else math.nan


# Uncertainty ----------------------------------------------------------------------------------------------------------


def bootstrap(
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
    """Percentile intervals of the statistics above, networks drawn with replacement.

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
    for rows in _resample_rows(len(score), resamples, seed):
        x, y = score[rows], truth[rows]
        x_ranks = _ranks(x) if thresholds or "spearman" in wanted else None
        x_order = _descending(x) if percents or "discovered" in wanted else None
        y_order = _descending(y) if percents else None
        if "kendall" in wanted:
            found["kendall"].append(kendall_of(rows))
        if "spearman" in wanted:
            found["spearman"].append(_pearson_rows(x_ranks, _ranks(y)))
        if "pearson" in wanted:
            found["pearson"].append(_pearson_rows(x, y))
        if "discovered" in wanted:
            found["discovered"].append(_discovered_rows(x_order, y, k))
        for percent in percents:
            found[f"top{percent:g}_spearman"].append(_top_spearman_rows(x, y, y_order, percent))
            found[f"top{percent:g}_common"].append(_common_rows(x_order, y_order, percent))
        for threshold in thresholds:
            found[f"pqetp_{threshold:g}"].append(_pqetp_rows(x_ranks, y, threshold))
    return {name: _interval(values, level) for name, values in found.items()}


def evaluate(
    score: Sequence[float],
    truth: Sequence[float],
    *,
    thresholds: Sequence[float] = (),
    percents: Sequence[float] = (10, 50),
    k: int = 10,
    resamples: int = 1000,
    seed: int = 0,
) -> Mapping[str, float]:
    """Every statistic of this module for one score, with its bootstrap interval.

    Returns:
        A flat dictionary: "n"; each name of `bootstrap` with its "_lo" and "_hi"; "kendall_a", "precision", "regret";
        "discovered_mean" and "discovered_se" over 10 random subsets of half the networks (at most 10,000).
    """
    score, truth = pairs(score, truth)
    out: dict[str, float] = {
        "n": len(score),
        "kendall": kendall(score, truth),
        "spearman": spearman(score, truth),
        "pearson": pearson(score, truth),
        **{f"top{p:g}_spearman": top_spearman(score, truth, p) for p in percents},
        **{f"top{p:g}_common": common_ratio(score, truth, p) for p in percents},
        **{f"pqetp_{t:g}": pqetp(score, truth, t) for t in thresholds},
        "discovered": discovered(score, truth, k),
    }
    intervals = bootstrap(score, truth, resamples=resamples, seed=seed, thresholds=thresholds, percents=percents, k=k)
    out = {
        key: number
        for name, value in out.items()
        for key, number in ((name, value), *zip((f"{name}_lo", f"{name}_hi"), intervals.get(name, ()), strict=False))
    }
    mean, error = discovered_subsets(score, truth, k, size=min(len(score) // 2, 10_000), seed=seed)
    return out | {
        "discovered_mean": mean,
        "discovered_se": error,
        "kendall_a": kendall_a(score, truth),
        "precision": precision_at_k(score, truth, k),
        "regret": regret(score, truth),
    }


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
        return lambda rows: np.array([kendall(score[row], truth[row]) for row in rows])
    signs = [_pair_signs(values) for values in (score, truth)]
    products = [signs[0] * signs[1], np.abs(signs[0]), np.abs(signs[1])]

    def of(rows: np.ndarray) -> np.ndarray:
        counts = np.zeros((len(rows), n), np.float32)
        np.add.at(counts, (np.arange(len(rows))[:, None], rows), 1)
        signed, untied_x, untied_y = (
            np.einsum("bi,bi->b", counts @ matrix, counts, dtype=np.float64) for matrix in products
        )
        return _divide(signed, np.sqrt(untied_x * untied_y))

    return of


def _pair_signs(values: np.ndarray) -> np.ndarray:
    # Compared, not subtracted: inf - inf is NaN.
    return (values[:, None] > values).astype(np.float32) - (values[:, None] < values)


# Rows: the same statistics for each row of x [b, n] and y [b, n] ------------------------------------------------------


def _ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks, from 1."""
    from scipy import stats

    return stats.rankdata(values, axis=-1)


def _pearson_rows(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.shape[-1] < 2:
        return np.full(len(x), math.nan)
    infinite = ~(np.isfinite(x).all(-1) & np.isfinite(y).all(-1))
    constant = (x == x[:, :1]).all(-1) | (y == y[:, :1]).all(-1)
    x, y = (np.where((infinite | constant)[:, None], 0.0, values) for values in (x, y))
    # Scaled first: the square of a score such as 1e200 is no longer a number.
    x, y = (_divide(values, np.abs(values).max(-1, keepdims=True)) for values in (x, y))
    x, y = (values - values.mean(-1, keepdims=True) for values in (x, y))
    products = [np.einsum("bi,bi->b", a, b) for a, b in ((x, y), (x, x), (y, y))]
    return np.clip(_divide(products[0], np.sqrt(products[1]) * np.sqrt(products[2])), -1.0, 1.0)


def _pqetp_rows(x_ranks: np.ndarray, y: np.ndarray, threshold: float) -> np.ndarray:
    """Mann-Whitney's form of the AUROC: it needs only the rank sum of the positives."""
    positive = y > threshold
    count = positive.sum(-1)
    rank_sum = (x_ranks * positive).sum(-1)
    return _divide(rank_sum - count * (count + 1) / 2, count * (y.shape[-1] - count))


def _discovered_rows(x_order: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    if not y.shape[-1] or k < 1:
        return np.full(len(y), math.nan)
    return np.take_along_axis(y, x_order[:, :k], -1).max(-1)


def _top_spearman_rows(x: np.ndarray, y: np.ndarray, y_order: np.ndarray, percent: float) -> np.ndarray:
    best = y_order[:, : _top_count(x.shape[-1], percent)]
    return _pearson_rows(*(_ranks(np.take_along_axis(values, best, -1)) for values in (x, y)))


def _common_rows(x_order: np.ndarray, y_order: np.ndarray, percent: float) -> np.ndarray:
    count = _top_count(x_order.shape[-1], percent)
    if not count:
        return np.full(len(x_order), math.nan)
    chosen = np.zeros((2, *x_order.shape), bool)
    for mask, order in zip(chosen, (x_order, y_order), strict=True):
        np.put_along_axis(mask, order[:, :count], True, -1)
    return chosen.all(0).sum(-1) / count


def _top_count(n: int, percent: float) -> int:
    # Multiplied first: n * (percent / 100) falls short of whole numbers, 28.999... for 29% of 100.
    return math.floor(n * percent / 100)


def _descending(values: np.ndarray) -> np.ndarray:
    """Indices from the highest value to the lowest along the last axis, ties in the order of the input."""
    return np.argsort(-values, axis=-1, kind="stable")


def _constant(values: np.ndarray) -> bool:
    return len(values) < 2 or bool((values == values[0]).all())


def _untied(values: np.ndarray) -> float:
    """Number of pairs with different values."""
    counts = np.unique(values, return_counts=True)[1].astype(np.float64)
    return (len(values) * (len(values) - 1) - (counts * (counts - 1)).sum()) / 2


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, NaN where the denominator is 0."""
    denominator = np.broadcast_to(denominator, np.shape(numerator))
    out = np.full(np.shape(numerator), math.nan)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)
