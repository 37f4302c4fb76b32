"""Rows of tables and figures: the numbers of loops, beside the paper's."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from launch.papers.fear import bins
from launch.papers.fear.compared import frontiers, table
from launch.papers.fear.ranked import figure3, table2
from launch.papers.fear.times import kept, times
from launch.papers.registry import EXPERIMENTS
from tests.launch.papers.fear import cases
from tfnas.errors import InputError


@pytest.fixture(scope="module")
def truth():
    return cases.truth_of()


@pytest.fixture(scope="module")
def records(truth):
    return cases.all_records(truth)


def of(records, truth, proxy, batch=None):
    """Scores, accuracies and seconds of the networks that FEAR has a score of."""
    known = set(records[(records["proxy"] == "fear") & (records["status"] == "ok")]["arch"])
    archs = [arch for arch in truth.index if arch in known]
    mine = records[(records["proxy"] == proxy) & (batch is None or records["batch_size"] == batch)].set_index("arch")
    return mine.loc[archs, "score"].tolist(), truth.loc[archs].iloc[:, 0].tolist(), mine.loc[archs, "seconds"].tolist()


def method(length, batch):
    return f"shortreg, {length} epoch{'s' * (length > 1)}, batch {batch}"


def test_the_table_has_fear_and_the_nearest_short_training_beside_the_paper(records, truth):
    made = table(cases.inputs_of("fear_table1", records, truth))
    paper = EXPERIMENTS["fear_table1"].expected
    for place, percent in enumerate(paper["bins"]):
        score, known, seconds = of(records, truth, "fear")
        best = cases.top(known, percent)
        ours = np.mean([seconds[i] for i in best])
        row = cases.one(made.rows, "fear", f"seconds, top {percent} %")
        assert row["ours"] == pytest.approx(ours)
        assert row["high"] - row["ours"] == pytest.approx(stats.sem([seconds[i] for i in best]))
        assert row["paper"] == paper["fear_s"][place]
        for name, key, loop in (
            ("Spearman's rho", "spe", cases.spearman),
            ("common ratio", "common", cases.common),
        ):
            row = cases.one(made.rows, "fear", f"{name}, top {percent} %")
            assert row["ours"] == pytest.approx(loop(score, known, percent), nan_ok=True)
            printed = paper[f"fear_{key}"][place]
            assert row["paper"] == printed or (printed is None and math.isnan(row["paper"]))
            points = {}
            for length, batch in cases.LENGTHS:
                other, _, took = of(records, truth, f"shortreg_after{length}", batch)
                points[method(length, batch)] = np.mean([took[i] for i in best]), loop(other, known, percent)
            front = {
                name: point
                for name, point in points.items()
                if not any(
                    other != point and other[0] <= point[0] and other[1] >= point[1] for other in points.values()
                )
            }
            near = min(front, key=lambda name: abs(front[name][0] - ours))
            row = cases.one(made.rows, f"nearest: {near}", f"{name}, top {percent} %")
            assert row["ours"] == pytest.approx(front[near][1])
            assert row["paper"] == paper[f"short_{key}"][place]
            row = cases.one(made.rows, f"nearest: {near}", f"seconds, top {percent} %")
            assert row["ours"] == pytest.approx(front[near][0])
    assert any("3 of 40 networks have no score of FEAR" in note for note in made.notes)


def test_the_first_rows_say_which_is_faster_at_equal_quality(records, truth):
    score, known, seconds = of(records, truth, "fear")
    shorts = [of(records, truth, f"shortreg_after{length}", batch) for length, batch in cases.LENGTHS]
    for make, name in ((table, "fear_table3a"), (frontiers, "fear_fig5")):
        made = make(cases.inputs_of(name, records, truth)).rows
        measures = made["measure"].tolist()
        assert measures[0].startswith("times as fast as shortreg of no lower Spearman's rho, top 10 %")
        own = cases.spearman(score, known, 100)
        fastest = min(
            (np.mean(took) for other, _, took in shorts if cases.spearman(other, known, 100) >= own), default=math.inf
        )
        row = cases.one(made, "fear", "times as fast as shortreg of no lower Spearman's rho, top 100 %")
        assert row["ours"] == pytest.approx(fastest / np.mean(seconds))
        assert row["n"] == 37


def test_figures_have_every_method_in_the_bins_of_tables_and_trainings_in_all(records, truth):
    made = frontiers(cases.inputs_of("fear_fig5", records, truth))
    for name, proxy, batch in (("snip", "snip", None), (method(4, 512), "shortreg_after4", 512)):
        score, known, seconds = of(records, truth, proxy, batch)
        for percent in bins.TABLE:
            row = cases.one(made.rows, name, f"Spearman's rho, top {percent} %")
            assert row["ours"] == pytest.approx(cases.spearman(score, known, percent), nan_ok=True)
        row = cases.one(made.rows, name, "seconds, top 100 %")
        assert row["ours"] == pytest.approx(np.mean(seconds))
    score, known, _ = of(records, truth, "fear")
    for percent in bins.CURVE:
        row = cases.one(made.rows, "fear", f"common ratio, top {percent} %")
        assert row["ours"] == pytest.approx(cases.common(score, known, percent), nan_ok=True)
    assert set(made.rows["method"]) >= {"synflow", "synflow_bn", "jacob_cov", "params"}
    assert "time_to_threshold" not in set(made.rows["method"])


def test_times_rank_the_networks_that_reach_the_threshold(records, truth):
    made = times(cases.inputs_of("fear_fig2", records, truth)).rows
    speed, known, _ = of(records, truth, "time_to_threshold")
    row = cases.one(made, "time_to_threshold", "spearman")
    assert row["ours"] == pytest.approx(stats.spearmanr(speed, known)[0])
    assert (row["n"], row["left_out"]) == (37, 3)
    assert row["low"] < row["ours"] < row["high"]
    row = cases.one(made, "epochs_to_threshold", "spearman")
    epochs = {
        entry["arch"]: json.loads(entry["details"])["epochs"]
        for entry in records.to_dict("records")
        if "epochs" in entry["details"]
    }
    reached = [
        arch
        for arch in truth.index
        if arch in set(records["arch"][(records["proxy"] == "fear") & (records["status"] == "ok")])
    ]
    ranked = [-epochs[arch] for arch in reached]
    assert row["ours"] == pytest.approx(stats.spearmanr(ranked, known)[0])
    assert row["n"] == 37
    sizes = of(records, truth, "params")[0]
    assert cases.one(made, "params", "spearman")["ours"] == pytest.approx(stats.spearmanr(sizes, known)[0])
    row = cases.one(made, "time_to_threshold", "share of the best 10 % within 4 times the fastest")
    all_records = records[records["proxy"] == "time_to_threshold"].set_index("arch").loc[truth.index]
    best = cases.top(truth["cifar10"].tolist(), 10)
    within = [all_records["score"].iloc[place] >= -4 * -all_records["score"].max() for place in best]
    assert row["ours"] == pytest.approx(np.mean(within))
    assert row["n"] == 4


def test_times_without_epochs_are_of_seconds_alone(records, truth):
    made = times(cases.inputs_of("fear_fig2", records.assign(details="{}"), truth))
    assert "epochs_to_threshold" not in set(made.rows["method"])
    assert len(made.figure.axes) == 1


def test_late_bloomers_are_what_a_cut_off_loses():
    truth = np.arange(20.0)
    assert kept(np.ones(20), truth) == 1
    seconds = np.where(np.arange(20) == 19, 5.0, 1.0)  # the best of all
    assert kept(seconds, truth) == 0.5
    seconds[18] = math.nan
    assert kept(seconds, truth) == 0
    assert math.isnan(kept(np.full(20, math.nan), truth))


def test_each_data_set_has_its_rows(records, truth):
    other = cases.truth_of(7, "cifar100")
    both = records.assign(dataset="cifar100", seconds=records["seconds"] * 2, score=records["score"] * 2)
    import pandas as pd

    inputs = cases.inputs_of("fear_fig4", pd.concat([records, both]), truth.join(other))
    made = times(inputs).rows
    for dataset, known in (("cifar10", truth), ("cifar100", other)):
        speed, accuracy, _ = of(records, known, "time_to_threshold")
        row = cases.one(made[made["dataset"] == dataset], "time_to_threshold", "spearman")
        assert row["ours"] == pytest.approx(stats.spearmanr(speed, accuracy)[0])


def test_table_2_has_every_method_of_the_networks_that_it_has_scored(records, truth):
    made = table2(cases.inputs_of("fear_table2", records, truth))
    printed = EXPERIMENTS["fear_table2"].expected
    for name in ("jacob_cov", "snip", "synflow", "synflow_bn", "fear"):
        (row,) = made.rows[made.rows["method"] == name].to_dict("records")
        mine = records[records["proxy"] == name.removesuffix("_bn")]
        if name.startswith("synflow"):
            mine = mine[mine["options"].str.contains("stem") == name.endswith("_bn")]
        mine = mine[mine["status"] == "ok"]
        assert row["ours"] == pytest.approx(stats.spearmanr(mine["score"], truth.loc[mine["arch"], "cifar10"])[0])
        assert (row["n"], row["left_out"]) == (len(mine), 40 - len(mine))
        assert row["paper"] == printed[name]
    assert made.notes == ("fear has no score of 3 networks (3 nan)",)
    assert list(made.rows["method"])[:3] == ["synflow", "jacob_cov", "snip"]


def looked_at(records, truth):
    """Scores before and after 1 and 2 epochs of one training, with its accuracies."""
    rng, rows, recipe = np.random.default_rng(9), [], cases.RECIPE | {"epochs": 200, "batch_size": 256}
    for arch in truth.index:
        for epochs in (1, 2):
            for name in ("snip", "grasp", "shortreg"):
                extra = {"training": recipe, "after_epochs": epochs}
                rows.append(cases.record(arch, f"{name}_after{epochs}", float(rng.normal()), 1.0, **extra))
        rows += [cases.record(arch, name, float(rng.normal()), 1.0) for name in ("snip", "grasp", "params")]
    return cases.frame(rows)


def test_figure_3_has_a_row_for_each_score_and_epoch(records, truth):
    import pandas as pd

    mine = looked_at(records, truth)
    # Trainings of other lengths, of which nothing was scored, change nothing.
    both = pd.concat([mine, records[records["proxy"].str.startswith("shortreg")]])
    kept = records[records["options"].str.contains("stem")]
    found = figure3(cases.inputs_of("fear_fig3", pd.concat([both, kept]), truth))
    made = found.rows
    order = "snip snip_after1 snip_after2 grasp grasp_after1 grasp_after2 shortreg_after1 shortreg_after2 params"
    assert list(made["method"]) == order.split()
    for _, row in made.iterrows():
        scores = mine[mine["proxy"] == row["method"]].set_index("arch").loc[truth.index, "score"]
        assert row["ours"] == pytest.approx(stats.spearmanr(scores, truth["cifar10"])[0])
    grasp = made[made["proxy"] == "grasp"].set_index("epochs")
    assert list(grasp["paper"])[:2] == [0.63, -0.41]
    assert math.isnan(grasp["paper"][2])
    crosses = [line for line in found.figure.axes[0].get_lines() if line.get_marker() == "x"]
    assert [-0.41] in [[y for y in line.get_ydata() if y < 0] for line in crosses]
    assert found.notes[-1] == "crosses are the paper's"


def test_figure_3_without_its_scores_is_refused(records, truth):
    others = records[~records["proxy"].isin(["snip", "jacob_cov", "params", "synflow"])]
    with pytest.raises(InputError, match="No records of"):
        figure3(cases.inputs_of("fear_fig3", others, truth))
