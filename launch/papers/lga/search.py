"""Searches by label-gradient alignment after a few epochs: tables 2 and A3 of Mok et al. 2022.

Random search takes the network of the highest score among N. The paper's evolution changes the network of the highest
score in a population of 10, adds the child and drops the oldest; what it has found is the network of the highest score
that it has visited (the paper does not say).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from launch.flags.architectures import sample_architectures
from launch.jobs.after import name_after
from launch.papers import after, picking
from launch.papers.base import Inputs, Made
from launch.papers.lga import benchmarks
from launch.papers.ranking import beside_the_paper
from tfnas import seeds
from tfnas.evidence import bootstrap
from tfnas.runs.records import FAILURES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from spaces.base import Space

POPULATION, DRAWN, RUNS = 10, 100, 500
ACCURACY, COST = "test accuracy (%)", "search cost (s)"
# The paper's columns.
_DATASETS = ("cifar10", "cifar100", "imagenet16-120")
_SHORT_EVOLUTION = f"evolution is left out: it starts from {POPULATION} networks, and may visit no more than were drawn"
_NO_EVOLUTION = (
    "evolution is left out: it comes to networks without a record, or without an accuracy in the table (without "
    "--scores and with the accuracies of a whole space it trains what it comes to)"
)


def evolve(space: Space, scores: Mapping[str, float], limit: int, seed: int) -> tuple[list[str], list[str]]:
    """The paper's evolution, as far as scores are known.

    Args:
        space: of the architectures.
        scores: by architecture; NaN is the lowest.
        limit: networks that are visited, those of the first population included; a child may have been seen before.
        seed: of the first population and of the changes.

    Returns:
        (architectures in the order visited, those without a score that come next: none at the limit).
    """
    first = sample_architectures(space, min(POPULATION, limit), seed)
    if missing := [arch for arch in first if arch not in scores]:
        return [], missing
    rng = np.random.default_rng(seeds.derive_seed(seed, "evolution"))
    population, visited = deque(first), list(first)
    while len(visited) < limit:
        parent = max(population, key=lambda arch: np.nan_to_num(scores[arch], nan=-math.inf))
        child = str(space.mutate(space.parse(parent), rng))
        if child not in scores:
            return visited, [child]
        population.popleft()
        population.append(child)
        visited.append(child)
    return visited, []


def best_of(scores: pd.Series, accuracy: pd.Series, count: int, *, runs: int = RUNS, seed: int = 0) -> dict[str, float]:
    """`picking.spread` over runs of the accuracy of the highest score among `count` random networks.

    Where there are no more than `count` there is one run, of all, and no deviation.

    Args:
        scores: of networks.
        accuracy: of the same ones, in the same order.
        count: networks a run.
        runs: number of independent draws.
        seed: of the draws.
    """
    drawn = np.arange(len(scores))[None]
    if len(scores) > count:
        rng = np.random.default_rng(seeds.derive_seed(seed, "draws", count))
        drawn = picking.draws(len(scores), count, runs, rng)
    return picking.spread(accuracy.to_numpy(float)[picking.best(scores, drawn)])


def wanted(inputs: Inputs, dataset: str) -> list[str]:
    """What the evolutions of a data set come to next: one by the score after each number of epochs."""
    records = inputs.records[inputs.records["dataset"] == dataset]
    return list(dict.fromkeys(arch for _, archs in _evolutions(inputs, records).values() for arch in archs))


def _evolutions(inputs: Inputs, records: pd.DataFrame) -> dict[int, tuple[list[str], list[str]]]:
    """`evolve` by epochs of training."""
    scores, limit = after.values(inputs, records), _limit(inputs)
    found = {}
    for epochs in after.times(records, "lga"):
        if epochs:
            column = scores[name_after("lga", epochs)]
            # A network that failed has a record, and is not computed again.
            tried = records.loc[records["proxy"] == column.name, "arch"].unique()
            found[epochs] = evolve(inputs.space, column[tried].to_dict(), limit, inputs.seed)
    return found


def _limit(inputs: Inputs) -> int:
    """Networks that an evolution may visit."""
    return len(inputs.drawn) or inputs.experiment.paper_size


# Table 2 -------------------------------------------------------------------------------------------------------------


def table2(inputs: Inputs, *, runs: int = RUNS) -> Made:
    """Accuracy and cost of random search and evolution by the score after each number of epochs, with the paper's rows.

    Random search has 100 of the networks that were drawn (of records that are given: of all that no evolution has come
    upon); the mean over runs, with their deviation, where there are more than 100. Evolution visits as many as were
    drawn. A search costs the seconds of training and scoring what it visits.
    """
    import pandas as pd

    rows, notes = [], []
    for dataset, records in after.parts(inputs).items():
        accuracy, scores, seconds = inputs.truth[dataset], after.values(inputs, records), _seconds(records)
        evolutions = {epochs: visited for epochs, (visited, _) in _evolutions(inputs, records).items()}
        bred = set().union(*evolutions.values())
        pool = sorted(inputs.drawn) or sorted(set(records["arch"]) - bred)
        ways = [(f"rs_lga{epochs}", name_after("lga", epochs), pool) for epochs in evolutions]
        ways += [
            (f"rea_lga{epochs}", name_after("lga", epochs), visited)
            for epochs, visited in evolutions.items()
            if len(visited) > POPULATION
        ]
        if len(ways) < 2 * len(evolutions):
            notes.append(f"{dataset}: {_SHORT_EVOLUTION if _limit(inputs) <= POPULATION else _NO_EVOLUTION}")
        ways += [("naswot", "naswot", pool)] * ("naswot" in scores)
        for method, name, archs in ways:
            count = len(archs) if method.startswith("rea") else min(DRAWN, len(archs))
            found = best_of(scores.loc[archs, name], accuracy[archs], count, runs=runs, seed=inputs.seed)
            rows.append(_row(inputs, dataset, method, ACCURACY, n=count) | found)
            rows.append(_row(inputs, dataset, method, COST, count * seconds[name].reindex(archs).mean(), n=count))
        rows.append(_row(inputs, dataset, "random", ACCURACY, accuracy[pool].mean(), n=len(pool)))
        rows.append(_row(inputs, dataset, "optimal", ACCURACY, accuracy[pool].max(), n=len(pool)))
        ours = {row["method"] for row in rows if row["dataset"] == dataset}
        others = [method for method in inputs.experiment.expected["acc"] if method not in ours]
        rows += [_row(inputs, dataset, name, of) for name in others * (dataset in _DATASETS) for of in (ACCURACY, COST)]
    frame = pd.DataFrame(rows).dropna(subset=["ours", "paper"], how="all")
    frame = frame.sort_values("measure", key=lambda of: of == COST, kind="stable", ignore_index=True)
    notes += [
        "optimal: of the networks drawn; the paper's is that of the whole space",
        "costs are seconds of this machine; the paper's are of a GPU",
        *after.notes(inputs.records[inputs.records["proxy"].str.startswith("lga")], inputs.space),
    ]
    return Made(frame, _figure(frame[frame["measure"] == ACCURACY]), tuple(notes))


def _row(
    inputs: Inputs, dataset: str, method: str, measure: str, ours: float = math.nan, *, n: int = 0
) -> dict[str, Any]:
    """A row with the paper's number, if it prints one."""
    printed = inputs.experiment.expected["acc" if measure == ACCURACY else "cost"].get(method)
    known = printed is not None and dataset in _DATASETS
    paper = float(printed[_DATASETS.index(dataset)]) if known else math.nan
    values = {"ours": ours, "low": math.nan, "high": math.nan, "paper": paper}
    return {"dataset": dataset, "method": method, "measure": measure, "n": n, **values}


