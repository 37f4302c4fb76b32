"""Searches by LGA: evolution step by step, the best of random networks, and what both cost."""

import dataclasses
import itertools
import math

import numpy as np
import pandas as pd
import pytest

import spaces
from launch import reproduce
from launch.papers.lga import search
from launch.papers.registry import EXPERIMENTS
from tests.launch.papers.cases import fake_workers, frame_of, inputs_of
from tfnas import seeds
from tfnas.evidence import plots
from tfnas.runs import records

SPACE = spaces.get("nasbench201")
TABLE2, TABLE_A3 = EXPERIMENTS["lga_table2"], EXPERIMENTS["lga_tableA3"]
EVERY = [str(arch) for arch in SPACE.enumerate()]


def score_of(arch):
    """One that evolution can climb: convolutions of 3 x 3, and a little of everything else."""
    return arch.count("nor_conv_3x3") + seeds.derive_seed(0, arch) % 1000 / 2000


def plain_evolution(scores, limit, first, seed):
    """The paper's algorithm 2, with lists."""
    rng = np.random.default_rng(seeds.derive_seed(seed, "evolution"))
    parent_pool, lga_hist, visited = list(first), [scores[arch] for arch in first], list(first)
    while len(visited) < limit:
        parent = parent_pool[lga_hist.index(max(lga_hist))]
        child = str(SPACE.mutate(SPACE.parse(parent), rng))
        parent_pool, lga_hist = [*parent_pool[1:], child], [*lga_hist[1:], scores[child]]
        visited.append(child)
    return visited


def test_evolution_is_the_papers_and_climbs():
    scores = {arch: score_of(arch) for arch in EVERY}
    visited, missing = search.evolve(SPACE, scores, 60, seed=3)
    assert missing == []
    assert visited == plain_evolution(scores, 60, visited[:10], seed=3)
    assert len(set(visited[:10])) == 10
    for place in range(10, 60):
        # The child is one change away from the best of the ten before it.
        parent = max(visited[place - 10 : place], key=scores.get)
        assert visited[place] in map(str, SPACE.neighbors(SPACE.parse(parent)))
    assert max(map(scores.get, visited[40:])) > max(map(scores.get, visited[:10]))
    assert search.evolve(SPACE, scores, 60, seed=3)[0] == visited
    assert search.evolve(SPACE, scores, 60, seed=4)[0] != visited


def test_evolution_asks_for_what_it_needs_and_goes_on_the_same_way():
    scores = {arch: score_of(arch) for arch in EVERY}
    whole, _ = search.evolve(SPACE, scores, 30, seed=0)
    known, asked = {}, []
    while True:
        visited, missing = search.evolve(SPACE, known, 30, seed=0)
        assert visited == whole[: len(visited)]
        if not missing:
            break
        asked.append(missing)
        known |= {arch: scores[arch] for arch in missing}
    assert visited == whole
    assert asked[0] == whole[:10]
    assert all(len(missing) == 1 for missing in asked[1:])
    assert set(known) == set(whole)


def test_a_network_without_a_score_is_no_parent():
    first = search.evolve(SPACE, {}, 12, seed=0)[1]
    scores = dict.fromkeys(EVERY, math.nan) | {first[4]: 0.5}
    visited, _ = search.evolve(SPACE, scores, 12, seed=0)
    assert all(child in map(str, SPACE.neighbors(SPACE.parse(first[4]))) for child in visited[10:])


def test_best_of_random_networks_has_the_mean_of_all_draws():
    """Of 6 networks by 3: the mean over all 20 draws, counted one by one."""
    scores = pd.Series([3.0, 1.0, np.nan, 6.0, 5.0, -np.inf])
    accuracy = pd.Series([10.0, 90.0, 100.0, 40.0, 70.0, 0.0])
    order = np.nan_to_num(scores, nan=-np.inf)
    draws = [max(draw, key=lambda i: order[i]) for draw in itertools.combinations(range(6), 3)]
    found = search.best_of(scores, accuracy, 3, runs=20_000)
    assert found["ours"] == pytest.approx(accuracy[draws].mean(), abs=0.8)
    assert found["high"] - found["ours"] == pytest.approx(accuracy[draws].std(ddof=0), rel=0.05)
    all_of_them = search.best_of(scores, accuracy, 6)
    assert all_of_them["ours"] == 40
    assert math.isnan(all_of_them["low"])


