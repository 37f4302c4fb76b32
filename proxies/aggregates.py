"""Scores that compare architectures with one another: functions of other scores over a whole pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tfnas.errors import unknown


def vote(scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pairwise majority of synflow, jacob_cov and snip (zero-cost-nas): for each network, in how many pairs it wins.

    Arrays [n] -> [n]. A proxy whose score is NaN for either network of a pair takes no side; a pair without majority
    is nobody's win.
    """
    ranks = np.stack([_ranks(scores[name]) for name in AGGREGATES["vote"][0]])
    # One network against all at a time: all pairs at once would not fit in memory for a whole space.
    wins = [np.nansum(np.sign(one[:, None] - ranks), axis=0) > 0 for one in ranks.T]
    return np.sum(wins, axis=1).astype(float)


def aznas(scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """AZ-NAS' non-linear rank aggregation: sum over its four scores of log(rank / n), average ranks, best is 1 -> 0."""
    ranks = np.stack([_ranks(scores[name]) for name in AGGREGATES["aznas"][0]])
    return np.log(ranks / ranks.shape[1]).sum(axis=0)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks from 1 (worst); NaN stays NaN."""
    from scipy import stats  # takes seconds to import, and proxies are imported to list their names

    return stats.rankdata(np.asarray(values, np.float64), nan_policy="omit")


# Name -> (scores it needs, function).
AGGREGATES: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, np.ndarray]], np.ndarray]]] = {
    "vote": (("synflow", "jacob_cov", "snip"), vote),
    "aznas": (("aznas_expressivity", "aznas_progressivity", "aznas_trainability", "flops"), aznas),
}


def aggregate(name: str, scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """An aggregate over a pool of networks.

    Args:
        name: one of `AGGREGATES`.
        scores: array [n] for each score it needs, in one order of the networks.

    Raises:
        InputError: an unknown aggregate, or a score is missing.
    """
    if name not in AGGREGATES:
        raise unknown("aggregate", name, AGGREGATES)
    needed, compute = AGGREGATES[name]
    for score in needed:
        if score not in scores:
            raise unknown(f"score needed by {name}", score, scores)
    return compute(scores)