def _seconds(records: pd.DataFrame) -> pd.DataFrame:
    """Seconds [networks, names of records] that a score costs, with the training before it.

    Where the condition number of the same kernel is recorded too, it stands first and has paid for the kernel.
    """
    ended = records[~records["status"].isin(FAILURES)]
    wide = ended.pivot_table(index="arch", columns="proxy", values="seconds", aggfunc="mean", observed=True)
    for epochs in after.times(ended, "lga"):
        if epochs:
            name = name_after("lga", epochs)
            wide[name] += wide.get(name_after("shortreg", epochs), math.nan)
            if (kernel := name_after("ncn", epochs)) in wide:
                wide[name] += wide[kernel].fillna(0)
    return wide


def _figure(rows: pd.DataFrame) -> Figure:
    least = rows[["ours", "paper"]].min(axis=None)
    return beside_the_paper(rows.assign(init=""), ACCURACY, left=max(0.0, least - 5))


# Table A3 ------------------------------------------------------------------------------------------------------------


def table_a3(inputs: Inputs) -> Made:
    """Accuracy of the network that each metric ranks highest, LGA after 3 epochs (or the most there are).

    The interval is from the 2.5th to the 97.5th percentile over bootstrap samples of the networks.
    """
    import pandas as pd

    ((dataset, records),) = after.parts(inputs).items()
    scores = after.values(inputs, records)
    accuracy = inputs.truth.loc[scores.index, dataset]
    trained = after.times(records, "lga") or [0]
    printed = {"fnorm": "fnorm", "ntk_mean": "mean", "ncn": "ncn", "lga_after3": "lga"}
    rows = []
    for name in (*benchmarks.UNTRAINED, name_after("lga", 3 if 3 in trained else max(trained))):
        if name in scores and scores[name].notna().any():
            ours = best_of(scores[name], accuracy, len(accuracy))["ours"]
            low, high = _bootstrap(scores[name], accuracy, inputs.seed)
            paper = benchmarks.printed(inputs, dataset, printed.get(name, ""))
            rows.append({"method": name, "ours": ours, "low": low, "high": high, "paper": paper})
    for name, value in (("random", accuracy.mean()), ("optimal", accuracy.max())):
        rows.append({"method": name, "ours": value, "low": math.nan, "high": math.nan, "paper": math.nan})
    frame = pd.DataFrame(rows).assign(benchmark=inputs.space.name, dataset=dataset, n=len(accuracy))
    figure = _figure(frame)
    frame = pd.concat([frame, benchmarks.others(inputs, printed)], ignore_index=True)
    return Made(frame.assign(measure=f"{ACCURACY} of the best by the metric"), figure, benchmarks.notes(inputs))


def _bootstrap(scores: pd.Series, accuracy: pd.Series, seed: int) -> tuple[float, float]:
    found = accuracy.to_numpy(float)
    return bootstrap.interval([found[picking.best(scores, drawn)] for drawn in bootstrap.draws(len(found), 1000, seed)])
