"""The architectures that an experiment is about, with their accuracies."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launch.flags.architectures import sample_architectures, sample_known
from launch.flags.reproduction import EMBEDDED_DATASET, Reproduction
from launch.papers.base import Experiment
from tfnas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from spaces.base import Space

# What experiments read beside the accuracies: single runs, sizes, the hash of isomorphic cells.
_RUN = re.compile(r"val_\d+_\d+|test_accuracy_\d+")
_MORE = ("params", "hash")


@dataclasses.dataclass(frozen=True)
class Truth:
    """Architectures and accuracies of a table.

    Attributes:
        frame: as `Inputs.truth`.
        datasets: names of the accuracies.
        space: of the architectures.
        notes: where they come from, and what is missing.
    """

    frame: pd.DataFrame
    datasets: tuple[str, ...]
    space: Space
    notes: tuple[str, ...]

    def of(self, archs: Sequence[str]) -> Truth:
        """These architectures, with whatever is known of them."""
        return dataclasses.replace(self, frame=self.frame.reindex(archs).rename_axis("arch"))

    def drawn(self, request: Reproduction, experiment: Experiment) -> Truth:
        """As many of the architectures as the scale asks for.

        Raises:
            InputError: one of them is no architecture of the space.
        """
        known = self.frame.index.tolist()
        count = request.count(experiment.small_size, experiment.paper_size, len(known))
        archs = sample_known(known, count, request.seed)
        for arch in archs:
            self.space.parse(arch)
        return dataclasses.replace(self, frame=self.frame.loc[archs])


def load(request: Reproduction, experiment: Experiment) -> Truth:
    """All architectures with an accuracy for each data set; for experiments that look at none, as many as --scale says.

    Raises:
        InputError: no such table, a column is missing, or architectures of no space.
    """
    return _accuracies(request, experiment) if experiment.columns else _networks(request, experiment)


def asked(request: Reproduction, experiment: Experiment) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Data sets, and the column that is asked for of each; "" where none is.

    Raises:
        InputError: columns of an experiment that looks at none, or not as many as data sets.
    """
    datasets, targets = request.datasets, request.targets
    if not experiment.columns:
        if targets:
            raise InputError(f"{experiment.id} looks at no accuracies. Received: --targets={','.join(targets)}")
        return datasets, ("",) * len(datasets)
    datasets = datasets or (tuple(experiment.columns) if request.table else (EMBEDDED_DATASET,))
    targets = targets or ("",) * len(datasets)
    if len(targets) != len(datasets):
        raise InputError(
            f"--targets names a column for each data set, which are here {', '.join(datasets)}; --datasets chooses "
            f"among them. Received: {', '.join(targets)}"
        )
    return datasets, targets


def _accuracies(request: Reproduction, experiment: Experiment) -> Truth:
    import pandas as pd

    import spaces
    from tfnas import tables
    from tfnas.evidence import units

    path, (datasets, targets) = request.truth, asked(request, experiment)
    table = tables.load(path)
    found, columns = {}, []
    for dataset, target in zip(datasets, targets, strict=True):
        found[dataset], column = _column(table, experiment, request, dataset, target, alone=len(datasets) == 1)
        columns.append(column)
    frame = pd.DataFrame(found).dropna()
    if frame.empty:
        raise InputError(f"{path} has no network with a value of {', '.join(columns)}")
    rest = table.drop_duplicates("arch").set_index("arch").loc[frame.index]
    recorded = units.recorded(path)
    for name in rest:
        if _RUN.fullmatch(name):
            frame[name] = units.percent(rest[name], recorded.get(name, ""), f"{name} of {path}")
        elif name in _MORE and not (name == "hash" and rest[name].isna().any()):
            frame[name] = rest[name]
    notes = [f"truth: {', '.join(columns)} of {table.attrs['source']}", *_missing(experiment, frame, path)]
    if experiment.latencies:
        name = next((name for name in experiment.latencies if name in rest), "")
        if not name:
            known = ", ".join(experiment.latencies)
            raise InputError(f"{experiment.id} needs a latency, which {path} has not. Known columns: {known}")
        frame["latency"] = rest[name].astype(float)
        lost = int(frame["latency"].isna().sum())
        if lost == len(frame):
            raise InputError(f"{path} has no network with an accuracy and a latency. Received: {name}, all empty")
        frame = frame.dropna(subset=["latency"])
        notes.append(f"latency: {name}" + f", which {lost} networks lack, that are left out" * (lost > 0))
    return Truth(frame, datasets, spaces.of_table(path, frame.index), tuple(notes))


def _column(
    table: pd.DataFrame, experiment: Experiment, request: Reproduction, dataset: str, target: str, *, alone: bool
) -> tuple[pd.Series, str]:
    """Accuracies on a data set by architecture in percent, and the column that they stand in."""
    from tfnas import evidence
    from tfnas.evidence import units

    path = request.truth
    # A paper's only data set names its columns whatever the scores are of.
    sole = next(iter(experiment.columns.values())) if len(experiment.columns) == 1 else ()
    preferred = experiment.columns.get(dataset, sole)
    wanted = target or next((column for column in preferred if column in table), "")
    named = f"No column {' or '.join(preferred)}" if preferred else f"No column is known to be {dataset}'s"
    unclear = f"{named} in {path}. Name one with --datasets and --targets"
    if not wanted and not alone:
        raise InputError(f"{unclear}. Columns: {', '.join(table.select_dtypes('number'))}")
    try:
        # Where none is named, the only column that can be meant.
        frame = evidence.load_truth(path, target=wanted)
    except InputError as error:
        raise error if wanted else InputError(f"{unclear}. {error}") from None
    column = frame.attrs["target"]
    return units.percent(frame[column], frame.attrs["unit"], f"{column} of {path}"), column


def _missing(experiment: Experiment, frame: pd.DataFrame, path: str) -> list[str]:
    """A note on what is left out for want of columns.

    Raises:
        InputError: a column without which there is no such experiment is missing.
    """
    source = experiment.source or "Give a --table that has it"
    if lacking := [column for column in experiment.required if column not in frame]:
        raise InputError(f"{experiment.id} needs {', '.join(lacking)}, which {path} has not. {source}")
    if lacking := [column for column in experiment.shown if column not in frame]:
        return [f"left out, as {path} has no {', '.join(lacking)}. {source}"]
    return []


def _networks(request: Reproduction, experiment: Experiment) -> Truth:
    """Architectures of the table, or of the paper's space where none is given, as many as --scale asks for."""
    import pandas as pd

    import spaces
    from tfnas import tables

    sizes = experiment.small_size, experiment.paper_size
    if request.table:
        table = tables.load(request.table)
        known = table["arch"].tolist()
        if not known:
            raise InputError(f"{request.table} has no architectures")
        space = spaces.of_table(request.table, known)
        archs = sample_known(known, request.count(*sizes, len(known)), request.seed)
        notes = (f"architectures: {table.attrs['source']}",)
    else:
        space, notes = spaces.get(experiment.space), ()
        count = request.count(*sizes, space.size)
        whole = count == space.size
        archs = list(map(str, space.enumerate())) if whole else sample_architectures(space, count, request.seed)
    return Truth(pd.DataFrame(index=pd.Index(archs, name="arch")), request.datasets, space, notes)
