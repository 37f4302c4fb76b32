"""Compares scores with known accuracies: tables, intervals, plots.

    python -m launch.correlate --scores=runs/digits --table=digits --output=runs/digits/evidence

Scores are a folder of records (python -m launch.score makes it) or a CSV or Parquet file with columns arch, proxy,
score, or arch and one column per proxy. The table is the name of an embedded one, or a CSV or Parquet file. Both are
joined on the exact architecture string; repeats of a network are averaged first. Writes correlations.csv, scores.csv
(a row for each network), scatter.png, bars.png and pqetp.png to the output folder.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launch import app
from tfnas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Config:
    scores: str = app.flag(None, "folder of records, or a CSV or Parquet file of scores")
    table: str = app.flag(None, "known accuracies: name of an embedded table, or a CSV or Parquet file")
    output: str = app.flag(None, "folder for the results")
    target: str = app.flag(
        "", "column of the table to rank by, higher is better; may stay open if only one can be meant"
    )
    arch_column: str = app.flag("arch", "column of the table with the architecture strings")
    scores_arch_column: str = app.flag("arch", "column of a file of scores with the architecture strings")
    proxies: tuple[str, ...] = app.flag((), "take these proxies only, comma separated")
    where: tuple[str, ...] = app.flag((), "take the scores with these settings only: column=value,...")
    table_where: tuple[str, ...] = app.flag((), "take the rows of the table with these values only: column=value,...")
    size_column: tuple[str, ...] = app.flag(
        (), "columns of the table to show as baselines, the first also as colour; params and flops where they exist"
    )
    thresholds: tuple[str, ...] = app.flag((), "thresholds of PQETP in the unit of the target; the top 50, 20, 5, 1%")
    top_k: int = app.flag(10, "networks taken for the discovered performance and the precision")
    bootstrap: int = app.flag(1000, "resamples of the 95% intervals; 0 for none")
    seed: int = app.flag(0, "of the resamples and random subsets")

    def check(self) -> None:
        if self.top_k < 1:
            raise InputError(f"--top_k must be at least 1. Received: {self.top_k}")
        if self.bootstrap < 0:
            raise InputError(f"--bootstrap must not be negative. Received: {self.bootstrap}")
        _pairs("where", self.where)
        _pairs("table_where", self.table_where)
        _numbers(self.thresholds)


PERCENTS = (10, 50)
# Shares of networks above the default thresholds: the slices of Park et al. 2020, figure 2.
TOP_SHARES = (0.5, 0.2, 0.05, 0.01)


def run(config: Config) -> None:
    from etils import epath

    from tfnas import evidence, files
    from tfnas.evidence import plots, report

    table = evidence.load_truth(
        config.table,
        target=config.target,
        arch_column=config.arch_column,
        where=_pairs("table_where", config.table_where),
    )
    target = table.attrs["target"]
    truth = table[target].astype(float)
    scores = evidence.load_scores(
        config.scores,
        arch_column=config.scores_arch_column,
        proxies=config.proxies,
        where=_pairs("where", config.where),
    )
    for line in scores.attrs["skipped"]:
        print(f"skipped: {line}", file=sys.stderr)
    scores = with_aggregates(evidence.with_baselines(scores, table, config.size_column))
    averaged = evidence.average(scores)
    joined = evidence.join(averaged, truth)
    if joined.empty:
        raise InputError(
            f"No architecture of {config.scores} has a {target} in {config.table}. "
            f"First of the scores: {averaged['arch'].iloc[0]!r}, of the table: {table.index[0]!r}"
        )
    thresholds = _numbers(config.thresholds) or _default_thresholds(joined["truth"])
    summary = evidence.correlate(
        scores,
        truth,
        thresholds=thresholds,
        percents=PERCENTS,
        k=config.top_k,
        resamples=config.bootstrap,
        seed=config.seed,
    )

    output = epath.Path(config.output)
    files.write_atomic(output / "correlations.csv", summary.to_csv(index=False, float_format="%.6g").encode())
    files.write_atomic(output / "scores.csv", joined.to_csv(float_format="%.6g").encode())
    baselines = [name for name in (*config.size_column, *evidence.BASELINES) if name in joined]
    size = joined[baselines[0]] if baselines else None
    drawings = {
        "scatter.png": plots.scatter_grid(
            joined, summary, size=size, truth_label=target, size_label=baselines[0] if baselines else ""
        ),
        "bars.png": plots.bars(summary, baselines=baselines, title=f"{len(joined)} networks, {target}"),
        "pqetp.png": plots.pqetp_curves(joined, summary, baselines=baselines, truth_label=target),
    }
    for name, figure in drawings.items():
        plots.save(figure, output / name)

    console = report.console()
    repeats = averaged["repeats"].max()
    note = f", scores averaged over up to {repeats} repeats" if repeats > 1 else ""
    console.print(f"{len(joined)} networks with scores and {target}{note}")
    for printed in report.correlations(
        summary, percents=PERCENTS, thresholds=thresholds, k=config.top_k, baselines=baselines
    ):
        console.print(printed)
    for line in report.left_out(summary):
        console.print(line)
    console.print(f"written to {output}: correlations.csv, scores.csv, {', '.join(drawings)}")


def with_aggregates(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores and, where all that they need is there, those that rank a whole pool (vote, AZ-NAS).

    Args:
        scores: long frame of `evidence.load_scores`.
    """
    import pandas as pd

    import proxies
    from tfnas import evidence

    wide = evidence.average(scores).pivot(index="arch", columns="proxy", values="score")
    made = [
        pd.DataFrame({"arch": wide.index, "proxy": name, "score": proxies.aggregate(name, wide), "status": "ok"})
        for name, (needed, _) in proxies.AGGREGATES.items()
        if set(needed) <= set(wide) and name not in wide
    ]
    attrs = scores.attrs
    combined = pd.concat([scores, *made], ignore_index=True)
    combined.attrs = attrs
    return combined


def _default_thresholds(truth: Sequence[float]) -> tuple[float, ...]:
    import numpy as np

    cuts = np.quantile(np.asarray(truth, float), [1 - share for share in TOP_SHARES])
    return tuple(dict.fromkeys(float(f"{cut:.4g}") for cut in cuts))


def _numbers(texts: Sequence[str]) -> tuple[float, ...]:
    try:
        return tuple(float(text) for text in texts)
    except ValueError:
        raise InputError(f"--thresholds takes numbers, comma separated. Received: {','.join(texts)}") from None


def _pairs(flag: str, texts: Sequence[str]) -> dict[str, str]:
    if not all(text.partition("=")[1] for text in texts):
        raise InputError(f"--{flag} takes column=value, comma separated. Received: {','.join(texts)}")
    return {text.partition("=")[0].strip(): text.partition("=")[2].strip() for text in texts}


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
