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
from tfnas.predictor.settings import PAPER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tfnas.predictor.model import Predictor
    from tfnas.predictor.settings import Settings

SIZES = (43, 86, 172, 344, 860)
_LOOKED_AT = 20_000


def mse(inputs: Inputs, *, settings: Settings = PAPER) -> Made:
    """Mean squared error above the threshold, of predictors of all networks and of those of good ones alone.

    Over networks that the predictor has not learned from, at most 20,000; mean over the repeats, with its deviation.
    """
    import pandas as pd

    from tfnas.predictor import choosing, model

    known, repeats = tables.known(inputs), inputs.repeats
    threshold, notes = tables.cut_of(known.accuracies)
    drawn = tables.looked_at(len(known.archs), _LOOKED_AT, inputs.seed)
    rows = []
    for name, cut in (("one_stage", None), ("two_stage", threshold)):
        found, learned = _trained(settings, known, repeats, inputs.seed, cut)
        predicted = model.Predictor(found.regressor).predict_graphs(known.graphs.take(drawn))
        errors = []
        for repeat, own in enumerate(learned):
            fresh = ~np.isin(drawn, own) & (known.accuracies[drawn] > threshold)
            errors.append(choosing.errors(predicted[fresh, repeat], known.accuracies[drawn[fresh]])["mse"])
        paper, above = float(inputs.experiment.expected[name]), int((known.accuracies > threshold).sum())
        rows.append(tables.row(name, "mean squared error above the threshold", errors, above, paper))
    table = pd.DataFrame(rows)
    return Made(table, tables.bars(table, "mean squared error (percentage points squared)"), notes)


def kept(inputs: Inputs, *, settings: Settings = PAPER) -> Made:
    """Share of the networks that the first stage keeps: above the threshold, below it, of the best 1 %."""
    import pandas as pd

    known, repeats = tables.known(inputs), inputs.repeats
    threshold, notes = tables.cut_of(known.accuracies)
    drawn = tables.looked_at(len(known.archs), _LOOKED_AT, inputs.seed)
    found, _ = _trained(settings, known, repeats, inputs.seed, threshold)
    passed = found.predict_graphs(known.graphs.take(drawn)) >= 0
    accuracies = known.accuracies[drawn]
    parts = {
        "above the threshold": accuracies > threshold,
        "at or below it": accuracies <= threshold,
        "the best 1 %": accuracies >= np.quantile(accuracies, 0.99),
    }
    rows = [
        tables.row(name, "share that the first stage keeps (%)", 100 * passed[part].mean(axis=0), int(part.sum()))
        for name, part in parts.items()
    ]
    return Made(pd.DataFrame(rows), _histograms(100 * accuracies, passed, 100 * threshold), notes)


def sizes(inputs: Inputs, *, settings: Settings = PAPER, ns: Sequence[int] = SIZES) -> Made:
    """Accuracy of the best of the top K by the number of networks trained, N + K, for several N."""
    import pandas as pd

    known, repeats = tables.known(inputs), inputs.repeats
    threshold, notes = tables.cut_of(known.accuracies)
    count = len(known.archs)
    lines: dict[str, np.ndarray] = {}
    rows = []
    largest = max(n for n in ns if 3 * n <= 2 * count)
    budgets = [largest + k for k in (10, 50, 100, 200) if largest + k <= count]
    for n in (n for n in ns if 3 * n <= 2 * count):
        picks = []
        for part in prediction.together(range(repeats)):
            predicted = prediction.train(settings, known, n, part, inputs.seed, threshold).predict_graphs(known.graphs)
            tops = np.argsort(-predicted, axis=0, kind="stable")[: budgets[-1] - n]
            picks += [prediction.best_so_far(known.accuracies, top) for top in tops.T]
        lines[f"N = {n}"] = 100 * known.accuracies[np.array(picks)]
        for budget in budgets:
            values = lines[f"N = {n}"][:, budget - n - 1]
            rows.append(tables.row(f"N = {n}", f"accuracy, N + K = {budget}", values, count))
    return Made(pd.DataFrame(rows), _budgets(lines), notes)


def _trained(
    settings: Settings, known: Known, repeats: int, seed: int, threshold: float | None
) -> tuple[Predictor, list[np.ndarray]]:
    """Predictors of all repeats, and the rows that each has learned from."""
    number = tables.n_train(len(known.archs))
    found = prediction.train(settings, known, number, range(repeats), seed, threshold)
    return found, tables.learned(known, number, repeats, seed)


def _histograms(accuracies: np.ndarray, passed: np.ndarray, threshold: float) -> Figure:
    from matplotlib.figure import Figure

    from tfnas.evidence.plots import COLOURS

    figure = Figure(figsize=(7.0, 3.6), layout="constrained")
    axes = figure.subplots()
    bins = np.linspace(np.quantile(accuracies, 0.01), accuracies.max(), 60)
    share = passed.mean(axis=1)
    axes.hist(accuracies, bins, weights=share, color=COLOURS[0], alpha=0.6, label="kept")
    axes.hist(accuracies, bins, weights=1 - share, color=COLOURS[5], alpha=0.6, label="dropped")
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
