"""How well scores rank networks, beside what a paper prints: rows and figures for any paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launch.papers.base import HINT, Experiment, Inputs, Made
from tfnas.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def elsewhere(theirs: str, ours: str) -> tuple[str, ...]:
    """What is to be told where the paper's numbers are of something else than ours, a space or a data set."""
    return () if ours == theirs else (f"the paper's numbers are of {theirs} and do not stand beside those of {ours}",)


def expected(experiment: Experiment, *path: str) -> Any:
    """The paper's number at a path such as (data set, proxy); NaN where it prints none."""
    found: Any = experiment.expected
    for step in path:
        if not isinstance(found, Mapping) or step not in found:
            return math.nan
        found = found[step]
    return found


def rank_correlations(inputs: Inputs, *, statistic: str = "spearman", section: tuple[str, ...] = ()) -> Made:
    """A row for each proxy, data set and initialisation: the rank correlation with its 95 % bootstrap interval.

    Args:
        inputs: of an experiment whose jobs are `Scored`.
        statistic: "spearman" or "kendall".
        section: path in the facts under which the numbers of this experiment stand.

    Raises:
        InputError: no records have a proxy, an initialisation and a data set of the experiment.
    """
    rows = _correlations(inputs, statistic, section)
    return Made(rows, beside_the_paper(rows, statistic))


