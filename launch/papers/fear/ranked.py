"""Spearman's rho of scores of untrained and of trained networks: table 2 and figure 3 of Dey et al. 2021."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING

from launch.jobs.after import parse_after
from launch.papers import after
from launch.papers.base import HINT, Inputs, Made
from launch.papers.fear.methods import SHORT, TIME, named_records, records_of
from launch.papers.ranking import beside_the_paper, expected, measured
from tfnas import evidence

if TYPE_CHECKING:
    import pandas as pd

# The paper's names of moments.
_MOMENTS = {0: "init", 1: "epoch1"}


def table2(inputs: Inputs) -> Made:
    """A row for each method that has records, those of the paper first: Spearman's rho with its interval.

    Each is of the networks that it has scored.
    """
    import pandas as pd

    dataset = inputs.datasets[0]
    records, _ = named_records(records_of(inputs, dataset))
    records = records[records["proxy"] != TIME]
    evidence.check_settings(records, hint=HINT)
    summary = evidence.correlate(records, inputs.truth[dataset], percents=(), seed=inputs.seed).set_index("proxy")
    printed = [name for name in inputs.experiment.expected if name in summary.index]
    made = []
    for name in [*printed, *(name for name in summary.index if name not in printed)]:
        about = {"dataset": dataset, "method": name, **measured(summary.loc[name], "spearman")}
        made.append(about | {"paper": expected(inputs.experiment, name)})
    rows = pd.DataFrame(made)
    lost = summary[summary["left_out"] > 0]
    notes = [f"{name} has no score of {row['left_out']} networks ({row['why']})" for name, row in lost.iterrows()]
    return Made(rows, beside_the_paper(rows.assign(init=""), "spearman"), tuple(notes))


def figure3(inputs: Inputs) -> Made:
    """A row for each score and number of epochs: Spearman's rho with its interval."""
    dataset, scored = inputs.datasets[0], inputs.experiment.jobs.trained
    records = _of_one_training(records_of(inputs, dataset), {*scored, SHORT, *evidence.BASELINES})
    evidence.check_settings(records, hint=HINT)
    mine = dataclasses.replace(inputs, records=records.assign(dataset=dataset))
    rows = after.correlations(mine, (*scored, SHORT, *evidence.BASELINES), "spearman")
    printed = [f"{name}_{_MOMENTS.get(epochs)}" for name, epochs in zip(rows["proxy"], rows["epochs"], strict=True)]
    rows["paper"] = [expected(inputs.experiment, name) for name in printed]
    figure = after.over_epochs(rows, "Spearman's rho")
    axes = figure.axes[0]
    for line in axes.get_lines():
        of = rows[rows["proxy"] == line.get_label()]
        axes.plot(of["epochs"], of["paper"], "x", color=line.get_color())
    notes = ("crosses are the paper's",) if not all(map(math.isnan, rows["paper"])) else ()
    return Made(rows, figure, (*after.notes(records, inputs.space), *notes))


def _of_one_training(records: pd.DataFrame, wanted: set[str]) -> pd.DataFrame:
    """Records of some scores, without what a folder may have of other methods.

    That is synflow with BN, and accuracies of trainings in which no network was scored.
    """
    names = records["proxy"].map(lambda name: parse_after(name)[0])
    trained = records["proxy"] != names
    options = {text: json.loads(text) for text in records["options"].unique()}
    recipe = records["options"].map({text: json.dumps(of.get("training")) for text, of in options.items()})
    with_bn = records["options"].map({text: bool(of.get("synflow_kept_bn")) for text, of in options.items()})
    others = (names == SHORT) & ~recipe.isin(recipe[trained & (names != SHORT)])
    return records[names.isin(wanted) & ~others & ~with_bn]
