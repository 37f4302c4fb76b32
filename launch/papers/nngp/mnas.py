"""Selection in the MNAS space: figure 7 of Park et al. 2020.

Networks are selected by the reward after short training, by the accuracy after it, by NNGP accuracies and at random,
and judged by the test accuracy after the longest training that there is of them.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from launch.papers.base import HINT, Inputs, Made
from launch.papers.nngp import figures, metrics, pool
from launch.papers.nngp.metrics import Context, Metric
from tfnas import evidence, seeds
from tfnas.errors import InputError
from tfnas.evidence import statistics
from tfnas.evidence.rows import descending
from tfnas.latency import rewards

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# Networks in a selection, and at most this part of all.
SELECTED, SHARE = 10, 6
LATENCY = "latency_"
_TRAINED = ("val_accuracy", "test_accuracy")


class Networks(NamedTuple):
    """What is known of n networks, in the order of `archs`.

    Attributes:
        archs: strings of all that were trained, whether or not that worked.
        accuracy: percent of the validation images after the shortest training.
        reward: of that accuracy and the latency.
        test: percent of the test images after the longest training [n]; NaN for networks that have none.
        inferred: NNGP accuracies in percent, by (L, n_train, n_val, ensemble).
        sizes: number of parameters, latency: what costs no training either.
        context: of resamples and costs.
        notes: what a reader should know.
    """

    archs: list[str]
    accuracy: Metric
    reward: Metric
    test: np.ndarray
    inferred: list[Metric]
    sizes: list[Metric]
    context: Context
    notes: tuple[str, ...]


def fig7(inputs: Inputs) -> Made:
    """Test accuracies of the selections, then Kendall's tau and Pearson's r of NNGP with reward and accuracy."""
    found = read(inputs)
    chosen = selections(found)
    rows = []
    for metric, places in chosen:
        tested = found.test[places]
        tested = tested[~np.isnan(tested)]
        rows.append(metrics.mean_row(metric, "mean test accuracy of the selected", tested, n=len(tested)))
        best = float(tested.max()) if len(tested) else math.nan
        rows.append(metrics.row(metric, "best test accuracy of the selected", best, n=len(tested)))
    for against, name in ((found.reward, "reward"), (found.accuracy, "accuracy")):
        for metric in (*found.inferred, *found.sizes):
            for row in metrics.correlations(metric, against.values, found.context):
                rows.append(row | {"measure": f"{row['measure']} with {name}"})
    trained = found.accuracy.values[~np.isnan(found.accuracy.values)]
    paper = found.context.expected.get("worst_5ep_val", math.nan)
    rows.append(metrics.row(found.accuracy, "worst", float(trained.min()), n=len(trained), paper=paper))
    notes = [
        *found.notes,
        f"selections of {len(chosen[0][1])} of {len(found.archs)} networks; equal scores rank at random by the seed",
        "the paper's worst accuracy is that of 10,000 networks after 5 epochs on ImageNet; the rest of its figure is "
        "plots only",
    ]
    table = metrics.frame(rows, notes)
    return metrics.made(table, _figure(table, found, chosen))


def selected(inputs: Inputs, dataset: str) -> list[str]:
    """Architectures of any selection, on the only data set."""
    found = read(inputs)
    places = sorted({int(place) for _, places in selections(found) for place in places})
    return [found.archs[place] for place in places]


def selections(found: Networks) -> list[tuple[Metric, np.ndarray]]:
    """For chance and every metric, places of the networks that rank highest; those without a score rank last."""
    n = len(found.archs)
    count = max(1, min(SELECTED, n // SHARE))
    rng = np.random.default_rng(seeds.derive_seed(found.context.seed, "random networks"))
    out = [(Metric("random", np.full(n, math.nan)), rng.permutation(n)[:count])]
    for metric in (found.reward, found.accuracy, *found.inferred):
        ties = statistics.tie_keys(n, found.context.seed)[0]
        out.append((metric, descending(np.nan_to_num(metric.values, nan=-np.inf), ties)[:count]))
    return out


# Records --------------------------------------------------------------------------------------------------------------


def read(inputs: Inputs) -> Networks:
    """What records tell of networks.

    Raises:
        InputError: short trainings with validation, latencies or inference scores are missing or were not made alike.
    """
    records = inputs.records.assign(proxy=inputs.records["proxy"].astype(str))
    settings = records["options"].map({text: json.loads(text) for text in records["options"].unique()})
    trainings = records[records["proxy"].isin(_TRAINED)]
    epochs = settings[trainings.index].map(lambda of: of["epochs"])
    if "val_accuracy" not in set(trainings["proxy"]):
        raise InputError(
            "The figure needs val_accuracy and test_accuracy of short trainings. Received proxies: "
            f"{', '.join(records['proxy'].unique())}. python -m launch.train --val_split=... makes them"
        )
    short, full = int(epochs.min()), int(epochs.max())
    # What was stopped early has scores of networks that were not trained yet.
    archs = list(dict.fromkeys(trainings.loc[epochs == short, "arch"]))
    accuracy = _values(trainings[epochs == short], "val_accuracy", archs)
    test = _values(trainings[epochs == full], "test_accuracy", archs)
    name, latency = _latency(records, archs)
    known = ~np.isnan(accuracy + latency)
    if known.sum() < 3:
        raise InputError(f"Too few networks with an accuracy and a latency. Received: {known.sum()}. Needed: 3 or more")
    reward = np.full(len(archs), math.nan)
    target = float(np.median(latency[known]))
    reward[known] = rewards.reward(accuracy[known] / 100, latency[known], target)
    classes = settings.map(lambda of: of.get("classes", 0))
    inferred, params, context, told = _inferred(inputs, records, classes, archs)
    notes = (
        f"{_trained(trainings, settings, short)}; test accuracies after {full} epochs",
        *told,
        f"reward a (T / l)^{rewards.W:g} of {name} with their median {target:.4g} as T, which scales all rewards alike "
        "and changes neither an order nor a correlation",
    )
    return Networks(
        archs,
        Metric(f"accuracy, {short} epochs", accuracy),
        Metric(f"reward, {short} epochs", reward),
        test,
        inferred,
        [Metric("parameters", params), Metric(name.replace("latency_macs", "multiply-adds"), latency)],
        context,
        notes,
    )


def _values(records: pd.DataFrame, name: str, archs: Sequence[str]) -> np.ndarray:
    """Scores of one name in the order of the architectures, averaged over seeds and repeats."""
    mine = records[records["proxy"] == name]
    evidence.check_settings(mine, hint=HINT)
    return evidence.average(mine).set_index("arch")["score"].reindex(archs).to_numpy(float)


def _trained(trainings: pd.DataFrame, settings: pd.Series, epochs: int) -> str:
    """On which images networks were trained, and on which validated."""
    first = trainings[trainings["proxy"] == "val_accuracy"].iloc[0]
    of = settings[first.name]
    train, val = of["train_split"], of["split"]
    told = f"trained on {train} of {first['dataset']} for {epochs} epochs and validated on "
    return told + ("the same images: none is held out" if val == train else val)


def _latency(records: pd.DataFrame, archs: Sequence[str]) -> tuple[str, np.ndarray]:
    names = sorted(name for name in records["proxy"].unique() if name.startswith(LATENCY))
    if len(names) != 1:
        raise InputError(
            f"The reward needs one kind of latency. Received: {', '.join(names) or 'none'}. "
            "python -m launch.mnas --latency=... makes them"
        )
    return names[0], _values(records, names[0], archs)


def _inferred(
    inputs: Inputs, records: pd.DataFrame, classes: pd.Series, archs: Sequence[str]
) -> tuple[list[Metric], np.ndarray, Context, list[str]]:
    """NNGP accuracies by number of labels, parameters and context of the last, notes; classes are those of networks."""
    out: list[Metric] = []
    notes: dict[str, None] = {}
    scored = records["proxy"].str.startswith("nngp_")
    if not scored.any():
        raise pool.no_scores(records)
    for count in sorted(classes[scored].unique()):
        scores = pool.from_records(records[classes == count])
        context = Context(
            inputs.space,
            2 * float(pool.sizes("flops", scores, inputs.space).mean()),
            inputs.experiment.expected,
            features=pool.features(inputs.space, scores.frame.index[0], scores.network),
            classes=int(count),
            regularizers=scores.regularizers,
            network=scores.network,
            seed=inputs.seed,
        )
        frame = scores.frame.reindex(archs)
        for metric in metrics.inference(frame, context):
            name = metric.name.replace("(", f"({count}, ", 1)
            out.append(dataclasses.replace(metric, name=name))
        notes.update(dict.fromkeys(scores.notes))
        params = pool.sizes("params", scores, inputs.space).reindex(archs).to_numpy(float)
    return out, params, context, list(notes)


# The figure -----------------------------------------------------------------------------------------------------------


def _figure(rows: pd.DataFrame, found: Networks, chosen: Sequence[tuple[Metric, np.ndarray]]) -> Figure:
    figure, (left, *right) = figures.panels(3, width=3.6, height=4.2)
    for place, (_, places) in enumerate(chosen):
        tested = found.test[places]
        left.plot(np.full(len(tested), place), tested, "o", markersize=3.5, alpha=0.6, color="#0072B2")
        mean = statistics.mean_and_error(tested[~np.isnan(tested)])[0]
        left.plot([place - 0.3, place + 0.3], [mean] * 2, color="#D55E00", linewidth=1.5)
    _named(left, [metric.name for metric, _ in chosen])
    left.set_ylabel("test accuracy of the selected (%)", fontsize=8)
    compared = [metric.name for metric in (*found.inferred, *found.sizes)]
    for axes, measure in zip(right, ("kendall", "pearson"), strict=True):
        for shift, name, colour in ((-0.12, "reward", "#0072B2"), (0.12, "accuracy", "#E69F00")):
            mine = rows[rows["measure"] == f"{measure} with {name}"].set_index("metric").loc[compared]
            place = np.arange(len(mine)) + shift
            axes.plot(place, mine["ours"], "o", markersize=4, color=colour, label=f"with {name}")
            axes.vlines(place, mine["low"], mine["high"], color=colour, linewidth=1)
        axes.axhline(0, color="#777777", linewidth=0.8)
        _named(axes, compared)
        axes.set_ylabel(figures.LABELS[measure], fontsize=8)
    figures.legend(figure, right[0])
    return figure


def _named(axes: Any, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=7)
