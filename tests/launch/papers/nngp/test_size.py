"""Scores beside model size: figures 6 and S7 to S10, each on networks with a known answer."""

import numpy as np
import pytest

from launch.papers.nngp import cost, size
from tests.launch.papers.nngp.cases import N, context_for, known_answer, make, one, scores_of
from tfnas.errors import InputError
from tfnas.evidence import statistics


@known_answer("fig6")
def test_fig6_correlates_with_size_and_not_with_the_truth(table):
    rows, _ = make(size.fig6, scores_of(a=table["params"], b=-table["params"]), table, context_for("nngp_fig6"))
    assert one(rows, "pearson", "NNGP(100, 500, 1)")["ours"] == pytest.approx(1)
    assert one(rows, "kendall", "NNGP(100, 500, 2)")["ours"] == pytest.approx(-1)


@known_answer("figS7")
def test_fig_s7_size_that_is_the_truth(table):
    table = table.assign(params=table["truth"] * 1e5)
    rows, _ = make(size.fig_s7, None, table, context_for())
    assert one(rows, "pearson")["ours"] == pytest.approx(1)
    assert all(one(rows, f"PQETP, top {share} %")["ours"] == 1 for share in (1, 5, 20, 50))
    assert one(rows, "most parameters (millions)")["ours"] == pytest.approx(table["truth"].max() / 10)


@known_answer("figS8")
def test_fig_s8_size_beside_the_others(table):
    table = table.assign(params=table["truth"] * 1e5)
    rows, _ = make(size.fig_s8, scores_of(a=-table["truth"]), table, context_for())
    assert one(rows, "kendall", "parameters")["ours"] == pytest.approx(1)
    expected = np.mean([table["truth"].to_numpy()[subset].max() for subset in context_for().rows(N)])
    assert one(rows, "discovered", "parameters")["ours"] == pytest.approx(expected)
    assert one(rows, "kendall", "NNGP(100, 500, 1)")["ours"] == pytest.approx(-1)
    assert {"4 epochs", "12 epochs", "36 epochs"} <= set(rows["metric"])


@known_answer("figS9")
def test_fig_s9_correlates_every_metric_with_size(table):
    rows, _ = make(size.fig_s9, scores_of(a=table["params"]), table, context_for())
    assert one(rows, "kendall", "NNGP(100, 500, 1)")["ours"] == pytest.approx(1)
    expected = statistics.kendall(table["val_4_0"], table["params"])
    assert one(rows, "kendall", "4 epochs")["ours"] == expected


@known_answer("figS10")
def test_fig_s10_looks_at_small_networks_alone(table):
    small = table["params"] < 10e6
    assert 10 < small.sum() < N - 10
    score = np.where(small, table["truth"], -table["truth"])
    mean = 2 * table["flops"][small].mean()
    # The paper's own mean is that of the published networks alone.
    for network, flops, whose in (({}, 1.29e9, "1.29 GFLOP, the paper's"), ({"width": 64}, mean, "the mean over them")):
        rows, made = make(size.fig_s10, scores_of(a=score), table, context_for(network=network))
        found = one(rows, "kendall", "NNGP(100, 500, 1)")
        assert (found["ours"], found["n"]) == (pytest.approx(1), small.sum())
        assert found["pflop"] == pytest.approx(cost.nngp_flops(flops, 100, 500, 1) / cost.PFLOP)
        assert one(rows, "mean GFLOP")["ours"] == pytest.approx(mean / 1e9)
        assert whose in made.notes[0]
        assert "all networks with fewer" in made.notes[1]
    with pytest.raises(InputError, match="Received: 0"):
        make(size.fig_s10, scores_of(a=score), table.assign(params=1e8), context_for())
