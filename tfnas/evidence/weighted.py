"""Rank statistics of resamples: a number [b] for each row of counts [b, n], which say how often a network was drawn.

The orders of the networks are found once; what is left for each resample are sums of counts in one of the orders.
Copies of a network tie with each other. `tfnas.evidence.statistics` says what each statistic is.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from tfnas.evidence import rows
from tfnas.evidence.concordance import Concordance


class Orders:
    """The orders of n networks by score and by truth, best first.

    Args:
        score: [n], without NaN.
        truth: [n], without NaN.
        ties: [2, n], of `tfnas.evidence.statistics.tie_keys`.
    """

    def __init__(self, score: np.ndarray, truth: np.ndarray, ties: np.ndarray) -> None:
        self.score, self.truth = _Order(score, ties[0]), _Order(truth, ties[1])
        # Places in the order of the score of those in the order of the truth.
        self.by_score_of_truth = self.score.place[self.truth.order]
        self.truth_by_score = truth[self.score.order]
        both = np.unique(np.stack([score, truth]), axis=1, return_inverse=True)[1]
        self.both = _Order(both, ties[0]) if len(both) > both.max(initial=-1) + 1 else None
        self.concordance = Concordance(score, truth)


class _Order:
    """One of the orders, best first, and where the ties of each network begin and end in it."""

    def __init__(self, values: np.ndarray, ties: np.ndarray) -> None:
        self.order = rows.descending(values, ties)
        self.place = np.argsort(self.order)
        self.values = values[self.order]
        self.start = np.searchsorted(-self.values, -self.values, "left")
        self.end = np.searchsorted(-self.values, -self.values, "right")

    def spans(self, above: np.ndarray, places: np.ndarray | slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """How many copies are better than a network, and how many are not worse: each [b, n] for the places given.

        Args:
            above: of `_cumulated`, in this order.
            places: [n], of this order.
        """
        return above[:, self.start[places]], above[:, self.end[places]]


class Resamples:
    """Statistics of some resamples.

    Args:
        orders: of the networks.
        counts: float32 [b, n], whole numbers, each row with the same sum below 2^23.
    """

    def __init__(self, orders: Orders, counts: np.ndarray) -> None:
        self._orders, self._counts = orders, counts
        self._total = float(counts[0].sum()) if len(counts) else 0.0

    @functools.cached_property
    def _by_truth(self) -> np.ndarray:
        return self._counts[:, self._orders.truth.order]

    @functools.cached_property
    def _by_score(self) -> np.ndarray:
        return self._counts[:, self._orders.score.order]

    @functools.cached_property
    def _above_truth(self) -> np.ndarray:
        return _cumulated(self._by_truth)

    @functools.cached_property
    def _above_score(self) -> np.ndarray:
        return _cumulated(self._by_score)

    # Both in the order of the truth.
    @functools.cached_property
    def _score_spans(self) -> tuple[np.ndarray, np.ndarray]:
        return self._orders.score.spans(self._above_score, self._orders.by_score_of_truth)

    @functools.cached_property
    def _truth_spans(self) -> tuple[np.ndarray, np.ndarray]:
        return self._orders.truth.spans(self._above_truth)

    def kendall(self) -> np.ndarray:
        """tau-b. Everything is a number of ordered pairs, those of a copy with itself included."""
        pairs, copies = self._total**2, _dot(self._counts, self._counts)
        tied_score, tied_truth = (
            _dot(self._by_truth, after - before) for before, after in (self._score_spans, self._truth_spans)
        )
        tied_both = copies
        if both := self._orders.both:
            weights = self._counts[:, both.order]
            before, after = both.spans(_cumulated(weights))
            tied_both = _dot(weights, after - before)
        # Different networks that tie are among the concordant pairs.
        concordant = 2 * self._orders.concordance.pairs(self._counts) - (tied_score + tied_truth - tied_both - copies)
        discordant = pairs - (tied_score + tied_truth - tied_both) - concordant
        return rows.divide(concordant - discordant, np.sqrt(pairs - tied_score) * np.sqrt(pairs - tied_truth))

    def spearman(self) -> np.ndarray:
        return _spearman(self._by_truth, self._score_spans, self._truth_spans, self._total)

    def pqetp(self, threshold: float) -> np.ndarray:
        positive = slice(int((self._orders.truth.values > threshold).sum()))
        weights, (before, after) = self._by_truth[:, positive], (span[:, positive] for span in self._score_spans)
        count = weights.sum(-1, dtype=np.float64)
        lost = _dot(weights, before + after) / 2 - count**2 / 2
        return 1 - rows.divide(lost, count * (self._total - count))

    def discovered(self, k: int) -> np.ndarray:
        if not self._total or k < 1:
            return np.full(len(self._counts), math.nan)
        chosen = _best(self._by_score, self._above_score, k) > 0
        return np.where(chosen, self._orders.truth_by_score[: chosen.shape[1]], -np.inf).max(-1)

    def top_spearman(self, percent: float) -> np.ndarray:
        count = rows.top_count(int(self._total), percent)
        weights = _best(self._by_truth, self._above_truth, count)
        reached = slice(weights.shape[1])
        truth = self._orders.truth.values[reached]
        score = self._orders.score.values[self._orders.by_score_of_truth[reached]]
        spans = []
        for order in (_Order(values, np.arange(len(values))) for values in (score, truth)):
            spans.append(order.spans(_cumulated(weights[:, order.order]), order.place))
        return _spearman(weights, *spans, count)

    def common(self, percent: float) -> np.ndarray:
        count = rows.top_count(int(self._total), percent)
        if not count:
            return np.full(len(self._counts), math.nan)
        by_truth = _best(self._by_truth, self._above_truth, count)
        places = self._orders.by_score_of_truth[: by_truth.shape[1]]
        by_score = _first(self._by_score, self._above_score, count, places)
        return np.minimum(by_score, by_truth).sum(-1, dtype=np.float64) / count


def _spearman(
    weights: np.ndarray, first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], total: float
) -> np.ndarray:
    # Twice the average rank, from its mean.
    x, y = (before + after - np.float32(total) for before, after in (first, second))
    weighted = weights * x
    products = _dot(weighted, y), _dot(weighted, x), _dot(weights * y, y)
    return np.clip(rows.divide(products[0], np.sqrt(products[1]) * np.sqrt(products[2])), -1.0, 1.0)


def _cumulated(weights: np.ndarray) -> np.ndarray:
    """Copies before each place, and all of them last: [b, n + 1] of counts [b, n]."""
    above = np.zeros((len(weights), weights.shape[1] + 1), np.float32)
    np.cumsum(weights, axis=1, out=above[:, 1:])
    return above


def _best(weights: np.ndarray, above: np.ndarray, count: int) -> np.ndarray:
    """Of counts [b, n], best first, those of the first `count` copies: [b, m], as far as these reach in any row."""
    reached = max((np.searchsorted(row[:-1], count) for row in above), default=0)
    return _first(weights, above, count, slice(reached))


def _first(weights: np.ndarray, above: np.ndarray, count: int, places: np.ndarray | slice) -> np.ndarray:
    """The same at the places asked for."""
    return np.minimum(np.maximum(count - above[:, :-1][:, places], 0), weights[:, places])


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("bi,bi->b", a, b, dtype=np.float64)
