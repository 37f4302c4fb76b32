"""Figures 2 and 6 on records of which the answers are known."""

import numpy as np
import pandas as pd
import pytest

from launch.papers.lga import training
from launch.papers.registry import EXPERIMENTS
from tests.launch.papers.cases import frame_of, inputs_of, tau
from tfnas.errors import InputError

N = 21
ARCHS = [f"a{i}" for i in range(N)]


@pytest.fixture
def truth():
    return pd.Series(np.random.default_rng(0).permutation(N) + 50.0, ARCHS)


def test_figure2_has_the_medians_of_the_thirds_by_accuracy(truth):
    rng = np.random.default_rng(1)
    columns = {name: rng.normal(size=N) for name in ("fnorm", "lga", "lga_after1", "lga_after10", "ncn")}
    columns["ncn"][:] = -np.inf
    columns["lga_after1"][3] = np.nan
    made = training.fig2(inputs_of(EXPERIMENTS["lga_fig2"], frame_of(columns, ARCHS), {"digits": truth}))
    rows = made.rows
    assert len(rows) == 5 * 3
    ranked = sorted(range(N), key=lambda i: -truth.iloc[i])
    thirds = {"high": ranked[:7], "mid": ranked[7:14], "low": ranked[14:]}
    for row in rows.itertuples():
        some = sorted(value for value in columns[row.method][thirds[row.group]] if not np.isnan(value))
        assert row.n == len(some) == (6 if row.method == "lga_after1" and 3 in thirds[row.group] else 7)
        assert row.ours == some[(len(some) - 1) // 2]
        assert (row.low, row.high) == (some[int(0.25 * (len(some) - 1))], some[int(0.75 * (len(some) - 1))])
        assert row.accuracy == pytest.approx(truth.iloc[thirds[row.group]].mean())
    lines = {line.get_label(): line for line in made.figure.axes[-1].get_lines()}
    assert list(lines) == [
        f"{group}, mean accuracy {mean}.0 %" for group, mean in zip(thirds, (67, 60, 53), strict=True)
    ]
    assert next(iter(lines.values())).get_xdata().tolist() == [0, 1, 10]


def test_figure6_has_a_correlation_for_every_metric_and_number_of_epochs(truth):
    rng = np.random.default_rng(2)
    names = ("fnorm", "fnorm_after3", "lga", "lga_after1", "lga_after3", "snip", "snip_after3")
    columns = {name: rng.normal(size=N) for name in names}
    made = training.fig6(inputs_of(EXPERIMENTS["lga_fig6"], frame_of(columns, ARCHS), {"digits": truth}))
    rows = made.rows.set_index("method")["ours"]
    assert list(rows.index) == ["fnorm", "fnorm_after3", "lga", "lga_after1", "lga_after3"]
    for name, found in rows.items():
        assert found == pytest.approx(tau(columns[name], truth))


def test_records_of_something_else_end_in_one_line(truth):
    inputs = inputs_of(EXPERIMENTS["lga_fig2"], frame_of({"snip": np.ones(N)}, ARCHS), {"digits": truth})
    for figure in (training.fig2, training.fig6):
        with pytest.raises(InputError, match="No records of fnorm, ntk_mean, ncn, lga"):
            figure(inputs)
