"""Tables on the terminal: what is shown at which width."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tests.tfnas.evidence.cases import draw
from tfnas import evidence
from tfnas.evidence import report
from tfnas.evidence.report import Column, Folding

TABLE = Folding(
    "numbers",
    [
        Column("name", ["first", "second"], is_text=True),
        Column("n", ["10", "20"]),
        Column("less wanted", ["0.123", "0.456"], rank=2),
        Column("wanted", ["0.7 [0.61, 0.79]", "0.8 [0.72, 0.88]"], rank=1),
        Column("score", ["0.5 [0.41, 0.59]", "0.6 [0.52, 0.68]"]),
    ],
    file="all.csv",
)


def lines(renderable, width):
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(renderable)
    return [line.strip() for line in out.getvalue().splitlines() if line.strip()]


def test_what_is_wanted_least_goes_first_and_is_named():
    title, heading, _, *rows = lines(TABLE, 100)
    assert (title, heading.split()) == ("numbers", ["name", "n", "less", "wanted", "wanted", "score"])
    assert [row.split()[0] for row in rows] == ["first", "second"]
    _, heading, _, *rows = lines(TABLE, 60)
    assert heading.split() == ["name", "n", "wanted", "score"]
    assert rows[0].split() == ["first", "10", "0.7", "[0.61,", "0.79]", "0.5", "[0.41,", "0.59]"]
    assert rows[2:] == ["not shown at this width: less wanted (see all.csv)"]
    _, heading, _, *rows = lines(TABLE, 42)
    assert heading.split() == ["name", "n", "score"]
    assert len(rows[:2]) == 2
    assert " ".join(rows[2:]) == "not shown at this width: less wanted, wanted (see all.csv)"


def test_what_must_be_shown_stays_whole_at_any_width():
    folded = " ".join(lines(TABLE, 32))
    assert "0.6 [0.52, 0.68]" in folded
    assert "20" in folded


@pytest.mark.parametrize("width", [72, 80, 100, 200])
def test_correlations_keep_one_line_for_each_proxy(width):
    score, truth = draw(0)
    archs = [f"net{i}" for i in range(40)]
    long = pd.concat(
        [
            pd.DataFrame({"arch": archs, "proxy": name, "score": score + np.arange(40) * scale})
            for scale, name in enumerate(("logsynflow_cifar10", "params", "nregions_cifar10"))
        ]
    )
    summary = evidence.correlate(long, pd.Series(truth, archs), resamples=20, thresholds=[0.5, 1.25])
    first, second = report.correlations(summary, percents=(10, 50), thresholds=(0.5, 1.25), k=10, baselines=["params"])
    for table, always in ((first, ["n", "Kendall tau-b", "Spearman rho"]), (second, ["best of 10"])):
        shown = lines(table, width)
        assert all(len(line) <= width for line in shown)
        rows = [line for line in shown if line.split()[0] in set(summary["proxy"])]
        assert len(rows) == 3
        assert all(heading in shown[1] for heading in always)
        everything = " ".join(shown)
        for column in table.columns:
            assert column.heading in everything
    row = summary.iloc[0]
    interval = f"{row['kendall']:.3f} [{row['kendall_lo']:.2f}, {row['kendall_hi']:.2f}]"
    assert any(interval in line for line in lines(first, width))
    assert ("not shown" in " ".join(lines(first, width))) == (width < 200)
    assert ("not shown" in " ".join(lines(second, width))) == (width < 200)


def test_the_console_is_as_wide_as_columns_says(monkeypatch):
    monkeypatch.setenv("COLUMNS", "77")
    assert report.console().width == 77
    monkeypatch.delenv("COLUMNS")
    assert report.console().width == 120  # under pytest nothing is a terminal
