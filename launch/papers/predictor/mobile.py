"""Networks for ImageNet on a phone: figures 8 and 9 of Wen et al. 2020, with what stands in for them.

Accuracies of ProxylessNAS networks are not published. Here any table with accuracies and latencies serves: predictors
learn from 119 of its networks, as in the paper, and what the paper would train is looked up.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from launch.jobs import prediction
from launch.papers.base import Inputs, Made
from launch.papers.predictor import tables
from launch.papers.ranking import draw_pairs, pair_legend
from tfnas import seeds
from tfnas.latency import rewards
from tfnas.predictor import pareto
from tfnas.predictor.settings import CHAIN

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from launch.jobs.knowledge import Known
    from tfnas.predictor.settings import Settings

N_TRAIN, BEHIND = 119, 6
# Networks of figure 9 that are trained to test predictions.
TESTED = 10


def front(inputs: Inputs, *, settings: Settings = CHAIN) -> Made:
    """Figure 8: the fronts of accuracy and latency that a predictor and random search find, mean over repeats.

    A predictor learns from N networks; of all others, those on the soft front of its predictions (K) are trained, and
    make a front by their accuracies. Random search trains as many, N + K. A front is told by its mean accuracy over
    the latencies at which all fronts have a network, each latency of the table once.
    """
    import pandas as pd

    inputs = tables.ordered(inputs)
    known = tables.known(inputs)
    latency = inputs.truth["latency"].to_numpy(float)
    count, number = len(known.archs), tables.n_train(len(known.archs), N_TRAIN)
    learned = tables.learned(known, number, inputs.repeats, inputs.seed)
    predicted = _trained(settings, known, number, inputs.repeats, inputs.seed)
    chosen, by_chance = [], []
    for repeat, own in enumerate(learned):
        others = np.setdiff1d(np.arange(count), own)
        chosen.append(others[pareto.soft_front(predicted[others, repeat], latency[others], BEHIND)])
        rng = np.random.default_rng(seeds.derive_seed(inputs.seed, "random front", repeat))
        by_chance.append(rng.permutation(count)[: number + len(chosen[-1])])
    accuracies = 100 * known.accuracies
    every = np.arange(count)
    first = max(latency[rows].min() for rows in (*chosen, *by_chance))
    at = np.unique(latency[latency >= first])
    heights = {
        "predictor": [front_height(accuracies, latency, rows, at) for rows in chosen],
        "random search": [front_height(accuracies, latency, rows, at) for rows in by_chance],
        "all networks": [front_height(accuracies, latency, every, at)],
    }
    sizes = np.array([len(rows) for rows in chosen])
    expected = inputs.experiment.expected
    measure = "mean accuracy of the front over latencies"
    rows = [
        tables.row("predictor", "networks on the soft front, K", sizes, count, expected["K"]),
        tables.row("random search", "networks trained, N + K", number + sizes, count, expected["random_models"]),
        *(tables.row(name, measure, values, count) for name, values in heights.items()),
    ]
    kept = chosen[0]
    figure = _fronts(accuracies, predicted[:, 0] * 100, latency, kept, by_chance[0])
    notes = (
        f"{number} networks to learn from; soft front with J = {BEHIND}, read as the last {BEHIND} that were chosen",
        "K is of the table's networks, the paper's of 112,000 that were drawn within 75 to 85 ms",
        *_stand_in(inputs),
    )
    return Made(pd.DataFrame(rows), figure, notes)


def front_height(accuracies: np.ndarray, latency: np.ndarray, rows: np.ndarray, at: np.ndarray) -> float:
    """Mean over latencies `at` of the best accuracy that a network of `rows` has within each; NaN below the fastest."""
    order = rows[np.argsort(latency[rows], kind="stable")]
    best = np.maximum.accumulate(accuracies[order])
    places = np.searchsorted(latency[order], at, side="right") - 1
    return float(np.where(places >= 0, best[places], math.nan).mean())


def quality(inputs: Inputs, *, settings: Settings = CHAIN) -> Made:
    """Figure 9: errors of predictors on a third that is held out of 119 networks, and on ten that are told apart.

    The ten are those nearest to ten evenly spaced predictions, from the least to the largest, of the networks that the
    predictor of all 119 has not learned from; their accuracies are looked up. Both over the repeats.
    """
    import pandas as pd

    from tfnas.predictor import choosing

    inputs = tables.ordered(inputs)
    known = tables.known(inputs)
    count, number = len(known.archs), tables.n_train(len(known.archs), N_TRAIN)
    rows_of_first = prediction.draw(known, number, 0, inputs.seed)
    validated = choosing.cross_validate(
        settings,
        known.graphs.take(rows_of_first),
        known.accuracies[rows_of_first],
        number=inputs.repeats,
        seed=inputs.seed,
    )
    predicted = _trained(settings, known, number, inputs.repeats, inputs.seed)
    tested, shown = [], None
    for repeat, own in enumerate(tables.learned(known, number, inputs.repeats, inputs.seed)):
        others = np.setdiff1d(np.arange(count), own)
        ten = others[evenly_spaced(predicted[others, repeat], TESTED)]
        tested.append(choosing.errors(predicted[ten, repeat], known.accuracies[ten]))
        shown = shown or (own, ten)
    expected = inputs.experiment.expected
    rows = []
    for name in ("mse", "tau", "r2"):
        row = tables.row("held out", name, validated[name], round(number / 3), expected[f"val_{name}"])
        rows.append(row | {"paper_std": expected.get(f"val_{name}_std", math.nan)})
    for name in ("tau", "r2"):
        values = [found[name] for found in tested]
        rows.append(
            tables.row("evenly spaced", name, values, TESTED, expected[f"test_{name}"]) | {"paper_std": math.nan}
        )
    table = pd.DataFrame(rows)
    notes = (
        f"{number} networks to learn from, a third of them held out; the ten are picked of {count - number}, the "
        "paper's of 100,000",
        "mse in percentage points squared; the paper gives one split's tau and R2",
        *_stand_in(inputs),
    )
    return Made(table, _agreements(table, 100 * known.accuracies, 100 * predicted[:, 0], *shown), notes)


def evenly_spaced(predicted: np.ndarray, count: int) -> np.ndarray:
    """Places of the least, the largest and, between them, those nearest to evenly spaced predictions, none twice."""
    left, found = np.arange(len(predicted)), []
    # Both ends first: what lies between takes what is left.
    wanted = np.linspace(predicted.min(), predicted.max(), min(count, len(predicted)))
    for value in (*wanted[[0, -1]], *wanted[1:-1]) if len(wanted) > 1 else wanted:
        nearest = left[np.argmin(np.abs(predicted[left] - value))]
        found.append(nearest)
        left = left[left != nearest]
    return np.array(sorted(found, key=lambda place: predicted[place]))


def _stand_in(inputs: Inputs) -> tuple[str, ...]:
    """What is to be told of the paper's numbers where another space stands in for its own; they stay, as it has to."""
    theirs, ours = inputs.experiment.space, inputs.space.name
    return () if ours == theirs else (f"the paper's numbers are of {theirs}, ours of {ours}",)


