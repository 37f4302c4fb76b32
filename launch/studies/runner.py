"""From flags to a study: finds or computes scores, joins them with the table, writes and prints what comes of them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launch import app, experiments
from launch.architectures import sample_architectures, sample_known
from launch.studies import Study, data
from launch.studies.metrics import Settings
from tfnas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from launch import nngp
    from launch.reproduce import Config

SPACE = "nasbench101"
# The column of a table's file, then where it comes from and how it gets here.
_FULL = "nasbench_full.tfrecord"
_IMPORT = f"python -m launch.prepare --table={_FULL} --space={SPACE} --out=nasbench101.parquet"
_PRINTED = 40


def check(config: Config, study: Study) -> None:
    """Whether the flags fit the study.

    Raises:
        InputError: they do not.
    """
    from tfnas import tables

    experiments.count(config.scale, study.small_size, study.paper_size, study.paper_size)
    if len(config.datasets) > 1 or len(config.targets) > 1:
        raise InputError(f"{study.id} is of one data set and one target. Received: {config.datasets}, {config.targets}")
    if config.scores and study.needs != "scores":
        raise InputError(f"{study.id} looks at no scores. Received: --scores={config.scores}")
    if config.targets and not config.table:
        raise InputError(f"--targets names a column of --table. Received: --targets={config.targets[0]}, no --table")
    if config.table:
        tables.resolve(config.table)


def run(config: Config, study: Study) -> None:
    """Makes a study and writes results.csv, its figure and recipe.json.

    Raises:
        InputError: a column, a data set or scores are missing.
    """
    from etils import epath

    from tfnas import files
    from tfnas.evidence import plots

    scores, table, settings, notes = _inputs(config, study)
    rows, figure = study.make(scores, table, settings)
    notes += [*rows.attrs.get("notes", []), study.deviations]
    rows.insert(0, "experiment", study.id)
    output = epath.Path(config.output)
    recipe = {field.name: getattr(study, field.name) for field in dataclasses.fields(study) if field.name != "make"}
    files.write_atomic(output / "results.csv", rows.to_csv(index=False, float_format="%.6g").encode())
    files.write_atomic(output / "recipe.json", app.to_json(recipe).encode())
    plots.save(figure, output / f"{study.id}.png")
    _print(config, study, rows, notes)


def _inputs(config: Config, study: Study) -> tuple[pd.DataFrame | None, pd.DataFrame, Settings, list[str]]:
    """What the study takes, and notes on where it comes from."""
    import spaces

    expected = experiments.facts()[study.id]["expected"]
    if study.needs == "space":
        space, table = _networks(config, study)
        return None, table, Settings(space, float("nan"), expected, seed=config.seed), []
    path = config.table or experiments.EMBEDDED
    table = data.load_table(path, config.targets[0] if config.targets else "")
    notes = [f"truth: {table.attrs['truth']} of {path}", *_missing(study, table, path)]
    if not config.table:
        notes.append(experiments.EMBEDDED_NOTE)
    if study.needs == "table":
        space = data.space_of(table.index[0])
        return None, table, Settings(space.name, float("nan"), expected, seed=config.seed), notes
    if config.scores:
        scores, where = _given(config), config.scores
    else:
        scores, where = _computed(config, study, table), f"{config.output}/scores"
    frame, table, by_hash = data.join(scores, table, f"{where} and {path}")
    if by_hash:
        notes.append(f"{by_hash} networks met the table by the hash that isomorphic cells share")
    if lacking := int(frame.isna().any(axis=1).sum()):
        notes.append(f"{lacking} of {len(frame)} networks lack a score at some setting and are left out there")
    space = spaces.get(scores.space)
    settings = Settings(
        scores.space,
        2 * float(table["flops"].mean()),
        expected,
        features=data.features(space, table.index[0], scores.network),
        classes=scores.network["classes"],
        regularizers=scores.regularizers,
        network=scores.network,
        seed=config.seed,
    )
    mean = f"{settings.flops / 1e9:.4g} GFLOP over {len(table)} networks"
    notes.append(f"cost: mean F is {mean}, convolutions and dense layers alone; d = {settings.features}")
    return frame, table, settings, notes


def _missing(study: Study, table: pd.DataFrame, path: str) -> list[str]:
    """A note on curves that are left out for want of columns.

    Raises:
        InputError: a column without which there is no study is missing.
    """
    if lacking := [column for column in study.required if column not in table]:
        raise InputError(f"{study.id} needs {', '.join(lacking)}, which {path} has not. {_source(lacking)}")
    if lacking := [column for column in study.shown if column not in table]:
        return [f"left out, as {path} has no {', '.join(lacking)}. {_source(lacking)}"]
    return []


def _source(columns: Sequence[str]) -> str:
    from spaces.nasbench101.published import SOURCE

    if not all(column.startswith("val_") for column in columns):
        return "Give a --table that has it"
    return f"Of NAS-Bench-101, {_FULL} ({SOURCE}{_FULL}) alone has them: {_IMPORT}"


def _networks(config: Config, study: Study) -> tuple[str, pd.DataFrame]:
    """Architectures of the table, or of NAS-Bench-101 where none is given, as many as --scale asks for."""
    import pandas as pd

    import spaces
    from tfnas import tables

    if config.table:
        known = tables.load(config.table)["arch"].tolist()
        space = data.space_of(known[0]) if known else spaces.get(SPACE)
        count = experiments.count(config.scale, study.small_size, study.paper_size, len(known))
        archs = sample_known(known, count, config.seed)
    else:
        space = spaces.get(SPACE)
        count = experiments.count(config.scale, study.small_size, study.paper_size, space.size)
        archs = (
            [str(arch) for arch in space.enumerate()]
            if count == space.size
            else sample_architectures(space, count, config.seed)
        )
    return space.name, pd.DataFrame(index=pd.Index(archs, name="arch"))


def _given(config: Config) -> data.Scores:
    """Scores of --scores, all of them."""
    from etils import epath

    from tfnas.runs import records

    if not epath.Path(config.scores).is_dir():
        raise InputError(f"No such folder of records: --scores={config.scores}")
    found = records.read(config.scores)
    for line in found.attrs["skipped"]:
        print(f"skipped {line}", file=sys.stderr)
    if config.datasets:
        found = found[found["dataset"] == config.datasets[0]]
    return data.from_records(found, config.scores)


def _computed(config: Config, study: Study, table: pd.DataFrame) -> data.Scores:
    """Scores of as many networks of the table as --scale asks for, computed as far as they are not there yet."""
    import pandas as pd

    from launch import nngp
    from tfnas.runs import records

    count = experiments.count(config.scale, study.small_size, study.paper_size, len(table))
    archs = sample_known(table.index.tolist(), count, config.seed)
    space = data.space_of(archs[0])
    for arch in archs:
        space.parse(arch)
    todo = jobs(config, study, space.name)
    for job in todo:
        job.check()
    for job in todo:
        print(
            f"{study.id}: {len(archs)} networks on {job.dataset}, kernel {job.kernel}, BN momentum {job.bn_momentum}, "
            f"n_train {','.join(job.n_train)}, n_val {','.join(job.n_val)}, ensembles {','.join(job.ensemble)}"
        )
        nngp.compute(job, archs)
    found = pd.concat([nngp.results(job, archs) for job in todo]).drop_duplicates(list(records.KEY))
    return data.from_records(found.reset_index(drop=True), f"{config.output}/scores")


def jobs(config: Config, study: Study, space: str) -> list[nngp.Config]:
    """What launch.nngp is asked for.

    The paper moves BN statistics with 250 images, but with 100 where 100 train: these are jobs of their own.
    """
    from launch import nngp

    small = config.scale == "small"
    n_train, n_val = ((100,), (500,)) if small else (study.n_train, study.n_val)
    n_train, n_val = (n_train, n_val) if config.table else ((100,), (200,))
    parts = [part for part in ([n for n in n_train if n <= 100], [n for n in n_train if n > 100]) if part]
    return [
        nngp.Config(
            output=f"{config.output}/scores",
            space=space,
            dataset=config.datasets[0] if config.datasets else "cifar10" if config.table else "digits",
            data_dir=config.data_dir,
            num_archs=1,  # the architectures are handed over
            n_train=tuple(map(str, part)),
            n_val=tuple(map(str, n_val)),
            ensemble=tuple(map(str, (1, 2) if small else study.ensembles)),
            kernel=kernel,
            bn_momentum=momentum,
            seed=config.seed,
            **({} if config.table else experiments.EMBEDDED_NETWORK),
        )
        for kernel in study.kernels
        for momentum in study.momenta
        for part in parts
    ]


def _print(config: Config, study: Study, rows: pd.DataFrame, notes: Sequence[str]) -> None:
    from rich.table import Table

    from tfnas.evidence import report

    fact = experiments.facts()[study.id]
    console = report.console()
    printed = Table(title=f"{study.id}: {fact['title']} ({fact['paper']})", title_justify="left")
    for heading in ("metric", "measure", "PFLOP", "n", "ours", "", "paper", "difference"):
        printed.add_column(heading, justify="left" if heading in ("metric", "measure") else "right")
    for row in rows.head(_PRINTED).to_dict("records"):
        ours, low, high, paper, difference = (
            _number(row[key]) for key in ("ours", "low", "high", "paper", "difference")
        )
        cost = f"{row['pflop']:.3g}" if row["pflop"] == row["pflop"] else "-"
        interval = f"{low} .. {high}" if low != "-" else ""
        printed.add_row(row["metric"], row["measure"], cost, str(row["n"]), ours, interval, paper, difference)
    console.print(printed)
    if len(rows) > _PRINTED:
        console.print(f"{len(rows) - _PRINTED} more rows in results.csv")
    for note in filter(None, [fact.get("note", ""), *notes]):
        console.print(f"note: {note}")
    console.print(f"written to {config.output}: results.csv, {study.id}.png, recipe.json")


def _number(value: float) -> str:
    from tfnas.evidence import report

    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if 0 < abs(value) < 0.1 else report.number(float(value))
