"""Predictors that learn beside scores that do not (Zhang's thesis, table A.1)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launch.flags.predictors import GCN
from launch.jobs import prediction
from launch.jobs.knowledge import Known
from launch.papers import picking
from launch.papers.base import Inputs, Made
from launch.papers.ranking import beside_the_paper
from tfnas.errors import InputError
from tfnas.evidence import statistics
from tfnas.predictor.settings import PAPER

if TYPE_CHECKING:
    from tfnas.predictor.settings import Settings

# Networks learned from: 1, 5 and 10 % of the half of NAS-Bench-201 that is not held out (Ning et al. 2020).
SIZES = (78, 390, 781)
# Networks at chance have 1 % on CIFAR-100 and ImageNet16-120, which the paper's range of 10 to 100 % leaves out.
SETTINGS = dataclasses.replace(PAPER, low=0.0)
# Rows of the paper that have a counterpart here, and the size at which the paper has them.
_PRINTED = {("mlp", 781): "mlp"}
_ELSEWHERE = {
    "lstm": "LSTM, 390 networks",
    "gates1": "GATES-1, 781",
    "gates2": "GATES-2, 78",
    "gradsign": "GradSign, none",
}


def kendall(inputs: Inputs, *, settings: Settings = SETTINGS) -> Made:
    """Kendall's tau of predictors that learn from a few networks, on a half of the table that none has learned from.

    A row for each predictor and number of networks: mean over repeats and data sets. Each repeat draws its half, and of
    the other one those to learn from.

    Raises:
        InputError: fewer than 4 networks, or accuracies that the settings leave out.
    """
    import pandas as pd

    # In the order of their strings, so that no draw depends on that of a file.
    truth = inputs.truth.sort_index()
    size, archs = len(truth), truth.index.tolist()
    half = size // 2
    if half < 2:
        raise InputError(
            f"{inputs.experiment.id} needs 4 networks or more, to learn from and to rank. Received: {size}"
        )
    numbers = [number for number in SIZES if number <= half] or [half]
    graphs = inputs.space.features(archs)
    taus: dict[tuple[str, int], list[float]] = {}
    for dataset in inputs.datasets:
        accuracies = truth[dataset].to_numpy(float) / 100
        known = Known(inputs.space, archs, graphs, accuracies, accuracies, dataset)
        codes = known.flat(slice(None))
        for number in numbers:
            for repeat in range(inputs.repeats):
                found = prediction.baseline("mlp", known, codes, number, repeat, inputs.seed)
                taus.setdefault(("mlp", number), []).append(_tau(known, found, half, repeat, inputs.seed))
            for part in prediction.together(range(inputs.repeats)):

                def learned(known: Known = known, number: int = number, part: Sequence[int] = part) -> dict[str, Any]:
                    found = prediction.train(settings, known, number, part, inputs.seed, None).predict_graphs(graphs)
                    taus = [_tau(known, found[:, at], half, repeat, inputs.seed) for at, repeat in enumerate(part)]
                    return {"tau": np.array(taus)}

                about = {"dataset": dataset, "n": number, "repeats": list(part), "settings": settings}
                taus.setdefault((GCN, number), []).extend(inputs.parts.get(learned, **about)["tau"])
    rows = []
    for (name, number), values in taus.items():
        paper = inputs.experiment.expected.get(_PRINTED.get((name, number), ""), math.nan)
        about = {"method": f"{name}, N = {number}", "measure": "kendall", "n": size - half}
        rows.append(about | picking.spread(values) | {"paper": paper})
    table = pd.DataFrame(rows)
    elsewhere = ", ".join(f"{inputs.experiment.expected[key]:.4f} ({what})" for key, what in _ELSEWHERE.items())
    notes = (
        f"mean over {inputs.repeats} draws and {', '.join(inputs.datasets)}",
        f"the paper has besides {elsewhere}: of these only GradSign is here, with its rho in gs_tableA_2; "
        "launch.correlate tells its tau",
    )
    figure = beside_the_paper(table.assign(dataset=", ".join(inputs.datasets), init=""), "Kendall's tau")
    return Made(table, figure, notes)


def _tau(known: Known, predicted: np.ndarray, half: int, repeat: int, seed: int) -> float:
    """Of the half at the end of the permutation that the networks learned from stand at the beginning of."""
    held = prediction.draw(known, len(predicted), repeat, seed)[half:]
    return statistics.kendall(predicted[held], known.accuracies[held])
