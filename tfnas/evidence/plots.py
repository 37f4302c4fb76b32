"""Plots of scores against known performance.

Each function returns a `matplotlib.figure.Figure` that no global state knows of; `save` writes it as a small PNG.
Colours are safe for colour-blind readers: Okabe and Ito's for categories, viridis for quantities.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfnas.evidence import statistics

if TYPE_CHECKING:  # both take their time to import
    import pandas as pd
    from etils import epath
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito 2008, without yellow, which is hard to see on white.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
PROXY_COLOUR, BASELINE_COLOUR = COLOURS[0], COLOURS[1]
GREY = "#666666"
# More dots than this hide each other, and make the file large.
_MAX_POINTS = 3000
_LARGE_FILE = 180_000


def save(figure: Figure, path: epath.PathLike, *, dpi: int = 110) -> None:
    """Writes a PNG with a palette: a third of the usual size, to the eye the same.

    256 colours, or 64 where the file would be large otherwise.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    from tfnas import files

    raw = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(raw, format="png", dpi=dpi)
    image = Image.open(raw).convert("RGB")
    for colours in (256, 64):
        packed = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(packed, "png", optimize=True)
        if packed.tell() < _LARGE_FILE:
            break
    files.write_atomic(path, packed.getvalue())


def scatter_grid(
    joined: pd.DataFrame,
    summary: pd.DataFrame,
    *,
    size: pd.Series | None = None,
    truth_label: str = "accuracy",
    size_label: str = "parameters",
) -> Figure:
    """Score against performance, one panel per proxy in the order of `summary`.

    A score axis is logarithmic where the largest of all-positive scores dwarfs the median, and shows ranks where a
    score is infinite or where both signs do so.

    Args:
        joined: frame of `evidence.join`.
        summary: frame of `evidence.correlate`; its Kendall and Spearman stand in the titles.
        size: model size by architecture; colours the points, logarithmically.
        truth_label: name and unit of the performance.
        size_label: name and unit of the size.
    """
    from matplotlib import colors
    from matplotlib.figure import Figure

    notes, floor = [], _floor(joined["truth"].to_numpy(float))
    if low := int((joined["truth"] < floor).sum()):
        notes.append(f"{low} networks below {floor:.4g} are drawn at the lower edge")
    if len(joined) > _MAX_POINTS:
        notes.append(f"{_MAX_POINTS} of {len(joined)} networks drawn, at random")
        joined = joined.sample(_MAX_POINTS, random_state=0)
    columns = min(5 if len(summary) > 20 else 4, max(1, len(summary)))
    rows = max(1, math.ceil(len(summary) / columns))
    figure = Figure(figsize=(2.75 * columns + 0.9, 2.5 * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    sizes = None if size is None else size.reindex(joined.index).to_numpy(float)
    norm = None
    if sizes is not None and (positive := sizes[np.isfinite(sizes) & (sizes > 0)]).size:
        norm = colors.LogNorm(positive.min(), max(positive.max(), positive.min() * 1.01))
    points = None
    for axes, (_, row) in zip(grid.flat, summary.iterrows(), strict=False):
        drawn = _scatter(axes, joined, row, sizes, norm, floor)
        points = points or drawn
        coefficients = rf"$\tau$ {_number(row['kendall'])}   $\rho$ {_number(row['spearman'])}"
        axes.set_title(f"{row['proxy']}\n{coefficients}", fontsize=9)
    for axes in grid.flat[len(summary) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel(truth_label, fontsize=8)
    if notes:
        figure.supxlabel("; ".join(notes), fontsize=8, color=GREY)
    if norm is not None and points is not None:
        bar = figure.colorbar(points, ax=grid, shrink=min(1.0, 0.9 / math.sqrt(rows)), aspect=30, pad=0.01)
        bar.set_label(size_label, fontsize=8)
        bar.ax.tick_params(labelsize=7, which="both")
        bar.solids.set_alpha(1)
    return figure


def bars(summary: pd.DataFrame, *, baselines: Sequence[str] = (), title: str = "") -> Figure:
    """Kendall and Spearman of all proxies with their intervals, best on top, size baselines in another colour."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(8.0, 0.27 * len(summary) + 1.3), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    names = summary["proxy"].tolist()
    colours = [BASELINE_COLOUR if name in baselines else PROXY_COLOUR for name in names]
    for axes, key, label in zip(
        panels, ("kendall", "spearman"), (r"Kendall $\tau_b$", r"Spearman $\rho$"), strict=True
    ):
        values, low, high = (summary[f"{key}{end}"].to_numpy(float) for end in ("", "_lo", "_hi"))
        position = np.arange(len(names))
        axes.barh(position, np.nan_to_num(values), color=colours, height=0.72, zorder=2)
        drawn = np.isfinite(low) & np.isfinite(high)
        axes.hlines(position[drawn], low[drawn], high[drawn], color="black", linewidth=1.2, zorder=3)
        for y in position[np.isnan(values)]:
            axes.text(0.01, y, "undefined", va="center", fontsize=7, color=GREY)
        best = [value for value, name in zip(values, names, strict=True) if name in baselines and not math.isnan(value)]
        if best:
            axes.axvline(max(best), color=BASELINE_COLOUR, linewidth=1, linestyle="--", zorder=1)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_xlabel(label, fontsize=9)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        plain(axes)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(np.arange(len(names)), names, fontsize=8)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    if set(baselines) & set(names):
        handles = [Patch(color=PROXY_COLOUR, label="proxy"), Patch(color=BASELINE_COLOUR, label="size (baseline)")]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def pqetp_curves(
    joined: pd.DataFrame,
    summary: pd.DataFrame,
    *,
    baselines: Sequence[str] = (),
    shown: int = 6,
    points: int = 60,
    truth_label: str = "accuracy",
) -> Figure:
    """PQETP over the threshold, as figure 2 of Park et al. 2020.

    The `shown` best proxies by Kendall and the baselines are named, the others grey. The lower panel gives the share of
    networks above the threshold.
    """
    from matplotlib.figure import Figure

    truth = joined["truth"].to_numpy(float)
    thresholds = np.linspace(*np.quantile(truth, [0.03, 0.99]), points) if len(truth) else np.empty(0)
    figure = Figure(figsize=(8.2, 4.8), layout="constrained")
    axes, share = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    names = summary["proxy"].tolist()
    named = [name for name in names if name not in baselines][:shown]
    colours = dict(zip(named, [colour for colour in COLOURS if colour != BASELINE_COLOUR], strict=False))
    lines = itertools.cycle(("--", ":", "-."))
    for name in [name for name in names if name not in named and name not in baselines] + named + list(baselines):
        if name not in names:
            continue
        curve = statistics.pqetp_curve(joined[name], truth, thresholds)
        if name in baselines:
            style = {"color": BASELINE_COLOUR, "linestyle": next(lines), "linewidth": 2, "label": name}
        elif name in named:
            style = {"color": colours.get(name, "black"), "linewidth": 1.6, "label": name}
        else:
            style = {"color": "#cccccc", "linewidth": 0.8}
        axes.plot(thresholds, curve, **style)
    axes.axhline(0.5, color=GREY, linewidth=0.8)
    axes.text(0.01, 0.5, "chance", transform=axes.get_yaxis_transform(), va="bottom", fontsize=7, color=GREY)
    axes.set_ylabel("PQETP (AUROC of truth > threshold)", fontsize=8)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    share.fill_between(
        thresholds, [(truth > threshold).mean() for threshold in thresholds], color="#bbbbbb", linewidth=0
    )
    share.set_ylim(0, 1)
    share.set_ylabel("share above", fontsize=8)
    share.set_xlabel(f"threshold: {truth_label}", fontsize=9)
    for panel in (axes, share):
        plain(panel)
    return figure


def named(first: pd.Series, second: pd.Series, baselines: Sequence[str], shown: int) -> dict[str, dict[str, object]]:
    """Styles of lines for the scores that lead two rankings, half of them each, and for baselines; by their names.

    Args:
        first: by name of the score, higher is better.
        second: likewise.
        baselines: those that get the colour of sizes.
        shown: how many scores beside them are named.
    """
    scores = [ranking.drop(labels=list(baselines), errors="ignore").dropna() for ranking in (first, second)]
    leading = [ranking.sort_values(ascending=False, kind="stable").index for ranking in scores]
    chosen = dict.fromkeys([*leading[0][: (shown + 1) // 2], *leading[1]])
    colours = [colour for colour in COLOURS if colour != BASELINE_COLOUR][:shown]
    found = {
        name: {"color": colour, "linewidth": 1.6, "label": name} for name, colour in zip(chosen, colours, strict=False)
    }
    lines = itertools.cycle(("--", ":", "-."))
    for name in baselines:
        if name in first.index:
            found[name] = {"color": BASELINE_COLOUR, "linestyle": next(lines), "linewidth": 2, "label": name}
    return found


def few_ticks(axis: Axis, count: int = 4) -> None:
    """At most `count` steps between ticks that stay apart in a small panel, large numbers as 100k or 1.5M.

    For an axis on which all is drawn already.
    """
    from matplotlib import ticker

    if axis.get_scale() == "log":
        axis.set_major_locator(ticker.LogLocator(numticks=count + 1))
        return
    axis.set_major_locator(ticker.MaxNLocator(count, steps=(1, 2, 2.5, 5, 10)))
    # Beyond the prefixes in common use, matplotlib's own power of ten at the end of the axis.
    if 1e4 <= np.abs(axis.get_view_interval()).max() < 1e12:
        axis.set_major_formatter(ticker.EngFormatter(sep=""))


def _scatter(
    axes: Axes, joined: pd.DataFrame, row: pd.Series, sizes: np.ndarray | None, norm: object, floor: float
) -> object:
    from scipy import stats

    score, truth = joined[row["proxy"]].to_numpy(float), joined["truth"].to_numpy(float)
    scored = ~np.isnan(score)
    plain(axes)
    if not scored.any():
        axes.text(0.5, 0.5, "no score", transform=axes.transAxes, ha="center", va="center", fontsize=8, color=GREY)
        axes.set_xticks([])
        return None
    score, truth = score[scored], np.maximum(truth[scored], floor)
    kind = _axis_kind(score)
    if kind == "rank":
        score = stats.rankdata(score)
        axes.set_xlabel("rank of score", fontsize=7, labelpad=1)
    elif kind == "log":
        axes.set_xscale("log")
        if (score == 0).any():
            score = np.maximum(score, score[score > 0].min())
            axes.set_xlabel("0 at the left edge", fontsize=7, labelpad=1)
    style = {"color": PROXY_COLOUR} if norm is None else {"c": sizes[scored], "norm": norm, "cmap": "viridis"}
    area = float(np.clip(4000 / len(score), 1.5, 14))
    points = axes.scatter(score, truth, s=area, alpha=0.75, linewidths=0, **style)
    for axis in (axes.xaxis, axes.yaxis):
        few_ticks(axis)
    return points


def _axis_kind(score: np.ndarray) -> str:
    """What shows these scores best: "linear", "log" or "rank"."""
    if not np.isfinite(score).all():
        return "rank"
    size = np.abs(score[score != 0])
    if not size.size or size.max() < 15 * np.median(size):
        return "linear"
    # A few zeros among positive scores can stand at the edge of a logarithmic axis; beyond 1e300 ticks fail.
    return "log" if (score >= 0).all() and (score == 0).mean() < 0.05 and size.max() < 1e300 else "rank"


def _floor(truth: np.ndarray) -> float:
    """Lower end of the axis of performance: a long tail of few bad networks is not worth half of the picture."""
    low, cut, high = np.quantile(truth, [0, 0.03, 1]) if len(truth) else (0.0, 0.0, 1.0)
    return float(cut if high - cut < 0.7 * (high - low) else low)


def plain(axes: Axes) -> None:
    """No frame above and to the right, small labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
    axes.xaxis.get_offset_text().set_fontsize(7)


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.2f}"
