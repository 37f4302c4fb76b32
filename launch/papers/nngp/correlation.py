"""How well inference with a kernel ranks networks: figures 1, 2, 4, 5, S1, S3, S4, S5 and S6 of Park et al. 2020.

Each function takes the inputs of its figure: the scores [networks, settings] in percent, the table of the same networks
in the same order (truth, params, flops and what else the file has, accuracies in percent) and a context.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from launch.papers.base import Made
from launch.papers.nngp import figures, metrics
from launch.papers.nngp.metrics import Context, Metric, Pool
from tfnas.errors import InputError
from tfnas.evidence import statistics

if TYPE_CHECKING:
    import pandas as pd


# Thresholds in percent that figure S6 scans.
SCANNED = np.arange(780, 950, 3) / 10


def fig1(pool: Pool) -> Made:
    """Kendall's tau and Pearson's r of every metric with the truth, over its cost."""
    scores, table, context = pool
    compared = metrics.inference(scores, context) + metrics.training(table, context)
    truth = table["truth"].to_numpy(float)
    rows = [row for metric in compared for row in metrics.correlations(metric, truth, context)]
    # What trainings would cost is known without their accuracies.
    absent = [epochs for epochs in metrics.SHORT if f"val_{epochs}_0" not in table]
    if context.is_published:
        compared += [Metric(f"{epochs} epochs", truth, metrics.training_pflop(epochs, context)) for epochs in absent]
    found = metrics.frame(rows + metrics.costs(compared, context))
    return metrics.made(found, figures.over_cost(found, ("kendall", "pearson")))


def fig_s1(pool: Pool) -> Made:
    """As figure 1 for BN momentum 0, beside the published one as far as it was scored."""
    scores, table, context = pool
    ablated = metrics.scored(scores, context, ablation=True)
    if not ablated:
        raise InputError("The scores have none of BN momentum 0: python -m launch.nngp --bn_momentum=0 makes them")
    compared = ablated + metrics.scored(scores, context)
    truth = table["truth"].to_numpy(float)
    known = context.published
    papers = {name: known[key] for name, key in (("kendall", "tau_approx"), ("pearson", "rho_approx")) if key in known}
    rows = []
    for metric in compared:
        rows += metrics.correlations(metric, truth, context, papers if metric in ablated else None)
    rows += [metrics.mean_row(metric, "mean", metric.values, n=len(truth)) for metric in compared]
    found = metrics.frame(rows, ["the paper says of both correlations that they are close to 0.1"])
    return metrics.made(found, figures.over_cost(found, ("kendall", "pearson", "mean")))


def fig2(pool: Pool) -> Made:
    """PQETP over the threshold, with slices at the thresholds that the best 1, 5, 20 and 50 % of networks exceed."""
    scores, table, context = pool
    truth = table["truth"].to_numpy(float)
    compared, trained = metrics.inference(scores, context), metrics.training(table, context, (4, 12))
    rows = metrics.top_pqetp(compared + trained, truth)
    at = figures.thresholds(truth)
    curves = {metric: figures.curve(metric.values, truth, at) for metric in compared + trained}
    for metric, values in curves.items():
        rows += [
            metrics.row(metric, "PQETP", value, n=len(truth), threshold=threshold)
            for threshold, value in zip(at, values, strict=True)
        ]
    found = metrics.frame(rows)
    figure, (left, *right) = figures.panels(1 + len(metrics.TOP), width=3.2)
    figures.draw_pqetp(left, {metric.name: curves[metric] for metric in trained}, truth, at)
    bounds = np.array([curves[metric] for metric in compared])
    left.fill_between(at, np.fmin.reduce(bounds), np.fmax.reduce(bounds), color="#31688e", alpha=0.4, label="all NNGP")
    for share in metrics.TOP:
        left.axvline(np.quantile(truth, 1 - share / 100), color="#777777", linestyle=":", linewidth=0.8)
    left.legend(fontsize=7, frameon=False)
    for axes, share in zip(right, metrics.TOP, strict=True):
        figures.draw_over_cost(axes, found[found["measure"] == f"PQETP, top {share} %"])
        axes.set_title(f"PQETP, top {share} %", fontsize=9)
    figures.legend(figure, right[0])
    return metrics.made(found, figure)


def fig4(pool: Pool) -> Made:
    """Mean percentile of networks by how many residual connections their cell has, for every metric.

    In NAS-Bench-101 they are the edges that pass over a vertex, entries of the pruned cell's matrix beyond its first
    diagonal; how many there are depends on the numbering of the vertices, here that of the table's strings. In
    NAS-Bench-201 they are the skip connections.
    """
    scores, table, context = pool
    counts = np.array([context.space.residual_connections(context.space.parse(arch)) for arch in table.index])
    truth = Metric("108 epochs" if context.is_published else "truth", table["truth"].to_numpy(float))
    inferred, trained = metrics.inference(scores, context), metrics.training(table, context)
    rows = []
    for metric in (truth, *trained, *inferred):
        places = statistics.percentiles(metric.values)
        rows += [
            metrics.mean_row(
                metric, "mean percentile", places[counts == count], n=int((counts == count).sum()), connections=count
            )
            for count in np.unique(counts)
        ]
    found = metrics.frame(rows)
    figure, (axes,) = figures.panels(1, width=5.5, height=4)
    # Of each pair of sizes the largest ensemble, which is the last.
    palette = figures.colours({metric.key[1:3]: metric.name for metric in inferred}.values())
    for name, group in found.groupby("metric", sort=False):
        if name not in palette and group["n_train"].notna().any():
            continue
        colour = palette.get(name, figures.REFERENCES.get(name, "#CC79A7"))
        style = {"linewidth": 1} if name in palette else {"linewidth": 2, "linestyle": "--"}
        spread = group["ours"] - group["low"]
        axes.errorbar(group["connections"], group["ours"], spread, color=colour, label=name, **style)
    axes.set_xlabel("residual connections in the cell", fontsize=8)
    axes.set_ylabel("mean percentile of the networks", fontsize=8)
    figures.legend(figure, axes)
    return metrics.made(found, figure)


def fig5(pool: Pool) -> Made:
    """Kendall's tau of inference with the tangent kernel and with the NNGP kernel, over ensembles of equal sizes."""
    scores, table, context = pool
    by_kernel = {kernel: metrics.scored(scores, context, kernel=kernel) for kernel in ("ntk", "nngp")}
    sizes = [{metric.key[1:3] for metric in found} for found in by_kernel.values()]
    common = sorted(set.intersection(*sizes))
    if not common:
        raise InputError(
            "No (n_train, n_val) has scores of both kernels. Received: "
            + "; ".join(f"{kernel} {sorted(size)}" for kernel, size in zip(by_kernel, sizes, strict=True))
            + ". Score both with python -m launch.nngp --kernel=nngp and --kernel=ntk"
        )
    compared = [m for found in by_kernel.values() for m in found if m.key[1:3] in common]
    # Only networks that both kernels have scored at every size can tell them apart.
    known = ~np.isnan([metric.values for metric in compared])
    whole = known.all(0)
    if known.any() and not whole.any():
        counts = ", ".join(f"{metric.name} of {count}" for metric, count in zip(compared, known.sum(1), strict=True))
        raise InputError(
            f"No network has scores of both kernels at all of their common sizes. Received: {counts} networks"
        )
    truth = table["truth"].to_numpy(float)[whole]
    rows, papers = [], {"ntk": "ntk_tau_peak", "nngp": "nngp_tau"}
    published = context.published
    for metric in compared:
        kept = Metric(metric.name, metric.values[whole], metric.pflop, metric.key)
        at_peak = metric.key[1:4] == (100, 1000, published.get("ntk_best_n_ens"))
        paper = published[papers[metric.key.kernel]] if at_peak else float("nan")
        rows.append(metrics.correlations(kept, truth, context, {"kendall": paper})[0])
    found = metrics.frame(rows)
    peaks = []
    for (kernel, n_train, n_val), group in found.groupby(["kernel", "n_train", "n_val"], sort=False):
        best = int(group.loc[group["ours"].idxmax(), "ensemble"]) if group["ours"].notna().any() else float("nan")
        of_paper = (kernel, n_train, n_val) == ("ntk", 100, 1000)
        paper = published.get("ntk_best_n_ens", float("nan")) if of_paper else float("nan")
        peak = Metric(f"{kernel.upper()}({n_train}, {n_val})", truth)
        peaks.append(metrics.row(peak, "ensemble of the highest tau", best, n=len(truth), paper=paper))
    figure, axes = figures.panels(len(common))
    for one, size in zip(axes, common, strict=True):
        for kernel, marker in (("nngp", "o"), ("ntk", "s")):
            part = found[(found["kernel"] == kernel) & (found["n_train"] == size[0]) & (found["n_val"] == size[1])]
            one.plot(part["ensemble"].astype(int), part["ours"], marker=marker, label=kernel.upper())
            one.vlines(part["ensemble"].astype(int), part["low"], part["high"], linewidth=0.8, color="#777777")
        one.set_xscale("log", base=2)
        one.set_xlabel("ensemble", fontsize=8)
        one.set_ylabel(r"Kendall $\tau_b$", fontsize=8)
        one.set_title(f"({size[0]}, {size[1]})", fontsize=9)
    figures.legend(figure, axes[0])
    return metrics.made(metrics.frame(rows + peaks), figure)


