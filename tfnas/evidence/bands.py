"""Rank correlation among the best networks: what a score knows where it matters.

A band is the floor(n x / 100) networks of highest truth, as in the top-x% Spearman of Dey et al. 2021 (FEAR); among
them alone the score is correlated with the truth. A score that only tells broken networks from others ranks a whole
space well and its best tenth by chance. Intervals draw networks of the band, which itself stays what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfnas.evidence import bootstrap, parallel, plots, rows, statistics

if TYPE_CHECKING:  # both take their time to import
    import pandas as pd
    from matplotlib.figure import Figure

PERCENTS = (100, 50, 20, 10, 5, 1)
# Of fewer networks a correlation says nothing.
LEAST = 10
_STATISTICS = {"kendall": statistics.kendall, "spearman": statistics.spearman}


def by_band(
    joined: pd.DataFrame,
    *,
    percents: Sequence[float] = PERCENTS,
    resamples: int = 1000,
    seed: int = 0,
    groups: np.ndarray | None = None,
    whole: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Rank correlation of each score within each band.

    Args:
        joined: of `evidence.join`.
        percents: of the bands; those with fewer than `LEAST` networks are left out.
        resamples: of the intervals, 0 for none.
        seed: of the resamples, and of what breaks ties of the truth at the edge of a band.
        groups: [n], of networks that are drawn together.
        whole: rows of `evidence.correlate` of the same networks, to be taken for the band of all.

    Returns:
        A row for each band and proxy: proxy, percent, from_truth (the lowest truth of the band), n (with a score),
        kendall, spearman, and their _lo and _hi.
    """
    import pandas as pd

    truth = joined["truth"].to_numpy(float)
    order = rows.descending(truth, statistics.tie_keys(len(truth), seed)[1])
    some = []
    for percent in percents:
        best = np.sort(order[: rows.top_count(len(truth), percent)])
        some += [(percent, best, name) for name in joined.columns.drop("truth") if len(best) >= LEAST]

    def one(item: tuple[float, np.ndarray, str]) -> dict[str, float | str]:
        percent, best, name = item
        score, within = scores[name][best], truth[best]
        members = None if groups is None else groups[best]
        found = {"proxy": name, "percent": percent, "from_truth": within.min(), "n": int((~np.isnan(score)).sum())}
        if len(best) == len(truth) and name in known:
            return found | known[name]
        options = {"resamples": resamples, "seed": seed, "only": list(_STATISTICS), "groups": members}
        bounds = bootstrap.intervals(score, within, **options)
        for statistic, measure in _STATISTICS.items():
            found[statistic] = measure(score, within)
            found[f"{statistic}_lo"], found[f"{statistic}_hi"] = bounds[statistic]
        return found

    scores = {name: joined[name].to_numpy(float) for name in joined.columns.drop("truth")}
    measured = [f"{statistic}{end}" for statistic in _STATISTICS for end in ("", "_lo", "_hi")]
    known = {} if whole is None else whole.set_index("proxy")[measured].to_dict("index")
    return pd.DataFrame(parallel.run(one, some), columns=["proxy", "percent", "from_truth", "n", *measured])


def draw(bands: pd.DataFrame, *, baselines: Sequence[str] = (), shown: int = 6, target: str = "accuracy") -> Figure:
    """Spearman by band, from all networks to the best; the best scores of the whole and of the smallest band named.

    Args:
        bands: of `by_band`.
        baselines: scores that are sizes.
        shown: how many scores have a colour.
        target: name of the truth.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, 4.4), layout="constrained")
    axes = figure.subplots()
    wide = bands.pivot(index="proxy", columns="percent", values="spearman")
    percents = sorted(wide, reverse=True)
    named = plots.named(wide[percents[0]], wide[percents[-1]], baselines, shown) if percents else {}
    place = np.arange(len(percents))
    for name in [*wide.index.difference([*named], sort=False), *named]:
        style = named.get(name, {"color": "#cccccc", "linewidth": 0.8})
        axes.plot(place, wide.loc[name, percents], **style)
        part = bands[bands["proxy"] == name].set_index("percent").reindex(percents)
        if name in named:
            axes.fill_between(
                place, part["spearman_lo"], part["spearman_hi"], color=style["color"], alpha=0.12, linewidth=0
            )
    axes.axhline(0, color="black", linewidth=0.8)
    counts = bands.groupby("percent")["n"].max()
    labels = ["all" if percent == 100 else f"best {percent:g}%" for percent in percents]
    axes.set_xticks(place, [f"{label}\n{counts[percent]}" for label, percent in zip(labels, percents, strict=True)])
    axes.set_ylabel(r"Spearman $\rho$ within the band", fontsize=9)
    axes.set_xlabel(f"networks by {target}, and how many", fontsize=9)
    plots.plain(axes)
    if named:
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return figure
