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
        self.score, self.truth = Order(score, ties[0]), Order(truth, ties[1])
        # Places in the order of the score of those in the order of the truth.
        self.by_score_of_truth = self.score.place[self.truth.order]
        self.truth_by_score = truth[self.score.order]
        both = np.unique(np.stack([score, truth]), axis=1, return_inverse=True)[1]
        self.both = Order(both, ties[0]) if len(both) > both.max(initial=-1) + 1 else None
        self.concordance = Concordance(score, truth)


class _Sorted:
    """Values from the best on, and where the ties of each begin and end.

    Args:
        values: [n], descending.
        order: [n], whose values they are.
    """

    def __init__(self, values: np.ndarray, order: np.ndarray) -> None:
        self.order, self.values = order, values
        self.place = np.empty(len(order), np.intp)
        self.place[order] = np.arange(len(order))
        new = np.append(True, values[1:] != values[:-1])[: len(values)]
        starts = np.append(np.flatnonzero(new), len(values))
        tie = np.cumsum(new) - 1
        self.start, self.end = starts[tie], starts[tie + 1]

    def spans(self, above: np.ndarray, places: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """How many copies are better than a network, and how many are not worse: each [b, n].

        Args:
            above: of `_cumulated`, in this order.
            places: [n], of this order, of the networks that are asked for; by default all as `order` names them.
        """
        places = self.place if places is None else places
        return np.take(above, self.start[places], axis=1), np.take(above, self.end[places], axis=1)

    def ranks(self, counts: np.ndarray) -> np.ndarray:
        """Twice the average rank of each network in resamples, from its mean, the best lowest: float32 [b, n].

        Args:
            counts: as in `Resamples`.
        """
        before, after = self.spans(_cumulated(np.take(counts, self.order, axis=1)))
        return before + after - counts.sum(-1, keepdims=True, dtype=np.float32)


class Order(_Sorted):
    """One of the orders, best first; of equal values, the lowest of `ties` first."""

    def __init__(self, values: np.ndarray, ties: np.ndarray) -> None:
        order = rows.descending(values, ties)
        super().__init__(values[order], order)


class Resamples:
    """Statistics of some resamples.

    Args:
        orders: of the networks.
        counts: float32 [b, n], whole numbers, each row with a sum below 2^23.
    """

    def __init__(self, orders: Orders, counts: np.ndarray) -> None:
        self._orders, self._counts = orders, counts
        self._total = counts.sum(-1, dtype=np.float64)

    @functools.cached_property
    def _by_truth(self) -> np.ndarray:
        return np.take(self._counts, self._orders.truth.order, axis=1)

    @functools.cached_property
    def _by_score(self) -> np.ndarray:
        return np.take(self._counts, self._orders.score.order, axis=1)

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
        return self._orders.truth.spans(self._above_truth, np.arange(len(self._orders.truth.order)))

    def kendall(self) -> np.ndarray:
        """tau-b. Everything is a number of ordered pairs, those of a copy with itself included."""
        pairs, copies = self._total**2, dot(self._counts, self._counts)
        tied_score, tied_truth = (
            dot(self._by_truth, after - before) for before, after in (self._score_spans, self._truth_spans)
        )
        tied_both = copies
        if both := self._orders.both:
            weights = np.take(self._counts, both.order, axis=1)
            before, after = both.spans(_cumulated(weights), np.arange(len(both.order)))
            tied_both = dot(weights, after - before)
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
        lost = dot(weights, before + after) / 2 - count**2 / 2
        return 1 - rows.divide(lost, count * (self._total - count))

    def discovered(self, k: int) -> np.ndarray:
        if not self._counts.size or k < 1:
            return np.full(len(self._counts), math.nan)
        chosen = _best(self._by_score, self._above_score, np.full(len(self._counts), k)) > 0
        return np.where(chosen, self._orders.truth_by_score[: chosen.shape[1]], -np.inf).max(-1)

    def top_spearman(self, percent: float) -> np.ndarray:
        count = self._top(percent)
        weights = _best(self._by_truth, self._above_truth, count)
        # Of the order of the score, those among the best, as places in the order of the truth.
        places = self._orders.truth.place[self._orders.score.order]
        places = places[places < weights.shape[1]]
        scores = self._orders.score.values[self._orders.by_score_of_truth[places]]
        by_score = _Sorted(scores, places).spans(_cumulated(np.take(weights, places, axis=1)))
        truth = self._orders.truth.values[: weights.shape[1]]
        above = np.minimum(self._above_truth[:, : len(truth) + 1], count.astype(np.float32)[:, None])
        by_truth = _Sorted(truth, np.arange(len(truth))).spans(above)
        return _spearman(weights, by_score, by_truth, count)

    def common(self, percent: float) -> np.ndarray:
        count = self._top(percent)
        by_truth = _best(self._by_truth, self._above_truth, count)
        places = self._orders.by_score_of_truth[: by_truth.shape[1]]
        by_score = _first(self._by_score, self._above_score, count, places)
        return rows.divide(np.minimum(by_score, by_truth).sum(-1, dtype=np.float64), count)

    def _top(self, percent: float) -> np.ndarray:
        """Copies among the best, in each resample."""
        return np.array([rows.top_count(total, percent) for total in self._total], np.float64)


class Moments:
    """Pearson's correlation of resamples from sums of products.

    Args:
        score: [n], without NaN.
        truth: [n], without NaN.
    """

    def __init__(self, score: np.ndarray, truth: np.ndarray) -> None:
        self._pair = score, truth
        infinite = np.isinf(score) | np.isinf(truth)
        x, y = (_centred(np.where(infinite, 0.0, values)) for values in self._pair)
        self._products = np.stack([x, y, x * y, x * x, y * y, infinite])

    def pearson(self, counts: np.ndarray) -> np.ndarray:
        """The correlation [b] of counts [b, n]; NaN where a resample is constant or has an infinite value."""
        total = counts.sum(-1, dtype=np.float64)
        # Not a product of matrices, whose round-off depends on their size.
        x, y, xy, xx, yy, infinite = np.einsum("bi,ki->kb", counts.astype(np.float64), self._products)
        mean_x, mean_y = rows.divide(x, total), rows.divide(y, total)
        spread_x, spread_y = xx - x * mean_x, yy - y * mean_y
        found = rows.divide(xy - x * mean_y, np.sqrt(np.maximum(spread_x, 0)) * np.sqrt(np.maximum(spread_y, 0)))
        found = np.clip(found, -1.0, 1.0)
        # Where hardly anything is left of the digits, copies are drawn up and correlated as they are: constants, and
        # scores of which one dwarfs all others and is not among the drawn.
        sure = np.ones(len(counts), bool)
        for spread, square in ((spread_x, xx), (spread_y, yy)):
            sure &= (spread > 1e-6 * square) & (spread > 1e-12 * total)
        for row in np.flatnonzero(~sure & (infinite == 0)):
            drawn = np.repeat(np.arange(counts.shape[1]), counts[row].astype(int))
            found[row] = rows.pearson(*(values[drawn][None] for values in self._pair))[0]
        return np.where(infinite > 0, math.nan, found)


def _centred(values: np.ndarray) -> np.ndarray:
    """Scaled to [-1, 1], less the mean."""
    values = np.nan_to_num(values / np.abs(values).max(initial=1e-300)) if len(values) else values
    return values - values.mean() if len(values) else values


def _spearman(
    weights: np.ndarray, first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], total: np.ndarray
) -> np.ndarray:
    # Twice the average rank, from its mean.
    total = total.astype(np.float32)[:, None]
    x, y = (before + after - total for before, after in (first, second))
    weighted = weights * x
    products = dot(weighted, y), dot(weighted, x), dot(weights * y, y)
    return np.clip(rows.divide(products[0], np.sqrt(products[1]) * np.sqrt(products[2])), -1.0, 1.0)


def _cumulated(weights: np.ndarray) -> np.ndarray:
    """Copies before each place, and all of them last: [b, n + 1] of counts [b, n]."""
    above = np.zeros((len(weights), weights.shape[1] + 1), np.float32)
    np.cumsum(weights, axis=1, out=above[:, 1:])
    return above


def _best(weights: np.ndarray, above: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Of counts [b, n], best first, those of the first `count` [b] copies: [b, m], as far as these reach in any row."""
    pairs = zip(above, count, strict=True)
    reached = max((np.searchsorted(row[:-1], number) for row, number in pairs), default=0)
    return _first(weights, above, count, slice(reached))


def _first(weights: np.ndarray, above: np.ndarray, count: np.ndarray, places: np.ndarray | slice) -> np.ndarray:
    """The same at the places asked for."""
    some = above[:, :-1][:, places] if isinstance(places, slice) else np.take(above, places, axis=1)
    weights = weights[:, places] if isinstance(places, slice) else np.take(weights, places, axis=1)
    left = count.astype(np.float32)[:, None] - some
    return np.minimum(np.maximum(left, 0, out=left), weights, out=left)


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sums [b] of products, in double precision."""
    return np.einsum("bi,bi->b", a, b, dtype=np.float64)
