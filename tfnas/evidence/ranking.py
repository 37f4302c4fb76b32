"""How well scores rank: repeats averaged, joined with the known performance, and every statistic of that."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnas import errors
from tfnas.evidence import bootstrap, statistics
from tfnas.evidence.reading import BASELINES

if TYPE_CHECKING:  # pandas takes its time to import
    import pandas as pd

# Column of a long frame: equal for architectures of which one was scored for all.
GROUP = "group"


def average(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per proxy and architecture: the mean over its repeats.

    Repeats without a score (NaN, or a status other than "ok") do not enter the mean.

    Args:
        scores: long frame.

    Returns:
        Columns proxy, arch, score, repeats (how many entered), failed (how many did not), status ("ok", or why no
        repeat has a score), and `GROUP` if the scores have it. Proxies and architectures in order of appearance.
    """
    frame = scores[["proxy", "arch", "score"]].assign(status=scores.get("status", "ok"))
    frame["score"] = frame["score"].astype(np.float64)
    lost = frame["status"].ne("ok") | frame["score"].isna()
    frame.loc[lost & frame["status"].eq("ok"), "status"] = "nan"
    frame["score"] = frame["score"].mask(lost)
    frame["lost"] = lost
    # Failures first, so that "last" is "ok" wherever one repeat is.
    groups = frame.sort_values("lost", ascending=False, kind="stable").groupby(["proxy", "arch"], sort=False)
    with np.errstate(invalid="ignore"):  # the mean of -inf and inf is NaN and reported as such
        out = groups.agg(
            score=("score", "mean"), repeats=("score", "count"), failed=("lost", "sum"), status=("status", "last")
        )
    out = out.reindex(frame.groupby(["proxy", "arch"], sort=False).size().index).reset_index()
    out.loc[out["score"].isna() & out["status"].eq("ok"), "status"] = "nan"
    if GROUP in scores:
        # Baselines that were added have none of their own.
        known = scores.dropna(subset=[GROUP]).drop_duplicates("arch").set_index("arch")[GROUP]
        out[GROUP] = known.reindex(out["arch"]).to_numpy()
    return out


