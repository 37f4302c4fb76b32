"""Figures of the experiments of Dey et al. 2021."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from launch.papers.fear.methods import EPOCHS, FEAR, SHORT, TIME
from tfnas.evidence import plots

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from launch.papers.fear.bins import Answer
    from launch.papers.fear.methods import Methods

_FEAR, _SHORT, _FREE = plots.COLOURS[5], plots.COLOURS[0], plots.COLOURS[2]
_SHOWN = (10, 30, 50, 100)
# Measures of searches.
ACCURACY, SECONDS = "test accuracy of the winner (%)", "seconds of a search"


def compared(methods: Methods, found: pd.DataFrame, curves: pd.DataFrame | None, answered: Sequence[Answer]) -> Figure:
    """Quality against mean duration in four bins; then over all bins FEAR and the nearest short training.

    Args:
        methods: of the frames.
        found: of `bins.in_bins`, of the bins of tables.
        curves: the same of all bins; None leaves their panels out.
        answered: of `bins.answers`; the titles of panels tell it.
    """
    from matplotlib.figure import Figure

    from launch.papers.fear import bins

    columns = len(_SHOWN) + (curves is not None)
    figure = Figure(figsize=(2.7 * columns + 0.4, 5.6), layout="constrained")
    panels = figure.subplots(2, columns, squeeze=False, sharey="row")
    speeds = {(of.percent, of.quality): of.speed[0] for of in answered}
    for line, quality in zip(panels, bins.QUALITIES, strict=True):
        for axes, percent in zip(line, _SHOWN, strict=False):
            _front(axes, methods, found[found["percent"] == percent], quality)
            speed = speeds.get((percent, quality), np.nan)
            told = "no short training as good" if np.isinf(speed) else f"FEAR {speed:.2g} times as fast"
            axes.set_title(f"top {percent} %" + ("" if np.isnan(speed) else f"\n{told}"), fontsize=8)
        if curves is not None:
            _curves(line[-1], methods, curves, quality)
        line[0].set_ylabel(bins.MEASURES[quality], fontsize=8)
    for axes in panels[-1, : len(_SHOWN)]:
        axes.set_xlabel("mean seconds of a network", fontsize=8)
    handles: dict = {}
    for axes in panels.flat:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, fontsize=7, frameon=False)
    return figure


def _front(axes: Axes, methods: Methods, found: pd.DataFrame, quality: str) -> None:
    """Points of one bin and the frontier of short training."""
    from matplotlib import ticker

    from launch.papers.fear import bins

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5), numticks=8))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    short = found[found["method"].isin(methods.short)]
    for batch, marker in zip(sorted({batch for _, batch in methods.lengths.values()}), "os^vDP*X", strict=False):
        some = short[[methods.lengths[name][1] == batch for name in short["method"]]]
        label = f"{SHORT}, batch {batch}"
        axes.plot(some["seconds"], some[quality], marker, markersize=4, color=_SHORT, alpha=0.7, label=label)
    best = short[bins.frontier(short["seconds"], short[quality])].sort_values("seconds")
    axes.plot(best["seconds"], best[quality], color=_SHORT, linewidth=0.8)
    rest = found[~found["method"].isin([FEAR, *methods.short])].dropna(subset=quality)
    if len(rest):
        # Where scores share their passes, the seconds of one mean little.
        free = rest.loc[rest[quality].idxmax()]
        axes.axhline(free[quality], color=_FREE, linestyle=":", linewidth=1.2, label="best without training")
        place = (0.02, free[quality])
        axes.annotate(free["method"], place, xycoords=axes.get_yaxis_transform(), va="bottom", fontsize=7, color=_FREE)
    for _, row in found[found["method"] == FEAR].iterrows():
        axes.plot(row["seconds"], row[quality], "*", markersize=10, color=_FEAR, label="FEAR, with its interval")
        axes.vlines(row["seconds"], row[f"{quality}_lo"], row[f"{quality}_hi"], color=_FEAR, linewidth=1)
    plots.plain(axes)


def _curves(axes: Axes, methods: Methods, curves: pd.DataFrame, quality: str) -> None:
    """Quality over the size of the bin, of FEAR and of the short training nearest to it there."""
    from launch.papers.fear import bins

    ours = curves[curves["method"] == FEAR].set_index("percent")
    near = {}
    for percent, short in curves[curves["method"].isin(methods.short)].groupby("percent"):
        if (row := bins.nearest(short, ours.loc[percent, "seconds"], quality)) is not None:
            near[percent] = row[quality]
    axes.plot(ours.index, ours[quality], color=_FEAR, label="FEAR over bins")
    axes.plot(list(near), list(near.values()), color=_SHORT, linestyle="--", label=f"nearest {SHORT} over bins")
    axes.set_title("over bins", fontsize=8)
    axes.set_xlabel("top x %", fontsize=8)
    plots.plain(axes)


def times(parts: Sequence[Methods]) -> Figure:
    """Seconds and epochs until the threshold against test accuracy, a column of panels for each data set."""
    from matplotlib.figure import Figure

    shown = {TIME: "seconds"}
    if any(methods.scores[EPOCHS].notna().any() for methods in parts):
        shown[EPOCHS] = "epochs"
    figure = Figure(figsize=(3.6 * len(parts) + 0.4, 2.8 * len(shown) + 0.4), layout="constrained")
    panels = figure.subplots(len(shown), len(parts), squeeze=False)
    for line, (name, unit) in zip(panels, shown.items(), strict=True):
        for axes, methods in zip(line, parts, strict=True):
            axes.plot(-methods.scores[name], methods.truth, ".", color=plots.PROXY_COLOUR, alpha=0.7)
            axes.set_xlabel(f"{unit} to reach the training accuracy", fontsize=8)
            plots.plain(axes)
        line[0].set_ylabel("test accuracy (%)", fontsize=8)
    for axes, methods in zip(panels[0], parts, strict=True):
        seconds = methods.scores[TIME]
        lost = int(seconds.isna().sum())
        told = f"\nthreshold never reached by {lost} of {len(seconds)} networks" if lost else ""
        axes.set_title(methods.dataset + told, fontsize=9)
    return figure


def search(rows: pd.DataFrame) -> Figure:
    """Seconds of searches against the accuracy of what they find, with deviations over runs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 3.6), layout="constrained")
    axes = figure.subplots()
    for place, (name, of) in enumerate(rows.groupby("method", sort=False)):
        by = of.set_index("measure")
        seconds, accuracy = by.loc[SECONDS], by.loc[ACCURACY]
        colour = plots.COLOURS[place % len(plots.COLOURS)]
        axes.errorbar(
            seconds["ours"],
            accuracy["ours"],
            xerr=seconds["ours"] - seconds["low"],
            yerr=accuracy["ours"] - accuracy["low"],
            fmt="o",
            color=colour,
            label=name,
        )
    axes.set_xlabel(SECONDS, fontsize=8)
    axes.set_ylabel(ACCURACY, fontsize=8)
    axes.legend(fontsize=7, frameon=False)
    plots.plain(axes)
    return figure
