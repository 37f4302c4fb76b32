"""Table 1, figure 3 and the deciles, on records of which the answers are known."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

import spaces
from launch.papers.lga import benchmarks
from launch.papers.registry import EXPERIMENTS
from tests.launch.papers.cases import frame_of, inputs_of, tau
from tfnas.errors import InputError

N = 40
ARCHS = [f"a{i}" for i in range(N)]


@pytest.fixture
def truth():
    return pd.Series(np.random.default_rng(0).permutation(N) + 50.0, ARCHS)


@pytest.fixture
def columns(truth):
    rng = np.random.default_rng(1)
    names = ("fnorm", "ntk_mean", "ncn", "lga", "lga_after1", "lga_after3", "snip_after1")
    return {name: truth.to_numpy() + 20 * rng.normal(size=N) for name in names}


def table1(columns, truth, space="nasbench101", dataset="cifar10"):
    inputs = inputs_of(EXPERIMENTS["lga_table1"], frame_of(columns, ARCHS, dataset), {dataset: truth})
    return benchmarks.table1(dataclasses.replace(inputs, space=spaces.get(space))).rows


def test_table1_has_our_correlations_beside_the_papers_and_the_papers_alone(columns, truth):
    rows = table1(columns, truth)
    ours = rows[rows["n"] > 0].set_index("method")
    assert list(ours.index) == ["fnorm", "ntk_mean", "ncn", "lga_after1"]
    for name, row in ours.iterrows():
        assert row["ours"] == pytest.approx(tau(columns[name], truth))
    assert ours["paper"].tolist() == [-0.022, -0.023, 0.094, 0.308]
    rest = rows[rows["n"] == 0]
    assert rest["ours"].isna().all()
    assert set(rest["benchmark"]) == {"nds_darts", "nds_enas", "nds_nasnet", "nds_amoeba"}
    assert rest[rest["benchmark"] == "nds_enas"]["paper"].tolist() == [0.065, 0.037, 0.162, 0.416]


def test_table1_compares_with_the_paper_only_what_is_the_same(columns, truth):
    for rows in (table1(columns, truth, "nasbench201"), table1(columns, truth, dataset="digits")):
        assert rows.loc[rows["n"] > 0, "paper"].isna().all()
    del columns["lga_after1"]
    rows = table1(columns, truth)
    later = rows[rows["method"] == "lga_after3"].iloc[0]
    assert later["ours"] == pytest.approx(tau(columns["lga_after3"], truth))
    assert math.isnan(later["paper"])
    assert 0.308 not in set(rows["paper"])
    assert rows.loc[rows["benchmark"] == "nds_darts", "method"].tolist()[-1] == "lga_after1"


def test_figure3_has_a_row_for_each_mode_and_marks_the_higher(columns, truth):
    batch = frame_of({name: columns[name] for name in ("fnorm", "ncn")}, ARCHS, bn="batch")
    other = frame_of({name: columns["lga"] for name in ("fnorm", "ncn")}, ARCHS, bn="inference")
    made = benchmarks.fig3(inputs_of(EXPERIMENTS["lga_fig3"], pd.concat([batch, other]), {"digits": truth}))
    rows = made.rows.set_index("method")
    lga = tau(columns["lga"], truth)
    for name in ("fnorm", "ncn"):
        mine = tau(columns[name], truth)
        assert rows.loc[f"{name}, BN batch", "ours"] == pytest.approx(mine)
        assert rows.loc[f"{name}, BN inference", "ours"] == pytest.approx(lga)
        assert rows.loc[f"{name}, BN batch", "higher"] == (mine > lga)
        assert rows.loc[f"{name}, BN inference", "higher"] == (mine < lga)
    assert made.notes[0].startswith("not every metric is recorded in both modes")
    with pytest.raises(InputError, match="No records of fnorm"):
        benchmarks.fig3(inputs_of(EXPERIMENTS["lga_fig3"], batch, {"cifar10": truth}))


def deciles(columns, truth):
    return benchmarks.deciles(inputs_of(EXPERIMENTS["lga_figA2"], frame_of(columns, truth.index), {"digits": truth}))


def test_a_draw_is_of_the_tenths_from_the_best_down():
    accuracy = np.random.default_rng(2).permutation(3000).astype(float)
    tenths = benchmarks.drawn(accuracy, seed=0)
    assert [len(set(tenth)) for tenth in tenths] == [100] * 10
    for place, tenth in enumerate(tenths):
        assert set(accuracy[tenth] // 300) == {9 - place}
    assert [len(tenth) for tenth in benchmarks.drawn(accuracy[:100], seed=0)] == [5] * 10
    assert [len(tenth) for tenth in benchmarks.drawn(accuracy[:20], seed=0)] == [2] * 10
    again = benchmarks.drawn(accuracy, seed=1)
    assert any((one != other).any() for one, other in zip(tenths, again, strict=True))


def test_deciles_are_correlations_within_the_tenths(columns, truth):
    """A metric that is right within tenths and wrong between them, and the other way round."""
    order = truth.rank(ascending=False).to_numpy() - 1
    tenth, within = order // 4, order % 4
    columns |= {"fnorm": 10 * tenth - within, "ntk_mean": -10 * tenth + within, "ncn": -order}
    columns["ncn"][order == 39] = -np.inf
    made = deciles(columns, truth)
    rows = made.rows.set_index("method")
    assert len(rows) == 33
    for place in range(1, 11):
        assert rows.loc[f"fnorm, P{place}", ["low", "ours", "high"]].tolist() == [1.0] * 3
        assert rows.loc[f"ntk_mean, P{place}", ["low", "ours", "high"]].tolist() == [-1.0] * 3
        assert rows.loc[f"ncn, P{place}", "ours"] == 1.0
        assert rows.loc[f"ncn, P{place}", "n"] == 3
    assert rows.loc["ncn, total", "ours"] == 1.0
    # Of 30 networks 405 pairs lie between tenths, 30 within.
    assert rows.loc["fnorm, total", "ours"] == pytest.approx((30 - 405) / 435)
    assert rows.loc["ntk_mean, total", "ours"] == pytest.approx((405 - 30) / 435)
    assert [axes.get_title() for axes in made.figure.axes] == [f"{name}, digits" for name in benchmarks.UNTRAINED]


def test_deciles_need_networks_and_scores_of_their_own_data(columns, truth):
    few = {name: values[:19] for name, values in columns.items()}
    with pytest.raises(InputError, match=r"Deciles need 20 networks or more\. Received: 19 on digits"):
        deciles(few, truth.iloc[:19])
    inputs = inputs_of(EXPERIMENTS["lga_figA3"], frame_of(columns, ARCHS, "cifar10"), {"cifar100": truth})
    with pytest.raises(InputError, match=r"No records of cifar100\. Received: records of cifar10"):
        benchmarks.deciles(inputs)
    with pytest.raises(InputError, match=r"No records of fnorm, ntk_mean, ncn\. Received: params"):
        deciles({"params": truth.to_numpy()}, truth)