def fig_s3(pool: Pool) -> Made:
    """The truth over every NNGP score."""
    scores, table, context = pool
    return points(metrics.inference(scores, context), table["truth"], context, "true accuracy (%)")


def fig_s4(pool: Pool) -> Made:
    """The truth over the accuracy after short training."""
    _, table, context = pool
    return points(metrics.training(table, context), table["truth"], context, "true accuracy (%)")


def points(compared: Sequence[Metric], against: pd.Series, context: Context, label: str) -> Made:
    """`against` over every metric; of six ensembles, the paper's three (1, 4, 16) are drawn."""
    values = against.to_numpy(float)
    rows = [row for metric in compared for row in metrics.correlations(metric, values, context)]
    few = [m for m in compared if m.key is None or m.key.ensemble in (1, 4, 16)]
    figure = figures.scatter(few if len(compared) > 48 else compared, values, label)
    return metrics.made(metrics.frame(rows), figure)


def fig_s5(pool: Pool) -> Made:
    """Mean and median accuracy of every metric over its cost."""
    scores, table, context = pool
    compared = metrics.inference(scores, context) + metrics.training(table, context)
    rows = []
    for metric in compared:
        values = metric.values[~np.isnan(metric.values)]
        rows.append(metrics.mean_row(metric, "mean", values, n=len(values)))
        middle = float(np.median(values)) if len(values) else float("nan")
        rows.append(metrics.row(metric, "median", middle, n=len(values)))
    found = metrics.frame(rows)
    return metrics.made(found, figures.over_cost(found, ("mean", "median")))


