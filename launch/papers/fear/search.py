"""Random search by FEAR and by short training, replayed from the times of records (Dey et al. 2021, section 4.1)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from launch.papers import picking
from launch.papers.base import Inputs, Made
from launch.papers.fear import figures
from launch.papers.fear.methods import FEAR, SHORT, TIME, Methods, elsewhere, epochs_to_threshold, gather
from launch.papers.fear.times import RATIO
from launch.papers.ranking import expected
from tfnas import seeds
from tfnas.errors import InputError

RUNS, DRAWN = 10, 500


@dataclasses.dataclass(frozen=True)
class Timed:
    """What FEAR has found of n networks.

    Attributes:
        score: [n], NaN where stage 1 has not reached the threshold, or stage 2 diverged.
        reached: [n], whether stage 1 has.
        first: [n], seconds of stage 1, until the threshold or until it was given up.
        both: [n], seconds of both stages.
        epochs: [n], of stage 1; 0 where it is not known.
    """

    score: np.ndarray
    reached: np.ndarray
    first: np.ndarray
    both: np.ndarray
    epochs: np.ndarray


@dataclasses.dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
        chosen: place of the winner; -1 where all networks were given up.
        seconds: of training.
        given_up: networks that were.
    """

    chosen: int
    seconds: float
    given_up: int


def random_search(inputs: Inputs) -> Made:
    """Accuracy of the winner and seconds of search, mean and standard deviation over 10 runs, and the speed-up.

    A run looks at 500 networks, or half of those there are where they are fewer than 1,000, drawn without replacement;
    both methods look at the same ones in the same order.
    """
    import pandas as pd

    dataset = inputs.datasets[0]
    methods, timed, names = _known(inputs, dataset)
    truth = methods.truth.to_numpy(float)
    drawn = min(DRAWN, max(1, len(truth) // 2))
    # Beside the paper's short training stands the longest, with the smaller batches.
    longest = max(names, key=lambda name: (methods.lengths[name][0], -methods.lengths[name][1]))
    searches: dict[str, list[Run]] = {name: [] for name in (FEAR, *names)}
    for run in range(RUNS):
        rng = np.random.default_rng(seeds.derive_seed(inputs.seed, inputs.experiment.id, run))
        order = rng.choice(len(truth), drawn, replace=False)
        searches[FEAR].append(by_fear(timed, order))
        for name in names:
            scores, seconds = methods.scores[name].to_numpy(float), methods.seconds[name].to_numpy(float)
            searches[name].append(by_score(scores, seconds, order))
    made = []
    for name, runs in searches.items():
        of = {FEAR: FEAR, longest: SHORT}.get(name, "")
        accuracy = [truth[run.chosen] if run.chosen >= 0 else math.nan for run in runs]
        seconds = [run.seconds for run in runs]
        about = {"method": name, "n": drawn, "dataset": dataset}
        made.append(about | _over(figures.ACCURACY, accuracy) | _printed(inputs, of, "acc", "std"))
        made.append(about | _over(figures.SECONDS, seconds) | _printed(inputs, of, "s", "s_std"))
        if name == FEAR:
            given_up = [run.given_up for run in runs]
            made.append(about | _over("networks given up", given_up) | _printed(inputs, "", "", ""))
        else:
            # Of mean durations, as in the paper; the deviation is that of single runs.
            ratios = np.divide(seconds, [run.seconds for run in searches[FEAR]])
            row = about | _over(f"{figures.SECONDS}, times those of {FEAR}", ratios)
            mean = np.mean(seconds) / np.mean([run.seconds for run in searches[FEAR]])
            paper = expected(inputs.experiment, "speedup") if of and not elsewhere(inputs) else math.nan
            made.append(row | {"ours": mean, "paper": paper})
    rows = pd.DataFrame(made)
    lost = int((~timed.reached).sum())
    notes = (
        *methods.notes,
        f"of {len(truth)} networks {lost} never reach the threshold; a search by FEAR pays for them what the cut-off "
        f"of {RATIO:g} times the fastest first stage so far leaves, and does not choose them",
        "low and high are one standard deviation over runs, which share their networks",
        *elsewhere(inputs),
    )
    return Made(rows, figures.search(rows), notes)


def by_fear(timed: Timed, order: Sequence[int], ratio: float = RATIO) -> Run:
    """A search by FEAR through networks in an order.

    The first stage of a network is given up with the first epoch by whose end the allowance is over, if it does not
    reach the threshold in it; the allowance is `ratio` times the seconds of the fastest first stage so far, without
    bound until there is one. As in `tfnas.training.fear_score`, whose epochs of a network are taken to last equally.
    """
    fastest, seconds, given_up, best, chosen = math.inf, 0.0, 0, -math.inf, -1
    for place in order:
        first, epochs, allowed = timed.first[place], timed.epochs[place], ratio * fastest
        end = allowed
        if epochs and math.isfinite(allowed):
            length = first / epochs
            end = max(1, math.ceil(allowed / length - 1e-9)) * length if length else 0.0
        if not timed.reached[place] or first > end * (1 + 1e-9):
            seconds += min(first, end)
            given_up += 1
            continue
        fastest = min(fastest, first)
        seconds += timed.both[place]
        if timed.score[place] > best:
            best, chosen = timed.score[place], int(place)
    return Run(chosen, float(seconds), given_up)


def by_score(scores: np.ndarray, seconds: np.ndarray, order: Sequence[int]) -> Run:
    """A search by a score [n] that costs seconds [n], through networks in an order; one without a score never wins."""
    order = np.asarray(order)
    (chosen,) = picking.best(scores, order[None])
    return Run(-1 if math.isnan(scores[chosen]) else int(chosen), float(seconds[order].sum()), 0)


def _known(inputs: Inputs, dataset: str) -> tuple[Methods, Timed, list[str]]:
    """The networks that all methods have records of, what FEAR has found of them, and the short trainings.

    Raises:
        InputError: there are none, or as `gather`.
    """
    methods = gather(inputs, dataset, FEAR, TIME, SHORT)
    names = methods.short
    known = methods.seconds[[FEAR, TIME, *names]].notna().all(axis=1)
    if not known.any():
        raise InputError(f"No network has records of {', '.join((FEAR, TIME, *names))} that all ended")
    lacking = f"{int((~known).sum())} networks lack a record of a method and are left out"
    methods = dataclasses.replace(
        methods,
        truth=methods.truth[known],
        scores=methods.scores[known],
        seconds=methods.seconds[known],
        notes=methods.notes if known.all() else (*methods.notes, lacking),
    )
    epochs = epochs_to_threshold(inputs, dataset).reindex(methods.truth.index)
    times = methods.seconds[TIME].to_numpy(float)
    timed = Timed(
        methods.scores[FEAR].to_numpy(float),
        methods.scores[TIME].notna().to_numpy(),
        times,
        methods.seconds[FEAR].to_numpy(float),
        epochs.to_numpy(float),
    )
    return methods, timed, names


def _over(measure: str, values: Sequence[float]) -> dict[str, Any]:
    return {"measure": measure, **picking.spread(values)}


def _printed(inputs: Inputs, of: str, mean: str, deviation: str) -> dict[str, Any]:
    if not of or elsewhere(inputs):
        return {"paper": math.nan, "paper_std": math.nan}
    return {
        "paper": expected(inputs.experiment, of, mean),
        "paper_std": expected(inputs.experiment, of, deviation),
    }
