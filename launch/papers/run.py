"""The runner of every experiment: accuracies, records, what the experiment makes of them, and its files."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from etils import epath

from launch import app
from launch.flags.execution import Execution, Workers
from launch.flags.reproduction import EMBEDDED_NOTE, Reproduction
from launch.jobs import base as jobs
from launch.papers import joining, printing, truth
from launch.papers.base import Experiment, Inputs, Jobs
from launch.papers.parts import Parts
from launch.papers.scored import Scored
from tfnas import environment, files
from tfnas.errors import InputError
from tfnas.runs import sources

if TYPE_CHECKING:
    import pandas as pd


def check(request: Reproduction, experiment: Experiment) -> None:
    """Whether a request fits an experiment.

    Raises:
        InputError: it does not.
    """
    request.check()
    if request.scores and experiment.jobs is None:
        raise InputError(f"{experiment.id} looks at no scores. Received: --scores={','.join(request.scores)}")
    if request.isomorphic and not (request.scores and isinstance(experiment.jobs, Scored)):
        raise InputError(
            f"--isomorphic is for --scores of experiments that rank networks by proxies. Received: {experiment.id}"
            + ("" if request.scores else " without --scores")
        )
    for place in request.scores:
        if not sources.holds_records(place):
            raise InputError(f"No folder or file of records: --scores={place}")
    if len(request.datasets) > 1 and len(experiment.columns) < 2:
        raise InputError(f"{experiment.id} is of one data set. Received: {','.join(request.datasets)}")
    truth.asked(request, experiment)
    if experiment.jobs is not None and not request.scores:
        # What cannot be drawn is told before anything is written.
        truth.load(request, experiment).drawn(request, experiment)


def run(request: Reproduction, experiment: Experiment, output: str, workers: Workers) -> None:
    """Makes an experiment and writes results.csv, its figure and recipe.json.

    Records go to `output`/scores, other parts that take long to `output`/parts.

    Raises:
        InputError: a column, the data sets or records are missing.
    """
    from tfnas.evidence import plots

    warning = ""
    if experiment.columns and not request.table:
        warning = f"No reproduction of the paper's numbers: {EMBEDDED_NOTE}. Give --table for one"
        print(warning, flush=True)
    known = pool = truth.load(request, experiment)
    records, notes, drawn, unlike = None, (), (), []
    if experiment.jobs is None:
        frame = known.frame
    else:
        if request.scores:
            found, where = _given(request, experiment, known), ", ".join(request.scores)
            if isinstance(experiment.jobs, Scored) and known.space.name == experiment.space:
                unlike = experiment.jobs.unlike(found)
            if not (experiment.columns or request.table):
                pool = known.of(found["arch"].unique())
        else:
            pool, where = known.drawn(request, experiment), f"{output}/scores"
            drawn = tuple(pool.frame.index)
            found = _computed(request, experiment, experiment.jobs, known, lambda dataset: drawn, output, workers)
        same = {"isomorphic": request.isomorphic}
        records, frame, notes = joining.join(found, pool.frame, known.space, f"{where} and {request.truth}", **same)
    repeats = request.count(*experiment.repeats, experiment.repeats[1], least=1)
    parts = Parts()
    if experiment.jobs is None:  # else records are what is kept
        common = {"experiment": experiment.id, "seed": request.seed, "tfnas": environment.version("tfnas")}
        parts = Parts(f"{output}/parts", common | {"datasets": known.datasets}, frame)
    inputs = Inputs(experiment, known.space, frame, known.datasets, records, request.seed, drawn, repeats, parts)
    if experiment.second is not None and not request.scores:
        inputs = _continued(request, inputs, known, output, workers)
    made = experiment.make(inputs)
    rows = made.rows.assign(difference=made.rows["ours"] - made.rows["paper"])
    rows.insert(0, "experiment", experiment.id)
    folder = epath.Path(output)
    files.write_atomic(folder / "results.csv", rows.to_csv(index=False, float_format="%.6g").encode())
    files.write_atomic(folder / "recipe.json", app.to_json(experiment.describe()).encode())
    plots.save(made.figure, folder / f"{experiment.id}.png")
    printing.show(experiment, rows, (*known.notes, *notes, *unlike, *made.notes), output, warning)


def _given(request: Reproduction, experiment: Experiment, known: truth.Truth) -> pd.DataFrame:
    """Records of --scores on the data sets asked for."""
    found = sources.read(request.scores)
    for line in found.attrs["skipped"]:
        print(f"skipped {line}", file=sys.stderr)
    # A paper's only data set is whatever the records are of.
    if request.datasets or len(experiment.columns) > 1:
        found = found[found["dataset"].isin(known.datasets)]
    if found.empty:
        raise InputError(f"No records of {', '.join(known.datasets)} in --scores={','.join(request.scores)}")
    return found


def _continued(request: Reproduction, inputs: Inputs, known: truth.Truth, output: str, workers: Workers) -> Inputs:
    """The inputs with records of the second stage, which is asked until it wants nothing new."""
    stage, seen = inputs.experiment.second, set()
    while True:
        wanted: dict[str, list[str]] = {}
        for dataset in sorted(inputs.records["dataset"].unique()):
            archs = [arch for arch in stage.archs(inputs, dataset) if arch in known.frame.index]
            wanted[dataset] = [arch for arch in archs if (dataset, arch) not in seen]
        seen |= {(dataset, arch) for dataset, archs in wanted.items() for arch in archs}
        if not any(wanted.values()):
            return inputs
        more = _computed(request, inputs.experiment, stage.jobs, known, wanted.get, output, workers)
        together = _together([inputs.records, more])
        records, frame, _ = joining.join(together, known.frame, known.space, f"{output}/scores and {request.truth}")
        inputs = dataclasses.replace(inputs, records=records, truth=frame)


def _computed(
    request: Reproduction,
    experiment: Experiment,
    what: Jobs,
    known: truth.Truth,
    archs: Callable[[str], Sequence[str] | None],
    output: str,
    workers: Workers,
) -> pd.DataFrame:
    """Records of the architectures that `archs` gives for a data set, computed as far as they are not there yet."""
    workers.start_tensorflow()
    wanted = what.of(experiment, request, known.space.name, known.datasets)
    # What nothing is wanted of need not be at hand.
    todo = _at_hand([job for job in wanted if archs(job.settings.dataset)])
    execution = Execution(output=f"{output}/scores", **dataclasses.asdict(workers))
    parts = []
    for job in todo:
        some = archs(job.settings.dataset)
        print(f"{experiment.id}: {len(some)} networks on {job.title}")
        jobs.run(job, some, execution)
        parts.append(job.results(some, execution.output))
        for told in job.warnings(parts[-1]):
            print(f"warning: {job.settings.dataset}: {told}", file=sys.stderr)
    return _together(parts)


def _together(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All records once."""
    import pandas as pd

    from tfnas.runs import records

    return pd.concat(parts).drop_duplicates(list(records.KEY)).reset_index(drop=True)


def _at_hand(todo: Sequence[jobs.Job]) -> list[jobs.Job]:
    """The jobs whose data set is there; a line for each that is not.

    Raises:
        InputError: none is.
    """
    found, missing = [], {}
    for job in todo:
        try:
            job.settings.check()
            found.append(job)
        except InputError as error:
            missing.setdefault(job.settings.dataset, error)
    if not found and len(missing) == 1:
        raise next(iter(missing.values()))
    for dataset, error in missing.items():
        print(f"{dataset} is left out: {error}", file=sys.stderr)
    if not found:
        raise InputError(f"None of the data sets is at hand: {', '.join(missing)}")
    return found
