"""How well networks are found by inference, alone and with short training: figures 3, 8 and 9 of Park et al. 2020, and
the worst networks of its section 5.

Arguments and results are those of `launch.papers.nngp.correlation`.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import numpy as np

from launch.papers import ranking
from launch.papers.base import Made
from launch.papers.nngp import figures, metrics
from launch.papers.nngp.metrics import Metric, Pool
from tfnas import seeds
from tfnas.evidence import statistics
from tfnas.evidence.rows import descending

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


# Percent of the networks that a reduction keeps, and epochs of the training that then ranks them.
KEPT = (30, 10)
RANKING = ("12 epochs", "36 epochs")
WORST = (4, 12, 36, 108)


def fig3(pool: Pool) -> Made:
    """Discovered performance of every metric over its cost."""
    scores, table, context = pool
    truth = table["truth"].to_numpy(float)
    compared = metrics.inference(scores, context) + metrics.training(table, context, (4, 12))
    rows = [metrics.discovered(metric, truth, context) for metric in compared]
    found = metrics.frame(rows, [context.subset_note(len(truth))])
    return metrics.made(found, figures.over_cost(found, ("discovered",)))


def fig8(pool: Pool) -> Made:
    """Discovered performance of short training on what NNGP, or chance, has left of each subset, over the cost.

    A network costs its NNGP score and, for the share that is kept, its training.
    """
    scores, table, context = pool
    truth = table["truth"].to_numpy(float)
    subsets, k = context.rows(len(truth)), context.top(len(truth))
    rows = []

    def add(screen: Metric, by: Metric, kept: float, kind: str) -> None:
        """A row: of each subset, the `kept` percent that `screen` ranks highest are trained and ranked by `by`."""
        found = []
        for i, subset in enumerate(subsets):
            left = subset[best_share(screen.values[subset], kept, seed=context.ties(i))]
            found.append(statistics.discovered(by.values[left], truth[left], k, seed=context.ties(i)))
        paid = dataclasses.replace(screen, pflop=screen.pflop + kept / 100 * by.pflop)
        more = {"ranked_by": by.name, "kept": kept, "screen": kind}
        rows.append(metrics.mean_row(paid, "discovered", found, n=len(truth), **more))

    chance = np.random.default_rng(seeds.derive_seed(context.seed, "random screening")).random(len(truth))
    for by in metrics.training(table, context):
        add(Metric(by.name, by.values, 0.0), by, 100, "none")
        for kept in KEPT if by.name in RANKING else ():
            add(Metric(f"random {kept} %", chance, 0.0), by, kept, "random")
            for metric in metrics.inference(scores, context):
                add(metric, by, kept, "nngp")
    found = metrics.frame(rows, [context.subset_note(len(truth))])
    return metrics.made(found, _reductions(found))


def best_share(score: np.ndarray, percent: float, *, seed: int | None = None) -> np.ndarray:
    """Places of the highest floor(n percent / 100) scores, one at least, in the order of the input; NaN come last.

    `seed` breaks ties as in `tfnas.evidence.statistics`.
    """
    order = descending(np.nan_to_num(score, nan=-np.inf), statistics.tie_keys(len(score), seed)[0])
    return np.sort(order[: max(1, int(len(score) * percent // 100))])


def _reductions(found: pd.DataFrame) -> Figure:
    import pandas as pd

    figure, axes = figures.panels(len(KEPT) * len(RANKING), width=3.2)
    for one, (name, kept) in zip(axes, itertools.product(RANKING, KEPT), strict=True):
        chosen = found[(found["ranked_by"] == name) & (found["kept"] == kept)]
        screened = chosen["screen"] == "nngp"
        figures.draw_over_cost(one, pd.concat([chosen[screened], found[found["screen"] == "none"]]))
        random = chosen[~screened].iloc[0]
        one.plot(random["pflop"], random["ours"], "D", color="#0072B2", label="random share")
        one.axhspan(random["low"], random["high"], color="#0072B2", alpha=0.15, linewidth=0)
        one.set_title(f"{name} on {kept} %", fontsize=9)
        one.set_ylabel("discovered performance (%)", fontsize=8)
    figures.legend(figure, axes[0])
    return figure


def fig9(pool: Pool) -> Made:
    """The least-squares combination of 4 epochs and an NNGP score that comes closest to 12 epochs, as a metric.

    It is fitted on all networks of the table (the paper does not say on which); neither the 12 epochs nor the fit count
    as cost.
    """
    scores, table, context = pool
    truth = table["truth"].to_numpy(float)
    short, target = metrics.training(table, context, (4, 12))
    inferred = metrics.inference(scores, context)
    rows = []
    for metric in (short, target, *inferred):
        rows += [*metrics.correlations(metric, truth, context), metrics.discovered(metric, truth, context)]
    for metric in inferred:
        a, b, c = hybrid(short.values, metric.values, target.values)
        mixed = a * short.values + b * metric.values + c
        combined = Metric(f"4 epochs + {metric.name}", mixed, short.pflop + metric.pflop, metric.key)
        found = [*metrics.correlations(combined, truth, context), metrics.discovered(combined, truth, context)]
        rows += [row | {"of_4_epochs": a, "of_nngp": b, "bias": c} for row in found]
    found = metrics.frame(rows, [context.subset_note(len(truth))])
    drawn = found[found["n_train"].isna() | found["of_nngp"].notna()]
    return metrics.made(found, figures.over_cost(drawn, ("discovered", "kendall", "pearson")))


def hybrid(first: np.ndarray, second: np.ndarray, target: np.ndarray) -> tuple[float, float, float]:
    """(a, b, c) of the least-squares fit target = a first + b second + c over the networks that have all three."""
    known = ~np.isnan(first + second + target)
    if not known.any():
        return (float("nan"),) * 3
    design = np.stack([first[known], second[known], np.ones(known.sum())], axis=1)
    a, b, c = np.linalg.lstsq(design, target[known], rcond=None)[0]
    return float(a), float(b), float(c)


def text_worst(pool: Pool) -> Made:
    """Mean over the subsets of the lowest validation accuracy of one run, by epochs."""
    _, table, context = pool
    subsets = context.rows(len(table))
    rows, known = [], context.expected["worst"] if context.is_published else {}
    for metric in metrics.training(table, context, WORST):
        epochs = metric.name.split()[0]
        found = [float(np.nanmin(metric.values[subset])) for subset in subsets]
        paper = known.get(epochs, float("nan"))
        rows.append(metrics.mean_row(metric, "worst", found, n=len(table), paper=paper))
    found = metrics.frame(rows, [f"{context.subsets} random subsets of {context.size(len(table))} networks"])
    figure, (axes,) = figures.panels(1)
    ranking.draw_pairs(axes, found, upright=True)
    axes.set_xticks(range(len(found)), found["metric"], fontsize=8)
    axes.set_ylabel("worst validation accuracy (%)", fontsize=8)
    ranking.pair_legend(figure, [axes])
    return metrics.made(found, figure)