def with_baselines(scores: pd.DataFrame, table: pd.DataFrame, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Adds sizes from a table as further proxies, for the architectures that have scores.

    Args:
        scores: long frame.
        table: indexed by architecture.
        columns: columns to add; by default `BASELINES` as far as the table has them and the scores have not.

    Raises:
        InputError: a column is not in the table, or not of numbers.
    """
    import pandas as pd

    numbers = table.select_dtypes("number").columns
    if missing := [column for column in columns if column not in numbers]:
        raise errors.unknown("size column", ", ".join(missing), numbers)
    columns = columns or [column for column in BASELINES if column in numbers]
    there = set(scores["proxy"])
    known = [arch for arch in scores["arch"].unique() if arch in table.index]
    sizes = [
        pd.DataFrame(
            {"arch": known, "proxy": column, "score": table.loc[known, column].to_numpy(float), "status": "ok"}
        )
        for column in columns
        if column not in there
    ]
    scores = scores if "status" in scores else scores.assign(status="ok")
    return pd.concat([scores, *sizes], ignore_index=True)


def join(averaged: pd.DataFrame, truth: pd.Series) -> pd.DataFrame:
    """Scores beside the truth, as plots want them.

    Returns:
        Frame indexed by architecture with column "truth" and one column per proxy; NaN where there is no score. Only
        architectures with a known performance.
    """
    wide = averaged.pivot(index="arch", columns="proxy", values="score")
    wide = wide.loc[averaged["arch"].unique(), averaged["proxy"].unique()]
    wide.insert(0, "truth", truth.reindex(wide.index))
    return wide[wide["truth"].notna()]


def correlate(
    scores: pd.DataFrame,
    truth: pd.Series,
    *,
    thresholds: Sequence[float] = (),
    percents: Sequence[float] = (10, 50),
    k: int = 10,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How well each proxy ranks architectures by their known performance.

    Args:
        scores: long frame; repeats are averaged first. Networks with one value in the column `GROUP`, if there, share
            their score: resamples draw them together.
        truth: performance by architecture string, higher is better; joined on the exact string.
        thresholds: of PQETP, in the unit of the truth.
        percents: of top-x% Spearman and common ratio.
        k: of discovered performance and precision.
        resamples: of the bootstrap; 0 for no intervals.
        seed: of the bootstrap, of random subsets and of what breaks ties.

    Returns:
        A row per proxy, highest Kendall first (undefined last): proxy, n, left_out and why, repeats (mean number
        averaged), incomplete (networks ranked although some of their repeats failed), then what
        `evaluate` gives.
    """
    import pandas as pd

    from tfnas.evidence import parallel

    averaged = average(scores)
    truth = truth.astype(float)
    options = {"thresholds": thresholds, "percents": percents, "k": k, "resamples": resamples, "seed": seed}
    ranked = [ranked_of(proxy, group, truth) for proxy, group in averaged.groupby("proxy", sort=False)]
    values = parallel.run(lambda some: evaluate(some.score, some.truth, groups=some.groups, **options), ranked)
    rows = [some.counts | found for some, found in zip(ranked, values, strict=True)]
    out = pd.DataFrame(rows).sort_values(["kendall", "proxy"], ascending=[False, True], na_position="last")
    return out[["proxy", "n", *out.columns.drop(["proxy", "n"])]].reset_index(drop=True)


@dataclasses.dataclass(frozen=True)
class Ranked:
    """What is ranked of one proxy, and what is left out.

    Attributes:
        score, truth: [n].
        groups: [n], of networks that share their score; None where there are none.
        counts: the columns of `correlate` up to "incomplete", without "n".
    """

    score: np.ndarray
    truth: np.ndarray
    groups: np.ndarray | None
    counts: dict[str, Any]


def ranked_of(proxy: str, averaged: pd.DataFrame, truth: pd.Series) -> Ranked:
    """The networks of one proxy that have a score and a truth.

    Args:
        proxy: name.
        averaged: its rows of `average`.
        truth: as in `correlate`.
    """
    place = truth.index.get_indexer(averaged["arch"])
    known = np.where(place >= 0, truth.to_numpy()[place], math.nan)
    why = averaged["status"].mask(averaged["status"].eq("ok") & np.isnan(known), "no accuracy in the table")
    why = why.mask(averaged["status"].eq("ok") & (place < 0), "not in the table")
    ok = (why == "ok").to_numpy()
    kept, lost = averaged[ok], why[~ok].value_counts()
    counts = {
        "proxy": proxy,
        "left_out": int(lost.sum()),
        "why": "; ".join(f"{count} {reason}" for reason, count in lost.items()),
        "repeats": kept["repeats"].mean(),
        "incomplete": int((kept["failed"] > 0).sum()),
    }
    groups = kept[GROUP].to_numpy() if GROUP in kept else None
    return Ranked(kept["score"].to_numpy(float), known[ok], groups, counts)


def evaluate(
    score: Sequence[float],
    truth: Sequence[float],
    *,
    thresholds: Sequence[float] = (),
    percents: Sequence[float] = (10, 50),
    k: int = 10,
    resamples: int = 1000,
    seed: int = 0,
    groups: Sequence[int] | None = None,
) -> Mapping[str, float]:
    """Every statistic for one score, with its interval; arguments as in `correlate` and `bootstrap.intervals`.

    Returns:
        A flat dictionary: "n"; each name of `bootstrap.intervals` with its "_lo" and "_hi", which are NaN where it is;
        "kendall_a", "precision", "regret"; "discovered_mean" and "discovered_se" over 10 random subsets of half the
        networks (at most 10,000).
    """
    options = {"thresholds": thresholds, "percents": percents, "k": k, "groups": groups}
    found = bootstrap.intervals(score, truth, resamples=resamples, seed=seed, **options)
    score, truth = statistics.pairs(score, truth)
    out: dict[str, float] = {
        "n": len(score),
        "kendall": statistics.kendall(score, truth),
        "spearman": statistics.spearman(score, truth),
        "pearson": statistics.pearson(score, truth),
        **{f"top{p:g}_spearman": statistics.top_spearman(score, truth, p, seed=seed) for p in percents},
        **{f"top{p:g}_common": statistics.common_ratio(score, truth, p, seed=seed) for p in percents},
        **{f"pqetp_{t:g}": statistics.pqetp(score, truth, t) for t in thresholds},
        "discovered": statistics.discovered(score, truth, k, seed=seed),
    }
    # Resamples without the infinite score that leaves Pearson's correlation undefined say nothing of it.
    found = {name: (math.nan, math.nan) if math.isnan(out[name]) else bounds for name, bounds in found.items()}
    out = {
        key: number
        for name, value in out.items()
        for key, number in ((name, value), *zip((f"{name}_lo", f"{name}_hi"), found.get(name, ()), strict=False))
    }
    mean, error = statistics.discovered_subsets(score, truth, k, size=min(len(score) // 2, 10_000), seed=seed)
    return out | {
        "discovered_mean": mean,
        "discovered_se": error,
        "kendall_a": statistics.kendall_a(score, truth),
        "precision": statistics.precision_at_k(score, truth, k, seed=seed),
        "regret": statistics.regret(score, truth, seed=seed),
    }
