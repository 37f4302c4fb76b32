"""Rank statistics of many samples at once: a number [b] for each row of scores x [b, n] and truths y [b, n].

`tfnas.evidence.statistics` says what each of them is. Inputs hold no NaN; "order" is what `descending` gives.
"""

from __future__ import annotations

import math

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks, from 1."""
    from scipy import stats

    return stats.rankdata(values, axis=-1)


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.shape[-1] < 2:
        return np.full(len(x), math.nan)
    infinite = ~(np.isfinite(x).all(-1) & np.isfinite(y).all(-1))
    constant = (x == x[:, :1]).all(-1) | (y == y[:, :1]).all(-1)
    x, y = (np.where((infinite | constant)[:, None], 0.0, values) for values in (x, y))
    # Scaled first: the square of a score such as 1e200 is no longer a number.
    x, y = (divide(values, np.abs(values).max(-1, keepdims=True)) for values in (x, y))
    x, y = (values - values.mean(-1, keepdims=True) for values in (x, y))
    products = [np.einsum("bi,bi->b", a, b) for a, b in ((x, y), (x, x), (y, y))]
    return np.clip(divide(products[0], np.sqrt(products[1]) * np.sqrt(products[2])), -1.0, 1.0)


def pqetp(x_ranks: np.ndarray, y: np.ndarray, threshold: float) -> np.ndarray:
    """Mann-Whitney's form of the AUROC: it needs only the rank sum of the positives."""
    positive = y > threshold
    count = positive.sum(-1)
    rank_sum = (x_ranks * positive).sum(-1)
    return divide(rank_sum - count * (count + 1) / 2, count * (y.shape[-1] - count))


def discovered(x_order: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    if not y.shape[-1] or k < 1:
        return np.full(len(y), math.nan)
    return np.take_along_axis(y, x_order[:, :k], -1).max(-1)


def top_spearman(x: np.ndarray, y: np.ndarray, y_order: np.ndarray, percent: float) -> np.ndarray:
    best = y_order[:, : _top_count(x.shape[-1], percent)]
    return pearson(*(ranks(np.take_along_axis(values, best, -1)) for values in (x, y)))


def common(x_order: np.ndarray, y_order: np.ndarray, percent: float) -> np.ndarray:
    count = _top_count(x_order.shape[-1], percent)
    if not count:
        return np.full(len(x_order), math.nan)
    chosen = np.zeros((2, *x_order.shape), bool)
    for mask, order in zip(chosen, (x_order, y_order), strict=True):
        np.put_along_axis(mask, order[:, :count], True, -1)
    return chosen.all(0).sum(-1) / count


def descending(values: np.ndarray) -> np.ndarray:
    """Indices from the highest value to the lowest along the last axis, ties in the order of the input."""
    return np.argsort(-values, axis=-1, kind="stable")


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, NaN where the denominator is 0."""
    denominator = np.broadcast_to(denominator, np.shape(numerator))
    out = np.full(np.shape(numerator), math.nan)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def _top_count(n: int, percent: float) -> int:
    # Multiplied first: n * (percent / 100) falls short of whole numbers, 28.999... for 29% of 100.
    return math.floor(n * percent / 100)
