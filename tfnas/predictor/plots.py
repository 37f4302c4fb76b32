"""Plots of searches by predictors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfnas.evidence.plots import COLOURS

if TYPE_CHECKING:  # both take their time to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def curves(found: Mapping[str, np.ndarray], *, n_train: int, best: float, label: str) -> Figure:
    """Accuracy of what is found by the number of networks trained, mean over repeats with a band of one deviation.

    Args:
        found: name -> [repeats, K] of the best of the first 1, 2, ... K that are validated, in percent.
        n_train: networks that were trained before those.
        best: what the best by validation of all networks has, dashed.
        label: of the axis.
    """
    figure, axes = _empty()
    for (name, values), colour in zip(found.items(), COLOURS * len(found), strict=False):
        count = n_train + 1 + np.arange(values.shape[1])
        mean, spread = values.mean(axis=0), values.std(axis=0)
        axes.plot(count, mean, color=colour, linewidth=1.5, label=name)
        axes.fill_between(count, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(best, color="black", linewidth=0.8, linestyle="--", label="best by validation of all")
    _finish(axes, "networks trained", label)
    return figure


def agreement(predicted: np.ndarray, accuracies: np.ndarray, *, label: str) -> Figure:
    """Predictions against accuracies, both percent [N], of at most 3,000 networks, evenly taken."""
    figure, axes = _empty()
    rows = np.linspace(0, len(predicted) - 1, min(len(predicted), 3000)).astype(int)
    axes.scatter(predicted[rows], accuracies[rows], s=6, color=COLOURS[0], alpha=0.5, linewidths=0)
    ends = [min(predicted[rows].min(), accuracies[rows].min()), max(predicted[rows].max(), accuracies[rows].max())]
    axes.plot(ends, ends, color="black", linewidth=0.8, linestyle="--")
    _finish(axes, "predicted (percent)", label, legend=False)
    return figure


def front(latency: np.ndarray, predicted: np.ndarray) -> Figure:
    """Predictions, in percent, of the networks of a front by latency, in ms."""
    figure, axes = _empty()
    axes.plot(latency, predicted, "o-", markersize=3, linewidth=0.8, color=COLOURS[0])
    _finish(axes, "latency (ms)", "predicted accuracy (percent)", legend=False)
    return figure


def quality(lines: Mapping[str, Mapping[str, np.ndarray]], *, label: str) -> Figure:
    """Quality by the number of networks learned from, a panel for each measure, with a deviation up and down.

    Args:
        lines: measure -> name of a predictor -> numbers of networks, means and deviations: [3, n].
        label: of the horizontal axis.
    """
    from matplotlib.figure import Figure

    across = min(3, len(lines))
    down = -(-len(lines) // across)
    figure = Figure(figsize=(4.2 * across, 3.4 * down), layout="constrained")
    names = list(dict.fromkeys(name for found in lines.values() for name in found))
    colours = dict(zip(names, COLOURS * len(names), strict=False))
    # Not every measure is one of every predictor: random search has no error.
    fullest = max(lines, key=lambda measure: len(lines[measure]))
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for empty in panels[len(lines) :]:
        empty.remove()
    for axes, (measure, found) in zip(panels, lines.items(), strict=False):
        for name, (numbers, means, spreads) in found.items():
            style = {"color": colours[name], "label": name, "linewidth": 1.4, "capsize": 2}
            axes.errorbar(numbers, means, spreads, marker="o", markersize=3, **style)
        axes.set_xscale("log")
        ticks = sorted({number for values in found.values() for number in values[0]})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        _finish(axes, label, measure, legend=measure == fullest)
    return figure


def _empty() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    return figure, figure.subplots()


def _finish(axes: Axes, x: str, y: str, *, legend: bool = True) -> None:
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(fontsize=8, frameon=False)
