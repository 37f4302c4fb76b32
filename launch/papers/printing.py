"""Rows of an experiment on the terminal, beside the paper's numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from launch.papers.facts import facts

if TYPE_CHECKING:
    import pandas as pd

    from launch.papers.base import Experiment
    from tfnas.evidence.report import Column

_PRINTED = 40
# What a row is about; those that all rows have in common are told below the table.
_LABELS = {
    "benchmark": "benchmark",
    "dataset": "data set",
    "init": "init",
    "metric": "metric",
    "method": "method",
    "measure": "measure",
}


def show(experiment: Experiment, rows: pd.DataFrame, notes: Iterable[str], output: str, warning: str = "") -> None:
    """Prints a warning, rows as `launch.papers.run` writes them, then notes."""
    from tfnas.evidence import report

    fact = facts()[experiment.id]
    console = report.console()
    labels = [name for name in _LABELS if name in rows]
    common = [name for name in labels if rows[name].nunique() == 1]
    labels = [name for name in labels if name not in common] or labels[-1:]
    printed = rows.head(_PRINTED)
    if warning:
        console.print(warning, style="bold yellow")
    title = f"{experiment.id}: {fact['title']} ({fact['paper']})"
    console.print(report.Folding(title, _columns(printed, labels), file="results.csv"))
    lines = [f"{len(rows) - _PRINTED} more rows in results.csv"] if len(rows) > _PRINTED else []
    lines += [f"{_LABELS[name]}: {rows[name].iloc[0]}" for name in common]
    if rows["paper"].isna().all():
        lines.append("the paper prints no number of these")
    lines += [f"note: {note}" for note in filter(None, [fact.get("note", ""), *notes, experiment.deviations])]
    more = ", scores/" if experiment.jobs is not None else ""
    lines.append(f"written to {output}: results.csv, {experiment.id}.png, recipe.json{more}")
    for line in lines:
        # Terminals break long lines themselves, and a path can still be copied.
        console.print(line, soft_wrap=True)


def _columns(rows: pd.DataFrame, labels: Sequence[str]) -> list[Column]:
    """What is printed of rows: labels, numbers, ours and, where the paper prints something, the paper's."""
    from tfnas.evidence.report import Column

    found = [Column(_LABELS[name], rows[name].map(str).tolist(), is_text=True) for name in labels]
    for name, heading, rank in (("pflop", "PFLOP", 3), ("n", "n", 0), ("left_out", "left out", 4)):
        if name in rows and (rows[name].fillna(0) != 0).any():
            found.append(Column(heading, [_count(name, value) for value in rows[name]], rank))
    found.append(Column("ours", [_number(value) for value in rows["ours"]]))
    if rows["low"].notna().any():
        bounds = zip(rows["low"], rows["high"], strict=True)
        found.append(
            Column("low .. high", [f"{_number(low)} .. {_number(high)}" * (low == low) for low, high in bounds])
        )
    for name, rank in (("paper", 1), ("difference", 2)):
        if rows[name].notna().any():
            found.append(Column(name, [_number(value) for value in rows[name]], rank))
    return found


def _count(name: str, value: float) -> str:
    if name == "pflop":
        return f"{value:.3g}" if value == value else "-"
    return str(value or "") if name == "left_out" else str(value)


def _number(value: float) -> str:
    from tfnas.evidence import report

    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if 0 < abs(value) < 0.1 else report.number(float(value))
