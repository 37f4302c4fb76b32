"""What single runs tell, their numbers made again by loops."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import spaces
from launch import reproduce
from launch.papers.base import Inputs
from launch.papers.predictor import oracle, tables
from launch.papers.registry import EXPERIMENTS
from tfnas.errors import InputError

SPACE = spaces.get("nasbench101")


def inputs_of(name, columns, repeats=1):
    archs = SPACE.sample_distinct(np.random.default_rng(0), len(columns["cifar10"]))
    frame = pd.DataFrame(columns, index=pd.Index(sorted(map(str, archs)), name="arch"))
    return Inputs(EXPERIMENTS[name], SPACE, frame, ("cifar10",), None, seed=3, repeats=repeats)


@pytest.fixture
def columns():
    rng = np.random.default_rng(1)
    means = rng.uniform(85, 94, 40)
    return {"cifar10": means} | {f"val_108_{run}": means + rng.normal(size=40) for run in range(3)}


def test_runs_are_drawn_evenly_and_never_where_there_is_none():
    values = np.array([[0.1, 0.2, 0.3], [0.4, np.nan, 0.5]] * 200)
    drawn = np.stack([tables.draw_runs(values, 0, repeat) for repeat in range(20)])
    for row, shares in ((0, {0.1: 1 / 3, 0.2: 1 / 3, 0.3: 1 / 3}), (1, {0.4: 1 / 2, 0.5: 1 / 2})):
        found = drawn[:, row::2]
        assert set(np.unique(found)) == set(shares)
        for value, share in shares.items():
            assert (found == value).mean() == pytest.approx(share, abs=0.03)
    assert np.array_equal(drawn[4], tables.draw_runs(values, 0, 4))
    with pytest.raises(InputError, match="2 networks have no single run"):
        tables.draw_runs(np.array([[np.nan], [0.1], [np.nan]]), 0, 0)


@pytest.mark.parametrize(("name", "make"), [("np_fig3", oracle.scatter), ("np_oracle", oracle.repeated)])
def test_the_order_of_the_table_does_not_matter(columns, name, make):
    inputs = inputs_of(name, columns, repeats=8)
    other = dataclasses.replace(inputs, truth=inputs.truth.sort_values("cifar10", ascending=False))
    pd.testing.assert_frame_equal(make(inputs).rows, make(other).rows)


def test_figure_3(columns):
    inputs = inputs_of("np_fig3", columns)
    rows = oracle.scatter(inputs).rows.set_index(["method", "measure"])
    validated = 100 * tables.draw_runs(tables.runs(inputs), 3, 0)
    best = max(range(40), key=lambda i: validated[i])
    assert rows.ours["oracle_val", "accuracy"] == pytest.approx(validated[best])
    assert rows.ours["oracle_test", "accuracy"] == pytest.approx(columns["cifar10"][best])
    assert rows.ours["test_optimum", "accuracy"] == pytest.approx(max(columns["cifar10"]))
    pairs = [(i, j) for i in range(40) for j in range(i)]
    tests = columns["cifar10"]
    signs = [np.sign((validated[i] - validated[j]) * (tests[i] - tests[j])) for i, j in pairs]
    assert rows.ours["all", "kendall"] == pytest.approx(sum(signs) / len(pairs))
    assert rows.paper.dropna().to_dict() == {
        ("oracle_val", "accuracy"): 95.15,
        ("oracle_test", "accuracy"): 94.08,
        ("test_optimum", "accuracy"): 94.32,
    }


def test_oracle_repeats(columns):
    inputs = inputs_of("np_oracle", columns, repeats=7)
    made = oracle.repeated(inputs)
    rows = made.rows.set_index("method")
    values = np.stack([columns[f"val_108_{run}"] for run in range(3)], axis=1)
    found = []
    for repeat in range(7):
        drawn = 100 * tables.draw_runs(values / 100, 3, repeat)
        best = int(np.argmax(drawn))
        found.append((drawn[best], columns["cifar10"][best]))
    for place, name in enumerate(("val", "test")):
        numbers = [pair[place] for pair in found]
        assert rows.ours[name] == pytest.approx(np.mean(numbers))
        assert rows.high[name] - rows.ours[name] == pytest.approx(np.std(numbers))
    assert (rows.paper.to_dict(), rows.paper_std.to_dict()) == (
        {"val": 95.13, "test": 94.18},
        {"val": 0.03, "test": 0.07},
    )
    assert made.notes == ("3 single runs of each network",)


def test_of_equal_ones_each_is_the_oracle_at_times():
    values, tests = np.array([[0.9], [0.9], [0.8]]), np.array([91.0, 92.0, 93.0])
    assert {oracle.oracle(values, tests, 0, repeat) for repeat in range(20)} == {(90.0, 91.0), (90.0, 92.0)}
    tied = np.where(np.arange(40) < 3, 95.0, 90.0)
    found = {
        oracle.scatter(
            dataclasses.replace(inputs_of("np_fig3", {"cifar10": np.arange(40.0), "val_108_0": tied}), seed=s)
        ).rows["ours"][1]
        for s in range(20)
    }
    assert found == {0.0, 1.0, 2.0}


def test_of_means_alone_nothing_can_be_drawn(columns):
    inputs = inputs_of("np_oracle", {"cifar10": columns["cifar10"]})
    with pytest.raises(InputError, match=r"np_oracle needs accuracies of single runs \(val_108_0") as error:
        oracle.repeated(inputs)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["np_fig3", "np_oracle"])
def test_from_the_command_line(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setitem(EXPERIMENTS, name, dataclasses.replace(EXPERIMENTS[name], repeats=(2, 100)))
    assert reproduce.main([f"--experiment={name}", f"--output={tmp_path}"]) == 0
    found = pd.read_csv(tmp_path / "results.csv")
    assert found.ours.notna().all()
    assert found.paper.isna().all()
    told = "the paper's numbers are of nasbench101 and do not stand beside those of nasbench201"
    assert told in capsys.readouterr().out
    assert (tmp_path / f"{name}.png").exists()
