"""What an experiment of a paper is: what it needs, and a function from that to rows, a figure and notes.

    Experiment(
        "gs_table5_2",                    # its numbers stand in facts.json under this identifier
        rank_correlations,                # make: Inputs -> Made
        space="nasbench201",
        columns={"cifar10": ("cifar10_test_200",)},
        jobs=Scored(("gradsign", "synflow")),
        paper_size=15625,
    )

`launch.papers.run` does the rest for all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from launch.flags.reproduction import Reproduction
from launch.papers.facts import facts
from launch.papers.parts import Parts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from launch.jobs.base import Job
    from spaces.base import Space


# What to do about records that were not computed alike.
HINT = "Give a folder for each {column} to --scores"


class Jobs(Protocol):
    """What an experiment computes for its architectures. A frozen dataclass: its fields are told in recipe.json."""

    def of(self, experiment: Experiment, request: Reproduction, space: str, datasets: Sequence[str]) -> list[Job]:
        """The jobs at the scale of a request, for networks of a space; each is of one data set."""


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What an experiment is made of.

    Attributes:
        experiment: which.
        space: of the architectures.
        truth: by architecture: accuracies in percent, a column for each of `datasets`; then what else the table has of
            single runs (val_<epochs>_<run>, test_accuracy_<run>, percent), params and hash; and `latency` where the
            experiment looks at one. Architectures that have records, where there are jobs.
        datasets: names of the accuracies.
        records: of these architectures under the strings that `truth` has (frame of `tfnas.runs.records.read`); None
            where there are no jobs.
        seed: of resamples and random subsets.
        drawn: architectures that the scale has asked for; () where records are given.
        repeats: of what is repeated at random, as --scale asks for.
        parts: where what takes long is kept.
    """

    experiment: Experiment
    space: Space
    truth: pd.DataFrame
    datasets: tuple[str, ...]
    records: pd.DataFrame | None
    seed: int
    drawn: tuple[str, ...] = ()
    repeats: int = 1
    parts: Parts = dataclasses.field(default_factory=Parts)


@dataclasses.dataclass(frozen=True)
class Made:
    """What becomes of an experiment.

    Attributes:
        rows: a row for each number, with columns measure, n, ours, low, high, paper, difference among others.
        figure: of them.
        notes: what a reader should know.
    """

    rows: pd.DataFrame
    figure: Figure
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Stage:
    """What is computed for some architectures when the rest is known: asked again and again until nothing is new.

    Attributes:
        archs: which, on a data set, by what is known so far; those without an accuracy are passed over.
        jobs: what.
    """

    archs: Callable[[Inputs, str], Sequence[str]]
    jobs: Jobs


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A table or figure of a paper.

    Attributes:
        id: as in the paper's facts.json.
        make: what becomes of its inputs.
        space: search space of the paper.
        columns: by data set of the paper, columns of a table with its accuracies, of which the first that is there is
            taken. Empty where no accuracies are looked at.
        jobs: what is computed for each architecture; None where the table tells all.
        second: what is computed for those that come out of it, which may be new ones.
        paper_size: number of architectures at --scale=paper; where the table tells all, all of it are taken.
        small_size: number of architectures at --scale=small, likewise.
        repeats: of what is repeated at random: at --scale=small, and in the paper.
        latencies: columns of latencies, of which the first that is there is taken, if the experiment looks at one.
        required: columns of the table that it cannot do without.
        shown: columns that it shows where the table has them.
        source: where a table with these columns comes from.
        deviations: what is knowingly not as in the paper.
    """

    id: str
    make: Callable[[Inputs], Made]
    space: str
    columns: Mapping[str, tuple[str, ...]]
    jobs: Jobs | None
    paper_size: int
    small_size: int = 32
    repeats: tuple[int, int] = (1, 1)
    latencies: tuple[str, ...] = ()
    second: Stage | None = None
    required: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    source: str = ""
    deviations: str = ""

    @property
    def expected(self) -> Mapping[str, Any]:
        """What the paper prints."""
        return facts()[self.id]["expected"]

    def describe(self) -> dict[str, Any]:
        """All of it but the function, for recipe.json."""
        told = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "make"}
        if self.jobs is not None:
            told["jobs"] = _described(self.jobs)
        if self.second is not None:
            told["second"] = _described(self.second.jobs)
        return told


def _described(jobs: Jobs) -> dict[str, Any]:
    return {"kind": type(jobs).__name__} | dataclasses.asdict(jobs)
