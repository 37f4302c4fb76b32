"""Number of parameters as a metric: figures 6 and S7 to S10 of Park et al. 2020.

Arguments and results are those of `launch.papers.nngp.correlation`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from launch.papers.base import Made
from launch.papers.facts import facts
from launch.papers.nngp import figures, metrics
from launch.papers.nngp.correlation import points
from launch.papers.nngp.flops import SMALL_NOTE, is_small
from launch.papers.nngp.metrics import Metric, Pool
from tfnas.errors import InputError
from tfnas.networks import flops as cost


def fig6(pool: Pool) -> Made:
    """Kendall's tau and Pearson's r of NNGP scores with the number of parameters, over their cost."""
    scores, table, context = pool
    params = table["params"].to_numpy(float)
    rows = [row for m in metrics.inference(scores, context) for row in metrics.correlations(m, params, context)]
    found = metrics.frame(rows)
    return metrics.made(found, figures.over_cost(found, ("kendall", "pearson")))


def fig_s7(pool: Pool) -> Made:
    """The truth over the number of parameters, and PQETP of that number."""
    _, table, context = pool
    truth, size = table["truth"].to_numpy(float), metrics.size(table)
    rows = metrics.correlations(size, truth, context)
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
    return metrics.made(metrics.frame(rows), figure)


def fig_s8(pool: Pool) -> Made:
    """Kendall's tau and discovered performance of the number of parameters, beside all other metrics."""
    scores, table, context = pool
    truth = table["truth"].to_numpy(float)
    compared: list[Metric] = [metrics.size(table), *metrics.training(table, context)]
    compared += metrics.inference(scores, context)
    rows = []
    for metric in compared:
        rows += [metrics.correlations(metric, truth, context)[0], metrics.discovered(metric, truth, context)]
    found = metrics.frame(rows, [context.subset_note(len(truth))])
    return metrics.made(found, figures.over_cost(found, ("kendall", "discovered")))


def fig_s9(pool: Pool) -> Made:
    """The number of parameters over every other metric."""
    scores, table, context = pool
    compared = metrics.training(table, context) + metrics.inference(scores, context)
    return points(compared, table["params"], context, "parameters")


def fig_s10(pool: Pool) -> Made:
    """As figure S8, among networks below 10 million parameters and at their mean cost."""
    scores, table, context = pool
    small = is_small(table["params"]).to_numpy()
    if small.sum() < 3:
        raise InputError(f"Too few networks below 10 million parameters. Received: {small.sum()}. Needed: 3 or more")
    below = table[small]
    scored = cost.PER_MULTIPLY_ADD * float(below["flops"].mean())
    flops, whose = scored, "the mean over them"
    if context.is_full_size:
        flops, whose = facts()["nngp_figS2"]["expected"]["mean_F_lt10M"] * 1e9, "the paper's mean over the whole space"
    found = fig_s8(Pool(scores[small], below, dataclasses.replace(context, flops=flops)))
    mean = Metric("F, convolutions and dense layers", below["flops"].to_numpy(float))
    rows = [*found.rows.to_dict("records"), metrics.row(mean, "mean GFLOP", scored / 1e9, n=len(below))]
    notes = [
        f"{len(below)} of {len(table)} networks lie below 10M parameters; their F is {flops / 1e9:.4g} GFLOP, {whose}"
    ]
    notes += [SMALL_NOTE, *found.notes]
    return metrics.made(metrics.frame(rows, notes), found.figure)
