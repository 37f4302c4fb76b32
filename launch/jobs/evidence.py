"""Evidence: scores beside known accuracies, and what is written about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from tfnas.evidence.combination import Combination

PERCENTS = (10, 50)
# Shares of networks above the default thresholds: the slices of Park et al. 2020, figure 2.
TOP_SHARES = (0.5, 0.2, 0.05, 0.01)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """How well scores rank networks.

    Attributes:
        joined: a row for each network: its scores, and `truth`.
        summary: a row for each proxy, of `evidence.correlate`.
        target: name of the truth.
        thresholds: of PQETP.
        baselines: columns of `joined` that are sizes, not scores.
        repeats: over how many at most a score was averaged.
        groups: [n], of rows of `joined` that share their scores; None where each has its own.
    """

    joined: pd.DataFrame
    summary: pd.DataFrame
    target: str
    thresholds: tuple[float, ...]
    baselines: tuple[str, ...]
    repeats: int
    groups: np.ndarray | None = None


def compare(
    scores: pd.DataFrame,
    table: pd.DataFrame,
    *,
    size_columns: Sequence[str] = (),
    thresholds: Sequence[float] = (),
    combination: Combination | None = None,
    **measures: Any,
) -> Evidence:
    """Joins scores with a table and measures how well they rank.

    Args:
        scores: long frame of `evidence.load_scores`.
        table: of `evidence.load_truth`; its attribute "target" names the column to rank by.
        size_columns: columns of the table to take as baselines.
        combination: of scores, to be one more.
        thresholds: of PQETP; by default those that `TOP_SHARES` of the networks exceed.
        **measures: `k`, `resamples` and `seed` of `evidence.correlate`.

    Raises:
        InputError: they have no network in common, or lack a score of the combination.
    """
    from tfnas import evidence

    target = table.attrs["target"]
    truth = table[target].astype(float)
    scores = with_aggregates(evidence.with_baselines(scores, table, size_columns))
    if combination:
        scores = with_combination(scores, combination)
    averaged = evidence.average(scores)
    joined = evidence.join(averaged, truth)
    if joined.empty:
        raise InputError(
            f"No architecture of the scores has a {target} in the table. "
            f"First of the scores: {averaged['arch'].iloc[0]!r}, of the table: {table.index[0]!r}"
        )
    thresholds = tuple(thresholds) or top_thresholds(joined["truth"])
    summary = evidence.correlate(scores, truth, thresholds=thresholds, percents=PERCENTS, **measures)
    baselines = tuple(dict.fromkeys(name for name in (*size_columns, *evidence.BASELINES) if name in joined))
    groups = None
    if evidence.GROUP in averaged:
        groups = averaged.drop_duplicates("arch").set_index("arch")[evidence.GROUP].loc[joined.index].to_numpy()
    # Sizes may stand beside scores of several batches, and are no more than one.
    scored = averaged[~averaged["proxy"].isin(baselines)]
    repeats = int((averaged if scored.empty else scored)["repeats"].max())
    return Evidence(joined, summary, target, thresholds, baselines, repeats, groups)


def with_aggregates(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores and, where all that they need is there, those that rank a whole pool (vote, AZ-NAS).

    Args:
        scores: long frame of `evidence.load_scores`.
    """
    import pandas as pd

    import proxies
    from tfnas import evidence

    wide = evidence.average(scores).pivot(index="arch", columns="proxy", values="score")
    # Of networks that tie the first counts: in the order that all scores have.
    wide = wide.loc[scores["arch"].unique()]
    made = [
        pd.DataFrame({"arch": wide.index, "proxy": name, "score": proxies.aggregate(name, wide), "status": "ok"})
        for name, (needed, _) in proxies.AGGREGATES.items()
        if set(needed) <= set(wide) and name not in wide
    ]
    combined = pd.concat([scores, *made], ignore_index=True)
    combined.attrs = scores.attrs
    return combined


def with_combination(scores: pd.DataFrame, combination: Combination) -> pd.DataFrame:
    """The scores and a combination of some of them, whose ranks are among all networks with scores.

    Raises:
        InputError: one of those that it takes is not there.
    """
    import pandas as pd

    from tfnas import evidence
    from tfnas.evidence.combination import NAME

    if (scores["proxy"] == NAME).any():
        raise InputError(f"There is a score of the name {NAME} already; give it another")
    wide = evidence.average(scores).pivot(index="arch", columns="proxy", values="score")
    wide = wide.loc[scores["arch"].unique()]
    made = pd.DataFrame({"arch": wide.index, "proxy": NAME, "score": combination.score(wide)})
    made["status"] = np.where(made["score"].isna(), "nan", "ok")
    combined = pd.concat([scores, made], ignore_index=True)
    combined.attrs = scores.attrs
    return combined


def top_thresholds(truth: Sequence[float]) -> tuple[float, ...]:
    """Thresholds that `TOP_SHARES` of the values exceed, to four figures."""
    cuts = np.quantile(np.asarray(truth, float), [1 - share for share in TOP_SHARES])
    return tuple(dict.fromkeys(float(f"{cut:.4g}") for cut in cuts))


def drawings(found: Evidence) -> Mapping[str, Figure]:
    """The plots, by the name of their file."""
    from tfnas.evidence import plots

    joined, summary, target, baselines = found.joined, found.summary, found.target, found.baselines
    size = joined[baselines[0]] if baselines else None
    return {
        "scatter.png": plots.scatter_grid(
            joined, summary, size=size, truth_label=target, size_label=baselines[0] if baselines else ""
        ),
        "bars.png": plots.bars(summary, baselines=baselines, title=f"{len(joined)} networks, {target}"),
        "pqetp.png": plots.pqetp_curves(joined, summary, baselines=baselines, truth_label=target),
    }


def write(found: Evidence, folder: str) -> list[str]:
    """Writes correlations.csv, scores.csv (a row for each network) and the plots; gives the names of the files."""
    from etils import epath

    from tfnas import files
    from tfnas.evidence import plots

    output = epath.Path(folder)
    files.write_atomic(output / "correlations.csv", found.summary.to_csv(index=False, float_format="%.6g").encode())
    files.write_atomic(output / "scores.csv", found.joined.to_csv(float_format="%.6g").encode())
    figures = drawings(found)
    for name, figure in figures.items():
        plots.save(figure, output / name)
    return ["correlations.csv", "scores.csv", *figures]
