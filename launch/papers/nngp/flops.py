"""Parameters and FLOPs of many networks: figure S2 of Park et al. 2020."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from launch.papers.base import Made
from launch.papers.nngp import figures, metrics
from launch.papers.nngp.metrics import Metric, Pool

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


# The paper counts 297,000 networks below 10 million parameters. The benchmark has 312,343 of them, of which 297,198
# have more than a million, and it is these whose mean FLOPs are those of the paper.
_SMALL, _LEAST = 10e6, 1e6
SMALL_NOTE = (
    "below 10M parameters are all networks with fewer; the paper's number and mean FLOPs of them are those of networks "
    "of 1M to 10M"
)


def is_small(params: pd.Series) -> pd.Series:
    """Networks below 10 million parameters, as figures S2 and S10 look at them: all of them."""
    return params < _SMALL


def fig_s2(pool: Pool) -> Made:
    """Mean FLOPs of a forward pass and of the gradients, of all networks and of those below 10 million parameters."""
    _, table, context = pool
    sizes = context.space.sizes(table.index, **context.network)
    total, known = sizes["forward"] + sizes["others"], context.expected
    small = is_small(sizes["params"])
    cluster = small & (sizes["params"] >= _LEAST)
    whole = context.is_published and len(sizes) == context.space.size
    papers = {"mean": known["mean_F_gflops"], "small": known["mean_F_lt10M"], "ratio": known["G_over_F"]}
    papers["count"] = known["n_lt10M"] if whole else math.nan
    if not context.is_published:
        papers = dict.fromkeys(papers, math.nan)
    ratio = sizes["gradient"] / sizes["forward"]
    rows = [
        _mean("F, all layers", "GFLOP", total, 1e9, papers["mean"]),
        _mean("F, convolutions and dense layers", "GFLOP", sizes["forward"], 1e9),
        _mean("F, all layers, below 10M parameters", "GFLOP", total[small], 1e9, papers["small"]),
        _mean("F, all layers, 1M to 10M parameters", "GFLOP", total[cluster], 1e9),
        _count("networks below 10M parameters", small, papers["count"]),
        _count("networks of 1M to 10M parameters", cluster),
        _mean("G, gradients", "GFLOP", sizes["gradient"], 1e9),
        _mean("G / F, gradients alone", "ratio", ratio, paper=papers["ratio"]),
        _mean("G / F, with the forward pass", "ratio", ratio + 1),
    ]
    return metrics.made(metrics.frame(rows, [SMALL_NOTE]), _figure(sizes))


def _mean(name: str, measure: str, values: pd.Series, unit: float = 1.0, paper: float = math.nan) -> dict[str, Any]:
    metric = Metric(name, values.to_numpy() / unit)
    mean = float(metric.values.mean()) if len(values) else math.nan
    return metrics.row(metric, f"mean {measure}", mean, n=len(values), paper=paper)


def _count(name: str, chosen: pd.Series, paper: float = math.nan) -> dict[str, Any]:
    return metrics.row(Metric(name, chosen.to_numpy()), "networks", int(chosen.sum()), n=len(chosen), paper=paper)


def _figure(sizes: pd.DataFrame) -> Figure:
    figure, (left, right) = figures.panels(2)
    left.hist(sizes["forward"] / 1e9, bins=60, color="#0072B2")
    left.set_xlabel("F: GFLOP of a forward pass", fontsize=8)
    left.set_ylabel("networks", fontsize=8)
    drawn = sizes.sample(min(len(sizes), 3000), random_state=0)
    right.plot(drawn["forward"] / 1e9, drawn["gradient"] / 1e9, ".", markersize=2, color="#0072B2", label="networks")
    ends = np.array([drawn["forward"].min(), drawn["forward"].max()]) / 1e9
    right.plot(ends, 2 * ends, color="#777777", linewidth=1, label="G = 2 F")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("F", fontsize=8)
    right.set_ylabel("G: GFLOP of the gradients", fontsize=8)
    right.legend(fontsize=7, frameon=False)
    return figure