@pytest.fixture
def columns():
    rng = np.random.default_rng(0)
    archs = [EVERY[place] for place in rng.choice(len(EVERY), 40, replace=False)]
    names = (
        "fnorm",
        "ntk_mean",
        "ncn",
        "naswot",
        "lga",
        "lga_after3",
        "lga_after5",
        "shortreg_after3",
        "shortreg_after5",
    )
    return archs, {name: rng.normal(size=40) for name in names}, pd.Series(rng.uniform(80, 94, 40), archs)


def recorded(columns, archs, **more):
    """Records whose seconds are 2 for a score and 7 for each epoch of training."""
    frame = frame_of(columns, archs, seconds=2.0, **more)
    for epochs in (3, 5):
        frame.loc[frame["proxy"] == f"shortreg_after{epochs}", "seconds"] = 7.0 * epochs
    return frame


def one(rows, method, measure):
    (row,) = rows[(rows["method"] == method) & (rows["measure"] == measure)].to_dict("records")
    return row


def test_table2_of_given_records_is_random_search_without_evolution(columns):
    archs, scores, accuracy = columns
    made = search.table2(inputs_of(TABLE2, recorded(scores, archs, dataset="cifar100"), {"cifar100": accuracy}))
    for method, name, seconds in (
        ("rs_lga3", "lga_after3", 23),
        ("rs_lga5", "lga_after5", 37),
        ("naswot", "naswot", 2),
    ):
        row = one(made.rows, method, search.ACCURACY)
        assert row["ours"] == accuracy.iloc[np.argmax(scores[name])]
        assert row["n"] == 40
        assert row["paper"] == {"rs_lga3": 69.77, "rs_lga5": 71.56, "naswot": 70.03}[method]
        assert one(made.rows, method, search.COST)["ours"] == pytest.approx(40 * seconds)
    assert one(made.rows, "rs_lga3", search.COST)["paper"] == 5000
    assert one(made.rows, "random", search.ACCURACY)["ours"] == pytest.approx(accuracy.mean())
    assert one(made.rows, "optimal", search.ACCURACY)["ours"] == accuracy.max()
    rea = one(made.rows, "rea_lga3", search.ACCURACY)
    assert (rea["paper"], math.isnan(rea["ours"])) == (71.18, True)
    assert {"resnet", "bohb", "darts", "tenas", "knas_k5"} <= set(made.rows["method"])
    assert made.notes[0].startswith("cifar100: evolution is left out")


def test_table2_replays_an_evolution_that_is_recorded_and_keeps_it_out_of_random_search(columns):
    archs, scores, _ = columns
    every = {arch: score_of(arch) for arch in EVERY}
    visited, _ = search.evolve(SPACE, every, 30, seed=0)
    bred = list(dict.fromkeys(visited))
    columns = {"lga_after3": [every[arch] for arch in bred], "shortreg_after3": [0.5] * len(bred)}
    frame = pd.concat([recorded(scores, archs), recorded(columns, bred)]).drop_duplicates(["arch", "proxy"])
    frame = frame[~frame["proxy"].str.endswith("5")]
    truth = pd.Series({arch: 60 + 5 * every[arch] for arch in (*archs, *bred)})
    made = search.table2(inputs_of(TABLE2, frame, {"digits": truth}))
    row = one(made.rows, "rea_lga3", search.ACCURACY)
    assert row["n"] == 30
    assert row["ours"] == pytest.approx(60 + 5 * max(every[arch] for arch in visited))
    assert one(made.rows, "rea_lga3", search.COST)["ours"] == pytest.approx(30 * 23)
    others = [arch for arch in archs if arch not in bred]
    row = one(made.rows, "rs_lga3", search.ACCURACY)
    assert row["n"] == len(others)
    best = max(others, key=lambda arch: scores["lga_after3"][archs.index(arch)])
    assert row["ours"] == pytest.approx(truth[best])
    assert not any("left out" in note for note in made.notes)
    # What the evolution on one data set has come upon has no records on another, nor a place in its random search.
    both = pd.concat([frame, recorded(scores, archs, dataset="cifar10")])
    inputs = inputs_of(TABLE2, both, {"digits": truth, "cifar10": truth})
    two = search.table2(inputs).rows.groupby("dataset")
    assert one(two.get_group("digits"), "rs_lga3", search.ACCURACY)["ours"] == row["ours"]
    mine = one(two.get_group("cifar10"), "rs_lga3", search.ACCURACY)
    assert (mine["n"], mine["ours"]) == (40, pytest.approx(truth[archs[np.argmax(scores["lga_after3"])]]))
    # Networks that the scale has drawn are random search's, whether or not evolution has come upon them.
    drawn = inputs_of(TABLE2, frame, {"digits": truth}, drawn=(*others[:10], *bred[:2]))
    assert one(search.table2(drawn).rows, "rs_lga3", search.ACCURACY)["n"] == 12


