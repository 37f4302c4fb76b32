"""What the experiments of Neural Predictor read of a table, and how they tell numbers of repeats."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from launch.jobs import prediction
from launch.jobs.knowledge import Known
from launch.papers import picking, ranking
from launch.papers.base import Inputs
from launch.papers.ranking import draw_pairs, expected, pair_legend
from tfnas import seeds
from tfnas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from tfnas.predictor.graphs import Graphs
    from tfnas.predictor.settings import Settings

N_TRAIN, THRESHOLD = 172, 91.0
# Single runs: those of NAS-Bench-101 on the images that validate, those of the embedded table on its test images.
_RUNS = (re.compile(r"val_108_\d+"), re.compile(r"test_accuracy_\d+"))


def printed(inputs: Inputs, *path: str) -> float:
    """The paper's number at a path of the facts; NaN where it prints none, and where the space is not the paper's."""
    is_theirs = inputs.space.name == inputs.experiment.space
    return float(expected(inputs.experiment, *path)) if is_theirs else math.nan


def elsewhere(inputs: Inputs) -> tuple[str, ...]:
    """What is to be told of numbers that `printed` leaves out."""
    return ranking.elsewhere(inputs.experiment.space, inputs.space.name)


def ordered(inputs: Inputs) -> Inputs:
    """The same with the networks in the order of their strings: what is drawn does not depend on that of the file."""
    return dataclasses.replace(inputs, truth=inputs.truth.sort_index())


def known(inputs: Inputs, accuracies: np.ndarray | None = None) -> Known:
    """The networks of a table.

    Args:
        inputs: of an experiment whose table tells all.
        accuracies: to learn from and to validate by, fractions; those of the table's column by default.
    """
    tests = inputs.truth[inputs.datasets[0]].to_numpy(np.float64) / 100
    archs = inputs.truth.index.tolist()
    graphs = inputs.space.features(archs)
    return Known(inputs.space, archs, graphs, tests if accuracies is None else accuracies, tests, inputs.datasets[0])


def cut_of(accuracies: np.ndarray) -> tuple[float | None, tuple[str, ...]]:
    """The threshold of the first stage as a fraction, and what is to be told of it.

    It is the paper's where a tenth of the accuracies, fractions, or more lie on either side; else None, as it is that
    of each repeat: see `cuts`.
    """
    above = float((accuracies > THRESHOLD / 100).mean())
    if 0.1 <= above <= 0.9:
        return THRESHOLD / 100, ()
    return None, (
        f"the threshold is the median of the networks that a repeat learns from, as {above:.0%} of all lie above "
        f"{THRESHOLD:g}",
    )


def cuts(known: Known, cut: float | None, number: int, repeats: Sequence[int], seed: int) -> list[float]:
    """The threshold of each repeat: the one of `cut_of`, else the median of what it learns from, all that it knows."""
    if cut is not None:
        return [cut] * len(repeats)
    return [float(np.median(known.accuracies[prediction.draw(known, number, repeat, seed)])) for repeat in repeats]


def stages(
    settings: Settings,
    known: Known,
    number: int,
    repeats: Sequence[int],
    seed: int,
    thresholds: Sequence[float] | None,
    graphs: Graphs,
) -> tuple[np.ndarray, np.ndarray | None]:
    """What the predictors of some repeats say, as :meth:`tfnas.predictor.model.Predictor.predict_stages`.

    Those that share a threshold train side by side.

    Args:
        settings: of the predictors.
        known: a table.
        number: of networks that a repeat learns from.
        repeats: which.
        seed: of draws and weights.
        thresholds: of each repeat, fractions; None for one stage.
        graphs: n that are told.

    Returns:
        Accuracies [n, repeats], and probabilities [n, repeats] of two stages, None of one.
    """
    shared = thresholds is None or len(set(thresholds)) == 1
    found, done = [], 0
    for part in prediction.together(repeats) if shared else ([repeat] for repeat in repeats):
        cut = None if thresholds is None else thresholds[done]
        found.append(prediction.train(settings, known, number, part, seed, cut).predict_stages(graphs))
        done += len(part)
    told, probability = zip(*found, strict=True)
    return np.concatenate(told, axis=1), None if thresholds is None else np.concatenate(probability, axis=1)


def runs(inputs: Inputs, *, needed: bool = True) -> np.ndarray | None:
    """Accuracies of single runs, fractions [N, runs]; NaN where a network has fewer.

    Raises:
        InputError: the table has none, and they are needed.
    """
    for form in _RUNS:
        names = sorted(name for name in inputs.truth if form.fullmatch(str(name)))
        if names:
            return inputs.truth[names].to_numpy(np.float64) / 100
    if needed:
        raise InputError(
            f"{inputs.experiment.id} needs accuracies of single runs (val_108_0, val_108_1, ...), which the table has "
            "not: of means alone nothing can be chosen by chance. nasbench_only108.tfrecord has them "
            "(python -m launch.prepare)"
        )
    return None


def draw_runs(values: np.ndarray, seed: int, repeat: int) -> np.ndarray:
    """One of its runs for each network [N], by chance; runs that are missing never.

    Raises:
        InputError: a network has none.
    """
    rng = np.random.default_rng(seeds.derive_seed(seed, "run", repeat))
    there = ~np.isnan(values)
    if not there.any(axis=1).all():
        raise InputError(f"{int((~there.any(axis=1)).sum())} networks have no single run")
    order = np.where(there, rng.random(values.shape), -1.0)
    return values[np.arange(len(values)), order.argmax(axis=1)]


def looked_at(count: int, most: int, seed: int) -> np.ndarray:
    """At most so many of all rows, by chance, in their order."""
    rng = np.random.default_rng(seeds.derive_seed(seed, "looked at"))
    return np.sort(rng.permutation(count)[:most])


def n_train(count: int, wanted: int = N_TRAIN) -> int:
    """Networks to learn from: as many as the paper's, or two thirds of a table that has too few."""
    return min(wanted, 2 * count // 3)


def learned(known: Known, number: int, repeats: int, seed: int) -> list[np.ndarray]:
    """The rows that each repeat learns from."""
    return [prediction.draw(known, number, repeat, seed) for repeat in range(repeats)]


def row(
    method: str, measure: str, values: Sequence[float] | np.ndarray, n: int, paper: float = math.nan
) -> dict[str, object]:
    """A row of results: the mean over repeats, one deviation down and up."""
    return {"method": method, "measure": measure, "n": n, **picking.spread(values, ddof=0), "paper": paper}


def bars(table: pd.DataFrame, label: str, *, margin: float | None = None) -> Figure:
    """Ours with their deviations beside the paper's, a bar for each method.

    Args:
        table: of `row`.
        label: of the vertical axis.
        margin: the axis starts so far below the least value; None for 0.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 3.6), layout="constrained")
    axes = figure.subplots()
    places = draw_pairs(axes, table, upright=True)
    axes.vlines(places, table["low"], table["high"], color="black", linewidth=1)
    axes.set_xticks(range(len(table)), table["method"], fontsize=8)
    axes.set_ylabel(label, fontsize=8)
    if margin is not None:
        axes.set_ylim(bottom=float(np.nanmin(table[["ours", "paper", "low"]].to_numpy(float))) - margin)
    pair_legend(figure, [axes])
    return figure
