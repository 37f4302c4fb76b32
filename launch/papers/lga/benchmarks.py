"""Kernel metrics on several benchmarks: table 1 and figure 3 of Mok et al. 2022, and deciles, figures A2 to A4."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from launch.jobs.after import name_after, parse_after
from launch.papers import after
from launch.papers.base import HINT, Inputs, Made
from launch.papers.ranking import beside_the_paper, expected, measured
from tfnas import seeds
from tfnas.errors import InputError
from tfnas.evidence import statistics

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

UNTRAINED = ("fnorm", "ntk_mean", "ncn")
# Names in the facts: of spaces that are here, and of scores.
_HERE = {"nasbench101": "nb101"}
_TABLE1 = {"fnorm": "fnorm", "ntk_mean": "mean", "ncn": "ncn", "lga_after1": "lga1"}
DECILES, OF_A_DECILE, DRAWS = 10, 100, 20
_ONE_MODE = "not every metric is recorded in both modes; --bn=batch and --bn=inference of launch.score make them"


def printed(inputs: Inputs, dataset: str, metric: str) -> float:
    """The paper's number of a metric, by its name in the facts, on the benchmark at hand; NaN where it has none."""
    benchmark = _HERE.get(inputs.space.name, "")
    return expected(inputs.experiment, benchmark, metric) if dataset == "cifar10" else math.nan


def others(inputs: Inputs, names: Mapping[str, str]) -> pd.DataFrame:
    """Rows of the paper on other benchmarks, of which nothing is ours.

    Args:
        inputs: of an experiment whose facts are by benchmark and metric.
        names: by method, its name in the facts.
    """
    import pandas as pd

    rows = [
        {"benchmark": benchmark, "dataset": "cifar10", "method": method, "n": 0, "paper": float(found[name])}
        for benchmark, found in inputs.experiment.expected.items()
        if benchmark != _HERE.get(inputs.space.name)
        for method, name in names.items()
        if name in found
    ]
    return pd.DataFrame(rows).assign(ours=math.nan, low=math.nan, high=math.nan)


def notes(inputs: Inputs) -> tuple[str, ...]:
    """On the networks and on what is not here."""
    mine = inputs.records["proxy"].map(lambda name: parse_after(name)[0] in (*UNTRAINED, "lga"))
    return ("rows of 0 networks are the paper's alone", *after.notes(inputs.records[mine], inputs.space))


def table1(inputs: Inputs) -> Made:
    """Kendall's tau of the metrics before training and of LGA after one epoch (or the fewest there are)."""
    import pandas as pd

    rows = after.correlations(inputs, (*UNTRAINED, "lga"), "kendall")
    trained = rows.loc[(rows["proxy"] == "lga") & (rows["epochs"] > 0), "epochs"]
    shown = (*UNTRAINED, name_after("lga", int(trained.min()) if len(trained) else 0))
    rows = rows[rows["method"].isin(shown)].assign(benchmark=inputs.space.name)
    about = zip(rows["dataset"], rows["method"], strict=True)
    rows["paper"] = [printed(inputs, dataset, _TABLE1.get(method, "")) for dataset, method in about]
    figure = beside_the_paper(rows.assign(init=""), "Kendall's tau")
    rest = others(inputs, _TABLE1)
    rows = pd.concat([rows, rest.assign(measure="kendall", left_out=0)], ignore_index=True)
    return Made(rows, figure, notes(inputs))


def fig3(inputs: Inputs) -> Made:
    """Kendall's tau of each metric in each BN mode that it is recorded in; column `higher` marks the paper's choice."""
    import pandas as pd

    from tfnas import evidence

    rows = []
    recorded = after.ordered(inputs.records)
    for dataset in inputs.datasets:
        records = recorded[recorded["dataset"] == dataset]
        for name in UNTRAINED:
            found = []
            for mode, mine in records[records["proxy"] == name].groupby("bn", sort=True):
                evidence.check_settings(mine, hint=HINT)
                (one,) = evidence.correlate(mine, inputs.truth[dataset], seed=inputs.seed).to_dict("records")
                about = {"benchmark": inputs.space.name, "dataset": dataset, "method": f"{name}, BN {mode}"}
                found.append(about | measured(one, "kendall") | {"paper": math.nan})
            most = max((row["ours"] for row in found if not math.isnan(row["ours"])), default=math.nan)
            rows += [row | {"higher": row["ours"] == most} for row in found]
    if not rows:
        raise InputError(f"No records of {', '.join(UNTRAINED)} on {', '.join(inputs.datasets)}")
    frame = pd.DataFrame(rows)
    told = [] if frame["method"].nunique() == 2 * len(UNTRAINED) else [_ONE_MODE]
    mine = inputs.records[inputs.records["proxy"].isin(UNTRAINED)]
    figure = beside_the_paper(frame.assign(init=""), "Kendall's tau")
    return Made(frame, figure, (*told, *after.notes(mine, inputs.space)))


