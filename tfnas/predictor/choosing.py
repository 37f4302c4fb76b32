"""Errors of predictors by cross-validation, and the width that follows from them.

Wen et al. 2020, section 4: a third of the training networks are held out, the width with the least error on them is
taken, and the predictor that then learns from all of them has 1.5 times its parameters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfnas import seeds
from tfnas.errors import InputError
from tfnas.predictor import model
from tfnas.predictor.graphs import Graphs
from tfnas.predictor.settings import Settings
from tfnas.predictor.training import Task

if TYPE_CHECKING:
    import pandas as pd

WIDTHS = (24, 48, 72, 96, 144, 192, 256)
HELD_OUT = 1 / 3
GROWTH = 1.5


def splits(count: int, number: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random splits of `count` rows into two thirds to learn from and a third held out.

    Raises:
        InputError: fewer than 3 rows.
    """
    if count < 3:
        raise InputError(f"Cross-validation needs 3 networks or more. Received: {count}")
    held = max(1, round(count * HELD_OUT))
    orders = [
        np.random.default_rng(seeds.derive_seed(seed, "split", number)).permutation(count) for number in range(number)
    ]
    return [(order[held:], order[:held]) for order in orders]


def cross_validate(
    settings: Settings,
    graphs: Graphs,
    accuracies: np.ndarray,
    *,
    number: int = 10,
    seed: int = 0,
    threshold: float | None = None,
) -> pd.DataFrame:
    """Errors on what was held out, a row for each split; the predictors of all splits train as one batch.

    Args:
        settings: of the predictors.
        graphs: N to learn from.
        accuracies: fractions [N].
        number: of splits.
        seed: of the splits and the predictors.
        threshold: of two stages; errors then are those of networks above it, whose predictions are the second stage's.

    Returns:
        Columns split, mse (in percentage points squared), tau, r2.

    Raises:
        InputError: as `model.fit`, or too few networks.
    """
    import pandas as pd

    accuracies = np.asarray(accuracies, np.float64)
    parts = splits(len(graphs), number, seed)
    tasks = [Task(learned, seeds.derive_seed(seed, "fold", i)) for i, (learned, _) in enumerate(parts)]
    predictor = model.fit(settings, graphs, accuracies, tasks, threshold=threshold)
    if threshold is not None:
        predictor = model.Predictor(predictor.regressor)
    found = predictor.predict_graphs(graphs)
    rows = []
    for split, (_, held) in enumerate(parts):
        if threshold is not None:
            held = held[accuracies[held] > threshold]
        rows.append({"split": split, **errors(found[held, split], accuracies[held])})
    return pd.DataFrame(rows)


def errors(predicted: np.ndarray, accuracies: np.ndarray) -> dict[str, float]:
    """Mean squared error in percentage points squared, Kendall's tau-b, R2; of fractions [n]."""
    from scipy import stats

    if not len(accuracies):
        return {"mse": np.nan, "tau": np.nan, "r2": np.nan}
    residual = float(np.mean((100 * (predicted - accuracies)) ** 2))
    spread = float(np.var(100 * accuracies))
    varied = len(np.unique(accuracies)) > 1 and len(np.unique(predicted)) > 1
    tau = float(stats.kendalltau(predicted, accuracies).statistic) if varied else np.nan
    return {"mse": residual, "tau": tau, "r2": 1 - residual / spread if spread else np.nan}


def choose_width(
    settings: Settings,
    graphs: Graphs,
    accuracies: np.ndarray,
    *,
    widths: Sequence[int] = (),
    number: int = 3,
    seed: int = 0,
) -> tuple[Settings, pd.DataFrame]:
    """The settings with the width of the paper's rule, and the error of each width on networks held out.

    Args:
        settings: all but the width.
        graphs: N to learn from.
        accuracies: fractions [N].
        widths: to choose from, `WIDTHS` by default.
        number: of splits.
        seed: of the splits and the predictors.
    """
    import pandas as pd

    found = []
    for width in widths or WIDTHS:
        wide = dataclasses.replace(settings, width=width)
        mse = cross_validate(wide, graphs, accuracies, number=number, seed=seed)["mse"]
        found.append({"width": width, "mse": float(mse.mean())})
    table = pd.DataFrame(found)
    best = int(table["width"][table["mse"].idxmin()])
    return enlarged(dataclasses.replace(settings, width=best), graphs.features, graphs.extras.shape[1]), table


def enlarged(settings: Settings, features: int, extras: int = 0) -> Settings:
    """The least width with which a predictor has 1.5 times the parameters."""
    wanted = GROWTH * settings.count_params(features, extras)
    while settings.count_params(features, extras) < wanted:
        settings = dataclasses.replace(settings, width=settings.width + 1)
    return settings