def _trained(settings: Settings, known: Known, number: int, repeats: int, seed: int) -> np.ndarray:
    """Predictions of all networks by the predictors of all repeats: [N, repeats]."""
    found = []
    for part in prediction.together(range(repeats)):
        found.append(prediction.train(settings, known, number, part, seed, None).predict_graphs(known.graphs))
    return np.concatenate(found, axis=1)


def _fronts(
    accuracies: np.ndarray, predicted: np.ndarray, latency: np.ndarray, chosen: np.ndarray, by_chance: np.ndarray
) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.scatter(latency, predicted, s=3, alpha=0.3, color="#999999", linewidths=0, label="all networks")
    left.scatter(latency[chosen], predicted[chosen], s=10, color="#009E73", label="on the soft front")
    left.set_ylabel("predicted accuracy (%)", fontsize=9)
    for name, rows, colour in (("predictor", chosen, "#009E73"), ("random search", by_chance, "#0072B2")):
        best = rows[rewards.front(accuracies[rows], latency[rows])]
        best = best[np.argsort(latency[best])]
        right.scatter(latency[rows], accuracies[rows], s=4, alpha=0.3, color=colour, linewidths=0)
        right.step(latency[best], accuracies[best], where="post", color=colour, linewidth=1.4, label=name)
    right.set_ylabel("accuracy (%)", fontsize=9)
    for axes in (left, right):
        axes.set_xlabel("latency", fontsize=9)
        axes.legend(fontsize=8, frameon=False)
        axes.tick_params(labelsize=8)
    return figure


def _agreements(
    table: pd.DataFrame, accuracies: np.ndarray, predicted: np.ndarray, learned: np.ndarray, ten: np.ndarray
) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.8, 3.8), layout="constrained")
    *scatters, bars = figure.subplots(1, 3)
    for axes, rows, title in zip(scatters, (learned, ten), ("learned from", "evenly spaced, not seen"), strict=True):
        axes.scatter(accuracies[rows], predicted[rows], s=12, color="#0072B2", linewidths=0)
        ends = [min(accuracies[rows].min(), predicted[rows].min()), max(accuracies[rows].max(), predicted[rows].max())]
        axes.plot(ends, ends, color="black", linewidth=0.8, linestyle="--")
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("accuracy (%)", fontsize=8)
        axes.set_ylabel("predicted (%)", fontsize=8)
    ranked = table[table["measure"] != "mse"]
    places = draw_pairs(bars, ranked, upright=True)
    bars.vlines(places, ranked["low"], ranked["high"], color="black", linewidth=1)
    named = [f"{row.method} {row.measure}".replace(" ", "\n") for row in ranked.itertuples()]
    bars.set_xticks(range(len(ranked)), named, fontsize=7)
    pair_legend(figure, [bars])
    return figure
