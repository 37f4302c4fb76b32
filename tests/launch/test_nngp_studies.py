"""launch.studies: every study on invented networks where the right answer is known, then from flags to files."""

import dataclasses
import itertools
import math

import numpy as np
import pandas as pd
import pytest

import spaces
from launch import app, architectures, experiments, nngp, reproduce, studies
from launch.studies import correlation, data, flops, metrics, runner, search, size
from launch.studies.metrics import Metric, Setting, Settings
from tfnas import seeds, tables
from tfnas.errors import InputError
from tfnas.evidence import plots, statistics
from tfnas.networks import flops as cost
from tfnas.runs import records

SPACE = spaces.get("nasbench101")
N = 60
ARCHS = architectures.sample_architectures(SPACE, N, seed=5)
NETWORK = {"width": 128, "depth": 3, "flavour": "nasbench"}
F = 2.51e9
COVERED = set()


def known_answer(name):
    """Marks a test that holds a study to an answer known beforehand."""

    def mark(test):
        COVERED.add(name)
        return test

    return mark


def setting(n_train=100, n_val=500, ensemble=1, kernel="nngp", momentum=0.997):
    return Setting(kernel, n_train, n_val, ensemble, momentum)


def settings_for(name="nngp_fig1", **changes):
    expected = experiments.facts()[name]["expected"]
    return Settings(**({"space": "nasbench101", "flops": F, "expected": expected, "resamples": 40} | changes))


def scores_of(**columns):
    """Scores by letters of the settings they belong to: a is (100, 500, 1), b (100, 500, 2), c (8000, 10000, 32)."""
    names = {"a": setting(), "b": setting(ensemble=2), "c": setting(8000, 10000, 32), "z": setting(momentum=0.0)}
    frame = pd.DataFrame(columns, index=pd.Index(ARCHS, name="arch"), dtype=float)
    frame.columns = pd.MultiIndex.from_tuples([names[column] for column in frame], names=Setting._fields)
    return frame


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def table(rng):
    """Truths 80, 80.25, ... in no order, short trainings that come closer to them the longer they are, sizes."""
    truth = 80 + rng.permutation(N) / 4
    runs = {f"val_{epochs}_0": truth + rng.normal(size=N) * 20 / epochs for epochs in (4, 12, 36, 108)}
    params = rng.permutation(N) * 4e5 + 1e6
    return pd.DataFrame({"truth": truth, **runs, "params": params, "flops": params * 100}, index=ARCHS)


def one(rows, measure, metric=None, **columns):
    """The only row of a measure, metric and whatever else is asked for."""
    for column, value in {"measure": measure, "metric": metric, **columns}.items():
        rows = rows if value is None else rows[rows[column] == value]
    assert len(rows) == 1, rows
    return rows.iloc[0]


# Known answers -------------------------------------------------------------------------------------------------------


@known_answer("nngp_fig1")
def test_fig1_scores_that_are_the_truth_correlate_perfectly_and_cost_what_the_paper_says(table):
    truth = table["truth"]
    rows, _ = correlation.fig1(scores_of(a=truth, b=-truth, c=np.exp(truth / 10)), table, settings_for())
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
    rows, _ = correlation.fig1(scores_of(a=bare["truth"]), bare, settings_for())
    assert set(rows[rows["measure"] == "kendall"]["metric"]) == {"NNGP(100, 500, 1)"}
    assert one(rows, "PFLOP a network", "36 epochs")["ours"] == pytest.approx(7.254, abs=5e-4)


@known_answer("nngp_fig2")
def test_fig2_scores_that_are_the_truth_separate_perfectly_at_every_threshold(table):
    truth = table["truth"].to_numpy()
    rows, _ = correlation.fig2(scores_of(a=truth, b=-truth, c=np.zeros(N)), table, settings_for("nngp_fig2"))
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


