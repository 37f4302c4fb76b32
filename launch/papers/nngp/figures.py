"""Figures that several experiments share; each is drawn from rows of `metrics.frame` alone, or from metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnas.evidence import plots, statistics

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from launch.papers.nngp.metrics import Metric

# Red, orange and black for 4, 12 and 36 epochs, as in the paper; grey for sizes.
REFERENCES = {"4 epochs": "#D55E00", "12 epochs": "#E69F00", "36 epochs": "#000000", "108 epochs": "#CC79A7"}
_GREY = "#777777"
LABELS = {
    "kendall": r"Kendall $\tau_b$",
    "pearson": "Pearson correlation",
    "discovered": "discovered performance (%)",
    "mean": "mean accuracy (%)",
    "median": "median accuracy (%)",
}


def panels(count: int, *, width: float = 4.2, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * count + 1.2, height), layout="constrained")
    axes = list(figure.subplots(1, count, squeeze=False)[0])
    for one in axes:
        plain(one)
    return figure, axes


def plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
    axes.grid(color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)


def legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside right upper", fontsize=7, frameon=False)


def colours(keys: Iterable[Any]) -> dict[Any, Any]:
    """Colours of viridis by key, in the order of the keys, short of its pale end."""
    import matplotlib

    distinct = list(dict.fromkeys(keys))
    return dict(zip(distinct, matplotlib.colormaps["viridis"](np.linspace(0, 0.92, len(distinct))), strict=True))


def over_cost(rows: pd.DataFrame, measures: Sequence[str]) -> Figure:
    """A panel for each measure over the cost of one network: a line for each (n_train, n_val), its points ensembles.

    Short training stands as points with a band as wide as its interval, sizes as a line across.
    """
    figure, axes = panels(len(measures))
    for one, measure in zip(axes, measures, strict=True):
        draw_over_cost(one, rows[rows["measure"] == measure])
        one.set_ylabel(LABELS.get(measure, measure), fontsize=8)
    legend(figure, axes[0])
    return figure


def draw_over_cost(axes: Axes, rows: pd.DataFrame) -> None:
    """The content of one panel of `over_cost`."""
    inferred = rows[rows["n_train"].notna()].sort_values("pflop", kind="stable")
    groups = inferred.groupby(["kernel", "n_train", "n_val", "bn_momentum"], sort=True)
    palette = colours([key[1:3] for key, _ in groups])
    several = inferred[["kernel", "bn_momentum"]].drop_duplicates().shape[0] > 1
    for (kernel, n_train, n_val, momentum), group in groups:
        label = f"{kernel.upper()}({n_train}, {n_val})"
        label += f", momentum {momentum:g}" if several else ""
        style = {"linestyle": "--" if several and momentum else "-", "color": palette[n_train, n_val]}
        axes.plot(group["pflop"], group["ours"], marker="o", markersize=3, linewidth=1, label=label, **style)
        _spread(axes, group, palette[n_train, n_val])
    for row in rows[rows["n_train"].isna()].to_dict("records"):
        colour = REFERENCES.get(row["metric"], _GREY)
        if math.isnan(row["pflop"]):
            axes.axhline(row["ours"], color=_GREY, linestyle="--", linewidth=1, label=row["metric"])
            continue
        axes.plot([row["pflop"]], [row["ours"]], marker="*", color=colour, linestyle="", label=row["metric"])
        if not math.isnan(row["low"]):
            axes.axhspan(row["low"], row["high"], color=colour, alpha=0.15, linewidth=0)
    _log_axis(axes)
    axes.set_xlabel("PFLOP a network", fontsize=8)


def _log_axis(axes: Axes) -> None:
    """Labels at powers of ten, and at 2 and 5 between them where there are few powers."""
    from matplotlib import ticker

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    subs = (1.0,) if high > 100 * low else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())


def _spread(axes: Axes, group: pd.DataFrame, colour: Any) -> None:
    known = group[group["low"].notna() & group["high"].notna()]
    axes.vlines(known["pflop"].astype(float), known["low"], known["high"], color=colour, linewidth=0.7, alpha=0.6)


def thresholds(truth: np.ndarray, points: int = 60) -> np.ndarray:
    """Where PQETP curves are drawn: from the 3rd to the 99.5th percentile of the truth."""
    return np.linspace(*np.quantile(truth, [0.03, 0.995]), points)


def curve(values: np.ndarray, truth: np.ndarray, at: np.ndarray) -> np.ndarray:
    """PQETP of a metric at each threshold."""
    return np.array([statistics.pqetp(values, truth, threshold) for threshold in at])


def draw_pqetp(axes: Axes, curves: Mapping[str, np.ndarray], truth: np.ndarray, at: np.ndarray) -> None:
    """Curves of references over the threshold, with the share of networks above it as a shade."""
    share = axes.twinx()
    share.fill_between(at, [(truth > threshold).mean() for threshold in at], color="#dddddd", linewidth=0, zorder=0)
    share.set_ylim(0, 1)
    share.set_ylabel("share of networks above", fontsize=8, color=_GREY)
    share.tick_params(labelsize=7, colors=_GREY)
    share.spines[["top"]].set_visible(False)
    axes.set_zorder(share.get_zorder() + 1)
    axes.patch.set_visible(False)
    for name, values in curves.items():
        axes.plot(at, values, color=REFERENCES.get(name, _GREY), linewidth=1.4, label=name)
    axes.axhline(0.5, color=_GREY, linewidth=0.8)
    axes.set_xlabel("threshold: true accuracy (%)", fontsize=8)
    axes.set_ylabel("PQETP", fontsize=8)


def scatter(metrics: Sequence[Metric], against: np.ndarray, label: str) -> Figure:
    """`against` over each metric, a panel for each."""
    import pandas as pd

    joined = pd.DataFrame({"truth": against} | {metric.name: metric.values for metric in metrics})
    summary = pd.DataFrame(
        {
            "proxy": [metric.name for metric in metrics],
            "kendall": [statistics.kendall(metric.values, against) for metric in metrics],
            "spearman": [statistics.spearman(metric.values, against) for metric in metrics],
        }
    )
    return plots.scatter_grid(joined, summary, truth_label=label)
