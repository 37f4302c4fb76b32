"""What searches by predictors found, on the terminal, as quality.csv and as plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launch.jobs import prediction
from launch.jobs.prediction import RANDOM
from launch.jobs.searches import Searches
from launch.jobs.variants import OF_VARIANT, Variant, variants

if TYPE_CHECKING:
    import pandas as pd

    from tfnas.evidence.report import Column

# What a repeat finds; the last three of good networks, with --threshold.
MEASURES = ("val", "test", "mse", "tau", "r2", "mse_above", "tau_above", "r2_above")
_LABELS = {
    "val": "validated accuracy (percent)",
    "test": "test accuracy (percent)",
    "mse": "mean squared error (points squared)",
    "tau": "Kendall's tau",
    "r2": "R2",
    "mse_above": "mean squared error, above (points squared)",
    "tau_above": "Kendall's tau, above",
    "r2_above": "R2, above",
}
# Which goes first where width is short; what is not said here always stays.
_RANKS = {"r2": 1, "mse": 2, "r2_above": 3, "tau_above": 4, "mse_above": 5}
# Of these, what a plot by the number of networks shows.
_DRAWN = ("tau", "mse", "r2", "mse_above", "r2_above", "test")


def cross_validation(rows: pd.DataFrame, output: str) -> None:
    """Prints mean errors on held-out thirds."""
    from tfnas.evidence import report

    table = summary(rows)
    report.console().print(report.Folding("cross-validation", _columns(table), file=f"{output}/cross_validation.csv"))


def results(searches: Searches, rows: pd.DataFrame) -> None:
    """Prints means over the repeats, and writes quality.csv, curves.png and, of several numbers, quality.png."""
    from etils import epath

    from tfnas.evidence import plots as saving
    from tfnas.evidence import report
    from tfnas.predictor import plots

    asked, table = searches.asked, summary(rows)
    searches.files.write("quality.csv", table)
    title = "searches, mean and deviation over repeats; errors of networks not learned from"
    console = report.console()
    console.print(report.Folding(title, _columns(table), file="quality.csv"))
    if asked.threshold:
        console.print(f"above: of those above {asked.threshold:g}, by the second stage alone where there are two")
    if "equal_n" in table:
        console.print("equal N: as many networks have the same tau without scores")
    best = prediction.oracle(searches.known)
    console.print(f"best by validation of all: val {best['val']:.2f}, test {best['test']:.2f}")
    folder, written = epath.Path(searches.files.path), ["repeats.csv", "quality.csv", "curves.png"]
    figure = plots.curves(
        _curves(searches, rows), n_train=asked.n_train[0], best=best["test"], label="test accuracy (percent)"
    )
    saving.save(figure, folder / "curves.png")
    if len(asked.sizes()) > 1:
        saving.save(plots.quality(_lines(table), label="networks learned from"), folder / "quality.png")
        written.append("quality.png")
    console.print(f"written to {searches.files.path}: {', '.join(written)}")


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each variant: mean and deviation of every measure over its repeats, and whom its scores equal.

    Returns:
        Columns of `OF_VARIANT`, `repeats`, every measure that some variant has, with `_std`, and `equal_n`, where
        variants with and without scores are compared: of one with scores, at which number of networks the one without
        has the same tau, linear in the logarithm between those at hand; -inf or inf beyond them, NaN where one of
        both has none.
    """
    measures = [name for name in MEASURES if name in rows and rows[name].notna().any()]
    groups = rows.groupby(list(OF_VARIANT), sort=False)[measures]
    means, spreads = groups.mean(), groups.std(ddof=0).add_suffix("_std")
    found = means.join(spreads).reset_index()
    found.insert(len(OF_VARIANT), "repeats", groups.size().to_numpy())
    blind = found[(found.scores == 0) & (found.predictor != RANDOM)]
    if "tau" in found and (found.scores > 0).any() and len(blind):
        found["equal_n"] = [_equal_n(row, blind) if row.scores else math.nan for row in found.itertuples()]
    return found


def _equal_n(row: Any, blind: pd.DataFrame) -> float:
    same = blind[(blind.predictor == row.predictor) & (blind.stages == row.stages) & blind.tau.notna()]
    same = same.sort_values("n_train")
    return equal_n(same.n_train.to_numpy(float), same.tau.to_numpy(float), row.tau)


def equal_n(numbers: np.ndarray, quality: np.ndarray, wanted: float) -> float:
    """The least number of networks at which a quality is reached, linear in its logarithm between those at hand.

    Args:
        numbers: of networks [n], ascending.
        quality: at these [n].
        wanted: what is to be reached.

    Returns:
        -inf where the first has it already, inf where none does; NaN where nothing is wanted or at hand.
    """
    if math.isnan(wanted) or not len(quality):
        return math.nan
    reached = np.flatnonzero(quality >= wanted)
    if not len(reached):
        return math.inf
    first = int(reached[0])
    if not first:
        return -math.inf
    (low, high), (worse, better) = np.log(numbers[first - 1 : first + 1]), quality[first - 1 : first + 1]
    return float(np.exp(low + (high - low) * (wanted - worse) / (better - worse)))


def _columns(table: pd.DataFrame) -> list[Column]:
    """Variants, as far as they differ, and their measures."""
    from tfnas.evidence.report import Column

    found = [Column("predictor", table.predictor.tolist(), is_text=True)]
    for name, heading in zip(OF_VARIANT[1:], ("N", "stages", "scores"), strict=True):
        if table[name].nunique() > 1:
            found.append(Column(heading, table[name].map(str).tolist()))
    reported = "test" in table and not table["test"].equals(table["val"])
    for name in MEASURES:
        if name in table and (name != "val" or reported):
            pairs = zip(table[name], table[f"{name}_std"], strict=True)
            heading = name.replace("_", " ")
            found.append(Column(heading, [_spread(*pair, name) for pair in pairs], _RANKS.get(name, 0)))
    if "equal_n" in table:
        found.append(Column("equal N", [_equal(value, table.n_train) for value in table.equal_n]))
    return found


def _spread(mean: float, deviation: float, name: str) -> str:
    places = 3 if name.startswith(("tau", "r2")) else 2
    return "-" if math.isnan(mean) else f"{mean:.{places}f} +- {deviation:.{places}f}"


def _equal(value: float, numbers: pd.Series) -> str:
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return f"> {numbers.max()}" if value > 0 else f"< {numbers.min()}"
    return f"{value:.0f}"


def _curves(searches: Searches, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Test accuracy of the best of the first 1, 2, ... K, of the variants of the first number of networks."""
    asked, found = searches.asked, {}
    for variant in variants(asked, searches.known):
        if variant.n_train == asked.n_train[0]:
            picks = [_stretched(one, asked.top_k) for one in _of(rows, variant).picks if len(one)]
            if picks:  # none where all networks are learned from
                found[variant.name] = 100 * searches.known.tests[np.array(picks)]
    return found


def _of(rows: pd.DataFrame, variant: Variant) -> pd.DataFrame:
    mine = rows.predictor == variant.predictor
    for name in OF_VARIANT[1:]:
        mine &= rows[name] == getattr(variant, name)
    return rows[mine]


def _stretched(picks: Sequence[int], count: int) -> list[int]:
    """Picks of fewer networks than asked for: the last one stays."""
    return (list(picks) + list(picks[-1:]) * count)[:count]


def _lines(table: pd.DataFrame) -> dict[str, dict[str, np.ndarray]]:
    """Measures by the number of networks, for every predictor: as `plots.quality` takes them."""
    found = {}
    for measure in (name for name in _DRAWN if name in table):
        known = table[table[measure].notna()]
        groups = known.groupby(list(OF_VARIANT[:1] + OF_VARIANT[2:]), sort=False)
        found[_LABELS[measure]] = {
            Variant(predictor, 0, stages, scores).name: group[["n_train", measure, f"{measure}_std"]].to_numpy(float).T
            for (predictor, stages, scores), group in groups
        }
    return found
