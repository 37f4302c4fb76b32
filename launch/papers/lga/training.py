"""Kernel metrics on the way of training: figures 2 and 6 of Mok et al. 2022."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from launch.jobs.after import name_after
from launch.papers import after
from launch.papers.base import Inputs, Made
from tfnas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

METRICS = ("fnorm", "ntk_mean", "ncn", "lga")
GROUPS = ("high", "mid", "low")


def fig6(inputs: Inputs) -> Made:
    """Kendall's tau of every metric after each number of epochs."""
    rows = after.correlations(inputs, METRICS, "kendall")
    return Made(rows, after.over_epochs(rows, "Kendall's tau"), _notes(inputs, rows))


def fig2(inputs: Inputs) -> Made:
    """Median and quartiles of every metric after each number of epochs, of the thirds of the networks by accuracy.

    The paper draws 200 networks of each of three ranges of accuracy that it does not tell, and seems to show means. NCN
    may be infinite, so that means say nothing.

    Raises:
        InputError: there are no records of these metrics.
    """
    import pandas as pd

    rows = []
    for dataset, records in after.parts(inputs).items():
        scores = after.values(inputs, records)
        accuracy = inputs.truth.loc[scores.index, dataset]
        thirds = np.array_split(accuracy.sort_values(ascending=False, kind="stable").index, len(GROUPS))
        for name in METRICS:
            for epochs in after.times(records, name):
                for group, archs in zip(GROUPS, thirds, strict=True):
                    found = scores.loc[archs, name_after(name, epochs)].dropna().to_numpy(float)
                    # Of two infinite neighbours there is no interpolation.
                    low, ours, high = np.quantile(found, [0.25, 0.5, 0.75], method="lower") if len(found) else _NONE
                    about = {"dataset": dataset, "proxy": name, "epochs": epochs, "group": group}
                    about["accuracy"] = float(accuracy[archs].mean())
                    about |= {"method": name_after(name, epochs), "measure": f"median, {group} accuracy"}
                    rows.append(about | {"n": len(found), "ours": ours, "low": low, "high": high, "paper": math.nan})
    if not rows:
        raise InputError(f"No records of {', '.join(METRICS)}")
    frame = pd.DataFrame(rows)
    return Made(frame, _growth(frame), _notes(inputs, frame))


_NONE = (math.nan,) * 3


def _notes(inputs: Inputs, rows: pd.DataFrame) -> tuple[str, ...]:
    return after.notes(inputs.records[inputs.records["proxy"].isin(rows["method"])], inputs.space)


def _growth(rows: pd.DataFrame) -> Figure:
    """A row of panels for each data set, one for each metric, with a line for each third."""
    from matplotlib.figure import Figure

    from tfnas.evidence import plots

    datasets, names = (list(dict.fromkeys(rows[of])) for of in ("dataset", "proxy"))
    figure = Figure(figsize=(2.9 * len(names) + 1.8, 2.7 * len(datasets) + 0.3), layout="constrained")
    panels = figure.subplots(len(datasets), len(names), squeeze=False)
    for line, dataset in zip(panels, datasets, strict=True):
        for axes, name in zip(line, names, strict=True):
            for group, colour in zip(GROUPS, plots.COLOURS, strict=False):
                of = (rows["dataset"] == dataset) & (rows["proxy"] == name) & (rows["group"] == group)
                mine = rows[of].sort_values("epochs").replace([np.inf, -np.inf], np.nan)
                label = f"{group}, mean accuracy {mine['accuracy'].mean():.1f} %"
                axes.plot(mine["epochs"], mine["ours"], "o-", markersize=3, color=colour, label=label)
                axes.fill_between(mine["epochs"], mine["low"], mine["high"], color=colour, alpha=0.12, linewidth=0)
            axes.set_title(f"{name}, {dataset}", fontsize=9)
            axes.set_xlabel("epochs of training", fontsize=8)
            plots.plain(axes)
            if name != "lga":  # whose signs are those of a correlation
                axes.set_yscale("symlog", linthresh=max(1e-9, float(mine["ours"].abs().min() or 1)))
        handles, labels = line[0].get_legend_handles_labels()
        line[-1].legend(handles, labels, fontsize=7, frameon=False)
    return figure
