"""How much of a score is luck: the same networks under several seeds.

The variance of a score is split into that between networks and that within one, across its initialisations and batches.
All networks see the same batch under one seed, which moves the level of all of them and no ranking: each measurement is
taken less its mean over networks. The share between networks is then the intraclass correlation of consistency,
ICC(C,1) (McGraw and Wong 1996; ICC(3,1) of Shrout and Fleiss 1979)

    ICC = (MSB - MSW) / (MSB + (k0 - 1) MSW),    k0 = (N - sum n_i^2 / N) / (networks - 1),

with N - networks - (measurements - 1) degrees of freedom of MSW, and the rest is luck. It is given on the values and on
ranks within each measurement, as shares of their number, which few extreme values do not rule.
The mean of k repeats has the reliability k ICC / (1 + (k - 1) ICC) (Spearman 1910, Brown 1910), and no score can be
expected to correlate with anything by more than the root of its reliability (attenuation, Spearman 1904): with all else
as it is, that is what the noise allows at most. The truth has noise of its own, of which nothing is known but where a
table has single trainings beside their mean.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from tfnas.evidence import bootstrap, plots, rows, statistics
from tfnas.evidence.reading import counting, repeats_of

if TYPE_CHECKING:  # both take their time to import
    import pandas as pd
    from matplotlib.figure import Figure


def between_seeds(scores: pd.DataFrame, truth: pd.Series, *, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """How much of each score its networks decide, and how much the seed.

    Args:
        scores: long frame with the columns of `REPEATS` that tell measurements of a network apart.
        truth: performance by architecture.
        resamples: of the interval of `icc_ranks`, networks drawn with replacement; ranks stay those of all networks.
        seed: of them.

    Returns:
        A row for each proxy with networks that were measured at least twice, the least luck first: proxy, n (such
        networks; a measurement that one of them alone has does not count), repeats (mean number of their measurements),
        icc_ranks with its _lo and _hi, icc (on values), luck (1 - icc_ranks), between_seeds (Spearman of two
        measurements, the mean over all pairs of repeats), spearman_one (with the truth, one measurement alone, the mean
        over repeats), spearman (their mean), limit_one and limit (the largest correlation that the noise allows for
        either).
    """
    import pandas as pd

    found = [
        {"proxy": proxy} | _of_one(wide.to_numpy(float), truth.reindex(wide.index), resamples, seed)
        for proxy, wide in measured(scores).items()
    ]
    names = ["proxy", "n", "repeats", "icc_ranks", "icc_ranks_lo", "icc_ranks_hi", "icc", "luck", "between_seeds"]
    frame = pd.DataFrame(found, columns=[*names, "spearman_one", "spearman", "limit_one", "limit"])
    return frame.sort_values(["icc_ranks", "proxy"], ascending=[False, True], na_position="last", ignore_index=True)


def measured(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Scores [networks, measurements] by proxy, of the networks that were measured at least twice; without such, none.

    Args:
        scores: as in `between_seeds`.
    """
    ok = counting(scores)
    found = {}
    for proxy, group in scores[ok].groupby("proxy", sort=False):
        if columns := repeats_of(group):
            wide = group.pivot_table(index="arch", columns=columns, values="score", aggfunc="first", sort=False)
            wide = _repeated(wide)
            if len(wide) >= 2:
                found[proxy] = wide
    return found


def _repeated(wide: pd.DataFrame) -> pd.DataFrame:
    """The networks that were measured at least twice, in the measurements that at least two of them have.

    The level of any other measurement is that of its one network: it says nothing and would cost a degree of freedom.
    """
    while True:
        known = wide.notna()
        kept = wide.loc[known.sum(axis=1) >= 2, known.sum(axis=0) >= 2]
        if kept.shape == wide.shape:
            return kept
        wide = kept


def _of_one(values: np.ndarray, truth: pd.Series, resamples: int, seed: int) -> dict[str, float]:
    """A row of `between_seeds` without its name; values are [n, repeats], NaN where there is none."""
    known = ~np.isnan(values)
    ranked = np.full(values.shape, math.nan)
    for column, has in zip(range(values.shape[1]), known.T, strict=True):
        ranked[has, column] = rows.ranks(values[has, column]) / has.sum()
    repeats = known.sum() / len(values)
    on_ranks = intraclass(ranked)
    low, high = _interval(ranked, resamples, seed)
    with np.errstate(invalid="ignore"):  # the mean of -inf and inf
        mean = np.nanmean(values, axis=1)
    pairs = [statistics.spearman(a, b) for a, b in itertools.combinations(values.T, 2)]
    return {
        "n": len(values),
        "repeats": repeats,
        "icc_ranks": on_ranks,
        "icc_ranks_lo": low,
        "icc_ranks_hi": high,
        "icc": intraclass(values),
        "luck": 1 - on_ranks,
        "between_seeds": _mean(pairs),
        "spearman_one": _mean([statistics.spearman(column, truth) for column in values.T]),
        "spearman": statistics.spearman(mean, truth),
        "limit_one": math.sqrt(max(on_ranks, 0.0)) if on_ranks == on_ranks else math.nan,
        "limit": math.sqrt(of_mean(max(on_ranks, 0.0), repeats)) if on_ranks == on_ranks else math.nan,
    }