def scatter(inputs: Inputs) -> Made:
    """The same rows; the figure shows the first proxy against accuracy, a panel for each data set, coloured by size.

    Raises:
        InputError: as `rank_correlations`, or there are no records of the first proxy.
    """
    from matplotlib.figure import Figure

    from tfnas import evidence
    from tfnas.evidence import plots

    rows, proxy = _correlations(inputs, "spearman", ()), inputs.experiment.jobs.proxies[0]
    shown = [part for part in parts(inputs, inputs.datasets) if proxy in part[2]["proxy"].unique()]
    if not shown:
        raise InputError(f"No records of {proxy}. Received: {', '.join(inputs.records['proxy'].unique())}")
    figure = Figure(figsize=(3.6 * len(shown) + 0.8, 3.2), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, (dataset, _, records) in zip(panels, shown, strict=True):
        joined = evidence.join(evidence.average(records), inputs.truth[dataset])
        points = axes.scatter(joined[proxy], joined["truth"], c=joined.get("params"), s=8, alpha=0.7)
        axes.set_xlabel(proxy, fontsize=8)
        axes.set_title(dataset, fontsize=9)
        axes.tick_params(labelsize=7)
        drawn = [axes.xaxis, axes.yaxis]
        if "params" in joined:
            bar = figure.colorbar(points, ax=axes)
            bar.set_label("parameters" if axes is panels[-1] else "", fontsize=8)
            bar.ax.tick_params(labelsize=7)
            drawn.append(bar.ax.yaxis)
        for axis in drawn:
            plots.few_ticks(axis)
    panels[0].set_ylabel("test accuracy (%)", fontsize=8)
    return Made(rows, figure)


def parts(inputs: Inputs, datasets: Sequence[str]) -> list[tuple[str, str, pd.DataFrame]]:
    """(data set, initialisation, their records), as far as there are some, in the order of the experiment.

    Args:
        inputs: of an experiment whose jobs are `Scored`.
        datasets: of these.

    Raises:
        InputError: there are none.
    """
    found, records = [], inputs.records
    for dataset in datasets:
        for init in inputs.experiment.jobs.inits:
            chosen = records[(records["dataset"] == dataset) & (records["init"] == init)]
            if len(chosen):
                found.append((dataset, init, chosen))
    if not found:
        needed = f"{', '.join(inputs.experiment.jobs.inits)} on {', '.join(datasets)}"
        pairs = records[["init", "dataset"]].drop_duplicates().itertuples(index=False)
        received = ", ".join(f"{init} on {dataset}" for init, dataset in pairs)
        raise InputError(f"No records with initialisation {needed}. Received: records with {received}")
    return found


def _correlations(inputs: Inputs, statistic: str, section: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    from tfnas import evidence

    experiment = inputs.experiment
    rows = []
    for dataset, init, records in parts(inputs, inputs.datasets):
        evidence.check_settings(records, hint=HINT)
        summary = evidence.correlate(records, inputs.truth[dataset], seed=inputs.seed).set_index("proxy")
        for name in [*experiment.jobs.proxies, *evidence.BASELINES]:
            if name not in summary.index:
                continue
            found = summary.loc[name]
            path = (dataset, name) if len(experiment.jobs.inits) == 1 else (init, name)
            rows.append(
                {
                    "dataset": dataset,
                    "init": init,
                    "method": name,
                    **measured(found, statistic),
                    "paper": expected(experiment, *section, *path),
                }
            )
    if not rows:
        received = ", ".join(map(str, inputs.records["proxy"].unique()))
        raise InputError(f"No records of {', '.join(experiment.jobs.proxies)}. Received: {received}")
    return pd.DataFrame(rows)


def measured(found: Mapping[str, Any], statistic: str) -> dict[str, Any]:
    """Columns measure, n, left_out, ours, low and high of a row of `tfnas.evidence.correlate`."""
    return {
        "measure": statistic,
        "n": int(found["n"]),
        "left_out": int(found["left_out"]),
        "ours": found[statistic],
        "low": found[f"{statistic}_lo"],
        "high": found[f"{statistic}_hi"],
    }


def beside_the_paper(rows: pd.DataFrame, label: str, *, left: float | None = None) -> Figure:
    """Ours with its interval beside the paper's, a panel for each data set and initialisation.

    Args:
        rows: columns dataset, init, method, ours, low, high, paper.
        label: of the axis.
        left: where the axis starts.
    """
    from matplotlib.figure import Figure

    groups = list(rows.groupby(["dataset", "init"], sort=False))
    # Panels share their axis, whether or not each has all of the methods.
    methods = list(dict.fromkeys(rows["method"]))
    figure = Figure(figsize=(3.2 * len(groups) + 1.6, 0.36 * len(methods) + 1.4), layout="constrained")
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axes, ((dataset, init), group) in zip(panels, groups, strict=True):
        group = group.set_index("method").reindex(methods)
        position = draw_pairs(axes, group)
        axes.hlines(position, group["low"], group["high"], color="black", linewidth=1)
        axes.set_title(dataset if rows["init"].nunique() == 1 else f"{dataset}, {init}", fontsize=9)
        axes.set_yticks(range(len(group)), methods)
        axes.tick_params(labelsize=8)
        axes.set_xlabel(label, fontsize=8)
        axes.axvline(0, color="black", linewidth=0.6)
        if left is not None:
            axes.set_xlim(left=left)
    panels[0].invert_yaxis()
    pair_legend(figure, panels)
    return figure


def draw_pairs(axes: Axes, rows: pd.DataFrame, *, upright: bool = False) -> np.ndarray:
    """Bars of ours and, where the paper prints a number, of the paper's on both sides of each row's tick.

    Args:
        axes: ticks are 0, 1, ... in the order of the rows.
        rows: columns ours and paper.
        upright: bars stand on the horizontal axis.

    Returns:
        Places [n] of our bars.
    """
    import numpy as np

    place, paper = np.arange(len(rows)), rows["paper"].to_numpy(float)
    printed = ~np.isnan(paper)
    draw, thick = axes.bar if upright else axes.barh, 0.38 if printed.any() else 0.6
    ours = place - 0.2 * printed
    draw(ours, rows["ours"].astype(float), thick, color="#0072B2", label="ours")
    if printed.any():
        draw(place[printed] + 0.2, paper[printed], thick, color="#bbbbbb", label="paper")
    return ours


def pair_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """Below the panels, which bars are whose; nothing where all are ours."""
    found = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if len(found) > 1:
        figure.legend(found.values(), found, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
