"""What a search would find: figures 3, 8, 9 and the worst networks, each on networks with a known answer."""

import itertools
import math

import numpy as np
import pytest

import spaces
from launch.papers.nngp import cost, search
from tests.launch.papers.nngp.cases import F, N, context_for, known_answer, make, one, scores_of


@known_answer("fig3")
def test_fig3_scores_that_are_the_truth_discover_the_best_of_every_subset(table):
    truth = table["truth"].to_numpy()
    context = context_for("nngp_fig3")
    rows, _ = make(search.fig3, scores_of(a=truth, b=-truth), table, context)
    subsets = context.rows(N)
    assert subsets.shape == (10, N // 3)
    best = [truth[subset].max() for subset in subsets]
    perfect = one(rows, "discovered", "NNGP(100, 500, 1)")
    assert perfect["ours"] == pytest.approx(np.mean(best))
    assert perfect["high"] - perfect["ours"] == pytest.approx(np.std(best, ddof=1) / 10**0.5)
    # Of 20 networks the two ranked highest are looked at, here the two worst.
    worst = [np.sort(truth[subset])[1] for subset in subsets]
    assert one(rows, "discovered", "NNGP(100, 500, 2)")["ours"] == pytest.approx(np.mean(worst))
    assert set(rows["metric"]) >= {"4 epochs", "12 epochs"}


@known_answer("fig8")
def test_fig8_keeping_the_truly_best_loses_nothing_and_the_worst_much(table):
    truth = table["truth"].to_numpy()
    exact = table.assign(val_12_0=truth, val_36_0=truth)
    context = context_for("nngp_fig8")
    rows, _ = make(search.fig8, scores_of(a=truth, b=-truth), exact, context)
    best = one(rows, "discovered", "12 epochs", kept=100)["ours"]
    assert best == pytest.approx(np.mean([truth[subset].max() for subset in context.rows(N)]))
    for kept, epochs in itertools.product((10, 30), (12, 36)):
        by = {"kept": kept, "ranked_by": f"{epochs} epochs"}
        assert one(rows, "discovered", "NNGP(100, 500, 1)", **by)["ours"] == pytest.approx(best)
        left = [np.sort(truth[subset])[N // 3 * kept // 100 - 1] for subset in context.rows(N)]
        assert one(rows, "discovered", "NNGP(100, 500, 2)", **by)["ours"] == pytest.approx(np.mean(left))
        chance = one(rows, "discovered", f"random {kept} %", **by)
        assert min(left) < chance["ours"] < best
        trained = kept / 100 * cost.training_flops(F, epochs) / cost.PFLOP
        assert chance["pflop"] == pytest.approx(trained)
        screened = one(rows, "discovered", "NNGP(100, 500, 1)", **by)["pflop"]
        assert screened == pytest.approx(trained + cost.nngp_flops(F, 100, 500, 1) / cost.PFLOP)
    assert one(rows, "discovered", "36 epochs")["pflop"] == pytest.approx(7.254, abs=5e-4)


def test_best_share_keeps_the_floor_and_one_at_least_and_failures_last():
    score = np.array([3.0, np.nan, 5.0, 5.0, -np.inf, 1.0, 4.0, 5.0, 0.0, 2.0])
    assert search.best_share(score, 30).tolist() == [2, 3, 7]
    assert search.best_share(score, 29.9).tolist() == [2, 3]
    assert search.best_share(score, 1).tolist() == [2]
    assert search.best_share(score, 100).tolist() == list(range(10))
    assert 1 not in search.best_share(score, 80)
    kept = {tuple(search.best_share(score, 20, seed=seed)) for seed in range(60)}
    assert kept == {(2, 3), (2, 7), (3, 7)}


@known_answer("fig9")
def test_fig9_recovers_the_coefficients_that_made_the_target(table, rng):
    nngp_scores = rng.normal(40, 5, N)
    mixed = table.assign(val_12_0=0.3 * table["val_4_0"] + 0.5 * nngp_scores + 7)
    rows, _ = make(search.fig9, scores_of(a=nngp_scores, b=rng.normal(size=N)), mixed, context_for("nngp_fig9"))
    found = one(rows, "kendall", "4 epochs + NNGP(100, 500, 1)")
    assert found[["of_4_epochs", "of_nngp", "bias"]].tolist() == pytest.approx([0.3, 0.5, 7])
    for measure in ("kendall", "pearson", "discovered"):
        combined = one(rows, measure, "4 epochs + NNGP(100, 500, 1)")
        assert combined["ours"] == pytest.approx(one(rows, measure, "12 epochs")["ours"])
        parts = [one(rows, measure, name)["pflop"] for name in ("4 epochs", "NNGP(100, 500, 1)")]
        assert combined["pflop"] == pytest.approx(sum(parts))
    assert {"4 epochs", "NNGP(100, 500, 2)", "4 epochs + NNGP(100, 500, 2)"} <= set(rows["metric"])


def test_hybrid_leaves_out_what_is_incomplete():
    first, second = np.array([1.0, 2, 3, 4, np.nan]), np.array([0.0, 1, 0, 5, 2])
    target = 2 * first - second + 3
    target[0] = np.nan
    assert search.hybrid(first, second, target) == pytest.approx((2, -1, 3))
    assert all(map(math.isnan, search.hybrid(first, second, target * np.nan)))


def test_text_worst_has_the_papers_numbers_in_its_space_alone(table):
    rows, _ = make(search.text_worst, None, table, context_for("nngp_text_worst"))
    assert rows["paper"].notna().all()
    elsewhere = context_for("nngp_text_worst", space=spaces.get("nasbench201"))
    assert make(search.text_worst, None, table, elsewhere)[0]["paper"].isna().all()


@known_answer("text_worst")
def test_text_worst_is_the_mean_of_the_lowest(table):
    context = context_for("nngp_text_worst")
    rows, _ = make(search.text_worst, None, table, context)
    for epochs, paper in ((4, 4.37), (12, 9.12), (36, 9.49), (108, 9.49)):
        found = one(rows, "worst", f"{epochs} epochs")
        lowest = [table[f"val_{epochs}_0"].to_numpy()[subset].min() for subset in context.rows(N)]
        assert (found["ours"], found["paper"]) == (pytest.approx(np.mean(lowest)), paper)
