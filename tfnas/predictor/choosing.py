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
    above: float | None = None,
) -> pd.DataFrame:
    """Errors on what was held out, a row for each split; the predictors of all splits train as one batch.

    Args:
        settings: of the predictors.
        graphs: N to learn from.
        accuracies: fractions [N].
        number: of splits.
        seed: of the splits and the predictors.
        threshold: of two stages, a fraction; None for one.
        above: as `judge` has it.

    Returns:
        Columns split and those of `judge`.

    Raises:
        InputError: as `model.fit`, or too few networks.
    """
    import pandas as pd

    accuracies = np.asarray(accuracies, np.float64)
    parts = splits(len(graphs), number, seed)
    tasks = [Task(learned, seeds.derive_seed(seed, "fold", i)) for i, (learned, _) in enumerate(parts)]
    predictor = model.fit(settings, graphs, accuracies, tasks, threshold=threshold)
    told, probability = predictor.predict_stages(graphs)
    ranked = model.ranked(told, probability)
    rows = []
    for split, (_, held) in enumerate(parts):
        second = None if probability is None else told[held, split]
        rows.append({"split": split, **judge(ranked[held, split], accuracies[held], above=above, told=second)})
    return pd.DataFrame(rows)


def judge(
    predicted: np.ndarray, accuracies: np.ndarray, *, above: float | None = None, told: np.ndarray | None = None
) -> dict[str, float]:
    """Errors of predictors of one stage or two, which are comparable: those of the same name are of the same networks.

    Args:
        predicted: by which networks rank: [n].
        accuracies: fractions [n].
        above: accuracy, a fraction, above which networks have errors of their own besides.
        told: of two stages, the accuracies that the second tells of all networks: [n].

    Returns:
        mse (percentage points squared), tau and r2 of all networks, mse and r2 NaN for two stages; mse_above, tau_above
        and r2_above of those above `above`, whether or not a first stage keeps them.
    """
    found = errors(predicted, accuracies)
    if told is not None:
        found |= {"mse": np.nan, "r2": np.nan}  # what a first stage turns down has no accuracy told
    if above is not None:
        good = accuracies > above
        second = errors((predicted if told is None else told)[good], accuracies[good])
        found |= {f"{name}_above": value for name, value in second.items()}
    return found


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
