"""Spearman's rho of untrained and of trained networks' scores: table 2 and figure 3 of Dey et al. 2021."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from launch.papers.base import Inputs, Made
from launch.papers.fear import figures
from launch.papers.fear.methods import AFTER, HINT, SHORT, TIME, named_records, records_of
from launch.papers.ranking import beside_the_paper, expected
from tfnas import evidence
from tfnas.errors import InputError

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
    summary = _correlations(inputs, records, dataset)
    printed = [name for name in inputs.experiment.expected if name in summary.index]
    made = []
    for name in [*printed, *(name for name in summary.index if name not in printed)]:
        made.append(_row(dataset, name, summary.loc[name], expected(inputs.experiment, name)))
    rows = pd.DataFrame(made)
    lost = summary[summary["left_out"] > 0]
    notes = [f"{name} has no score of {row['left_out']} networks ({row['why']})" for name, row in lost.iterrows()]
    return Made(rows, beside_the_paper(rows.assign(init=""), "spearman"), tuple(notes))


def figure3(inputs: Inputs) -> Made:
    """A row for each score and number of epochs: Spearman's rho with its interval.

    Raises:
        InputError: no score of trained networks.
    """
    import pandas as pd

    dataset = inputs.datasets[0]
    records = _same_trainings(records_of(inputs, dataset))
    known = {*inputs.experiment.jobs.zero_cost, SHORT, *evidence.BASELINES}
    moments: dict[str, tuple[str, int]] = {}
    for proxy in records["proxy"].unique():
        after = AFTER.fullmatch(proxy)
        name, epochs = (after["name"], int(after["epochs"])) if after else (proxy, 0)
        if name in known:
            moments[proxy] = name, epochs
    if not any(epochs for _, epochs in moments.values()):
        raise InputError(
            f"{inputs.experiment.id} needs scores after training. Received: {', '.join(moments) or 'none'}. "
            "Allowed: as python -m launch.score --after_epochs=0,1,2 writes them"
        )
    summary = _correlations(inputs, records[records["proxy"].isin(moments)], dataset)
    order = {name: place for place, name in enumerate((*inputs.experiment.jobs.zero_cost, SHORT, *evidence.BASELINES))}
    made = []
    for proxy, (name, epochs) in sorted(moments.items(), key=lambda entry: (order[entry[1][0]], entry[1][1])):
        paper = expected(inputs.experiment, f"{name}_{_MOMENTS.get(epochs)}")
        made.append(_row(dataset, name, summary.loc[proxy], paper, epochs))
    rows = pd.DataFrame(made)
    return Made(rows, figures.epochs(rows))


def _same_trainings(records: pd.DataFrame) -> pd.DataFrame:
    """Without the accuracies of trainings in which no network was scored: of other lengths than those that were."""
    trained = records["proxy"].str.contains("_after")
    short = records["proxy"].str.startswith(f"{SHORT}_after")
    recipes = {text: json.dumps(json.loads(text).get("training")) for text in records["options"].unique()}
    recipe = records["options"].map(recipes)
    return records[~short | recipe.isin(recipe[trained & ~short])]


def _correlations(inputs: Inputs, records: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Frame of `evidence.correlate` by proxy."""
    evidence.check_settings(records, hint=HINT)
    summary = evidence.correlate(records, inputs.truth[dataset], percents=(), seed=inputs.seed)
    return summary.set_index("proxy")


def _row(dataset: str, name: str, of: pd.Series, paper: float, epochs: int | None = None) -> dict[str, Any]:
    after = {} if epochs is None else {"epochs": epochs}
    measure = "spearman" if epochs is None else f"spearman after {epochs} epoch{'s' * (epochs != 1)}"
    counts = {"n": int(of["n"]), "left_out": int(of["left_out"])}
    values = {"ours": of["spearman"], "low": of["spearman_lo"], "high": of["spearman_hi"], "paper": paper}
    return {"dataset": dataset, "method": name, **after, "measure": measure, **counts, **values}
