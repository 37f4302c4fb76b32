"""Correlations and their kin: figures 1, 2, 4, 5, S1 and S3 to S6, each on networks with a known answer."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

import spaces
from launch.papers.nngp import correlation
from tests.launch.papers.nngp.cases import ARCHS, N, context_for, key, known_answer, make, one, scores_of
from tfnas.errors import InputError
from tfnas.evidence import statistics


@known_answer("fig1")
def test_fig1_scores_that_are_the_truth_correlate_perfectly_and_cost_what_the_paper_says(table):
    truth = table["truth"]
    rows, _ = make(correlation.fig1, scores_of(a=truth, b=-truth, c=np.exp(truth / 10)), table, context_for())
    for measure in ("kendall", "pearson"):
        assert one(rows, measure, "NNGP(100, 500, 1)")["ours"] == pytest.approx(1)
        assert one(rows, measure, "NNGP(100, 500, 2)")["ours"] == pytest.approx(-1)
    assert one(rows, "kendall", "NNGP(8000, 10000, 32)")["ours"] == pytest.approx(1)
    assert 0.8 < one(rows, "pearson", "NNGP(8000, 10000, 32)")["ours"] < 1
    short = one(rows, "kendall", "12 epochs")
    assert short["ours"] == statistics.kendall(table["val_12_0"], truth)
    assert short["low"] < short["ours"] < short["high"]
    costs = rows[rows["measure"] == "PFLOP a network"].set_index("metric")
    assert costs["paper"].notna().sum() == 5
    assert costs["ours"].dropna().to_numpy() == pytest.approx(costs["pflop"].dropna().to_numpy())
    published = costs.dropna(subset="paper")
    assert published["ours"].to_numpy() == pytest.approx(published["paper"].to_numpy(), rel=5e-4)


def test_fig1_tells_what_trainings_cost_that_the_table_has_not(table):
    bare = table.drop(columns=[column for column in table if column.startswith("val_")])
    rows, _ = make(correlation.fig1, scores_of(a=bare["truth"]), bare, context_for())
    assert set(rows[rows["measure"] == "kendall"]["metric"]) == {"NNGP(100, 500, 1)"}
    assert one(rows, "PFLOP a network", "36 epochs")["ours"] == pytest.approx(7.254, abs=5e-4)


@known_answer("fig2")
def test_fig2_scores_that_are_the_truth_separate_perfectly_at_every_threshold(table):
    truth = table["truth"].to_numpy()
    rows, _ = make(correlation.fig2, scores_of(a=truth, b=-truth, c=np.zeros(N)), table, context_for("nngp_fig2"))
    for share in (1, 5, 20, 50):
        perfect = one(rows, f"PQETP, top {share} %", "NNGP(100, 500, 1)")
        assert perfect["ours"] == 1
        assert perfect["threshold"] == np.quantile(truth, 1 - share / 100)
        assert (truth > perfect["threshold"]).sum() == math.ceil(N * share / 100)
        assert one(rows, f"PQETP, top {share} %", "NNGP(100, 500, 2)")["ours"] == 0
        assert one(rows, f"PQETP, top {share} %", "NNGP(8000, 10000, 32)")["ours"] == 0.5
    curves = rows[rows["measure"] == "PQETP"]
    assert (curves[curves["metric"] == "NNGP(100, 500, 1)"]["ours"] == 1).all()
    assert set(curves["metric"]) >= {"4 epochs", "12 epochs"}
    row = curves[curves["metric"] == "4 epochs"].iloc[17]
    above = table["val_4_0"][truth > row["threshold"]].to_numpy()[:, None]
    below = table["val_4_0"][truth <= row["threshold"]].to_numpy()
    assert row["ours"] == pytest.approx(((above > below) + 0.5 * (above == below)).mean())


@known_answer("fig4")
def test_fig4_means_of_percentiles_by_hand():
    archs = ["conv3x3~0|output~1", "conv1x1~0|output~1", "conv3x3~0|output~01", "conv1x1~0|output~01"]
    table = pd.DataFrame({"truth": [10.0, 20, 30, 40], "val_4_0": [40.0, 30, 20, 10]}, index=archs)
    scores = scores_of(a=np.arange(N))[:4].set_axis(archs)
    scores[key()] = [5.0, 5.0, 1.0, np.nan]
    rows, _ = make(correlation.fig4, scores, table, context_for("nngp_fig4"))
    by = rows.set_index(["metric", "connections"])["ours"]
    assert by["108 epochs", 0] == pytest.approx((12.5 + 37.5) / 2)
    assert by["108 epochs", 1] == pytest.approx((62.5 + 87.5) / 2)
    assert by["4 epochs", 0] == pytest.approx((87.5 + 62.5) / 2)
    # Three have a score: ranks 2.5, 2.5 and 1 of them.
    assert by["NNGP(100, 500, 1)", 0] == pytest.approx(100 * 2 / 3)
    assert by["NNGP(100, 500, 1)", 1] == pytest.approx(100 * 0.5 / 3)
    assert rows["n"].tolist() == [2] * 6
    other = spaces.get("nasbench201_size")
    archs = [str(arch) for arch in itertools.islice(other.enumerate(), 4)]
    with pytest.raises(InputError, match="space 'nasbench201_size'"):
        make(correlation.fig4, scores.set_axis(archs), table.set_axis(archs), context_for("nngp_fig4", space=other))


@known_answer("fig5")
def test_fig5_compares_both_kernels_on_the_networks_that_both_have_scored(table, rng):
    truth = table["truth"].to_numpy()
    keys = [key(100, 1000, e, kernel) for kernel in ("nngp", "ntk") for e in (1, 4)] + [key(500, 500, 1)]
    values = np.stack([truth, truth, truth, -truth, rng.normal(size=N)], axis=1)
    values[3, 2] = values[7, 0] = np.nan
    scores = pd.DataFrame(values, index=ARCHS, columns=pd.MultiIndex.from_tuples(keys))
    rows, _ = make(correlation.fig5, scores, table, context_for("nngp_fig5"))
    found = rows[rows["measure"] == "kendall"].set_index("metric")
    assert set(found.index) == {f"{kernel}(100, 1000, {e})" for kernel in ("NNGP", "NTK") for e in (1, 4)}
    assert found["ours"].to_dict() == pytest.approx(dict.fromkeys(found.index, 1) | {"NTK(100, 1000, 4)": -1})
    assert (found["n"] == N - 2).all()
    assert found["pflop"].notna().to_dict() == {name: name.startswith("NNGP") for name in found.index}
    assert found["paper"].dropna().to_dict() == {"NTK(100, 1000, 1)": 0.315, "NNGP(100, 1000, 1)": 0.3361}
    peak = one(rows, "ensemble of the highest tau", "NTK(100, 1000)")
    assert (peak["ours"], peak["paper"]) == (1, 1)
    with pytest.raises(InputError, match=r"ntk \[\(100, 1000\)\]; nngp \[\(500, 500\)\]"):
        make(correlation.fig5, scores[[*keys[2:]]], table, context_for("nngp_fig5"))


def test_fig5_needs_networks_that_both_kernels_have_scored(table):
    truth = table["truth"].to_numpy()
    half = np.arange(N) < N // 2
    values = np.stack([np.where(half, truth, np.nan), np.where(half, np.nan, truth)], axis=1)
    columns = pd.MultiIndex.from_tuples([key(100, 1000, 1, kernel) for kernel in ("nngp", "ntk")])
    with pytest.raises(InputError, match=r"Received: NTK\(100, 1000, 1\) of 30, NNGP\(100, 1000, 1\) of 30 networks"):
        make(correlation.fig5, pd.DataFrame(values, ARCHS, columns), table, context_for("nngp_fig5"))


@pytest.mark.parametrize(
    ("name", "figure"), [("fig1", correlation.fig1), ("fig5", correlation.fig5), ("figS1", correlation.fig_s1)]
)
def test_the_papers_numbers_stand_beside_its_networks_alone(table, name, figure):
    truth = table["truth"].to_numpy()
    keys = [key(100, 1000, 1, kernel) for kernel in ("nngp", "ntk")] + [key(momentum=0.0), key()]
    scores = pd.DataFrame(
        np.stack([truth] * 4, axis=1), ARCHS, pd.MultiIndex.from_tuples(keys, names=list(keys[0]._fields))
    )
    for changes, is_there in (
        ({}, True),
        ({"network": {"width": 4}}, False),
        ({"network": {"input_shape": (8, 8, 1)}}, False),
    ):
        rows, _ = make(figure, scores, table, context_for(f"nngp_{name}", **changes))
        assert rows["paper"].notna().any() == is_there
        assert rows["difference"].notna().any() == is_there


@known_answer("figS1")
def test_fig_s1_sets_the_ablation_beside_the_published(table):
    truth = table["truth"]
    rows, _ = make(correlation.fig_s1, scores_of(a=truth, z=-2 * truth), table, context_for("nngp_figS1"))
    for measure in ("kendall", "pearson"):
        ablated = one(rows, measure, "NNGP(100, 500, 1), BN momentum 0")
        assert (ablated["ours"], ablated["paper"]) == (pytest.approx(-1), 0.1)
        assert math.isnan(one(rows, measure, "NNGP(100, 500, 1)")["paper"])
    assert one(rows, "mean", "NNGP(100, 500, 1), BN momentum 0")["ours"] == pytest.approx(-2 * truth.mean())
    with pytest.raises(InputError, match="bn_momentum=0"):
        make(correlation.fig_s1, scores_of(a=truth), table, context_for("nngp_figS1"))


def test_other_studies_leave_the_ablation_out(table):
    rows, _ = make(correlation.fig1, scores_of(a=table["truth"], z=table["truth"]), table, context_for())
    assert not rows["metric"].str.contains("momentum").any()


@known_answer("figS3")
def test_fig_s3_has_a_panel_for_each_score(table):
    rows, made = make(correlation.fig_s3, scores_of(a=table["truth"], b=-table["truth"]), table, context_for())
    assert one(rows, "kendall", "NNGP(100, 500, 1)")["ours"] == pytest.approx(1)
    assert [axes.get_title().splitlines()[0] for axes in made.figure.axes[:2]] == [
        "NNGP(100, 500, 1)",
        "NNGP(100, 500, 2)",
    ]


@known_answer("figS4")
def test_fig_s4_correlates_short_training_and_needs_no_scores(table):
    rows, _ = make(correlation.fig_s4, None, table, context_for())
    for epochs in (4, 12, 36):
        expected = statistics.pearson(table[f"val_{epochs}_0"], table["truth"])
        assert one(rows, "pearson", f"{epochs} epochs")["ours"] == expected


@known_answer("figS5")
def test_fig_s5_means_and_medians(table):
    values = np.arange(N, dtype=float)
    values[-1] = np.nan
    rows, _ = make(correlation.fig_s5, scores_of(a=values), table, context_for())
    assert one(rows, "mean", "NNGP(100, 500, 1)")["ours"] == pytest.approx(29)
    assert one(rows, "median", "NNGP(100, 500, 1)")["ours"] == 29
    assert one(rows, "median", "NNGP(100, 500, 1)")["n"] == N - 1
    assert one(rows, "median", "36 epochs")["ours"] == table["val_36_0"].median()


@known_answer("figS6")
def test_fig_s6_a_perfect_score_exceeds_all_that_is_imperfect(table):
    truth = table["truth"].to_numpy()
    exact = table.assign(val_12_0=truth)
    rows, _ = make(correlation.fig_s6, scores_of(a=truth, b=-truth), exact, context_for())
    above = "share of thresholds above "
    assert one(rows, above + "12 epochs", "NNGP(100, 500, 1)")["ours"] == 0  # equals it everywhere
    assert one(rows, above + "12 epochs", "NNGP(100, 500, 1)")["thresholds"] == ""
    perfect = one(rows, above + "4 epochs", "NNGP(100, 500, 1)")
    curve = [statistics.pqetp(table["val_4_0"], truth, threshold) for threshold in correlation.SCANNED]
    defined = [value for value in curve if not math.isnan(value)]
    assert perfect["ours"] == pytest.approx(np.mean(np.array(defined) < 1))
    assert one(rows, above + "parameters", "NNGP(100, 500, 2)")["ours"] == 0


def test_ranges_of_thresholds():
    at = np.array([78.0, 78.3, 78.6, 78.9, 79.2])
    assert correlation.ranges(at, np.array([1, 1, 0, 1, 0], bool)) == "78-78.3, 78.9"
    assert correlation.ranges(at, np.ones(5, bool)) == "78-79.2"
    assert correlation.ranges(at, np.zeros(5, bool)) == ""
    assert (len(correlation.SCANNED), correlation.SCANNED[0], correlation.SCANNED[-1]) == (57, 78.0, 94.8)
