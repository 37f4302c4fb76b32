"""Accuracy by the number of networks trained: figure 4 of Wen et al. 2020."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from launch.jobs import prediction
from launch.papers.base import Inputs, Made
from launch.papers.predictor import evolution, oracle, tables
from tfnas import seeds
from tfnas.predictor.settings import PAPER
from tfnas.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from launch.jobs.knowledge import Known
    from tfnas.predictor.settings import Settings

RANDOM, EVOLUTION, ONE, TWO = "random search", "regularised evolution", "predictor, one stage", "predictor, two stages"
# What a curve has of each budget, by its last axis; of a table with one column, the one is the other.
KINDS = {"val": 0, "test": 1}
_LABELS = {"val": "validation", "test": "test"}
# Networks trained in all, and those at which the figure is told in numbers.
MOST, BUDGETS = 5000, (200, 272, 500, 1000, 2000, 5000)
# Numbers that the paper prints: method, budget -> name in the facts.
_PRINTED = {(RANDOM, 2000): "random_2000", (EVOLUTION, 2000): "re_2000", (EVOLUTION, 5000): "re_5000"}


def search_efficiency(inputs: Inputs, *, settings: Settings = PAPER, most: int = MOST) -> Made:
    """Validation and test accuracy of the best by validation of the first networks trained, mean over repeats.

    Where the table has single validation runs, a repeat learns from and validates by one run of each network, drawn by
    chance; eight repeats, whose predictors train side by side, have the same runs. Else one column serves for all.

    Args:
        inputs: of an experiment whose table tells all.
        settings: of the predictors.
        most: networks trained by each search, at most as many as the table has.
    """
    import pandas as pd

    inputs = tables.ordered(inputs)
    values = tables.runs(inputs, needed=False)
    known = tables.known(inputs)
    count = len(known.archs)
    most, number = min(most, count), tables.n_train(count)
    threshold, notes = tables.cut_of(known.accuracies)
    table = evolution.Table(
        inputs.space, known.archs, inputs.truth["hash"].tolist() if "hash" in inputs.truth else None
    )
    found: dict[str, list[np.ndarray]] = {}
    for part in prediction.together(range(inputs.repeats)):
        drawn = known.accuracies if values is None else tables.draw_runs(values, inputs.seed, part[0])
        seen = dataclasses.replace(known, accuracies=drawn)

        def curves(part: Sequence[int] = part, seen: Known = seen) -> dict[str, np.ndarray]:
            lines: dict[str, list[np.ndarray]] = {}
            orders = itertools.chain(
                _searched(table, seen.accuracies, part, most, inputs.seed),
                _predicted(settings, seen, part, most, number, threshold, inputs.seed),
            )
            for name, rows in orders:
                lines.setdefault(name, []).append(_best(seen, rows))
            return {name: np.stack(line) for name, line in lines.items()}

        for name, line in inputs.parts.get(curves, repeats=list(part), settings=settings, most=most).items():
            found.setdefault(name, []).append(line)
    # [repeats, networks trained, validation and test] of each, in percent; searches by predictors begin behind N.
    lines = {name: np.concatenate(parts) for name, parts in found.items()}
    best = _oracle(inputs, known, values)
    kinds = ["test"] if values is None else list(KINDS)
    rows = _at_budgets(inputs, lines, most, number, count, kinds)
    rows += [tables.row("oracle", f"{kind} of all", best[:, KINDS[kind]], count) for kind in kinds]
    rows += _speedups(inputs, lines, most, number, count, kinds)
    if values is None:
        notes += (
            "one column validates and is reported, so that validating more can never hurt, unlike in the paper, whose "
            "validation accuracies have nothing beside them here",
        )
    elif inputs.repeats > 1:
        notes += (f"{prediction.TOGETHER} repeats, whose predictors train side by side, validate by the same runs",)
    if 2 * count < inputs.space.size:
        notes += (
            f"the table has {count:,} of {inputs.space.size:,} networks: a child of evolution is the one of them that "
            "is nearest to a mutation of its parent and not trained yet",
        )
    notes += (f"{inputs.repeats} repeats (the paper: 600); the paper does not say which predictor its speed-up is of",)
    notes += tables.elsewhere(inputs)
    return Made(pd.DataFrame(rows), _figure(lines, best.mean(axis=0), number, most, kinds), notes)


def _at_budgets(
    inputs: Inputs, lines: dict[str, np.ndarray], most: int, number: int, count: int, kinds: Sequence[str]
) -> list[dict[str, object]]:
    """Rows of each search at some numbers of networks trained, as far as it has begun."""
    found = []
    budgets = sorted({most, *(budget for budget in (number + 20, *BUDGETS) if number < budget <= most)})
    for name, curves in lines.items():
        start = most - curves.shape[1]
        for budget in budgets:
            entry = _PRINTED.get((name, budget), "")
            for kind in kinds:
                at = curves[:, budget - start - 1, KINDS[kind]]
                new = tables.row(name, f"{kind} of {budget}", at, count, tables.printed(inputs, entry, kind))
                std = tables.printed(inputs, entry, "std") if kind == "test" else math.nan
                found.append(new | {"paper_std": std})
    return found


def _speedups(
    inputs: Inputs, lines: dict[str, np.ndarray], most: int, number: int, count: int, kinds: Sequence[str]
) -> list[dict[str, object]]:
    """Rows of how many times fewer networks predictors need for what evolution has in the end."""
    found = []
    for kind in kinds:
        place = KINDS[kind]
        wanted = lines[EVOLUTION][:, -1, place].mean()
        measure = f"times fewer networks, {kind} of {most} of evolution"
        for name in (ONE, TWO):
            reached = first_reached(lines[name][..., place].mean(axis=0), float(wanted))
            speedup = most / (number + reached) if reached else math.nan
            # The paper's are relative to what evolution has after 5,000.
            is_theirs = name == TWO and most == MOST
            paper = tables.printed(inputs, f"speedup_{kind}") if is_theirs else math.nan
            found.append(tables.row(name, measure, [speedup], count, paper))
    return found


def first_reached(curve: np.ndarray, wanted: float) -> int:
    """How many entries of a curve it takes to reach a value; 0 where it never does."""
    there = np.flatnonzero(curve >= wanted)
    return int(there[0]) + 1 if len(there) else 0


def _searched(
    table: evolution.Table, accuracies: np.ndarray, repeats: Sequence[int], most: int, seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """(search, rows in the order in which it trains them) of searches without a predictor, in some repeats."""
    population = min(evolution.POPULATION, max(2, most // 4))
    with Progress("searches", 2 * len(repeats)) as bar:
        for repeat in repeats:
            rng = np.random.default_rng(seeds.derive_seed(seed, RANDOM, repeat))
            yield RANDOM, evolution.random_search(len(accuracies), most, rng)
            bar.advance()
            rng = np.random.default_rng(seeds.derive_seed(seed, EVOLUTION, repeat))
            yield EVOLUTION, evolution.regularised(table, accuracies, most, rng, population=population)
            bar.advance()


def _predicted(
    settings: Settings, known: Known, repeats: Sequence[int], most: int, number: int, cut: float | None, seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """The same of searches by predictors, without the networks that they learn from."""
    from tfnas.predictor import model

    for name, cuts in ((ONE, None), (TWO, tables.cuts(known, cut, number, repeats, seed))):
        predicted = model.ranked(*tables.stages(settings, known, number, repeats, seed, cuts, known.graphs))
        for repeat, column in zip(repeats, predicted.T, strict=True):
            own = prediction.draw(known, number, repeat, seed)
            yield name, prediction.ranking(column, own, repeat, seed)[: most - number]


def _best(known: Known, rows: np.ndarray) -> np.ndarray:
    """Validation and test accuracy, percent, of the best by validation of the first 1, 2, ... rows: [n, 2]."""
    picks = prediction.best_so_far(known.accuracies, rows)
    return 100 * np.stack([known.accuracies[picks], known.tests[picks]], axis=1)


def _oracle(inputs: Inputs, known: Known, values: np.ndarray | None) -> np.ndarray:
    """Validation and test accuracy of the best by validation of all, percent: [repeats, 2]."""
    if values is None:
        row = int(np.argmax(known.accuracies))
        return 100 * np.array([[known.accuracies[row], known.tests[row]]])
    tests = 100 * known.tests
    return np.array([oracle.oracle(values, tests, inputs.seed, repeat) for repeat in range(inputs.repeats)])


def _figure(lines: dict[str, np.ndarray], best: np.ndarray, number: int, most: int, kinds: Sequence[str]) -> Figure:
    from matplotlib.figure import Figure

    from tfnas.evidence.plots import COLOURS

    figure = Figure(figsize=(0.6 + 4.5 * len(kinds), 4.0), layout="constrained")
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False).flat, kinds, strict=True):
        place = KINDS[kind]
        for (name, curves), colour in zip(lines.items(), COLOURS, strict=False):
            trained = most - curves.shape[1] + 1 + np.arange(curves.shape[1])
            mean, spread = curves[..., place].mean(axis=0), curves[..., place].std(axis=0)
            axes.plot(trained, mean, color=colour, linewidth=1.4, label=name)
            axes.fill_between(trained, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
        axes.axhline(best[place], color="black", linewidth=0.8, linestyle="--", label="oracle")
        axes.axvline(number, color="black", linewidth=0.6, linestyle=":")
        axes.set_ylim(bottom=lines[RANDOM][:, min(number, most - 1), place].mean() - 1, top=best[place] + 0.3)
        axes.set_xlabel("networks trained", fontsize=9)
        axes.set_ylabel(f"{_LABELS[kind]} accuracy (%)", fontsize=9)
        axes.tick_params(labelsize=8)
    figure.axes[0].legend(fontsize=8, frameon=False, loc="lower right")
    return figure
