"""The plot of accuracy against latency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfnas.evidence.plots import COLOURS

if TYPE_CHECKING:  # both take their time to import
    import pandas as pd
    from matplotlib.figure import Figure


def front(ranking: pd.DataFrame, *, target: float, k: int, accuracy_label: str, latency_label: str) -> Figure:
    """Networks coloured by reward, the top k ringed, the Pareto front as a line, the target dashed.

    Args:
        ranking: columns accuracy, latency, reward, front, best reward first.
        target: of the latency.
        k: how many of the first rows are ringed.
        accuracy_label: of the axis.
        latency_label: of the axis, with its unit.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    axes = figure.subplots()
    best = ranking.head(k)
    on_front = ranking[ranking["front"]].sort_values("latency")
    points = axes.scatter(ranking["latency"], ranking["accuracy"], c=ranking["reward"], s=22, zorder=3)
    axes.scatter(
        best["latency"], best["accuracy"], s=70, facecolors="none", edgecolors=COLOURS[5], label=f"top {len(best)}"
    )
    axes.plot(on_front["latency"], on_front["accuracy"], color=COLOURS[0], linewidth=1, zorder=2, label="Pareto front")
    # A target far from all networks would squeeze them into a corner.
    span = np.ptp(ranking["latency"]) or target
    if ranking["latency"].min() - span < target < ranking["latency"].max() + span:
        axes.axvline(target, color="black", linewidth=0.8, linestyle="--", label=f"target {target:.4g}")
    axes.set_xlabel(latency_label, fontsize=9)
    axes.set_ylabel(accuracy_label, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    bar = figure.colorbar(points, ax=axes, pad=0.01)
    bar.set_label("reward", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure
