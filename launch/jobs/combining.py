"""A combination of scores that is fitted on one set of networks, kept in a file, and tested on another."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from launch.jobs.evidence import Evidence
from tfnas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from tfnas.evidence.combination import Combination
    from tfnas.evidence.report import Folding


def fit(found: Evidence, scores: pd.DataFrame, table: str, path: str, seed: int) -> Combination:
    """Fits a combination of all scores and sizes at hand, and writes it.

    Args:
        found: scores beside the truth.
        scores: long frame of them, which may name their space and data set.
        table: file or name of the truth.
        path: JSON file.
        seed: of the folds.

    Raises:
        InputError: too few networks or scores.
    """
    from tfnas import files
    from tfnas.evidence import combination

    made = combination.fit(found.joined.drop(columns="truth"), found.joined["truth"], seed=seed, groups=found.groups)
    told = {
        "target": found.target,
        "table": pathlib.PurePath(table).name,
        "space": _only(scores, "space"),
        "dataset": _only(scores, "dataset"),
        "digest": combination.digest(found.joined.index),
        "seed": seed,
    }
    made = dataclasses.replace(made, fitted_on=dict(made.fitted_on) | told)
    files.write_atomic(path, combination.dump(made))
    return made


def test(found: Evidence, used: Combination, folder: str, options: Mapping[str, int]) -> pd.DataFrame:
    """Compares a combination with the best single score of its fitting set and with sizes; writes combination.csv.

    Args:
        found: scores beside the truth, the combination among them.
        used: the combination.
        folder: where to.
        options: `resamples` and `seed` of the intervals.

    Raises:
        InputError: no network has all of them.
    """
    from etils import epath

    from tfnas import files
    from tfnas.evidence import combination

    others = [name for name in (used.best, *found.baselines) if name in found.joined]
    wide = found.joined.drop(columns="truth")
    frame = combination.compare(wide, found.joined["truth"], others, groups=found.groups, **options)
    if not frame["n"].iloc[0]:
        raise InputError(f"No network has all scores that are compared: {', '.join([*used.weights, *others])}")
    content = frame.to_csv(index=False, float_format="%.6g").encode()
    files.write_atomic(epath.Path(folder) / "combination.csv", content)
    return frame


def fitted(made: Combination) -> Iterator[str]:
    """Lines about a combination that was fitted."""
    for step in made.steps:
        chosen = " + ".join(step["scores"])
        yield f"  {step['spearman']:.3f} +- {step['se']:.3f} on folds left out: {chosen}"
    yield f"combination of percentile ranks: {_formula(made)}"


def warnings(used: Combination, found: Evidence, scores: pd.DataFrame) -> Iterator[str]:
    """A line where the networks that a combination is tested on are, or may be, among those that it was fitted on."""
    from tfnas.evidence import combination

    known = used.fitted_on
    same_target = known.get("target") == found.target
    if known.get("digest") == combination.digest(found.joined.index):
        what = "and accuracies: this is no test" if same_target else f"and with {known.get('target')}"
        yield f"warning: the combination was fitted on these very networks {what}"
    elif same_target and known.get("space") and known["space"] == _only(scores, "space"):
        yield (
            f"warning: the combination was fitted on {known.get('networks')} networks of {known['space']} with "
            f"{known['target']}; those among these are no test"
        )


def table(frame: pd.DataFrame, used: Combination) -> Folding:
    """The rows of `test` for the terminal."""
    from tfnas.evidence import report

    def interval(row: dict, key: str) -> str:
        if row[key] != row[key]:
            return ""
        low, high = row[f"{key}_lo"], row[f"{key}_hi"]
        bounds = "" if low != low else f" [{report.number(low, 2)}, {report.number(high, 2)}]"
        return f"{report.number(row[key])}{bounds}"

    rows = frame.to_dict("records")
    names = [f"{name} (best single where fitted)" if name == used.best else name for name in frame["proxy"]]
    columns = [report.Column("score", names, is_text=True)]
    for heading, key, rank in (
        ("Spearman rho", "spearman", 0),
        ("lead of the combination", "spearman_lead", 0),
        ("Kendall tau-b", "kendall", 1),
        ("lead in tau-b", "kendall_lead", 2),
    ):
        if key in frame:
            columns.append(report.Column(heading, [interval(row, key) for row in rows], rank))
    title = f"{_formula(used)} on {frame['n'].iloc[0]} networks [95% bootstrap interval]"
    return report.Folding(title, columns, file="combination.csv")


def _formula(made: Combination) -> str:
    return " + ".join(f"{weight:.3f} {name}" for name, weight in made.weights.items())


def _only(scores: pd.DataFrame, column: str) -> str:
    """The one value of a column of records; "" where there is none or several."""
    values = scores[column].dropna().unique() if column in scores else []
    return str(values[0]) if len(values) == 1 else ""
