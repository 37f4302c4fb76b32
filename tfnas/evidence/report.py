"""Tables for the terminal."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:  # pandas and rich take their time to import
    import pandas as pd
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a `Folding` table.

    Attributes:
        heading: above it.
        cells: one for each row.
        rank: 0 is always shown; of the others, the highest is the first to go where width is short.
        is_text: set to the left, and broken where even the columns of rank 0 are too wide.
    """

    heading: str
    cells: Sequence[str]
    rank: int = 0
    is_text: bool = False


@dataclasses.dataclass(frozen=True)
class Folding:
    """A table that rich prints with as many of its columns as fit, each row on one line; those left out are named.

    Attributes:
        title: above it.
        columns: from left to right.
        styles: of rich, one for each row; none for plain rows.
        file: where all columns stand.
    """

    title: str
    columns: Sequence[Column]
    styles: Sequence[str | None] = ()
    file: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich.text import Text

        shown, unbound = list(self.columns), options.update(max_width=10_000)
        while console.measure(table := self._table(shown), options=unbound).maximum > options.max_width:
            least = max(shown, key=lambda column: column.rank)
            if not least.rank:
                break
            shown.remove(least)
        yield Text(self.title, style="bold")
        yield table
        if hidden := [column.heading for column in self.columns if column not in shown]:
            where = f" (see {self.file})" if self.file else ""
            yield f"not shown at this width: {', '.join(hidden)}{where}"

    def _table(self, columns: Sequence[Column]) -> Table:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
        for column in columns:
            if column.is_text:
                table.add_column(column.heading, overflow="fold")
            else:
                table.add_column(column.heading, justify="right", no_wrap=True)
        styles = self.styles or [None] * len(columns[0].cells)
        for *cells, style in zip(*(column.cells for column in columns), styles, strict=True):
            table.add_row(*cells, style=style)
        return table


def correlations(
    summary: pd.DataFrame, *, percents: Sequence[float], thresholds: Sequence[float], k: int, baselines: Sequence[str]
) -> list[Folding]:
    """Two tables of the rows of `evidence.correlate`: correlations, and how well the best are found."""
    styles = ["yellow" if name in baselines else None for name in summary["proxy"]]
    names = Column("proxy", summary["proxy"].tolist(), is_text=True)
    first = [names, Column("n", [str(n) for n in summary["n"]])]
    first.append(Column("left out", [str(n) for n in summary["left_out"]], rank=1))
    rows = summary.to_dict("records")
    for heading, key, rank in (
        ("Kendall tau-b", "kendall", 0),
        ("Spearman rho", "spearman", 0),
        ("Pearson r", "pearson", 2),
    ):
        first.append(Column(heading, [_interval(row, key) for row in rows], rank))
    headings = {"discovered": f"best of {k}"}
    headings |= {f"top{p:g}_spearman": f"rho top {p:g}%" for p in percents}
    headings |= {f"top{p:g}_common": f"common {p:g}%" for p in percents}
    headings |= {f"pqetp_{t:g}": f"PQETP {t:g}" for t in thresholds}
    second = [names]
    for rank, (key, heading) in enumerate(headings.items()):
        second.append(Column(heading, [number(value) for value in summary[key]], rank))
    title = "Rank correlation with the known performance [95% bootstrap interval]"
    return [
        Folding(title, first, styles, "correlations.csv"),
        Folding("Finding the best", second, styles, "correlations.csv"),
    ]


def left_out(summary: pd.DataFrame) -> list[str]:
    """One line for each set of proxies that left out the same networks for the same reasons."""
    lines = []
    for why, group in summary[summary["left_out"] > 0].groupby("why", sort=False):
        lines.append(f"left out: {why} ({', '.join(group['proxy'])})")
    for row in summary[summary["incomplete"] > 0].to_dict("records"):
        lines.append(f"{row['proxy']}: {row['incomplete']} networks averaged over fewer repeats, as the others failed")
    return lines


def console() -> Console:
    """Standard output; as wide as COLUMNS says, or 120 wide, where it is not a terminal."""
    import sys

    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> NoReturn:
            raise BrokenPipeError  # and not rich's own end of the program

    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Plain(width=None if known else 120, highlight=False, soft_wrap=False)


def number(value: float, digits: int = 3) -> str:
    """Fixed digits, "-" for what is undefined."""
    if math.isnan(value):
        return "-"
    # Four figures are enough for any unit: 0.812, 93.62.
    return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:.2f}"


def _interval(row: dict, key: str) -> str:
    value, low, high = (row[f"{key}{end}"] for end in ("", "_lo", "_hi"))
    return number(value) if math.isnan(low) else f"{number(value)} [{number(low, 2)}, {number(high, 2)}]"