def test_table2_computes_as_it_goes_where_the_table_knows_the_space(tmp_path, monkeypatch, capsys):
    fake_workers(monkeypatch)
    monkeypatch.setattr(plots, "save", lambda figure, path: None)
    monkeypatch.setitem(reproduce.registry.EXPERIMENTS, "lga_table2", dataclasses.replace(TABLE2, small_size=14))
    table = tmp_path / "table.csv"
    truth = pd.Series(np.random.default_rng(0).uniform(50, 90, len(EVERY)), EVERY, name="one").rename_axis("arch")
    truth.reset_index().to_csv(table, index=False)
    arguments = ["--experiment=lga_table2", f"--table={table}", "--datasets=synthetic,cifar100", "--targets=one,one"]
    arguments += [f"--output={tmp_path / 'out'}", "--seed=1"]
    assert reproduce.main(arguments) == 0
    # Told once, not with every step of the evolution.
    assert capsys.readouterr().err.count("cifar100 is left out: ") == 1
    rows = pd.read_csv(tmp_path / "out" / "results.csv")
    found = records.read(tmp_path / "out" / "scores")
    for epochs in (3, 5):
        scores = found[found["proxy"] == f"lga_after{epochs}"].set_index("arch")["score"]
        visited, missing = search.evolve(SPACE, scores.to_dict(), 14, seed=1)
        assert (len(visited), missing) == (14, [])
        assert visited == plain_evolution(scores, 14, visited[:10], seed=1)
        best = max(visited, key=scores.get)
        row = one(rows, f"rea_lga{epochs}", search.ACCURACY)
        assert row["ours"] == pytest.approx(truth[best], rel=1e-5)
        assert one(rows, f"rs_lga{epochs}", search.ACCURACY)["n"] == 14
    # 14 of random search, 10 that both evolutions begin with, at most 4 children of each.
    assert 24 <= found["arch"].nunique() <= 32
    first = (tmp_path / "out" / "results.csv").read_bytes()
    monkeypatch.setattr("launch.jobs.after.AfterJob.worker", None)
    assert reproduce.main(arguments) == 0
    assert (tmp_path / "out" / "results.csv").read_bytes() == first
    given = [*arguments[:4], f"--scores={tmp_path / 'out' / 'scores'}", f"--output={tmp_path / 'given'}", "--seed=1"]
    assert reproduce.main(given) == 0
    again = pd.read_csv(tmp_path / "given" / "results.csv")
    for epochs in (3, 5):
        mine, theirs = (one(of, f"rea_lga{epochs}", search.ACCURACY) for of in (rows, again))
        assert (mine["ours"], mine["n"]) == (theirs["ours"], theirs["n"])


def test_table_a3_has_the_accuracy_of_each_metrics_best(columns):
    archs, scores, accuracy = columns
    made = search.table_a3(inputs_of(TABLE_A3, recorded(scores, archs), {"digits": accuracy}))
    rows = made.rows[made.rows["n"] > 0].set_index("method")
    assert list(rows.index) == ["fnorm", "ntk_mean", "ncn", "lga_after3", "random", "optimal"]
    for name in ("fnorm", "ntk_mean", "ncn", "lga_after3"):
        assert rows.loc[name, "ours"] == accuracy.iloc[np.argmax(scores[name])]
        assert rows.loc[name, "low"] < rows.loc[name, "high"]
    assert rows.loc["optimal", "ours"] == accuracy.max()
    rest = made.rows[made.rows["n"] == 0]
    assert rest[rest["benchmark"] == "nds_darts"]["paper"].tolist() == [91.83, 88.4, 91.99, 93.61]
    assert rest[rest["benchmark"] == "nas_macro"]["paper"].tolist() == [87.12]


def test_bootstrap_of_the_best_has_the_chances_of_the_ranks():
    """The k-th best of n is the best of a sample with chance ((n - k + 1)^n - (n - k)^n) / n^n."""
    n = 10
    scores = pd.Series(np.arange(n, dtype=float))
    low, high = search._bootstrap(scores, pd.Series(np.arange(n, dtype=float)), seed=0)
    chances = [((n - k + 1) ** n - (n - k) ** n) / n**n for k in range(1, n + 1)]
    below = {n - k: sum(chances[k - 1 :]) for k in range(1, n + 1)}  # that the best is this or lower
    assert high == n - 1
    assert low == min(value for value, chance in below.items() if chance > 0.025)
