"""Closer looks as tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from tfnas.evidence.report import Folding


def by_proxy(made: Mapping[str, pd.DataFrame], order: Sequence[str], baselines: Sequence[str]) -> Folding | None:
    """One table of the cuts for the terminal, all of it Spearman's rho.

    Args:
        made: of `write`.
        order: proxies from top to bottom.
        baselines: those that are sizes.
    """
    from tfnas.evidence import report

    columns: list[tuple[str, Mapping[str, float], int]] = []
    if "size" in made:
        columns.append(("at fixed size", made["size"].set_index("proxy")["partial_spearman"], 0))
    if "bands" in made:
        for percent, group in made["bands"].groupby("percent", sort=False):
            if percent < 100:
                # Where width is short, the best say most.
                columns.append((f"best {percent:g}%", group.set_index("proxy")["spearman"], 0 if percent <= 10 else 3))
    if "seeds" in made:
        rows = made["seeds"].set_index("proxy")
        columns.append(("between seeds", rows["between_seeds"], 1))
        columns.append(("limit by seeds", rows["limit"], 2))
    if not columns:
        return None
    cells = [report.Column("proxy", list(order), is_text=True)]
    for heading, values, rank in columns:
        shown = [report.number(float(values.get(name, math.nan))) for name in order]
        cells.append(report.Column(heading, shown, rank))
    styles = ["yellow" if name in baselines else None for name in order]
    files = ", ".join(f"{name}.csv" for name in made)
    return report.Folding("Spearman rho, more closely", cells, styles, files)


def against(rows: pd.DataFrame) -> Folding:
    """What other scores make of the rank correlations, for the terminal.

    Args:
        rows: of the cut "against".
    """
    from tfnas.evidence import report

    def numbers(name: str) -> list[str]:
        return [report.number(value) for value in rows[name]]

    cells = [
        report.Column("against", rows["against"].tolist(), is_text=True),
        report.Column("proxy", rows["proxy"].tolist(), is_text=True),
        report.Column("rho", numbers("spearman"), 1),
        report.Column("other", numbers("other"), 1),
        report.Column("difference", numbers("difference")),
        report.Column("from", numbers("difference_lo"), 2),
        report.Column("to", numbers("difference_hi"), 2),
        report.Column("agreement", numbers("agreement"), 3),
    ]
    return report.Folding("Spearman rho against other scores", cells, [None] * len(rows), "against.csv")
