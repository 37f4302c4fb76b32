r"""Compares scores with known accuracies: tables, intervals, plots.

Examples:
    python -m launch.correlate --scores=output/digits \
        --table=nasbench201_digits --output=output/digits/evidence
    python -m launch.correlate --scores=scores.csv --table=accuracies.csv \
        --target=accuracy --output=output/evidence

Scores are a folder of records (python -m launch.score makes it) or a CSV or
Parquet file with columns arch, proxy, score, or arch and one column per proxy.
The table is the name of an embedded one, or a CSV or Parquet file. Both are
joined on the exact architecture string; repeats of a network are averaged
first. Writes correlations.csv, scores.csv (a row for each network),
scatter.png, bars.png and pqetp.png to the output folder, and, as far as the
data allow it, a table and a picture of each cut: rank correlation among the
best networks (bands), at fixed size (size), between scores (similarity) and
between seeds (seeds), between isomorphic networks (classes) and against other
scores of the same networks (against). docs/evidence.md says what they are.
--fit_combination keeps the best combination of up to five scores in a file, and
--combination tests it on other networks.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from launch import app
from launch.flags.networks import check_least, check_most
from launch.jobs import classes, combining, cut_tables
from launch.jobs import cuts as closer
from launch.jobs import evidence as jobs
from launch.values import pairs
from spaces import importers
from tfnas.errors import InputError, unknown

if TYPE_CHECKING:
    import pandas as pd

    from tfnas.evidence.combination import Combination

# More narrow no interval, and no memory holds them.
MOST_RESAMPLES = 1_000_000


@dataclasses.dataclass(frozen=True)
class Config:
    scores: tuple[str, ...] = app.path_flag(
        None, "folders of records, kept scores (atlas:NAME or a file), CSV or Parquet files of scores, comma separated"
    )
    table: str = app.path_flag(None, "known accuracies: name of an embedded table, or a CSV or Parquet file")
    output: str = app.path_flag(None, "folder for the results", writes="folder")
    target: str = app.flag(
        "", "column of the table to rank by, higher is better; may stay open if only one can be meant"
    )
    arch_column: str = app.flag("arch", "column of the table with the architecture strings")
    scores_arch_column: str = app.flag("arch", "column of a file of scores with the architecture strings")
    isomorphic: bool = app.flag(
        False,
        "a score counts for all networks of the table that are the same (isomorphic) as the scored one; intervals then "
        "draw classes of them",
    )
    proxies: tuple[str, ...] = app.flag((), "take these proxies only, comma separated")
    where: tuple[str, ...] = app.flag((), "take the scores with these settings only: column=value,...")
    table_where: tuple[str, ...] = app.flag((), "take the rows of the table with these values only: column=value,...")
    size_column: tuple[str, ...] = app.flag(
        (), "columns of the table to show as baselines, the first also as colour; params and flops where they exist"
    )
    fit_combination: str = app.path_flag(
        "", "JSON file to write: the combination of up to five scores that ranks these networks best", writes="file"
    )
    combination: str = app.path_flag("", "JSON file of --fit_combination, fitted elsewhere, to test on these networks")
    cuts: tuple[str, ...] = app.flag(
        (closer.ALL,), f"closer looks: {', '.join(closer.CUTS)}, or all that can be made; empty for none"
    )
    run_column: str = app.flag(
        "", f"column of the table with one training each, whose noise seeds shows (TARGET{closer.ONE_RUN} if there)"
    )
    against: tuple[str, ...] = app.path_flag(
        (), "other scores of the same networks, each place by itself, to tell what their settings change"
    )
    against_target: str = app.flag("", "column of the table that --against is held against (--target by default)")
    against_where: tuple[str, ...] = app.flag((), "take the rows of --against with these values only: column=value,...")
    against_names: tuple[str, ...] = app.flag(
        (), "what --against calls a score that has another name there: naswot=nwot,jacob_cov=jacov"
    )
    thresholds: tuple[float, ...] = app.flag(
        (), "thresholds of PQETP in the unit of the target; those that the top 50, 20, 5 and 1% exceed by default"
    )
    top_k: int = app.flag(10, "networks taken for the discovered performance and the precision")
    bootstrap: int = app.flag(1000, "resamples of the 95% intervals; 0 for none")
    seed: int = app.flag(0, "of the resamples and random subsets")

    def check(self) -> None:
        check_least(self, top_k=1, bootstrap=0)
        check_most(self, bootstrap=MOST_RESAMPLES)
        closer.asked(self.cuts)
        if self.fit_combination and self.combination:
            raise InputError(
                "Give either --fit_combination=FILE or --combination=FILE: what is fitted is tested elsewhere"
            )
        for name in ("against_target", "against_where", "against_names"):
            if getattr(self, name) and not self.against:
                raise InputError(f"--{name} is for --against. Received: {getattr(self, name)}")
        for name in ("where", "table_where", "against_where", "against_names"):
            pairs(name, getattr(self, name))


def run(config: Config) -> None:
    """Measures how well the scores rank, and writes and prints it."""
    from tfnas import evidence
    from tfnas.evidence import combination

    used = combination.load(config.combination) if config.combination else None
    table = evidence.load_truth(
        config.table,
        target=config.target,
        arch_column=config.arch_column,
        where=pairs("table_where", config.table_where),
    )
    measured = evidence.load_scores(
        config.scores,
        arch_column=config.scores_arch_column,
        proxies=config.proxies,
        where=pairs("where", config.where),
    )
    _tell_skipped(measured)
    run_column = closer.run_column(table, config.run_column)
    others = _others(config, table)
    scored = classes.Scored(measured)
    scores, note = _of_classes(config, scored, table)
    found = jobs.compare(
        scores,
        table,
        size_columns=config.size_column,
        thresholds=config.thresholds,
        combination=used,
        k=config.top_k,
        resamples=config.bootstrap,
        seed=config.seed,
    )
    written = jobs.write(found, config.output)
    case = closer.Case(found, scored, table, run_column, config.bootstrap, config.seed, others, config.against_target)
    made, left = closer.write(case, config.cuts, config.output)
    written += [f"{name}.{kind}" for name in made for kind in ("csv", "png")]
    print(table.attrs["source"])
    for line in (*_missing(scores, table), *note):
        print(line)
    _print(found, config.top_k)
    _print_cuts(case, made, left)
    written += _combine(config, case, used)
    print(f"written to {config.output}: {', '.join(written)}")


def _of_classes(config: Config, scored: classes.Scored, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The scores, of whole classes of isomorphic networks where that is asked for, and a line about it."""
    archs = table.index.unique().tolist()
    if config.isomorphic:
        scores, line = classes.spread(scored.scores, archs, classes.space_of(scored.scores, config.table, archs))
    else:
        scores, line = scored.scores, scored.more(archs)
    return scores, [line] if line else []


