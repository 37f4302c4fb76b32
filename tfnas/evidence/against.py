"""The same networks scored twice: what one change makes of a rank correlation, network by network.

Two scores of the same networks, say with another flavour of the network, batch or release of accuracies, are drawn
together in every resample of the bootstrap, so that the interval of their difference does not hold the luck of the
sample that both share.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnas.evidence import bootstrap, plots, ranking, statistics
from tfnas.evidence.reading import REPEATS, SETTINGS

if TYPE_CHECKING:  # both take their time to import
    import pandas as pd
    from matplotlib.figure import Figure


def compare(
    scores: pd.DataFrame,
    truth: pd.Series,
    others: pd.DataFrame,
    other_truth: pd.Series,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Rank correlations of two sets of scores over the networks that have both, proxy by proxy.

    Args:
        scores: long frame; repeats are averaged.
        truth: performance by architecture.
        others: the other scores, of the same proxies.
        other_truth: performance that the others are held against, in the order of any.
        resamples: of the intervals, networks drawn with replacement.
        seed: of them.

    Returns:
        A row for each proxy in both, in the order of `scores`: proxy, n (networks), spearman (of `scores`), other (of
        `others`), difference (other - spearman) with its _lo and _hi, agreement (Spearman of the two scores), changed
        (settings of the others that are not those of `scores`).
    """
    import pandas as pd

    first, second = (_wide(frame) for frame in (scores, others))
    found = []
    for proxy in first:
        if proxy not in second:
            continue
        columns = {"one": first[proxy], "two": second[proxy], "truth": truth, "other": other_truth}
        joined = pd.concat(columns, axis=1, join="inner").dropna()
        row = {
            "proxy": proxy,
            "n": len(joined),
            "changed": changes(*(f[f["proxy"] == proxy] for f in (scores, others))),
        }
        if len(joined) >= 2:
            row |= _of_one(*joined.to_numpy(float).T, resamples=resamples, seed=seed)
        found.append(row)
    names = ["proxy", "n", "spearman", "other", "difference", "difference_lo", "difference_hi", "agreement", "changed"]
    return pd.DataFrame(found, columns=names)


def changes(scores: pd.DataFrame, others: pd.DataFrame) -> str:
    """The settings of some records of one proxy that differ from those of others, as "flavour=zcnas not nb201".

    Seeds and repeats count where neither shares one with the other.

    Args:
        scores: long frame of one proxy, of one setting.
        others: the same.
    """
    found = []
    for column in (*SETTINGS, *REPEATS):
        if column not in scores or column not in others or scores.empty or others.empty:
            continue
        first, second = (sorted(frame[column].dropna().unique().tolist()) for frame in (scores, others))
        if not first or not second:
            continue  # scores of a file, of which it is not known
        if column == "options":
            before, after = (json.loads(values[0] or "{}") for values in (first, second))
            keys = sorted(before.keys() | after.keys())
            found += [
                _change(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)
            ]
        elif not set(first) & set(second):
            found.append(_change(column, *(",".join(map(str, values)) for values in (first, second))))
    return "; ".join(found)


def _change(name: str, before: Any, after: Any) -> str:
    told = ["none" if value in ("", None) else value for value in (after, before)]
    return f"{name}={told[0]} not {told[1]}"


def _wide(scores: pd.DataFrame) -> pd.DataFrame:
    wide = ranking.average(scores).pivot(index="arch", columns="proxy", values="score")
    return wide.loc[scores["arch"].unique(), scores["proxy"].unique()]


def _of_one(one: np.ndarray, two: np.ndarray, truth: np.ndarray, other: np.ndarray, **options: int) -> dict[str, float]:
    drawn = [
        bootstrap.resampled(score, known, only=("spearman",), **options)["spearman"]
        for score, known in ((one, truth), (two, other))
    ]
    low, high = bootstrap.interval([drawn[1] - drawn[0]])
    spearman, of_other = statistics.spearman(one, truth), statistics.spearman(two, other)
    return {
        "spearman": spearman,
        "other": of_other,
        "difference": of_other - spearman,
        "difference_lo": low,
        "difference_hi": high,
        "agreement": statistics.spearman(one, two),
    }


def draw(frame: pd.DataFrame) -> Figure:
    """A panel for each place: the difference of each score with its interval.

    Args:
        frame: of `compare`, with a column `against` that names the other scores.
    """
    from matplotlib.figure import Figure

    groups = list(frame.groupby("against", sort=False))
    names = frame["proxy"].unique().tolist()
    figure = Figure(figsize=(2.6 * len(groups) + 1.6, 0.24 * len(names) + 1.2), layout="constrained")
    panels = figure.subplots(1, len(groups), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (label, group) in zip(panels, groups, strict=True):
        place = [names.index(name) for name in group["proxy"]]
        axes.hlines(place, group["difference_lo"], group["difference_hi"], color="black", linewidth=1.4)
        axes.scatter(group["difference"], place, s=22, color=plots.PROXY_COLOUR, zorder=3)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(label, fontsize=9)
        axes.set_xlabel(r"difference of $\rho$", fontsize=8)
        plots.plain(axes)
    panels[0].set_yticks(range(len(names)), names, fontsize=8)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    return figure