@known_answer("nngp_fig3")
def test_fig3_scores_that_are_the_truth_discover_the_best_of_every_subset(table):
    truth = table["truth"].to_numpy()
    settings = settings_for("nngp_fig3")
    rows, _ = search.fig3(scores_of(a=truth, b=-truth), table, settings)
    subsets = settings.rows(N)
    assert subsets.shape == (10, N // 3)
    best = [truth[subset].max() for subset in subsets]
    perfect = one(rows, "discovered", "NNGP(100, 500, 1)")
    assert perfect["ours"] == pytest.approx(np.mean(best))
    assert perfect["high"] - perfect["ours"] == pytest.approx(np.std(best, ddof=1) / 10**0.5)
    # Of 20 networks the two ranked highest are looked at, here the two worst.
    worst = [np.sort(truth[subset])[1] for subset in subsets]
    assert one(rows, "discovered", "NNGP(100, 500, 2)")["ours"] == pytest.approx(np.mean(worst))
    assert set(rows["metric"]) >= {"4 epochs", "12 epochs"}


def test_subsets_have_the_papers_size_where_there_are_networks_enough():
    settings = settings_for()
    assert (settings.size(423_624), settings.top(423_624)) == (10_000, 10)
    assert (settings.size(300), settings.top(300)) == (100, 10)
    assert (settings.size(24), settings.top(24)) == (8, 1)
    assert (settings.rows(50) == settings.rows(50)).all()
    assert (settings.rows(50) != dataclasses.replace(settings, seed=1).rows(50)).any()


@pytest.mark.parametrize(
    ("space", "arch", "count"),
    [
        ("nasbench101", "output~0", 0),
        ("nasbench101", "conv3x3~0|output~1", 0),
        ("nasbench101", "conv3x3~0|output~01", 1),  # 0-2
        ("nasbench101", "conv3x3~0|conv1x1~01|output~12", 2),  # 0-2, 1-3
        ("nasbench101", "conv3x3~0|conv1x1~0|maxpool3x3~1|output~0123", 5),  # 0-2, 1-3, 0-4, 1-4, 2-4
        ("nasbench101", "conv3x3~0|conv1x1~0|output~1", 0),  # vertex 2 leads nowhere and is pruned
        ("nasbench201", "|none~0|+|skip_connect~0|none~1|+|skip_connect~0|avg_pool_3x3~1|skip_connect~2|", 3),
    ],
)
def test_residual_connections_counted_by_hand(space, arch, count):
    assert correlation.residual_connections(space, arch) == count


@known_answer("nngp_fig4")
def test_fig4_means_of_percentiles_by_hand():
    archs = ["conv3x3~0|output~1", "conv1x1~0|output~1", "conv3x3~0|output~01", "conv1x1~0|output~01"]
    table = pd.DataFrame({"truth": [10.0, 20, 30, 40], "val_4_0": [40.0, 30, 20, 10]}, index=archs)
    scores = scores_of(a=np.arange(N))[:4].set_axis(archs)
    scores[setting()] = [5.0, 5.0, 1.0, np.nan]
    rows, _ = correlation.fig4(scores, table, settings_for("nngp_fig4"))
    by = rows.set_index(["metric", "connections"])["ours"]
    assert by["108 epochs", 0] == pytest.approx((12.5 + 37.5) / 2)
    assert by["108 epochs", 1] == pytest.approx((62.5 + 87.5) / 2)
    assert by["4 epochs", 0] == pytest.approx((87.5 + 62.5) / 2)
    # Three have a score: ranks 2.5, 2.5 and 1 of them.
    assert by["NNGP(100, 500, 1)", 0] == pytest.approx(100 * 2 / 3)
    assert by["NNGP(100, 500, 1)", 1] == pytest.approx(100 * 0.5 / 3)
    assert rows["n"].tolist() == [2] * 6
    with pytest.raises(InputError, match="space 'nasbench201_size'"):
        correlation.fig4(scores, table, settings_for("nngp_fig4", space="nasbench201_size"))


@known_answer("nngp_fig5")
def test_fig5_compares_both_kernels_on_the_networks_that_both_have_scored(table, rng):
    truth = table["truth"].to_numpy()
    keys = [setting(100, 1000, e, kernel) for kernel in ("nngp", "ntk") for e in (1, 4)] + [setting(500, 500, 1)]
    values = np.stack([truth, truth, truth, -truth, rng.normal(size=N)], axis=1)
    values[3, 2] = values[7, 0] = np.nan
    scores = pd.DataFrame(values, index=ARCHS, columns=pd.MultiIndex.from_tuples(keys))
    rows, _ = correlation.fig5(scores, table, settings_for("nngp_fig5"))
    found = rows[rows["measure"] == "kendall"].set_index("metric")
    assert set(found.index) == {f"{kernel}(100, 1000, {e})" for kernel in ("NNGP", "NTK") for e in (1, 4)}
    assert found["ours"].to_dict() == pytest.approx(dict.fromkeys(found.index, 1) | {"NTK(100, 1000, 4)": -1})
    assert (found["n"] == N - 2).all()
    assert found["pflop"].notna().to_dict() == {name: name.startswith("NNGP") for name in found.index}
    assert found["paper"].dropna().to_dict() == {"NTK(100, 1000, 1)": 0.315, "NNGP(100, 1000, 1)": 0.3361}
    peak = one(rows, "ensemble of the highest tau", "NTK(100, 1000)")
    assert (peak["ours"], peak["paper"]) == (1, 1)
    with pytest.raises(InputError, match=r"ntk \[\(100, 1000\)\]; nngp \[\(500, 500\)\]"):
        correlation.fig5(scores[[*keys[2:]]], table, settings_for("nngp_fig5"))


@known_answer("nngp_fig6")
def test_fig6_correlates_with_size_and_not_with_the_truth(table):
    rows, _ = size.fig6(scores_of(a=table["params"], b=-table["params"]), table, settings_for("nngp_fig6"))
    assert one(rows, "pearson", "NNGP(100, 500, 1)")["ours"] == pytest.approx(1)
    assert one(rows, "kendall", "NNGP(100, 500, 2)")["ours"] == pytest.approx(-1)


@known_answer("nngp_fig8")
def test_fig8_keeping_the_truly_best_loses_nothing_and_the_worst_much(table):
    truth = table["truth"].to_numpy()
    exact = table.assign(val_12_0=truth, val_36_0=truth)
    settings = settings_for("nngp_fig8")
    rows, _ = search.fig8(scores_of(a=truth, b=-truth), exact, settings)
    best = one(rows, "discovered", "12 epochs", kept=100)["ours"]
    assert best == pytest.approx(np.mean([truth[subset].max() for subset in settings.rows(N)]))
    for kept, epochs in itertools.product((10, 30), (12, 36)):
        by = {"kept": kept, "ranked_by": f"{epochs} epochs"}
        assert one(rows, "discovered", "NNGP(100, 500, 1)", **by)["ours"] == pytest.approx(best)
        left = [np.sort(truth[subset])[N // 3 * kept // 100 - 1] for subset in settings.rows(N)]
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


@known_answer("nngp_fig9")
def test_fig9_recovers_the_coefficients_that_made_the_target(table, rng):
    nngp_scores = rng.normal(40, 5, N)
    mixed = table.assign(val_12_0=0.3 * table["val_4_0"] + 0.5 * nngp_scores + 7)
    rows, _ = search.fig9(scores_of(a=nngp_scores, b=rng.normal(size=N)), mixed, settings_for("nngp_fig9"))
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


@known_answer("nngp_figS1")
def test_fig_s1_sets_the_ablation_beside_the_published(table):
    truth = table["truth"]
    rows, _ = correlation.fig_s1(scores_of(a=truth, z=-2 * truth), table, settings_for("nngp_figS1"))
    for measure in ("kendall", "pearson"):
        ablated = one(rows, measure, "NNGP(100, 500, 1), BN momentum 0")
        assert (ablated["ours"], ablated["paper"]) == (pytest.approx(-1), 0.1)
        assert math.isnan(one(rows, measure, "NNGP(100, 500, 1)")["paper"])
    assert one(rows, "mean", "NNGP(100, 500, 1), BN momentum 0")["ours"] == pytest.approx(-2 * truth.mean())
    with pytest.raises(InputError, match="bn_momentum=0"):
        correlation.fig_s1(scores_of(a=truth), table, settings_for("nngp_figS1"))


def test_other_studies_leave_the_ablation_out(table):
    rows, _ = correlation.fig1(scores_of(a=table["truth"], z=table["truth"]), table, settings_for())
    assert not rows["metric"].str.contains("momentum").any()


@pytest.mark.parametrize(
    ("space", "archs", "network"),
    [
        ("nasbench101", [*ARCHS, "output~0", "conv3x3~0|maxpool3x3~01|output~012"], {}),
        ("nasbench101", ARCHS, {"width": 8, "depth": 2, "stages": 2, "classes": 7, "input_shape": (9, 9, 1)}),
        ("nasbench201", ["|none~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|none~2|"], {"depth": 1}),
    ],
)
def test_network_sizes_are_those_of_the_layers(space, archs, network):
    found = flops.network_sizes(space, archs, network)
    for arch in archs:
        graph = spaces.get(space).layer_graph(arch, **network)
        expected = [graph.count_params(), *cost.forward_flops(graph), cost.gradient_flops(graph)]
        assert found.loc[arch].tolist() == expected, arch


@known_answer("nngp_figS2")
def test_fig_s2_means_over_networks():
    rows, _ = flops.fig_s2(None, pd.DataFrame(index=ARCHS), settings_for("nngp_figS2"))
    graphs = [SPACE.layer_graph(arch) for arch in ARCHS]
    forward = np.array([cost.forward_flops(graph) for graph in graphs])
    assert one(rows, "mean GFLOP", "F, all layers")["ours"] == pytest.approx(forward.sum(1).mean() / 1e9)
    assert one(rows, "mean GFLOP", "F, all layers")["paper"] == 2.51
    small = np.array([graph.count_params() < 10e6 for graph in graphs])
    found = one(rows, "mean GFLOP", "F, all layers, below 10M parameters")
    assert (found["n"], found["ours"]) == (small.sum(), pytest.approx(forward[small].sum(1).mean() / 1e9))
    ratio = one(rows, "mean ratio", "G / F, gradients alone")
    assert ratio["ours"] == pytest.approx(
        np.mean([cost.gradient_flops(graph) / both[0] for graph, both in zip(graphs, forward, strict=True)])
    )
    # A count among 60 networks says nothing about the paper's among all.
    assert math.isnan(one(rows, "networks", "networks below 10M parameters")["paper"])


@pytest.mark.slow
def test_fig_s2_of_the_whole_space_gives_the_papers_numbers():
    """Also where the paper's 297,000 networks come from: those of 1 to 10 million parameters."""
    table = pd.DataFrame(index=[str(arch) for arch in SPACE.enumerate()])
    rows, _ = flops.fig_s2(None, table, settings_for("nngp_figS2"))
    assert one(rows, "mean GFLOP", "F, all layers")["ours"] == pytest.approx(2.51, abs=0.005)
    assert one(rows, "mean GFLOP", "F, all layers, 1M to 10M parameters")["ours"] == pytest.approx(1.29, abs=0.005)
    assert one(rows, "networks", "networks of 1M to 10M parameters")["ours"] == 297_198
    assert one(rows, "networks", "networks below 10M parameters")["paper"] == 297_000


def test_golden_parameters_are_those_of_the_benchmark(shared):
    path = shared / "data" / "tables" / "nb101_all_test108.parquet"
    frame = pd.read_parquet(path).sample(3000, random_state=0)
    from spaces.nasbench101 import published as nasbench101_records

    found = flops.network_sizes("nasbench101", nasbench101_records.archs(frame), {})
    assert (found["params"].to_numpy() == frame["params"].to_numpy()).all()


@known_answer("nngp_figS3")
def test_fig_s3_has_a_panel_for_each_score(table):
    rows, figure = correlation.fig_s3(scores_of(a=table["truth"], b=-table["truth"]), table, settings_for())
    assert one(rows, "kendall", "NNGP(100, 500, 1)")["ours"] == pytest.approx(1)
    assert [axes.get_title().splitlines()[0] for axes in figure.axes[:2]] == ["NNGP(100, 500, 1)", "NNGP(100, 500, 2)"]


@known_answer("nngp_figS4")
def test_fig_s4_correlates_short_training_and_needs_no_scores(table):
    rows, _ = correlation.fig_s4(None, table, settings_for())
    for epochs in (4, 12, 36):
        expected = statistics.pearson(table[f"val_{epochs}_0"], table["truth"])
        assert one(rows, "pearson", f"{epochs} epochs")["ours"] == expected


@known_answer("nngp_figS5")
def test_fig_s5_means_and_medians(table):
    values = np.arange(N, dtype=float)
    values[-1] = np.nan
    rows, _ = correlation.fig_s5(scores_of(a=values), table, settings_for())
    assert one(rows, "mean", "NNGP(100, 500, 1)")["ours"] == pytest.approx(29)
    assert one(rows, "median", "NNGP(100, 500, 1)")["ours"] == 29
    assert one(rows, "median", "NNGP(100, 500, 1)")["n"] == N - 1
    assert one(rows, "median", "36 epochs")["ours"] == table["val_36_0"].median()


@known_answer("nngp_figS6")
def test_fig_s6_a_perfect_score_exceeds_all_that_is_imperfect(table):
    truth = table["truth"].to_numpy()
    exact = table.assign(val_12_0=truth)
    rows, _ = correlation.fig_s6(scores_of(a=truth, b=-truth), exact, settings_for())
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


@known_answer("nngp_figS7")
def test_fig_s7_size_that_is_the_truth(table):
    table = table.assign(params=table["truth"] * 1e5)
    rows, _ = size.fig_s7(None, table, settings_for())
    assert one(rows, "pearson")["ours"] == pytest.approx(1)
    assert all(one(rows, f"PQETP, top {share} %")["ours"] == 1 for share in (1, 5, 20, 50))
    assert one(rows, "most parameters (millions)")["ours"] == pytest.approx(table["truth"].max() / 10)


@known_answer("nngp_figS8")
def test_fig_s8_size_beside_the_others(table):
    table = table.assign(params=table["truth"] * 1e5)
    rows, _ = size.fig_s8(scores_of(a=-table["truth"]), table, settings_for())
    assert one(rows, "kendall", "parameters")["ours"] == pytest.approx(1)
    expected = np.mean([table["truth"].to_numpy()[subset].max() for subset in settings_for().rows(N)])
    assert one(rows, "discovered", "parameters")["ours"] == pytest.approx(expected)
    assert one(rows, "kendall", "NNGP(100, 500, 1)")["ours"] == pytest.approx(-1)
    assert {"4 epochs", "12 epochs", "36 epochs"} <= set(rows["metric"])


@known_answer("nngp_figS9")
def test_fig_s9_correlates_every_metric_with_size(table):
    rows, _ = size.fig_s9(scores_of(a=table["params"]), table, settings_for())
    assert one(rows, "kendall", "NNGP(100, 500, 1)")["ours"] == pytest.approx(1)
    expected = statistics.kendall(table["val_4_0"], table["params"])
    assert one(rows, "kendall", "4 epochs")["ours"] == expected


@known_answer("nngp_figS10")
def test_fig_s10_looks_at_small_networks_alone(table):
    small = table["params"] < 10e6
    assert 10 < small.sum() < N - 10
    score = np.where(small, table["truth"], -table["truth"])
    rows, _ = size.fig_s10(scores_of(a=score), table, settings_for())
    found = one(rows, "kendall", "NNGP(100, 500, 1)")
    assert (found["ours"], found["n"]) == (pytest.approx(1), small.sum())
    mean = 2 * table["flops"][small].mean()
    assert found["pflop"] == pytest.approx(cost.nngp_flops(mean, 100, 500, 1) / cost.PFLOP)
    assert one(rows, "mean GFLOP")["ours"] == pytest.approx(mean / 1e9)
    with pytest.raises(InputError, match="Received: 0"):
        size.fig_s10(scores_of(a=score), table.assign(params=1e8), settings_for())


@known_answer("nngp_text_worst")
def test_text_worst_is_the_mean_of_the_lowest(table):
    settings = settings_for("nngp_text_worst")
    rows, _ = search.text_worst(None, table, settings)
    for epochs, paper in ((4, 4.37), (12, 9.12), (36, 9.49), (108, 9.49)):
        found = one(rows, "worst", f"{epochs} epochs")
        lowest = [table[f"val_{epochs}_0"].to_numpy()[subset].min() for subset in settings.rows(N)]
        assert (found["ours"], found["paper"]) == (pytest.approx(np.mean(lowest)), paper)


def test_every_study_has_a_known_answer():
    assert set(studies.STUDIES) == COVERED
    assert {name for name in experiments.facts() if name.startswith("nngp_")} - set(studies.STUDIES) == {"nngp_fig7"}


@pytest.mark.parametrize("name", [name for name, study in studies.STUDIES.items() if study.needs == "scores"])
@pytest.mark.parametrize("constant", [math.nan, 0.1])
def test_scores_without_information_are_undefined_and_never_an_error(table, name, constant):
    """Every network failed, or all have one score: as many networks do on few images."""
    columns = [setting(100, 1000, e, kernel, m) for kernel in ("nngp", "ntk") for e in (1, 4) for m in (0.997, 0.0)]
    values = np.full((N, len(columns)), constant)
    scores = pd.DataFrame(values, index=ARCHS, columns=pd.MultiIndex.from_tuples(columns, names=Setting._fields))
    rows, _ = studies.STUDIES[name].make(scores, table, settings_for(name))
    inferred = rows[rows["n_train"].notna() & rows["measure"].isin(["kendall", "pearson"])]
    if name != "nngp_fig9" or math.isnan(constant):  # where 4 epochs remain
        assert inferred["ours"].isna().all()


# Intervals -----------------------------------------------------------------------------------------------------------


def test_intervals_of_many_networks_are_as_wide_as_theory_has_them(rng):
    n = 5000
    score, truth = rng.normal(size=(2, n))
    rows = metrics.correlations(Metric("m", score), truth, settings_for(resamples=150))
    kendall, pearson = rows
    # Independent scores: variances 2 (2 n + 5) / (9 n (n - 1)) and 1 / (n - 1).
    for row, deviation in ((kendall, (2 * (2 * n + 5) / (9 * n * (n - 1))) ** 0.5), (pearson, (n - 1) ** -0.5)):
        assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * deviation, rel=0.25)
        assert row["low"] < row["ours"] < row["high"]
    assert kendall["ours"] == statistics.kendall(score, truth)


# From files to frames ------------------------------------------------------------------------------------------------


def write_records(folder, table, columns, *, drop=(), **changes):
    """Records as launch.nngp writes them; `columns` gives fractions by setting."""
    options = {"classes": 10, "input_shape": (32, 32, 3), "regularizers": [0.1] * 20}
    common = {"space": "nasbench101", "dataset": "cifar10", "init": "tensorflow", **NETWORK} | changes
    written = []
    for place, arch in enumerate(table.index):
        for key, values in columns.items():
            proxy = f"{key.kernel}_{key.n_train}_{key.n_val}_{key.ensemble}"
            mine = records.dump_options(options | {"bn_momentum": key.bn_momentum})
            written.append(records.Record(arch=arch, proxy=proxy, score=float(values[place]), options=mine, **common))
        for name in set(("params", "flops")) - set(drop):
            written.append(records.Record(arch=arch, proxy=name, score=float(table[name].iloc[place]), **common))
    with records.Writer(folder, "0of1", every=10**6) as writer:
        writer.add(written)
    return folder


def test_records_become_percent_by_setting(tmp_path, table):
    columns = {setting(): np.linspace(0.1, 0.5, N), setting(momentum=0.0): np.full(N, 0.25)}
    for seed, shift in ((0, 0.0), (1, 0.02)):
        shifted = {key: values + shift for key, values in columns.items()}
        write_records(tmp_path / "scores", table, shifted, seed=seed)
    found = data.from_records(records.read(tmp_path / "scores"), "scores")
    assert (found.space, found.dataset, found.regularizers) == ("nasbench101", "cifar10", 20)
    assert found.network == NETWORK | {"classes": 10, "input_shape": (32, 32, 3)}
    assert sorted(Setting(*column) for column in found.frame) == sorted(columns)
    expected = 100 * (np.linspace(0.1, 0.5, N) + 0.01)  # seeds are repeats
    assert found.frame[setting()].loc[ARCHS].to_numpy() == pytest.approx(expected)
    assert found.sizes.loc[ARCHS, "params"].tolist() == table["params"].tolist()


def test_failures_are_no_scores(tmp_path, table):
    write_records(tmp_path, table, {setting(): np.full(N, 0.5)})
    frame = records.read(tmp_path)
    frame.loc[(frame["arch"] == ARCHS[0]) & frame["proxy"].str.startswith("nngp"), "status"] = "nan"
    found = data.from_records(frame, "scores").frame[setting()]
    assert math.isnan(found[ARCHS[0]])
    assert found.notna().sum() == N - 1


def test_scores_that_do_not_go_together_are_refused(tmp_path, table):
    columns = {setting(): np.full(N, 0.5)}
    write_records(tmp_path / "a", table, columns)
    frame = records.read(tmp_path / "a")
    with pytest.raises(InputError, match=r"No inference scores in here\. Received proxies: flops, params"):
        data.from_records(frame[~frame["proxy"].str.startswith("nngp")], "here")
    other = frame.assign(dataset="cifar100")
    with pytest.raises(InputError, match="here mixes scores that differ in dataset: cifar10, cifar100"):
        data.from_records(pd.concat([frame, other]), "here")
    other = frame.assign(batch_size=250)
    with pytest.raises(InputError, match="differ in batch_size and cannot be averaged"):
        data.from_records(pd.concat([frame, other]), "here")


def test_tables_are_in_percent_and_prefer_validation(tmp_path):
    frame = pd.DataFrame({"arch": ["a", "b", "c"], "test_108": [0.5, 0.6, np.nan], "params": [1, 2, 3]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    found = data.load_table(str(tmp_path / "t.csv"))
    assert found.attrs["truth"] == "test_108"
    assert found["truth"].to_dict() == {"a": 50, "b": 60}
    more = frame.assign(val_108=[93.0, 94.0, 95.0], val_4_0=[0.1, 0.2, 1.0], val_half_4_0=0.3, hash=["x", "y", "z"])
    more.to_csv(tmp_path / "t.csv", index=False)
    found = data.load_table(str(tmp_path / "t.csv"))
    assert found.attrs["truth"] == "val_108"
    assert found["truth"].tolist() == [93, 94, 95]
    assert found["val_4_0"].tolist() == [10, 20, 100]
    assert sorted(found) == ["hash", "params", "truth", "val_4_0"]
    assert data.load_table(str(tmp_path / "t.csv"), "test_108")["truth"].tolist() == [50, 60]
    frame.rename(columns={"test_108": "test_acc_108_mean"}).to_csv(tmp_path / "t.csv", index=False)
    assert data.load_table(str(tmp_path / "t.csv")).attrs["truth"] == "test_acc_108_mean"
    with pytest.raises(InputError, match="'top1'"):
        data.load_table(str(tmp_path / "t.csv"), "top1")


# The same cell with its two middle vertices exchanged.
CELL, TWIN = "conv3x3~0|conv1x1~0|maxpool3x3~12|output~3", "conv1x1~0|conv3x3~0|maxpool3x3~12|output~3"


@pytest.mark.parametrize("with_hash", [True, False])
def test_isomorphic_cells_meet(tmp_path, table, with_hash):
    both = table.iloc[:3].set_axis([ARCHS[0], ARCHS[1], CELL])
    written = both.set_axis([ARCHS[0], "output~0", TWIN])
    write_records(tmp_path, written, {setting(): [0.1, 0.2, 0.3]})
    if with_hash:
        both = both.assign(hash=[SPACE.canonical(SPACE.parse(arch)) for arch in both.index])
    scores = data.from_records(records.read(tmp_path), "scores")
    frame, joined, by_hash = data.join(scores, both.drop(columns=["params", "flops"]), "here")
    assert by_hash == 1
    assert frame[setting()].to_dict() == pytest.approx({ARCHS[0]: 10, CELL: 30})
    assert joined.index.tolist() == frame.index.tolist()
    assert joined["truth"].tolist() == both.loc[frame.index, "truth"].tolist()
    assert joined["flops"].to_dict() == pytest.approx({ARCHS[0]: table["flops"].iloc[0], CELL: table["flops"].iloc[2]})
    with pytest.raises(InputError, match="No network of here"):
        data.join(scores, table.iloc[20:25], "here")


def test_sizes_without_records_are_counted(tmp_path, table):
    write_records(tmp_path, table[:3], {setting(): [0.1, 0.2, 0.3]}, drop=("params", "flops"))
    scores = data.from_records(records.read(tmp_path), "scores")
    _, joined, _ = data.join(scores, table[["truth"]], "here")
    for arch in ARCHS[:3]:
        graph = SPACE.layer_graph(arch)
        assert joined.loc[arch, ["params", "flops"]].tolist() == [graph.count_params(), graph.flops()]
    assert data.features(SPACE, ARCHS[0], scores.network) == 512


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "nasbench201_size"])
def test_the_space_of_an_architecture(name, rng):
    assert data.space_of(str(spaces.get(name).sample(rng))).name == name
    with pytest.raises(InputError, match="'resnet50'"):
        data.space_of("resnet50")


# From flags to files -------------------------------------------------------------------------------------------------


@pytest.fixture
def full(tmp_path, table, rng):
    """A table in the form of nasbench_full.tfrecord's, and a folder of records."""
    frame = table.rename(columns={"truth": "val_108"}).drop(columns="flops")
    accuracies = [column for column in frame if column.startswith("val_")]
    frame[accuracies] /= 100
    frame["test_108"] = frame["val_108"] - 0.01
    frame["hash"] = [SPACE.canonical(SPACE.parse(arch)) for arch in frame.index]
    path = tmp_path / "full.parquet"
    tables.write(tables.Table(frame.rename_axis("arch").reset_index(), {}, "invented", "nasbench101"), path)
    keys = [setting(ensemble=1), setting(ensemble=4), setting(8000, 500, 1), setting(momentum=0.0)]
    keys += [setting(100, 1000, e, kernel) for kernel in ("nngp", "ntk") for e in (1, 4)]
    columns = {key: table["truth"].to_numpy() / 200 + rng.normal(size=N) / 40 for key in keys}
    return path, write_records(tmp_path / "records", table, columns)


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing takes most of the time, and is done for every study once."""
    monkeypatch.setattr(plots, "save", lambda figure, path: None)


def flags(tmp_path, name, *more):
    return [f"--experiment={name}", f"--output={tmp_path / name}", *more]


@pytest.mark.parametrize("name", studies.STUDIES)
def test_every_study_writes_its_files_and_is_printed_beside_the_paper(tmp_path, full, name, capsys):
    study = studies.STUDIES[name]
    more = [f"--table={full[0]}"] + [f"--scores={full[1]}"] * (study.needs == "scores")
    assert reproduce.main(flags(tmp_path, name, *more)) == 0
    out = tmp_path / name
    expected = {"results.csv", "recipe.json", f"{name}.png", "config.json", "environment.json"}
    assert {path.name for path in out.iterdir()} == expected
    found = pd.read_csv(out / "results.csv")
    assert (found["experiment"] == name).all()
    assert found["ours"].notna().any()
    assert (found["paper"].isna() == found["difference"].isna()).all()
    printed = capsys.readouterr().out
    assert experiments.facts()[name]["title"].split()[0] in printed
    if study.needs != "space":
        assert f"truth: val_108 of {full[0]}" in " ".join(printed.split())
    assert "left out" not in printed


@pytest.mark.usefixtures("no_pictures")
def test_the_same_command_gives_the_same_rows(tmp_path, full):
    found = []
    for folder in ("one", "two"):
        arguments = flags(tmp_path / folder, "nngp_fig3", f"--table={full[0]}", f"--scores={full[1]}")
        assert reproduce.main(arguments) == 0
        found.append((tmp_path / folder / "nngp_fig3" / "results.csv").read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("nngp_fig8", "val_12_0, val_36_0"),
        ("nngp_fig9", "val_4_0, val_12_0"),
        ("nngp_figS4", "val_4_0, val_12_0, val_36_0"),
        ("nngp_text_worst", "val_4_0, val_12_0, val_36_0, val_108_0"),
    ],
)
def test_missing_columns_end_in_one_line(tmp_path, full, name, columns, capsys):
    bare = tmp_path / "bare.csv"
    pd.DataFrame({"arch": ARCHS, "test_108": np.linspace(0.8, 0.9, N), "params": 5}).to_csv(bare, index=False)
    more = [f"--scores={full[1]}"] * (studies.STUDIES[name].needs == "scores")
    assert reproduce.main(flags(tmp_path, name, f"--table={bare}", *more)) == app.USAGE_ERROR
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {name} needs {columns}, which {bare} has not.")
    assert "https://storage.googleapis.com/nasbench/nasbench_full.tfrecord" in lines[0]
    assert "python -m launch.prepare --table=nasbench_full.tfrecord --space=nasbench101 --out=" in lines[0]


CURVES = [name for name, study in studies.STUDIES.items() if study.shown and not study.required]


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", CURVES)
def test_curves_without_columns_are_left_out_with_a_note(tmp_path, full, name, capsys):
    bare = tmp_path / "bare.csv"
    pd.DataFrame({"arch": ARCHS, "test_108": np.linspace(0.8, 0.9, N)}).to_csv(bare, index=False)
    assert reproduce.main(flags(tmp_path, name, f"--table={bare}", f"--scores={full[1]}")) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"left out, as {bare} has no {', '.join(studies.STUDIES[name].shown)}" in printed
    assert "launch.prepare --table=nasbench_full.tfrecord" in printed
    assert f"truth: test_108 of {bare}" in printed
    found = pd.read_csv(tmp_path / name / "results.csv")
    assert not found[found["measure"] != "PFLOP a network"]["metric"].str.fullmatch(r"\d+ epochs").any() or (
        name == "nngp_fig4"  # whose truth is 108 epochs
    )


@pytest.mark.parametrize(
    ("name", "more", "told"),
    [
        ("nngp_fig1", ["--scores=missing"], "--scores=missing"),
        ("nngp_fig1", ["--scale=huge"], "'huge'"),
        ("nngp_fig1", ["--table=missing.parquet"], "missing.parquet"),
        ("nngp_fig1", ["--datasets=cifar10,digits"], "one data set"),
        ("nngp_fig1", ["--targets=accuracy"], "no --table"),
        ("nngp_figS7", ["--scores=x"], "looks at no scores"),
        ("nngp_fig7", [], "not available yet"),
        ("gs_table5_2", ["--scores=x"], "--scores goes with"),
    ],
)
def test_bad_flags_end_in_one_line(tmp_path, name, more, told, capsys):
    assert reproduce.main(flags(tmp_path, name, *more)) == app.USAGE_ERROR
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert told in lines[0]


def job_config(**changes):
    return reproduce.Config(experiment="nngp_fig1", output="out", **changes)


def test_jobs_have_the_papers_sizes_and_batches():
    study = studies.STUDIES["nngp_fig1"]
    few, many = runner.jobs(job_config(table="t", scale="paper"), study, "nasbench101")
    assert (few.n_train, few.calibration()) == (("100",), 100)
    assert (many.n_train, many.calibration()) == (("500", "2000", "8000"), 250)
    for job in (few, many):
        assert (job.dataset, job.space, job.network().width) == ("cifar10", "nasbench101", 128)
        assert job.counts("n_val") == [500, 2000, 5000, 10000]
        assert job.counts("ensemble") == [1, 2, 4, 8, 16, 32]
        assert job.network().bn_momentum == 0.997
        assert len(job.regularizer_values()) == 20
    (small,) = runner.jobs(job_config(table="t"), study, "nasbench101")
    assert (small.n_train, small.n_val, small.ensemble) == (("100",), ("500",), ("1", "2"))
    (embedded,) = runner.jobs(job_config(), study, "nasbench201")
    assert (embedded.dataset, embedded.n_val, embedded.network().width) == ("digits", ("200",), 16)


def test_jobs_of_ablations():
    momenta = {job.bn_momentum for job in runner.jobs(job_config(), studies.STUDIES["nngp_figS1"], "nasbench201")}
    assert momenta == {0.0, 0.997}
    kernels = runner.jobs(job_config(table="t", scale="paper"), studies.STUDIES["nngp_fig5"], "nasbench101")
    assert [(job.kernel, job.n_train, job.n_val) for job in kernels] == [
        (kernel, ("100",), ("1000",)) for kernel in ("nngp", "ntk")
    ]


def fake_compute(config, archs):
    """Stands in for `launch.nngp.compute`: records with numbers of the architecture instead of inference."""
    from launch.inference import blank_records

    with records.Writer(config.output, "0of1", every=10**6) as writer:
        for arch, blank in itertools.product(archs, blank_records(config)):
            score = seeds.derive_seed(0, arch, blank.proxy, blank.options) % 1000 / 1000
            writer.add([dataclasses.replace(blank, arch=arch, score=score)])


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", [n for n, s in studies.STUDIES.items() if s.needs == "scores" and not s.required])
def test_without_scores_and_table_the_digits_stand_in(tmp_path, monkeypatch, name, capsys):
    monkeypatch.setattr(nngp, "compute", fake_compute)
    assert reproduce.main(flags(tmp_path, name)) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{studies.STUDIES[name].small_size} networks on digits, kernel nngp, BN momentum" in printed
    assert "networks and accuracies are those on the UCI digits, not the paper's" in printed
    found = pd.read_csv(tmp_path / name / "results.csv")
    # Figure 4 counts networks by their connections.
    counts = found.groupby("metric")["n"].sum() if name == "nngp_fig4" else found["n"]
    assert counts.max() == studies.STUDIES[name].small_size


@pytest.mark.usefixtures("no_pictures")
def test_only_what_was_asked_for_is_read_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(nngp, "compute", fake_compute)
    assert reproduce.main(flags(tmp_path, "nngp_fig1", "--seed=1")) == 0
    assert reproduce.main(flags(tmp_path, "nngp_fig1", "--seed=2")) == 0
    both = pd.read_csv(tmp_path / "nngp_fig1" / "results.csv")
    assert reproduce.main([*flags(tmp_path / "alone", "nngp_fig1"), "--seed=2"]) == 0
    alone = pd.read_csv(tmp_path / "alone" / "nngp_fig1" / "results.csv")
    pd.testing.assert_frame_equal(both, alone)


def test_the_whole_path_with_real_inference(tmp_path, monkeypatch, capsys):
    small = dataclasses.replace(studies.STUDIES["nngp_fig1"], small_size=4)
    monkeypatch.setitem(reproduce.AVAILABLE, "nngp_fig1", small)
    assert reproduce.main(flags(tmp_path, "nngp_fig1")) == 0
    found = pd.read_csv(tmp_path / "nngp_fig1" / "results.csv")
    scores = records.read(tmp_path / "nngp_fig1" / "scores")
    assert set(scores["proxy"]) == {"nngp_100_200_1", "nngp_100_200_2", "params", "flops"}
    truth = data.load_table("nasbench201_digits")["truth"]
    ok = scores[(scores["proxy"] == "nngp_100_200_2") & (scores["status"] == "ok")]
    expected = statistics.kendall(ok["score"], truth[ok["arch"]])
    assert one(found, "kendall", "NNGP(100, 200, 2)")["ours"] == pytest.approx(expected, rel=1e-5)
    mean = scores[scores["proxy"] == "flops"]["score"].mean() * 2
    pflop = cost.nngp_flops(mean, 100, 200, 2, features=64) / cost.PFLOP
    assert one(found, "kendall", "NNGP(100, 200, 2)")["pflop"] == pytest.approx(pflop, rel=1e-5)
    before = sorted(path.name for path in (tmp_path / "nngp_fig1" / "scores").iterdir())
    assert reproduce.main(flags(tmp_path, "nngp_fig1")) == 0
    assert "4 of 4 networks are done" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "nngp_fig1" / "scores").iterdir()) == before