def fig_s6(pool: Pool) -> Made:
    """For every NNGP score, the thresholds at which its PQETP exceeds that of short training and of size.

    The paper scans 78 to 95 % in steps of 0.3; where the truth does not reach into that range, 60 thresholds over the
    range of the truth take their place.
    """
    scores, table, context = pool
    truth = table["truth"].to_numpy(float)
    at = SCANNED if ((truth > SCANNED[0]) & (truth < SCANNED[-1])).any() else figures.thresholds(truth)
    rivals = [*metrics.training(table, context, (4, 12)), metrics.size(table)]
    compared = metrics.inference(scores, context)
    bars = {metric: figures.curve(metric.values, truth, at) for metric in rivals}
    rows, wins = [], {}
    for metric in compared:
        mine = figures.curve(metric.values, truth, at)
        for rival in rivals:
            with np.errstate(invalid="ignore"):
                better = mine > bars[rival]
            wins[metric, rival] = better
            rows.append(
                metrics.row(
                    metric,
                    f"share of thresholds above {rival.name}",
                    better.sum() / max(1, (~np.isnan(mine + bars[rival])).sum()),
                    n=len(truth),
                    thresholds=ranges(at, better),
                )
            )
    figure, axes = figures.panels(len(rivals), width=3, height=0.12 * len(compared) + 2.4)
    palette = figures.colours([metric.key[1:3] for metric in compared])
    for one, rival in zip(axes, rivals, strict=True):
        share = [(truth > threshold).mean() * len(compared) for threshold in at]
        one.fill_between(at, share, color="#e5e5e5", linewidth=0)
        for place, metric in enumerate(compared):
            better = at[wins[metric, rival]]
            one.plot(better, np.full(len(better), place + 0.5), "s", markersize=2, color=palette[metric.key[1:3]])
        one.set_title(f"PQETP above that of {rival.name}", fontsize=9)
        one.set_xlabel("threshold: true accuracy (%)", fontsize=8)
        one.set_yticks([])
    axes[0].set_yticks(
        np.arange(len(compared)) + 0.5, [m.name for m in compared], fontsize=max(3, 7 - len(compared) / 24)
    )
    found = metrics.frame(rows, ["grey: share of the networks above the threshold"])
    return metrics.made(found, figure)


def ranges(at: np.ndarray, chosen: np.ndarray) -> str:
    """Runs of chosen thresholds, e.g. "78-80.1, 92.4"."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(int)))
    runs = [(at[first], at[last - 1]) for first, last in zip(edges[::2], edges[1::2], strict=True)]
    return ", ".join(f"{low:.4g}" if low == high else f"{low:.4g}-{high:.4g}" for low, high in runs)
