"""Neural Predictor in NAS-Bench-101 (Wen et al. 2020): errors of one and two stages, what the first keeps, N against K.

Every function takes the inputs of an experiment whose table tells all, and gives rows and a figure. Predictors are the
paper's; those of all repeats train side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from launch.jobs import prediction
from launch.jobs.knowledge import Known
from launch.papers.base import Inputs, Made
from launch.papers.predictor import tables
from tfnas.errors import InputError
from tfnas.predictor.settings import PAPER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tfnas.predictor.settings import Settings

SIZES = (43, 86, 172, 344, 860)
VALIDATED = 100
_LOOKED_AT = 20_000


def mse(inputs: Inputs, *, settings: Settings = PAPER) -> Made:
    """Mean squared error of predictors of all networks and of those of good ones alone, above the threshold.

    Over networks that the predictor has not learned from, at most 20,000; mean over the repeats, with its deviation.
    Of one stage there is the error over all of them besides: the paper's number may be either.
    """
    import pandas as pd

    from tfnas.predictor import choosing

    known, number, drawn, fresh, thresholds, notes = _looked_at(inputs)
    accuracies = known.accuracies[drawn]
    above = accuracies[:, None] > np.array(thresholds)
    whole, good = "mean squared error over all", "mean squared error above the threshold"
    rows = []
    for stage, cuts in (("one_stage", None), ("two_stage", thresholds)):
        told, _ = tables.stages(
            settings, known, number, range(inputs.repeats), inputs.seed, cuts, known.graphs.take(drawn)
        )
        parts = {(stage, good): fresh & above}
        if cuts is None:
            parts = {(f"{stage}, all", whole): fresh, **parts}
        for (name, measure), part in parts.items():
            errors = [
                choosing.errors(column[mine], accuracies[mine])["mse"]
                for column, mine in zip(told.T, part.T, strict=True)
            ]
            count, paper = round(part.sum(axis=0).mean()), tables.printed(inputs, stage)
            rows.append(tables.row(name, measure, errors, count, paper))
    notes += ("the paper does not say whether its error of one stage is over all networks", *tables.elsewhere(inputs))
    table = pd.DataFrame(rows)
    return Made(table, tables.bars(table, "mean squared error (percentage points squared)"), notes)


def kept(inputs: Inputs, *, settings: Settings = PAPER) -> Made:
    """Share of the networks that the first stage keeps: above the threshold, below it, of the best 1 %.

    Of networks that a repeat has not learned from, at most 20,000; a repeat that has learned from all of a part has no
    share of it.
    """
    import pandas as pd

    from tfnas.predictor.model import KEPT

    known, number, drawn, fresh, thresholds, notes = _looked_at(inputs)
    _, probability = tables.stages(
        settings, known, number, range(inputs.repeats), inputs.seed, thresholds, known.graphs.take(drawn)
    )
    passed, accuracies = probability >= KEPT, known.accuracies[drawn]
    above = accuracies[:, None] > np.array(thresholds)
    best = accuracies[:, None] >= np.quantile(accuracies, 0.99)
    rows = []
    for name, part in (("above the threshold", above), ("at or below it", ~above), ("the best 1 %", best)):
        part = fresh & part
        shares = [100 * kept[mine].mean() for kept, mine in zip(passed.T, part.T, strict=True) if mine.any()]
        count = round(part.sum(axis=0).mean())
        rows.append(tables.row(name, "share that the first stage keeps (%)", shares or [np.nan], count))
    figure = _histograms(100 * accuracies, fresh & passed, fresh & ~passed, 100 * float(np.mean(thresholds)))
    return Made(pd.DataFrame(rows), figure, notes)


def sizes(inputs: Inputs, *, settings: Settings = PAPER, ns: Sequence[int] = SIZES) -> Made:
    """Accuracy of the best of the top K by the number of networks trained, N + K, for several N.

    Each N is told at the N + K of a K of `VALIDATED`, or of what is left of a small table, of all N that are less.

    Raises:
        InputError: the table has too few networks for the least N.
    """
    import pandas as pd

    from tfnas.predictor import model

    known, seed = tables.known(tables.ordered(inputs)), inputs.seed
    threshold, notes = tables.cut_of(known.accuracies)
    count = len(known.archs)
    lines: dict[str, np.ndarray] = {}
    rows = []
    fitting = [n for n in ns if 3 * n <= 2 * count]
    if not fitting:
        raise InputError(
            f"{inputs.experiment.id} learns from {min(ns)} networks and more, at most two thirds of a table. Received: "
            f"a table of {count}. Needed: {-(-3 * min(ns) // 2)} networks or more"
        )
    budgets = sorted({n + min(VALIDATED, count - n) for n in fitting})
    for n in fitting:
        picks = []
        for part in prediction.together(range(inputs.repeats)):

            def picked(n: int = n, part: Sequence[int] = part) -> dict[str, np.ndarray]:
                cuts, found = tables.cuts(known, threshold, n, part, seed), []
                predicted = model.ranked(*tables.stages(settings, known, n, part, seed, cuts, known.graphs))
                for repeat, column in zip(part, predicted.T, strict=True):
                    top = prediction.ranking(column, prediction.draw(known, n, repeat, seed), repeat, seed)
                    found.append(prediction.best_so_far(known.accuracies, top[: budgets[-1] - n]))
                return {"picks": np.stack(found)}

            about = {"n": n, "repeats": list(part), "settings": settings, "most": budgets[-1]}
            picks += list(inputs.parts.get(picked, **about)["picks"])
        lines[f"N = {n}"] = 100 * known.accuracies[np.array(picks)]
        for budget in budgets:
            if budget > n:
                values = lines[f"N = {n}"][:, budget - n - 1]
                rows.append(tables.row(f"N = {n}", f"accuracy, N + K = {budget}", values, count))
    return Made(pd.DataFrame(rows), _budgets(lines), notes)


def _looked_at(inputs: Inputs) -> tuple[Known, int, np.ndarray, np.ndarray, list[float], tuple[str, ...]]:
    """The table; how many networks a repeat learns from; what errors are of; and the threshold of each repeat.

    Returns:
        (known, number, rows looked at [n], which of them each repeat has not learned from [n, repeats], thresholds,
        what is to be told of these).
    """
    known, repeats = tables.known(tables.ordered(inputs)), inputs.repeats
    number, (cut, notes) = tables.n_train(len(known.archs)), tables.cut_of(known.accuracies)
    drawn = tables.looked_at(len(known.archs), _LOOKED_AT, inputs.seed)
    learned = tables.learned(known, number, repeats, inputs.seed)
    fresh = np.stack([~np.isin(drawn, own) for own in learned], axis=1)
    return known, number, drawn, fresh, tables.cuts(known, cut, number, range(repeats), inputs.seed), notes


def _histograms(accuracies: np.ndarray, kept: np.ndarray, dropped: np.ndarray, threshold: float) -> Figure:
    """Accuracies, percent [n], of what each repeat keeps and drops, [n, repeats] bool."""
    from matplotlib.figure import Figure

    from tfnas.evidence.plots import COLOURS

    figure = Figure(figsize=(7.0, 3.6), layout="constrained")
    axes = figure.subplots()
    bins = np.linspace(np.quantile(accuracies, 0.01), accuracies.max(), 60)
    axes.hist(accuracies, bins, weights=kept.mean(axis=1), color=COLOURS[0], alpha=0.6, label="kept")
    axes.hist(accuracies, bins, weights=dropped.mean(axis=1), color=COLOURS[5], alpha=0.6, label="dropped")
    axes.axvline(threshold, color="black", linestyle="--", linewidth=0.8)
    axes.set_xlabel("accuracy (%)", fontsize=9)
    axes.set_ylabel("networks, mean over repeats", fontsize=9)
    axes.legend(fontsize=8, frameon=False)
    return figure


def _budgets(lines: dict[str, np.ndarray]) -> Figure:
    from matplotlib.figure import Figure

    from tfnas.evidence.plots import COLOURS

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.subplots()
    for (name, values), colour in zip(lines.items(), COLOURS, strict=False):
        count = int(name.split()[-1]) + 1 + np.arange(values.shape[1])
        axes.plot(count, values.mean(axis=0), color=colour, linewidth=1.4, label=name)
    axes.set_xlabel("networks trained, N + K", fontsize=9)
    axes.set_ylabel("accuracy (%)", fontsize=9)
    axes.legend(fontsize=8, frameon=False)
    return figure
