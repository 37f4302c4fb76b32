"""What isomorphic networks share of a score: the same network under other names, and under other seeds.

The variance of the ranks of a score is split into that between classes of isomorphic networks, that between the strings
of a class, and luck: what a seed does to one string beyond what it does to all (random effects, strings nested in
classes and crossed with seeds; Searle, Casella, McCulloch, "Variance Components", 1992, chapters 3 and 4). All networks
see the same batch under one seed: its effect on all is no luck of one, and ranks are taken within each seed. With s
seeds of each of n strings, k_i of them in class i, and MS of seeds that of the residuals of strings and seeds:

    E[MS of seeds]   = seed                             (n - 1) (s - 1) degrees of freedom
    E[MS of strings] = seed + s string
    E[MS of classes] = seed + s string + s k0 class,    k0 = (n - sum k_i^2 / n) / (classes - 1).

Where strings of a class are the same network but for the luck of their weights, the variance between strings is 0 and
MS of strings / MS of seeds follows an F distribution. With one seed, luck and strings cannot be told apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfnas.evidence import plots, rows
from tfnas.evidence.reading import counting, repeats_of

if TYPE_CHECKING:  # both take their time to import
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Strings of a class whose scores differ by less than this share are equal but for the order of float32 sums.
ROUND_OFF = 1e-4
PARTS = ("class", "string", "seed")


def within_classes(scores: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """How much of each score a class of isomorphic networks decides, how much the string, and how much the seed.

    Args:
        scores: long frame with the columns of `REPEATS` that tell measurements of a network apart.
        groups: class by architecture.

    Returns:
        A row for each proxy, those whose strings differ least first: proxy, classes and strings (those that count:
        finite or infinite scores under all seeds, in classes of at least two), left_out (strings that have no score, or
        scores under some of the seeds alone), seeds; equal (share of classes whose strings agree to `ROUND_OFF` under
        every seed); class, string, seed (shares of the variance of ranks, 0 at least; seed is NaN where there is one
        alone, and string then holds both); f and p (of the F test that strings of a class differ by luck alone; p is
        the chance of an f as large). Of a proxy with fewer than two classes, the numbers of them alone.
    """
    import pandas as pd

    ok = counting(scores)
    found = []
    for proxy, every in scores.groupby("proxy", sort=False):
        part = every[ok[every.index]]
        if columns := repeats_of(part):
            wide = part.pivot_table(index="arch", columns=columns, values="score", aggfunc="first", sort=False)
        else:
            wide = part.drop_duplicates("arch").set_index("arch")[["score"]]
        wide = wide.dropna()
        members = groups.reindex(wide.index)
        several = members.map(members.value_counts()).ge(2).to_numpy(bool)
        values, numbers = wide.to_numpy(float)[several], pd.factorize(members[several])[0]
        told = {"proxy": proxy, "left_out": every["arch"].nunique() - len(wide)}
        told |= {"classes": len(set(numbers)), "strings": len(values), "seeds": wide.shape[1]}
        found.append(told | (_of_one(values, numbers) if told["classes"] >= 2 else {}))
    names = ["proxy", "classes", "strings", "left_out", "seeds", "equal", *PARTS, "f", "p"]
    frame = pd.DataFrame(found, columns=names)
    return frame.sort_values(["string", "proxy"], na_position="last", ignore_index=True)


def _of_one(values: np.ndarray, members: np.ndarray) -> dict[str, float]:
    """What `within_classes` tells of values [n, s] of strings of classes [n], numbered from 0, two classes or more."""
    n, s = values.shape
    ranks = np.stack([rows.ranks(column) for column in values.T], axis=1)
    equal = [_agree(values[members == one]) for one in range(members.max() + 1)]
    mean = mean_squares(ranks, members)
    shares = dict(zip(PARTS, _shares(mean, members, s), strict=True))
    ratio, chance = math.nan, math.nan
    if s > 1 and mean[2] > 0:
        from scipy import stats

        ratio = mean[1] / mean[2]
        chance = float(stats.f.sf(ratio, n - members.max() - 1, (n - 1) * (s - 1)))
    return {"equal": float(np.mean(equal))} | shares | {"f": ratio, "p": chance}


def mean_squares(values: np.ndarray, members: np.ndarray) -> tuple[float, float, float]:
    """Of classes, of strings within them, and of what is left of strings and seeds (NaN where there is one seed).

    Args:
        values: [n, s] of n strings under s seeds.
        members: [n], number of the class of each.
    """
    n, s = values.shape
    counts = np.bincount(members)
    of_string = values.mean(1)
    of_class = np.bincount(members, of_string) / counts
    between = s * (counts * (of_class - of_string.mean()) ** 2).sum() / (len(counts) - 1)
    within = s * ((of_string - of_class[members]) ** 2).sum() / (n - len(counts))
    left = values - of_string[:, None] - values.mean(0) + values.mean()
    luck = (left**2).sum() / ((n - 1) * (s - 1)) if s > 1 else math.nan
    return float(between), float(within), float(luck)


def _shares(mean: Sequence[float], members: np.ndarray, s: int) -> list[float]:
    """Shares of the variance of `PARTS`."""
    between, within, luck = mean
    n, counts = len(members), np.bincount(members)
    each = (n - (counts**2).sum() / n) / (len(counts) - 1)
    of_class = max(between - within, 0.0) / (s * each)
    of_string = max(within - (0.0 if s == 1 else luck), 0.0) / s
    total = of_class + of_string + (0.0 if s == 1 else luck)
    if not total > 0:
        return [math.nan] * 3
    return [of_class / total, of_string / total, math.nan if s == 1 else luck / total]


def _agree(values: np.ndarray) -> bool:
    """Whether the strings [k] of a class have the same values [k, s]."""
    if not np.isfinite(values).all():
        return bool((values == values[:1]).all())
    return bool((np.ptp(values, axis=0) <= ROUND_OFF * np.abs(values).max(axis=0)).all())


def draw(frame: pd.DataFrame) -> Figure:
    """A bar for each score: what of it classes, strings and seeds decide.

    Args:
        frame: of `within_classes`; with a column "sizes" that has two values, a panel for each of them.
    """
    from matplotlib.figure import Figure

    parts = [part for _, part in frame.groupby("sizes", sort=False)] if "sizes" in frame else [frame]
    order = parts[0]["proxy"].tolist()
    figure = Figure(figsize=(6.4, 0.24 * len(order) + (1.3 if len(parts) == 1 else 1.6)), layout="constrained")
    panels = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
    for axes, part in zip(panels, parts, strict=True):
        _bars(axes, part.set_index("proxy").reindex(order))
        if len(parts) > 1:
            axes.set_title(f"strings of {part['sizes'].iloc[0]} size", fontsize=9)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False
    )
    return figure


def _bars(axes: Axes, frame: pd.DataFrame) -> None:
    """The shares of each score of an index, from the top down."""
    place, left = np.arange(len(frame)), np.zeros(len(frame))
    alone = frame["seed"].isna().all()
    labels = {"class": "class", "string": "string or seed" if alone else "string", "seed": "seed"}
    for part, colour in zip(PARTS, (plots.PROXY_COLOUR, plots.BASELINE_COLOUR, "#cccccc"), strict=True):
        if part == "seed" and alone:
            continue
        width = frame[part].fillna(0.0).to_numpy(float)
        axes.barh(place, width, left=left, color=colour, height=0.7, label=labels[part])
        left += width
    for y in place[frame["class"].isna()]:
        axes.text(0.01, y, "undefined", va="center", fontsize=7, color=plots.GREY)
    axes.set_xlim(0, 1)
    axes.set_yticks(place, frame.index, fontsize=8)
    axes.set_ylim(len(frame) - 0.4, -0.6)
    axes.set_xlabel("share of the variance of ranks", fontsize=9)
    plots.plain(axes)
