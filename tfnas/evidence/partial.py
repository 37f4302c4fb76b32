"""Rank correlation at fixed size: whether a score knows more than how large a network is.

The partial Spearman correlation of score and truth given sizes is the Pearson correlation of what is left of the ranks
of both after linear regression on the ranks of the sizes (Conover, "Practical Nonparametric Statistics", 1999). The
same formula on Kendall's tau-b gives Kendall's partial coefficient (Kendall 1942; for several controls as in Kim,
"ppcor", 2015):

    r_xy.z = (r_xy - r_xz R+ r_zy) / sqrt((1 - r_xz R+ r_zx) (1 - r_yz R+ r_zy))

with R+ the pseudoinverse of the correlations among the sizes, which may be as good as the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfnas.evidence import bootstrap, parallel, plots, rows, statistics, weighted

if TYPE_CHECKING:  # both take their time to import
    import pandas as pd
    from matplotlib.figure import Figure

# What is left of a score that the sizes determine is round-off.
_NOTHING = 1e-9


def given_sizes(
    joined: pd.DataFrame,
    sizes: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> pd.DataFrame:
    """Plain and partial rank correlation of each score with the truth, given some sizes.

    Args:
        joined: of `evidence.join`.
        sizes: columns of it.
        resamples: of the intervals, 0 for none; ranks are those of the resample.
        seed: of the resamples.
        groups: [n], of networks that are drawn together.

    Returns:
        A row for each other score, the highest partial Spearman first: proxy, n (networks with the score and all
        sizes), spearman, partial_spearman and its _lo and _hi, kendall, partial_kendall. NaN where the sizes determine
        the ranks.
    """
    import pandas as pd

    sizes = list(sizes)
    there = joined[["truth", *sizes]].notna().all(axis=1).to_numpy()
    masks: dict[bytes, list[str]] = {}
    for name in joined.columns.drop(["truth", *sizes]):
        masks.setdefault((there & joined[name].notna().to_numpy()).tobytes(), []).append(name)
    found = []
    for mask, names in masks.items():
        kept = np.frombuffer(mask, bool)
        # Truth, sizes, scores.
        values = joined.loc[kept, ["truth", *sizes, *names]].to_numpy(float).T
        members = bootstrap.members_of(groups, kept)
        bounds = _intervals(values, len(sizes), resamples, seed, members)
        ranks = rows.ranks(values) if values.size else values
        controls = slice(1, 1 + len(sizes))
        for place, name in enumerate(names, start=1 + len(sizes)):
            chosen = np.r_[0, place, controls]
            low, high = bounds[place - 1 - len(sizes)]
            taus = _matrix(values[chosen], statistics.kendall)
            found.append(
                {
                    "proxy": name,
                    "n": values.shape[1],
                    "spearman": statistics.spearman(values[place], values[0]),
                    "partial_spearman": partial(_matrix(ranks[chosen], statistics.pearson)),
                    "partial_spearman_lo": low,
                    "partial_spearman_hi": high,
                    "kendall": taus[0, 1],
                    "partial_kendall": partial(taus),
                }
            )
    order = ["partial_spearman", "proxy"]
    columns = ["proxy", "n", "spearman", "partial_spearman", "partial_spearman_lo", "partial_spearman_hi", "kendall"]
    frame = pd.DataFrame(found, columns=[*columns, "partial_kendall"])
    return frame.sort_values(order, ascending=[False, True], na_position="last", ignore_index=True)


def partial(correlations: np.ndarray) -> float:
    """Correlation of the first two of some quantities given all others.

    Args:
        correlations: [q, q], of all of them. A quantity that is constant (NaN) says nothing of the others.
    """
    others = np.arange(2, len(correlations))
    others = others[~np.isnan(correlations[others, others])]
    between = np.linalg.pinv(correlations[np.ix_(others, others)], rcond=1e-10, hermitian=True)
    left = correlations[:2, :2] - correlations[:2, others] @ between @ correlations[others, :2]
    return float(_quotient(left[0, 1], left[0, 0], left[1, 1]))


def _quotient(product: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    known = np.minimum(first, second) > _NOTHING
    return np.where(known, np.clip(product / np.sqrt(np.where(known, first * second, 1.0)), -1, 1), np.nan)


def _matrix(values: np.ndarray, measure: Callable[[np.ndarray, np.ndarray], float]) -> np.ndarray:
    """[q, q] of values [q, n]; on the diagonal NaN for constants."""
    count = len(values)
    found = np.ones((count, count))
    for i in range(count):
        for j in range(i):
            found[i, j] = found[j, i] = measure(values[i], values[j])
        if not values.shape[1] or (values[i] == values[i, 0]).all():
            found[i, i] = np.nan
    return found


def _intervals(
    values: np.ndarray, sizes: int, resamples: int, seed: int, members: np.ndarray | None
) -> list[tuple[float, float]]:
    """Of the partial Spearman of each score.

    Args:
        values: [1 + sizes + scores, n], without NaN: truth, sizes, scores.
        sizes: how many.
        resamples: number.
        seed: of them.
        members: of `bootstrap.members_of`.
    """
    n = values.shape[1]
    orders = [weighted.Order(row, np.arange(n)) for row in values]
    found: list[list[np.ndarray]] = [[] for _ in orders[1 + sizes :]]
    for counts in bootstrap.drawn_counts(n, resamples, seed, members):
        fixed = [order.ranks(counts) for order in orders[: 1 + sizes]]
        weighed = [counts * ranks for ranks in fixed]
        base = np.array([[weighted.dot(a, b) for b in fixed] for a in weighed])
        one = functools.partial(_of_resamples, counts, weighed, base)
        for blocks, values in zip(found, parallel.run(one, orders[1 + sizes :]), strict=True):
            blocks.append(values)
    return [bootstrap.interval(blocks) for blocks in found]


def _of_resamples(
    counts: np.ndarray, weighed: Sequence[np.ndarray], base: np.ndarray, order: weighted.Order
) -> np.ndarray:
    """The partial correlation of one score in each resample: [b].

    Args:
        counts: [b, n].
        weighed: [1 + sizes][b, n], ranks of truth and sizes, times the counts.
        base: of `_partials`.
        order: of the score.
    """
    ranks = order.ranks(counts)
    cross = np.array([weighted.dot(ranks, other) for other in weighed])
    return _partials(base, cross, weighted.dot(counts * ranks, ranks))


def _partials(base: np.ndarray, cross: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Partial correlations [b] of one score from products of ranks.

    Args:
        base: [1 + sizes, 1 + sizes, b], among truth and sizes.
        cross: [1 + sizes, b], of the score with these.
        own: [b], of the score with itself.
    """
    scale = np.sqrt(np.einsum("iib->bi", base))
    scale = np.where(scale > 0, scale, 1.0)
    base = np.moveaxis(base, -1, 0) / scale[:, :, None] / scale[:, None, :]
    cross = cross.T / scale / np.sqrt(np.where(own > 0, own, 1.0))[:, None]
    inverse = np.linalg.pinv(base[:, 1:, 1:], rcond=1e-10, hermitian=True)
    truth, score = base[:, 0, 1:], cross[:, 1:]
    product = cross[:, 0] - np.einsum("bi,bij,bj->b", score, inverse, truth)
    of_score = np.where(own > 0, 1 - np.einsum("bi,bij,bj->b", score, inverse, score), 0.0)
    of_truth = base[:, 0, 0] - np.einsum("bi,bij,bj->b", truth, inverse, truth)
    return _quotient(product, of_score, of_truth)


def draw(frame: pd.DataFrame, *, sizes: Sequence[str]) -> Figure:
    """Plain Spearman as an open dot, partial as a filled one with its interval, the best on top.

    Args:
        frame: of `given_sizes`.
        sizes: names of what is held fixed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 0.24 * len(frame) + 1.3), layout="constrained")
    axes = figure.subplots()
    place = np.arange(len(frame))
    axes.hlines(place, frame["spearman"], frame["partial_spearman"], color="#cccccc", linewidth=1, zorder=1)
    axes.hlines(
        place, frame["partial_spearman_lo"], frame["partial_spearman_hi"], color="black", linewidth=1.4, zorder=2
    )
    style = {"s": 22, "zorder": 3, "edgecolors": plots.PROXY_COLOUR}
    axes.scatter(frame["spearman"], place, facecolors="white", label="plain", **style)
    axes.scatter(
        frame["partial_spearman"], place, color=plots.PROXY_COLOUR, label=f"given {', '.join(sizes)}", s=22, zorder=3
    )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(place, frame["proxy"], fontsize=8)
    axes.set_ylim(len(frame) - 0.4, -0.6)
    axes.set_xlabel(r"Spearman $\rho$ with the truth", fontsize=9)
    plots.plain(axes)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure
