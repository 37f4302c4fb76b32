"""What rank statistics are made of, along the last axis of values [..., n] that hold no NaN."""

from __future__ import annotations

import math

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks, from 1."""
    from scipy import stats

    return stats.rankdata(values, axis=-1)


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Correlation [b] of rows x [b, n] and y [b, n]; NaN where a row is constant or has an infinite value."""
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


def descending(values: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Indices [n] from the highest of values [n] to the lowest; of equal ones, the lowest of `ties` [n] first."""
    return np.lexsort((ties, -values))


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, NaN where the denominator is 0."""
    denominator = np.broadcast_to(denominator, np.shape(numerator))
    out = np.full(np.shape(numerator), math.nan)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def top_count(n: int, percent: float) -> int:
    """floor(n percent / 100)."""
    # Multiplied first: n * (percent / 100) falls short of whole numbers, 28.999... for 29% of 100.
    return math.floor(n * percent / 100)
