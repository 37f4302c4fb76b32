"""Tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pandas and rich take their time to import
    import pandas as pd
    from rich.console import Console
    from rich.table import Table


def correlations(
    summary: pd.DataFrame, *, percents: Sequence[float], thresholds: Sequence[float], k: int, baselines: Sequence[str]
) -> list[Table]:
    """Two tables of the rows of `evidence.correlate`: correlations, and how well the best are found."""
    first = _table("Rank correlation with the known performance [95% bootstrap interval]")
    for heading in ("n", "left out", "Kendall tau-b", "Spearman rho", "Pearson r"):
        first.add_column(heading, justify="right")
    second = _table("Finding the best")
    headings = [f"rho top {p:g}%" for p in percents] + [f"common {p:g}%" for p in percents]
    headings += [f"PQETP {t:g}" for t in thresholds] + [f"best of {k}"]
    for heading in headings:
        second.add_column(heading, justify="right")
    keys = [f"top{p:g}_spearman" for p in percents] + [f"top{p:g}_common" for p in percents]
    keys += [f"pqetp_{t:g}" for t in thresholds]
    for row in summary.to_dict("records"):
        style = "yellow" if row["proxy"] in baselines else None
        intervals = [_interval(row, key) for key in ("kendall", "spearman", "pearson")]
        first.add_row(row["proxy"], str(row["n"]), str(row["left_out"]), *intervals, style=style)
        second.add_row(row["proxy"], *(number(row[key]) for key in keys), number(row["discovered"]), style=style)
    return [first, second]


def left_out(summary: pd.DataFrame) -> list[str]:
    """One line for each set of proxies that left out the same networks for the same reasons."""
    lines = []
    for why, group in summary[summary["left_out"] > 0].groupby("why", sort=False):
        lines.append(f"left out: {why} ({', '.join(group['proxy'])})")
    for row in summary[summary["incomplete"] > 0].to_dict("records"):
        lines.append(f"{row['proxy']}: {row['incomplete']} networks averaged over fewer repeats, as the others failed")
    return lines


def console() -> Console:
    """Standard output; wide enough for whole tables where it is not a terminal."""
    import sys

    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120, highlight=False, soft_wrap=False)


def number(value: float, digits: int = 3) -> str:
    """Fixed digits, "-" for what is undefined."""
    if math.isnan(value):
        return "-"
    # Four figures are enough for any unit: 0.812, 93.62.
    return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:.2f}"


def _interval(row: dict, key: str) -> str:
    value, low, high = (row[f"{key}{end}"] for end in ("", "_lo", "_hi"))
    return number(value) if math.isnan(low) else f"{number(value)} [{number(low, 2)}, {number(high, 2)}]"


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("proxy", no_wrap=True)
    return table
