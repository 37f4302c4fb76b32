"""Rows of an experiment on the terminal, beside the paper's numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from launch.papers.facts import facts

if TYPE_CHECKING:
    import pandas as pd

    from launch.papers.base import Experiment

_PRINTED = 40
# What a row is about; those that all rows have in common are told below the table.
_LABELS = {"dataset": "data set", "init": "init", "metric": "metric", "method": "method", "measure": "measure"}


def show(experiment: Experiment, rows: pd.DataFrame, notes: Iterable[str], output: str) -> None:
    """Prints rows as `launch.papers.run` writes them, then notes."""
    from rich.table import Table

    from tfnas.evidence import report

    fact = facts()[experiment.id]
    console = report.console()
    printed = Table(title=f"{experiment.id}: {fact['title']} ({fact['paper']})", title_justify="left")
    labels = [name for name in _LABELS if name in rows]
    common = [name for name in labels if rows[name].nunique() == 1]
    labels = [name for name in labels if name not in common] or labels[-1:]
    for name in labels:
        printed.add_column(_LABELS[name])
    numbers = [name for name in ("pflop", "n", "left_out") if name in rows]
    for heading in [{"pflop": "PFLOP", "left_out": "left out"}.get(name, name) for name in numbers]:
        printed.add_column(heading, justify="right")
    for heading in ("ours", "", "paper", "difference"):
        printed.add_column(heading, justify="right")
    for row in rows.head(_PRINTED).to_dict("records"):
        ours, low, high, paper, difference = (
            _number(row[key]) for key in ("ours", "low", "high", "paper", "difference")
        )
        interval = f"{low} .. {high}" if low != "-" else ""
        counts = [_count(name, row[name]) for name in numbers]
        printed.add_row(*(str(row[name]) for name in labels), *counts, ours, interval, paper, difference)
    console.print(printed)
    if len(rows) > _PRINTED:
        console.print(f"{len(rows) - _PRINTED} more rows in results.csv")
    for name in common:
        console.print(f"{_LABELS[name]}: {rows[name].iloc[0]}")
    for note in filter(None, [fact.get("note", ""), *notes, experiment.deviations]):
        console.print(f"note: {note}")
    more = ", scores/" if experiment.jobs is not None else ""
    console.print(f"written to {output}: results.csv, {experiment.id}.png, recipe.json{more}")


def _count(name: str, value: float) -> str:
    if name == "pflop":
        return f"{value:.3g}" if value == value else "-"
    return str(value or "") if name == "left_out" else str(value)


def _number(value: float) -> str:
    from tfnas.evidence import report

    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if 0 < abs(value) < 0.1 else report.number(float(value))