def deciles(inputs: Inputs) -> Made:
    """Kendall's tau within tenths of the networks by accuracy, P1 the best: median and quartiles over 20 draws.

    A draw takes 100 networks of each tenth; half of it where it has not 200, but 3 if it has them. "total" is of all
    that a draw takes.

    Raises:
        InputError: fewer than 20 networks, or no records of the metrics.
    """
    import pandas as pd

    rows, boxes = [], {}
    for dataset, records in after.parts(inputs).items():
        scores = after.values(inputs, records)
        accuracy = inputs.truth.loc[scores.index, dataset].to_numpy(float)
        if len(accuracy) < 2 * DECILES:
            raise InputError(f"Deciles need {2 * DECILES} networks or more. Received: {len(accuracy)} on {dataset}")
        draws = [drawn(accuracy, seeds.derive_seed(inputs.seed, "deciles", draw)) for draw in range(DRAWS)]
        for name in (name for name in UNTRAINED if name in scores):
            values = scores[name].to_numpy(float)
            for place in (*range(DECILES), None):
                taken = [np.concatenate(draw) if place is None else draw[place] for draw in draws]
                found = np.array([statistics.kendall(values[some], accuracy[some]) for some in taken])
                known = boxes[dataset, name, place] = found[~np.isnan(found)]
                low, ours, high = np.quantile(known, [0.25, 0.5, 0.75]) if len(known) else (math.nan,) * 3
                label = "total" if place is None else f"P{place + 1}"
                n = int((~np.isnan(values[taken[0]])).sum())
                about = {"dataset": dataset, "method": f"{name}, {label}", "measure": "kendall", "n": n}
                rows.append(about | {"ours": ours, "low": low, "high": high, "paper": math.nan})
    if not rows:
        raise InputError(
            f"No records of {', '.join(UNTRAINED)}. Received: {', '.join(inputs.records['proxy'].unique())}"
        )
    mine = inputs.records[inputs.records["proxy"].isin(UNTRAINED)]
    return Made(pd.DataFrame(rows), _boxes(boxes), after.notes(mine, inputs.space))


def drawn(accuracy: np.ndarray, seed: int) -> list[np.ndarray]:
    """Places of the networks that a draw takes of each tenth, the best tenth first."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.permutation(len(accuracy)), -accuracy))
    tenths = np.array_split(order, DECILES)
    return [rng.choice(tenth, min(OF_A_DECILE, max(3, len(tenth) // 2), len(tenth)), replace=False) for tenth in tenths]


def _boxes(boxes: Mapping[tuple[str, str, int | None], np.ndarray]) -> Figure:
    """A panel for each metric: a box for each tenth, and the last of all."""
    from matplotlib.figure import Figure

    from tfnas.evidence import plots

    names = list(dict.fromkeys(key[:2] for key in boxes))
    figure = Figure(figsize=(3.4 * len(names) + 0.6, 3.0), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, (dataset, name) in zip(panels, names, strict=True):
        of = {place: values for (*about, place), values in boxes.items() if about == [dataset, name]}
        axes.boxplot(
            list(of.values()), widths=0.6, medianprops={"color": plots.COLOURS[5]}, flierprops={"markersize": 3}
        )
        labels = ["total" if place is None else f"P{place + 1}" for place in of]
        axes.set_xticks(range(1, len(of) + 1), labels, fontsize=7)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set_title(f"{name}, {dataset}", fontsize=9)
        plots.plain(axes)
    panels[0].set_ylabel("Kendall's tau", fontsize=8)
    return figure
