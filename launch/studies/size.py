"""Number of parameters as a metric: figures 6 and S7 to S10 of Park et al. 2020.

Arguments and results are those of `launch.studies.correlation`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from launch.studies import figures, metrics
from launch.studies.correlation import points
from launch.studies.flops import SMALL
from launch.studies.metrics import Metric, Settings
from tfnas.errors import InputError
from tfnas.networks import flops as cost

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    Study = tuple[pd.DataFrame, Figure]


def fig6(scores: pd.DataFrame, table: pd.DataFrame, settings: Settings) -> Study:
    """Kendall's tau and Pearson's r of NNGP scores with the number of parameters, over their cost."""
    params = table["params"].to_numpy(float)
    rows = [row for m in metrics.inference(scores, settings) for row in metrics.correlations(m, params, settings)]
    found = metrics.frame(rows)
    return found, figures.over_cost(found, ("kendall", "pearson"))


def fig_s7(_: None, table: pd.DataFrame, settings: Settings) -> Study:
    """The truth over the number of parameters, and PQETP of that number."""
    truth, size = table["truth"].to_numpy(float), metrics.size(table)
    rows = metrics.correlations(size, truth, settings)
    rows += metrics.top_pqetp([size], truth)
    for name, of in (("least", np.min), ("median", np.median), ("most", np.max)):
        rows.append(metrics.row(size, f"{name} parameters (millions)", float(of(size.values)) / 1e6, n=len(truth)))
    figure, (left, right) = figures.panels(2)
    drawn = np.random.default_rng(0).permutation(len(truth))[:10_000]
    left.plot(size.values[drawn] / 1e6, truth[drawn], ".", markersize=1.5, color="#0072B2")
    left.set_ylim(bottom=float(np.quantile(truth, 0.02)))
    left.set_xlabel("parameters (millions)", fontsize=8)
    left.set_ylabel("true accuracy (%)", fontsize=8)
    at = figures.thresholds(truth)
    figures.draw_pqetp(right, {size.name: figures.curve(size.values, truth, at)}, truth, at)
    return metrics.frame(rows), figure


def fig_s8(scores: pd.DataFrame, table: pd.DataFrame, settings: Settings) -> Study:
    """Kendall's tau and discovered performance of the number of parameters, beside all other metrics."""
    truth = table["truth"].to_numpy(float)
    compared: list[Metric] = [metrics.size(table), *metrics.training(table, settings)]
    compared += metrics.inference(scores, settings)
    rows = []
    for metric in compared:
        rows += [metrics.correlations(metric, truth, settings)[0], metrics.discovered(metric, truth, settings)]
    found = metrics.frame(rows, [settings.subset_note(len(truth))])
    return found, figures.over_cost(found, ("kendall", "discovered"))


def fig_s9(scores: pd.DataFrame, table: pd.DataFrame, settings: Settings) -> Study:
    """The number of parameters over every other metric."""
    compared = metrics.training(table, settings) + metrics.inference(scores, settings)
    return points(compared, table["params"], settings, "parameters")


def fig_s10(scores: pd.DataFrame, table: pd.DataFrame, settings: Settings) -> Study:
    """As figure S8, among networks below 10 million parameters and at their mean cost."""
    small = (table["params"] < SMALL).to_numpy()
    if small.sum() < 3:
        raise InputError(f"Too few networks below 10 million parameters. Received: {small.sum()}. Needed: 3 or more")
    below = table[small]
    flops = cost.PER_MULTIPLY_ADD * float(below["flops"].mean())
    found, figure = fig_s8(scores[small], below, dataclasses.replace(settings, flops=flops))
    mean = Metric("F, convolutions and dense layers", below["flops"].to_numpy(float))
    rows = [*found.to_dict("records"), metrics.row(mean, "mean GFLOP", flops / 1e9, n=len(below))]
    notes = [f"{len(below)} of {len(table)} networks lie below 10 million parameters", *found.attrs["notes"]]
    return metrics.frame(rows, notes), figure