def _others(config: Config, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The other scores, by the last part of where they are from, or all of it where that is not enough."""
    from tfnas import evidence

    numbers = list(table.select_dtypes("number"))
    if config.against_target and config.against_target not in numbers:
        raise unknown("column of numbers (--against_target)", config.against_target, numbers)
    last = [pathlib.PurePath(place).name for place in config.against]
    hint = "Give a folder for each {column} to --against, or one of them in --against_where"
    how = {
        "arch_column": config.scores_arch_column,
        "where": pairs("against_where", config.against_where),
        "hint": hint,
    }
    found = {
        name if last.count(name) == 1 else place: evidence.load_scores(place, **how)
        for place, name in zip(config.against, last, strict=True)
    }
    for others in found.values():
        _tell_skipped(others)
    return closer.renamed(found, pairs("against_names", config.against_names))


def _tell_skipped(scores: pd.DataFrame) -> None:
    for line in scores.attrs["skipped"]:
        print(f"skipped: {line}", file=sys.stderr)


def _combine(config: Config, case: closer.Case, used: Combination | None) -> list[str]:
    """Fits or tests a combination where that is asked for, prints what comes of it, and gives the files written."""
    from tfnas.evidence import report

    lines: Iterator[str] = iter(())
    written = []
    if used:
        tested = combining.test(case.found, used, config.output, case.options)
        report.console().print(combining.table(tested, used))
        lines = combining.warnings(used, case.found, case.scores)
        written.append("combination.csv")
    elif config.fit_combination:
        made = combining.fit(case.found, case.scores, config.table, config.fit_combination, config.seed)
        lines = combining.fitted(made)
        written.append(config.fit_combination)
    for line in lines:
        print(line)
    return written


def _missing(scores: pd.DataFrame, table: pd.DataFrame) -> Iterator[str]:
    """What is lost where the table lacks networks with scores, and whether rows of it are damaged."""
    lacking = scores.arch[~scores.arch.isin(table.index)].unique()
    if len(lacking):
        yield f"{len(lacking)} of {scores.arch.nunique()} networks with scores are not in the table: {lacking[0]!r}"
        space = scores.space.iloc[0] if "space" in scores else ""
        if damaged := importers.strays(table.index, space):
            yield f"warning: {damaged}"


def _print(found: jobs.Evidence, k: int) -> None:
    from tfnas.evidence import report

    console = report.console()
    note = f", scores averaged over up to {found.repeats} repeats" if found.repeats > 1 else ""
    console.print(f"{len(found.joined)} networks with scores and {found.target}{note}")
    for printed in report.correlations(
        found.summary, percents=jobs.PERCENTS, thresholds=found.thresholds, k=k, baselines=found.baselines
    ):
        console.print(printed)
    for line in report.left_out(found.summary):
        console.print(line)


def _print_cuts(case: closer.Case, made: Mapping[str, pd.DataFrame], left: Sequence[str]) -> None:
    from tfnas.evidence import report

    console = report.console()
    if table := cut_tables.by_proxy(made, case.found.summary["proxy"].tolist(), case.found.baselines):
        console.print(table)
    run = closer.of_one_run(case)
    if "seeds" in made and run == run:
        console.print(f"one training of each network ({case.run}) reaches {run:.3f}")
    if "against" in made:
        console.print(cut_tables.against(made["against"]))
    for line in left:
        console.print(line, soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
