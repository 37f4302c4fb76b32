"""Reproduce a table or figure of the papers, printed beside the paper's numbers.

Examples:
    python -m launch.reproduce --list
    python -m launch.reproduce --experiment=gs_table5_2 --output=output/gs_table5_2
    python -m launch.reproduce --experiment=gs_table5_2 --scale=paper --table=nb201_accuracy.parquet
        --data_dir=~/tensorflow_datasets --output=output/gs_table5_2

Without --table, the networks and accuracies on the UCI digits that come with tfnas stand in for the benchmark: the
whole path runs in minutes, but these are other numbers than the paper's. Scores are resumed like those of launch.score.
The studies of NNGP (nngp_...) also take a folder of records of launch.nngp, --scores, and then compute nothing:
    python -m launch.reproduce --experiment=nngp_fig1 --table=nasbench101.parquet --scores=output/nngp
        --output=output/nngp_fig1
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from launch import app, experiments, score, studies
from launch.architectures import sample_known
from launch.experiments import EMBEDDED, EMBEDDED_NETWORK, EMBEDDED_SPACE
from launch.studies import runner
from tfnas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

AVAILABLE = {**studies.STUDIES, **experiments.RECIPES}


@dataclasses.dataclass(frozen=True)
class Config:
    """Which experiment, how large, on which data."""

    experiment: str = app.flag("", "identifier, as in --list")
    list: bool = app.flag(False, "print all experiments of the papers and which are available")
    scale: str = app.flag("small", "number of architectures: small (tens), paper, or a share of the paper's in (0, 1]")
    table: str = app.flag("", "accuracies of the benchmark, Parquet or CSV (those on digits by default)")
    scores: str = app.flag("", "folder of NNGP records to take as they are, instead of computing (studies of NNGP)")
    datasets: tuple[str, ...] = app.flag((), "data sets (the paper's; digits without --table)")
    targets: tuple[str, ...] = app.flag((), "column of the table for each data set (as the recipe names them)")
    data_dir: str = app.flag("", "folder of prepared TFDS data sets (TFDS' own by default)")
    seed: int = app.flag(42, "base seed; 42 is the papers'")
    output: str | None = app.flag(None, "folder for scores and results")

    def check(self) -> None:
        """Raises InputError for anything that can be known to be wrong at once."""
        if self.list:
            return
        if not self.experiment or not self.output:
            raise InputError("Give --experiment=ID and --output=FOLDER, or --list")
        recipe = experiments.get(self.experiment, AVAILABLE)
        from tfnas import data

        for name in self.datasets:
            data.info(name)
        if isinstance(recipe, studies.Study):
            runner.check(self, recipe)
            return
        if self.scores:
            raise InputError(f"--scores goes with {', '.join(studies.STUDIES)}. Received: --experiment={recipe.id}")
        experiments.sizes(recipe, self.scale, recipe.paper_size)
        if self.targets and len(self.targets) != len(self.datasets):
            counts = f"{len(self.targets)} for {len(self.datasets)}"
            raise InputError(f"--targets names a column for each of --datasets. Received: {counts}")
        _drawn(self, recipe)


def run(config: Config) -> None:
    """Scores, compares and writes results.csv, a plot and the recipe."""
    if config.list:
        print("\n".join(experiments.describe(AVAILABLE)))
        return
    recipe = experiments.get(config.experiment, AVAILABLE)
    if isinstance(recipe, studies.Study):
        runner.run(config, recipe)
        return
    from etils import epath

    from tfnas import files
    from tfnas.evidence import plots

    truth = _drawn(config, recipe)
    architectures = truth.index.tolist()
    ntk_batch_size = experiments.sizes(recipe, config.scale, len(truth))[1]
    app.start_tensorflow()
    scored = list(truth) if recipe.analysis != "selection" else list(truth)[:1]
    jobs = [job for name in scored for job in _jobs(config, recipe, name, ntk_batch_size)]
    if not jobs:
        raise InputError(f"None of the data sets is at hand: {', '.join(scored)}")
    rows = []
    for job in jobs:
        print(f"{recipe.id}: {len(architectures)} architectures on {job.dataset}, initialisation {job.init}")
        score.score(job, architectures)
        found = score.results(job, architectures)
        if recipe.analysis == "selection":
            rows += experiments.selections(recipe, found, truth, seed=config.seed)
        else:
            rows += experiments.correlations(
                recipe, found, truth[job.dataset], dataset=job.dataset, init=job.init, seed=config.seed
            )
    table = _finish(recipe, rows)
    output = epath.Path(config.output)
    files.write_atomic(output / "results.csv", table.to_csv(index=False, float_format="%.6g").encode())
    files.write_atomic(output / "recipe.json", app.to_json(dataclasses.asdict(recipe)).encode())
    figure = _scatter(jobs, architectures, truth) if recipe.analysis == "scatter" else _bars(recipe, table)
    plots.save(figure, output / f"{recipe.id}.png")
    _print(config, recipe, table, truth.attrs["columns"])


def _drawn(config: Config, recipe: experiments.Recipe) -> pd.DataFrame:
    """Accuracies [architectures, data sets] of as many architectures as --scale asks for, of those that have all.

    `attrs["columns"]` names the columns of the table that they come from.
    """
    import spaces

    frame = _truth(config, recipe).dropna()
    if frame.index.has_duplicates:
        raise InputError(f"{config.table} repeats {frame.index[frame.index.duplicated()][0]!r}")
    size, _ = experiments.sizes(recipe, config.scale, len(frame))
    drawn = frame.loc[sample_known(frame.index.tolist(), size, config.seed)]
    for arch in drawn.index:
        spaces.get(recipe.space if config.table else EMBEDDED_SPACE).parse(arch)
    drawn.attrs = frame.attrs
    return drawn


def _truth(config: Config, recipe: experiments.Recipe) -> pd.DataFrame:
    """Accuracies [architectures, data sets] of the whole table."""
    from tfnas import evidence, tables

    if not config.table:
        target = config.targets[0] if config.targets else ""
        frame = evidence.load_truth(EMBEDDED, target=target)
        if len(config.datasets) > 1:
            raise InputError(f"The embedded accuracies are of one data set; give --table. Received: {config.datasets}")
        columns, names = [frame.attrs["target"]], config.datasets or ("digits",)
    else:
        names = config.datasets or recipe.datasets
        known = dict(zip(config.datasets, config.targets, strict=True)) if config.targets else recipe.columns
        for name in names:
            if name not in known:
                raise InputError(f"Which column of {config.table} is {name}? Name it with --datasets and --targets")
        frame = tables.load(config.table)
        columns = [_column(frame, known[name], config.table) for name in names]
        frame = frame.set_index("arch")
    frame = frame[columns].set_axis(list(names), axis=1)
    frame.attrs = {"columns": columns}
    return frame


def _column(frame: pd.DataFrame, names: str | tuple[str, ...], path: str) -> str:
    """The first of some columns that a table has."""
    wanted = (names,) if isinstance(names, str) else names
    for name in wanted:
        if name in frame:
            return name
    raise InputError(f"No column {' or '.join(wanted)} in {path}. Columns: {', '.join(map(str, frame.columns))}")


def _jobs(config: Config, recipe: experiments.Recipe, dataset: str, ntk_batch_size: int) -> list[score.Config]:
    """What launch.score would be asked for; nothing, with a line saying why, where the data are not at hand."""
    network: dict[str, Any] = {"flavour": recipe.flavour} if config.table else EMBEDDED_NETWORK
    jobs = [
        score.Config(
            output=f"{config.output}/scores",
            space=recipe.space if config.table else EMBEDDED_SPACE,
            dataset=dataset,
            data_dir=config.data_dir,
            proxies=recipe.proxies,
            num_archs=1,  # the architectures are handed over
            batch_size=recipe.batch_size,
            ntk_batch_size=ntk_batch_size,
            synflow_kept_bn=recipe.synflow_kept_bn,
            noise_repeats=recipe.noise_repeats,
            seed=config.seed,
            init=init,
            **network,
        )
        for init in recipe.inits
    ]
    try:
        for job in jobs:
            job.check()
    except InputError as error:
        print(f"{dataset} is left out: {error}", file=sys.stderr)
        return []
    return jobs


def _finish(recipe: experiments.Recipe, rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame(rows)
    table.insert(0, "experiment", recipe.id)
    table["difference"] = table["ours"] - table["paper"]
    return table


def _print(config: Config, recipe: experiments.Recipe, table: pd.DataFrame, columns: Sequence[str]) -> None:
    from rich.table import Table

    from tfnas.evidence import report

    fact = experiments.facts()[recipe.id]
    console = report.console()
    printed = Table(title=f"{recipe.id}: {fact['title']} ({fact['paper']})", title_justify="left")
    for heading in ("data set", "init", "method", "n", "left out", "ours", "", "paper", "difference"):
        printed.add_column(heading, justify="left" if heading in ("data set", "init", "method") else "right")
    for row in table.to_dict("records"):
        numbers = [report.number(row[key]) for key in ("ours", "low", "high", "paper", "difference")]
        interval = f"{numbers[1]} .. {numbers[2]}"
        left_out = str(row["left_out"] or "")
        printed.add_row(
            row["dataset"], row["init"], row["method"], str(row["n"]), left_out, numbers[0], interval, *numbers[3:]
        )
    console.print(printed)
    console.print(f"measure: {', '.join(table['measure'].unique())}")
    console.print(f"truth: {', '.join(columns)} of {config.table or EMBEDDED}")
    notes = [fact.get("note", ""), recipe.deviations]
    notes += [] if config.table else [experiments.EMBEDDED_NOTE]
    for note in filter(None, notes):
        console.print(f"note: {note}")
    console.print(f"written to {config.output}: results.csv, {recipe.id}.png, recipe.json, scores/")


def _bars(recipe: experiments.Recipe, table: pd.DataFrame) -> Figure:
    """Ours with its interval beside the paper's, a panel for each data set and initialisation."""
    import numpy as np
    from matplotlib.figure import Figure

    groups = list(table.groupby(["dataset", "init"], sort=False))
    longest = max(len(group) for _, group in groups)
    figure = Figure(figsize=(3.2 * len(groups) + 1.6, 0.36 * longest + 1.4), layout="constrained")
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axes, ((dataset, init), group) in zip(panels, groups, strict=True):
        position = np.arange(len(group))
        axes.barh(position - 0.2, group["ours"], 0.38, label="ours")
        axes.hlines(position - 0.2, group["low"], group["high"], color="black", linewidth=1)
        axes.barh(position + 0.2, group["paper"], 0.38, color="#bbbbbb", label="paper")
        axes.set_title(dataset if len(recipe.inits) == 1 else f"{dataset}, {init}", fontsize=9)
        axes.set_yticks(position, group["method"], fontsize=8)
        axes.set_xlabel(recipe.statistic if recipe.analysis != "selection" else "test accuracy (%)", fontsize=8)
        axes.axvline(0, color="black", linewidth=0.6)
    panels[0].invert_yaxis()
    if recipe.analysis == "selection":
        for axes in panels:
            axes.set_xlim(left=max(0.0, float(np.nanmin(table["low"])) - 5))
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, frameon=False
    )
    return figure


def _scatter(jobs: Sequence[score.Config], architectures: Sequence[str], truth: pd.DataFrame) -> Figure:
    """Score against accuracy, a panel for each data set; coloured by size."""
    from matplotlib.figure import Figure

    from tfnas import evidence

    figure = Figure(figsize=(3.6 * len(jobs) + 0.8, 3.2), layout="constrained")
    panels = figure.subplots(1, len(jobs), squeeze=False)[0]
    for axes, job in zip(panels, jobs, strict=True):
        averaged = evidence.average(score.results(job, architectures))
        joined = evidence.join(averaged, truth[job.dataset])
        points = axes.scatter(joined[job.proxies[0]], joined["truth"], c=joined["params"], s=8, alpha=0.7)
        axes.set_xlabel(job.proxies[0], fontsize=8)
        axes.set_title(job.dataset, fontsize=9)
        figure.colorbar(points, ax=axes, label="parameters" if axes is panels[-1] else "")
    panels[0].set_ylabel("test accuracy (%)", fontsize=8)
    return figure


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
