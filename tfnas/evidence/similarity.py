"""Which scores say the same: rank correlations between scores, and groups of them.

Scores are clustered by average linkage of the distance 1 - |rho|, rho being Spearman's: two that rank the other way
round know the same. The order is that of the leaves of the tree, in which neighbours are as alike as a tree allows
(optimal leaf ordering, Bar-Joseph et al. 2001).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfnas.evidence import plots, rows, statistics

if TYPE_CHECKING:  # both take their time to import
    import pandas as pd
    from matplotlib.figure import Figure


def between_scores(joined: pd.DataFrame) -> pd.DataFrame:
    """Spearman correlations of each two scores over the networks that have both.

    Args:
        joined: of `evidence.join`.

    Returns:
        [k, k] by name in both directions, similar scores beside each other; NaN where one is constant.
    """
    import pandas as pd

    names = joined.columns.drop("truth").tolist()
    values = joined[names].to_numpy(float).T
    missing = np.isnan(values)
    found = np.full((len(names), len(names)), np.nan)
    masks: dict[bytes, list[int]] = {}
    for place, mask in enumerate(missing):
        masks.setdefault(mask.tobytes(), []).append(place)
    # Those that lack the same networks are ranked once.
    for some in masks.values():
        ranks = rows.ranks(values[some][:, ~missing[some[0]]])
        for i, first in enumerate(some):
            partners = np.repeat(ranks[i : i + 1], len(some), axis=0)
            found[first, some] = rows.pearson(partners, ranks)
    for i, j in zip(*np.nonzero(np.isnan(found)), strict=True):
        if i < j and missing[i].tobytes() != missing[j].tobytes():
            found[i, j] = found[j, i] = statistics.spearman(values[i], values[j])
    order = leaves(found)
    chosen = [names[place] for place in order]
    return pd.DataFrame(found[np.ix_(order, order)], index=pd.Index(chosen, name="proxy"), columns=chosen)


def leaves(correlations: np.ndarray) -> list[int]:
    """Order [k] of the leaves of the tree of some correlations [k, k]; an undefined one counts as 0."""
    tree = linkage(correlations)
    if tree is None:
        return list(range(len(correlations)))
    from scipy.cluster import hierarchy

    return hierarchy.leaves_list(tree).tolist()


def linkage(correlations: np.ndarray) -> np.ndarray | None:
    """The tree as SciPy has it, [k - 1, 4]; None for fewer than two scores."""
    from scipy.cluster import hierarchy
    from scipy.spatial import distance

    if len(correlations) < 2:
        return None
    apart = 1 - np.abs(np.nan_to_num(correlations))
    np.fill_diagonal(apart, 0)
    flat = distance.squareform(np.clip(apart, 0, 1), checks=False)
    return hierarchy.linkage(flat, "average", optimal_ordering=True)


def draw(matrix: pd.DataFrame) -> Figure:
    """The correlations as a heat map with the tree above; numbers in the cells where they are few.

    Args:
        matrix: of `between_scores`.
    """
    from matplotlib.figure import Figure
    from scipy.cluster import hierarchy

    size = len(matrix)
    side = 0.26 * size + 2.2
    figure = Figure(figsize=(side + 0.8, side + 0.5), layout="constrained")
    top, axes = figure.subplots(2, 1, height_ratios=(1, max(4, size / 3)))
    image = axes.imshow(matrix.to_numpy(float), vmin=-1, vmax=1, cmap="RdBu_r", aspect="auto")
    axes.set_xticks(range(size), matrix.columns, rotation=90, fontsize=8)
    axes.set_yticks(range(size), matrix.index, fontsize=8)
    axes.tick_params(length=0)
    if size <= 30:
        for i, j in np.ndindex(size, size):
            value = matrix.iloc[i, j]
            text = "" if np.isnan(value) else f"{100 * value:.0f}"
            axes.text(j, i, text, ha="center", va="center", fontsize=6, color="white" if abs(value) > 0.6 else "black")
    tree = linkage(matrix.to_numpy(float))
    top.set_axis_off()
    if tree is not None:
        tree[:, 2] = np.maximum(tree[:, 2], 1e-6)  # scores that all rank alike: axes need some height
        hierarchy.dendrogram(tree, ax=top, no_labels=True, color_threshold=0, above_threshold_color=plots.GREY)
        top.set_xlim(0, 10 * size)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=30, pad=0.01)
    bar.set_label(r"Spearman $\rho$ between scores (cells: times 100)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure
