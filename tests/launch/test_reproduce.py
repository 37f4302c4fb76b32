"""launch.reproduce: the papers' facts, the recipes, and the way from scores to numbers."""

import json
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import proxies
import spaces
from launch import app, architectures, experiments, reproduce, studies
from tests.launch.test_score_launcher import fake_evaluate
from tfnas import data, environment
from tfnas.errors import InputError
from tfnas.networks import weights

ARCHS = {
    name: architectures.sample_architectures(spaces.get(name), 24, seed=3) for name in ("nasbench101", "nasbench201")
}


def numbers(value):
    """All numbers of nested facts."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [] if value is None or isinstance(value, str) else [float(value)]


# Facts and recipes ---------------------------------------------------------------------------------------------------


def test_golden_facts_are_those_of_the_specification(shared):
    specified = {entry["id"]: entry for entry in json.loads((shared / "specs" / "experiments.json").read_text())}
    assert set(experiments.facts()) == set(specified)
    for name, entry in experiments.facts().items():
        assert entry["kind"] == specified[name]["kind"]
        assert sorted(numbers(entry["expected"])) == sorted(numbers(specified[name]["expected"])), name
        assert entry["title"] != specified[name]["description"]


def test_list_has_a_line_for_every_experiment_and_marks_the_available(capsys):
    assert reproduce.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(experiments.facts())
    assert {line.split()[0] for line in lines if line.split()[1] == "yes"} == set(reproduce.AVAILABLE)
    assert set(reproduce.AVAILABLE) == {*experiments.RECIPES, *studies.STUDIES}


@pytest.mark.parametrize("name", experiments.RECIPES)
def test_recipes_name_things_that_exist(name):
    recipe = experiments.get(name)
    assert recipe.id == name
    assert name in experiments.facts()
    assert set(recipe.proxies) <= set(proxies.names())
    assert set(recipe.inits) <= set(weights.SCHEMES)
    assert set(recipe.datasets) <= set(data.names())
    assert set(recipe.columns) == set(recipe.datasets)
    assert recipe.flavour in spaces.get(recipe.space).flavours
    assert recipe.statistic in ("spearman", "kendall")
    assert recipe.small_size < recipe.paper_size <= spaces.get(recipe.space).size


def test_the_paper_has_a_number_for_every_row_of_its_tables():
    for table in map(experiments.get, ("gs_table5_1", "gs_table5_2")):
        for dataset in table.datasets:
            assert all(-1 < experiments.expected(table, dataset, proxy) < 1 for proxy in table.proxies)
    nats = experiments.get("gs_tableA_2")
    assert [experiments.expected(nats, dataset, "gradsign") for dataset in nats.datasets] == [0.76, 0.792, 0.784]
    assert math.isnan(experiments.expected(table, "digits", "gradsign"))


@pytest.mark.parametrize(
    ("scale", "expected"), [("small", 32), ("paper", 15625), ("0.1", 1562), ("1", 15625), ("1e-9", 8)]
)
def test_scales(scale, expected):
    recipe = experiments.get("gs_table5_2")
    assert experiments.sizes(recipe, scale, 10**6)[0] == expected
    assert experiments.sizes(recipe, scale, 10)[0] == min(expected, 10)


# Selection -----------------------------------------------------------------------------------------------------------


def selection(truth, scores, runs=200, seed=0):
    """rows of `experiments.selections` by (method, data set)."""
    recipe = experiments.get("gs_table5_4")
    frame = pd.DataFrame({"arch": np.tile(truth.index, 3), "proxy": np.repeat(recipe.proxies, len(truth))})
    frame["score"] = np.concatenate([scores[name] for name in recipe.proxies])
    rows = experiments.selections(recipe, frame, truth, runs=runs, seed=seed)
    return {(row["method"], row["dataset"]): row for row in rows}


@pytest.fixture
def pool():
    rng = np.random.default_rng(0)
    truth = pd.DataFrame(rng.normal(70, 10, (40, 2)), [f"a{i}" for i in range(40)], ["cifar10", "cifar100"])
    noisy = truth["cifar10"].to_numpy() + rng.normal(0, 5, 40)
    return truth, {"gradsign": truth["cifar10"].to_numpy(), "synflow": noisy, "naswot": np.full(40, np.nan)}


def test_a_perfect_proxy_chooses_the_optimum_and_none_beats_it(pool):
    truth, scores = pool
    rows = selection(truth, scores)
    assert rows["gradsign", "cifar10"]["ours"] == rows["optimal", "cifar10"]["ours"]
    # The search looks at the first data set only; the optimum is taken on each by itself.
    assert rows["gradsign", "cifar100"]["ours"] < rows["optimal", "cifar100"]["ours"]
    assert rows["synflow", "cifar10"]["ours"] < rows["gradsign", "cifar10"]["ours"]


def test_random_is_the_mean_of_the_pool_and_so_is_a_proxy_without_scores(pool):
    truth, scores = pool
    rows = selection(truth, scores, runs=4000)
    for method in ("random", "naswot"):
        for dataset in truth:
            row = rows[method, dataset]
            assert row["ours"] == pytest.approx(truth[dataset].mean(), abs=5 * truth[dataset].std() / 4000**0.5)
            assert row["high"] - row["ours"] == pytest.approx(truth[dataset].std(ddof=0), rel=0.1)
    assert rows["naswot", "cifar10"]["left_out"] == 40


def test_best_of_n_has_the_expected_distribution(pool):
    """Mean of the maximum of n of m without replacement, from the ranks: P(max is rank k) = C(k-1, n-1) / C(m, n)."""
    truth, scores = pool
    ranked = np.sort(truth["cifar10"].to_numpy())
    n, m = 10, 40  # a quarter of the pool
    chances = np.array([math.comb(k - 1, n - 1) / math.comb(m, n) for k in range(1, m + 1)])
    mean = (chances * ranked).sum()
    deviation = math.sqrt((chances * (ranked - mean) ** 2).sum())
    row = selection(truth, scores, runs=4000)["optimal", "cifar10"]
    assert row["ours"] == pytest.approx(mean, abs=5 * deviation / 4000**0.5)
    assert row["high"] - row["ours"] == pytest.approx(deviation, rel=0.1)


def test_a_network_without_a_score_is_never_chosen_over_one_with():
    truth = pd.DataFrame({"cifar10": [90.0, 10.0, 20.0, 30.0]}, list("abcd"))
    score = np.array([np.nan, -np.inf, 1.0, 2.0])
    rows = selection(truth, dict.fromkeys(("gradsign", "synflow", "naswot"), score))
    # A quarter of four is one network a run: every one is drawn, whatever its score.
    assert rows["gradsign", "cifar10"]["ours"] == rows["random", "cifar10"]["ours"]
    bigger = pd.concat([truth] * 3, ignore_index=True).set_index(pd.Index(list("abcdefghijkl")))
    rows = selection(bigger, dict.fromkeys(("gradsign", "synflow", "naswot"), np.tile(score, 3)), runs=2000)
    # Three of twelve a run: 90 only where all three drawn are a, e, i, which is 1 of 220.
    assert rows["gradsign", "cifar10"]["ours"] < 30
    assert rows["gradsign", "cifar10"]["left_out"] == 3


def test_golden_selection_without_a_proxy_gives_the_rows_of_the_paper(shared):
    """`random` and `optimal` need no scores: with the published accuracies they are the paper's, within its luck."""
    recipe = experiments.get("gs_table5_4")
    frame = pd.read_parquet(shared / "data" / "tables" / "nb201_accuracy.parquet").set_index("arch")
    truth = frame[[recipe.columns[name] for name in recipe.datasets]].set_axis(list(recipe.datasets), axis=1)
    rows = selection(truth, dict.fromkeys(recipe.proxies, np.full(len(truth), np.nan)), runs=500)
    for method in ("random", "optimal"):
        for dataset in recipe.datasets:
            row = rows[method, dataset]
            deviation = row["high"] - row["ours"]
            assert row["paper_std"] == pytest.approx(deviation, rel=0.15)
            # Two means over 500 runs each; four standard errors of their difference.
            assert row["ours"] == pytest.approx(row["paper"], abs=4 * deviation * (2 / 500) ** 0.5)
    assert ("naswot (1000)", "cifar10") in rows


# From flags to files -------------------------------------------------------------------------------------------------


def write_table(path, space="nasbench201", names=("one", "two")):
    rng = np.random.default_rng(1)
    columns = {"arch": ARCHS[space]} | {name: rng.normal(size=24) for name in names}
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path / "table.csv")


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(environment, "device", lambda: "test")
    monkeypatch.setattr(proxies, "evaluate", fake_evaluate)


def flags(tmp_path, table, name, *more):
    return [f"--experiment={name}", f"--table={table}", f"--output={tmp_path / name}", "--scale=small", *more]


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("name", experiments.RECIPES)
def test_every_recipe_runs_and_its_numbers_are_those_of_its_records(tmp_path, name, capsys):
    table = write_table(tmp_path / "table.csv", experiments.get(name).space)
    more = ["--datasets=synthetic", "--targets=one"]
    assert reproduce.main(flags(tmp_path, table, name, *more)) == 0
    out = tmp_path / name
    result = pd.read_csv(out / "results.csv")
    recipe = experiments.get(name)
    assert set(recipe.proxies) <= set(result["method"])
    assert {path.name for path in out.iterdir()} >= {
        f"{name}.png",
        "config.json",
        "environment.json",
        "recipe.json",
        "scores",
    }
    printed = " ".join(capsys.readouterr().out.split())
    assert recipe.id in printed
    assert f"truth: one of {table}" in printed
    assert (result["paper"].isna() == result["difference"].isna()).all()
    if recipe.analysis == "selection":
        return
    from tfnas.runs import records

    truth = pd.read_csv(table).set_index("arch")["one"]
    measure = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}[recipe.statistic]
    scores = records.read(out / "scores")
    for row in result.to_dict("records"):
        mine = scores[(scores.proxy == row["method"]) & (scores.init == row["init"])]
        expected = measure(mine.score, truth[mine.arch])[0]
        assert row["ours"] == pytest.approx(expected, rel=1e-4)
        assert row["n"] == len(mine) == 24
        assert row["low"] <= row["ours"] <= row["high"]


@pytest.mark.usefixtures("fake")
def test_a_second_run_scores_nothing_and_gives_the_same(tmp_path, table, monkeypatch):
    arguments = flags(tmp_path, table, "gs_tableA_2", "--datasets=synthetic", "--targets=one")
    assert reproduce.main(arguments) == 0
    first = (tmp_path / "gs_tableA_2" / "results.csv").read_bytes()
    monkeypatch.setattr(proxies, "evaluate", None)
    assert reproduce.main(arguments) == 0
    assert (tmp_path / "gs_tableA_2" / "results.csv").read_bytes() == first


@pytest.mark.usefixtures("fake")
def test_data_that_are_not_at_hand_are_left_out_with_a_line(tmp_path, table, capsys):
    more = ["--datasets=synthetic,cifar10", "--targets=one,two", f"--data_dir={tmp_path / 'empty'}"]
    assert reproduce.main(flags(tmp_path, table, "gs_tableA_2", *more)) == 0
    assert "cifar10 is left out: " in capsys.readouterr().err
    assert set(pd.read_csv(tmp_path / "gs_tableA_2" / "results.csv")["dataset"]) == {"synthetic"}

    more = ["--datasets=cifar10", "--targets=one", f"--data_dir={tmp_path / 'empty'}"]
    assert reproduce.main(flags(tmp_path, table, "gs_figA_1", *more)) == app.USAGE_ERROR
    lines = capsys.readouterr().err.splitlines()
    assert "launch.prepare --dataset=cifar10" in lines[0]
    assert lines[1:] == ["error: None of the data sets is at hand: cifar10"]


def test_a_table_without_the_columns_is_told(tmp_path, table, capsys):
    assert reproduce.main(flags(tmp_path, table, "gs_table5_2")) == app.USAGE_ERROR
    assert "cifar10_test_200_v1_0" in capsys.readouterr().err
    assert reproduce.main(flags(tmp_path, table, "gs_table5_2", "--datasets=digits")) == app.USAGE_ERROR
    assert "--targets" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["test_108", "val_108"], "val_108"),
        (["test_108", "val_4"], "test_108"),
        (["test_acc_108_mean"], "test_acc_108_mean"),
        (["accuracy"], None),
    ],
)
def test_nasbench101_prefers_validation_accuracy(tmp_path, names, taken):
    recipe = experiments.get("gs_table5_1")
    path = write_table(tmp_path / "table.csv", "nasbench101", names)
    config = reproduce.Config(experiment=recipe.id, table=str(path), output="out")
    if taken is None:
        with pytest.raises(InputError, match="No column val_108 or test_108 or test_acc_108_mean"):
            config.check()
        return
    drawn = reproduce._drawn(config, recipe)
    known = pd.read_csv(path).set_index("arch")[taken]
    assert drawn["cifar10"].to_dict() == known.to_dict()
    assert drawn.attrs["columns"] == [taken]


def test_networks_of_another_space_are_told(table):
    frame = pd.read_csv(table)
    frame.loc[0, "arch"] = "conv3x3~0|output~1"
    frame.to_csv(table, index=False)
    more = {"table": str(table), "datasets": ("synthetic",), "targets": ("one",), "output": "out"}
    with pytest.raises(InputError, match="conv3x3"):
        reproduce.Config(experiment="gs_figA_1", **more).check()