def intraclass(values: np.ndarray) -> float:
    """ICC(C,1) of values [n, k], NaN where there is none; NaN if infinite, constant or measured once."""
    sums = _sums(values)
    return math.nan if sums is None else float(_ratio(np.ones((1, len(values))) @ sums, values.shape[1])[0])


def of_mean(reliability: float, repeats: float) -> float:
    """Reliability of the mean of some repeats: Spearman and Brown."""
    return repeats * reliability / (1 + (repeats - 1) * reliability)


def _sums(values: np.ndarray) -> np.ndarray | None:
    """What `_ratio` takes, of each network: [n, 6]."""
    known = ~np.isnan(values)
    if not np.isfinite(values[known]).all() or not known.any():
        return None
    scale = np.abs(values[known]).max()
    values = np.where(known, values, 0.0) / (scale or 1.0)
    values = np.where(known, values - rows.divide(values.sum(0), known.sum(0)), 0.0)
    count = known.sum(1)
    total = values.sum(1)
    mean = total / np.maximum(count, 1)
    within = (np.where(known, values - mean[:, None], 0.0) ** 2).sum(1)
    return np.stack([count > 0, count, count**2, total, total * mean, within], axis=1).astype(float)


def _ratio(sums: np.ndarray, measurements: int) -> np.ndarray:
    """ICC(C,1) [b] from sums over networks [b, 6]."""
    networks, count, squares, total, square, within = sums.T
    between = rows.divide(np.maximum(square - rows.divide(total**2, count), 0), networks - 1)
    within = rows.divide(within, count - networks - (measurements - 1))
    each = rows.divide(count - rows.divide(squares, count), networks - 1)
    return rows.divide(between - within, between + (each - 1) * within)


def _interval(values: np.ndarray, resamples: int, seed: int) -> tuple[float, float]:
    sums = _sums(values)
    if sums is None:
        return math.nan, math.nan
    drawn = bootstrap.drawn_counts(len(values), resamples, seed)
    return bootstrap.interval([_ratio(counts.astype(float) @ sums, values.shape[1]) for counts in drawn])


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def draw(frame: pd.DataFrame, *, run: float = math.nan, target: str = "the truth") -> Figure:
    """Left, what of each score networks decide; right, its correlation with the truth below what the noise allows.

    Args:
        frame: of `between_seeds`.
        run: correlation of single trainings with the truth, if known.
        target: name of the truth.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 0.24 * len(frame) + 1.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    place = np.arange(len(frame))
    left.barh(place, frame["icc_ranks"], color=plots.PROXY_COLOUR, height=0.7, label="networks")
    left.barh(place, frame["luck"], left=frame["icc_ranks"], color="#cccccc", height=0.7, label="luck")
    left.hlines(place, frame["icc_ranks_lo"], frame["icc_ranks_hi"], color="black", linewidth=1.2)
    left.set_xlim(0, 1)
    left.set_xlabel("share of the variance of ranks", fontsize=9)
    right.scatter(frame["limit"], place, marker="|", s=70, color="black", label="limit by the noise of the score")
    right.scatter(frame["spearman"], place, s=22, color=plots.PROXY_COLOUR, label="mean of all seeds")
    right.scatter(
        frame["spearman_one"], place, s=22, facecolors="white", edgecolors=plots.PROXY_COLOUR, label="one seed"
    )
    if math.isfinite(run):
        right.axvline(run, color=plots.BASELINE_COLOUR, linestyle="--", linewidth=1, label="one training")
    right.axvline(0, color="black", linewidth=0.8)
    right.set_xlabel(rf"Spearman $\rho$ with {target}", fontsize=9)
    left.set_yticks(place, frame["proxy"], fontsize=8)
    left.set_ylim(len(frame) - 0.4, -0.6)
    for axes in (left, right):
        plots.plain(axes)
    figure.legend(loc="outside lower center", ncols=6, fontsize=7, frameon=False)  # of both panels
    return figure
