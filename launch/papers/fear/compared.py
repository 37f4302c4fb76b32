"""FEAR against short training in bins of the best networks: tables 1 and 3, figures 5 to 7 of Dey et al. 2021."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from launch.papers.base import Inputs, Made
from launch.papers.fear import bins, figures
from launch.papers.fear.methods import FEAR, SHORT, TIME, Methods, elsewhere, gather

if TYPE_CHECKING:
    import pandas as pd

# Bins of tables of which the answers stand first.
_ANSWERED = (10, 50, 100)
_FAVOUR = (
    "the best short training is found with the accuracies known, of as many as there are, which favours short training"
)
_SHARED = "scores of one untrained network share their passes, whose seconds stand with the first of them"


def table(inputs: Inputs) -> Made:
    """First which is faster, then for each bin FEAR and the nearest short training on the frontier.

    Of the nearest short training the paper's durations are those beside Spearman's rho; those beside the common ratio,
    which differ in some bins, are not among its numbers here.
    """
    import pandas as pd

    methods = gather(inputs, inputs.datasets[0], FEAR, SHORT).reached()
    found = bins.in_bins(methods, [FEAR, *methods.short], bins.TABLE, seed=inputs.seed)
    names = ("fear_spe", "short_spe", "fear_common", "short_common", "fear_s", "short_s")
    paper = {name: _printed(inputs, name) for name in names}
    answered = bins.answers(methods, bins.TABLE, inputs.seed)
    made = _answer_rows(methods, [of for of in answered if of.percent in _ANSWERED])
    for percent, of in found.groupby("percent", sort=False):
        ours, short = of[of["method"] == FEAR].iloc[0], of[of["method"] != FEAR]
        made.append(_row(methods, ours, "seconds", paper["fear_s"][percent]))
        for quality, name in (("spearman", "spe"), ("common", "common")):
            made.append(_row(methods, ours, quality, paper[f"fear_{name}"][percent]))
            if (near := bins.nearest(short, ours["seconds"], quality)) is None:
                continue
            made.append(_row(methods, near, quality, paper[f"short_{name}"][percent], near=True))
            printed = paper["short_s"][percent] if quality == "spearman" else math.nan
            made.append(_row(methods, near, "seconds", printed, near=True))
    rows = pd.DataFrame(made).drop_duplicates(["method", "measure"], ignore_index=True)
    notes = (*methods.notes, _FAVOUR, *elsewhere(inputs))
    return Made(rows, figures.compared(methods, found, None, answered), notes)


def frontiers(inputs: Inputs) -> Made:
    """First which is faster, then every method in the bins of the tables, then FEAR and short training in all bins."""
    import pandas as pd

    methods = gather(inputs, inputs.datasets[0], FEAR, SHORT).reached()
    names = [FEAR, *methods.short]
    others = [name for name in methods.scores if name not in (*names, TIME)]
    found = bins.in_bins(methods, [*names, *others], bins.TABLE, seed=inputs.seed)
    curves = bins.in_bins(methods, names, bins.CURVE)
    answered = bins.answers(methods, bins.TABLE, inputs.seed)
    made = _answer_rows(methods, answered)
    between = curves[~curves["percent"].isin(bins.TABLE)]
    for _, row in pd.concat([found, between]).iterrows():
        made += [_row(methods, row, measure, math.nan) for measure in (*bins.QUALITIES, "seconds")]
    return Made(
        pd.DataFrame(made), figures.compared(methods, found, curves, answered), (*methods.notes, _FAVOUR, _SHARED)
    )


def _printed(inputs: Inputs, name: str) -> dict[int, float]:
    """What the paper prints, by the percentage of the bin; NaN where it cannot be read or is of other data."""
    facts, other = inputs.experiment.expected, elsewhere(inputs)
    pairs = zip(facts["bins"], facts[name], strict=True)
    return {percent: math.nan if number is None or other else number for percent, number in pairs}


def _row(methods: Methods, of: pd.Series, measure: str, paper: float, *, near: bool = False) -> dict[str, Any]:
    """A row of the results: of a quality with its interval, of seconds with their standard error on both sides."""
    if measure == "seconds":
        low, high = of["seconds"] - of["seconds_se"], of["seconds"] + of["seconds_se"]
    else:
        low, high = of[f"{measure}_lo"], of[f"{measure}_hi"]
    return {
        "dataset": methods.dataset,
        "method": f"nearest: {of['method']}" if near else of["method"],
        "measure": f"{bins.MEASURES.get(measure, measure)}, top {of['percent']} %",
        "n": int(of["n"]),
        "left_out": int(of["left_out"]),
        "ours": of[measure],
        "low": low,
        "high": high,
        "paper": paper,
    }


def _answer_rows(methods: Methods, answered: Sequence[bins.Answer]) -> list[dict[str, Any]]:
    made = []
    for of in answered:
        name, common = bins.MEASURES[of.quality], {"dataset": methods.dataset, "n": of.n, "left_out": of.left_out}
        about = {
            f"times as fast as {SHORT} of no lower {name}, top {of.percent} %": of.speed,
            f"{name} above that of {SHORT} as fast, top {of.percent} %": of.gain,
        }
        for measure, (ours, low, high) in about.items():
            values = {"ours": ours, "low": low, "high": high, "paper": math.nan}
            made.append({"method": FEAR, "measure": measure} | common | values)
    return made
