"""Figures 8 and 9 on a small table, their numbers made again by loops."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import spaces
from launch import reproduce
from launch.jobs import prediction
from launch.papers.base import Inputs
from launch.papers.predictor import mobile, tables
from launch.papers.registry import EXPERIMENTS
from tfnas import seeds
from tfnas.predictor import choosing
from tfnas.predictor.pareto import soft_front
from tfnas.predictor.settings import PAPER

pytestmark = pytest.mark.usefixtures("uncompiled")

SPACE = spaces.get("nasbench201")
QUICK = dataclasses.replace(PAPER, layers=1, heads=(), epochs=4, width=6, learning_rate=3e-3)


@pytest.fixture(scope="module")
def inputs():
    archs = SPACE.sample_distinct(np.random.default_rng(0), 45)
    rng = np.random.default_rng(2)
    convolutions = np.array([str(arch).count("3x3~") for arch in archs])
    frame = pd.DataFrame(
        {
            "imagenet2012": 60 + 3 * convolutions + rng.uniform(size=45),
            "latency": 5 + convolutions + rng.normal(size=45),
        },
        index=pd.Index(map(str, archs), name="arch"),
    )
    return tables.ordered(Inputs(EXPERIMENTS["np_fig8"], SPACE, frame, ("imagenet2012",), None, seed=3, repeats=2))


@pytest.mark.parametrize(("name", "make"), [("np_fig8", mobile.front), ("np_fig9", mobile.quality)])
def test_the_order_of_the_table_does_not_matter(inputs, name, make):
    inputs = dataclasses.replace(inputs, experiment=EXPERIMENTS[name], repeats=1)
    other = dataclasses.replace(inputs, truth=inputs.truth.sort_values("imagenet2012", ascending=False))
    pd.testing.assert_frame_equal(make(inputs, settings=QUICK).rows, make(other, settings=QUICK).rows)


def height(accuracies, latency, rows, at):
    return np.mean([max(accuracies[row] for row in rows if latency[row] <= time) for time in at])


def test_fronts(inputs):
    rows = mobile.front(inputs, settings=QUICK).rows.set_index(["method", "measure"])
    known, latency = tables.known(inputs), inputs.truth["latency"].to_numpy()
    accuracies = inputs.truth["imagenet2012"].to_numpy()
    predicted = prediction.train(QUICK, known, 30, range(2), 3, None).predict_graphs(known.graphs)
    chosen, drawn = [], []
    for repeat in range(2):
        own = set(prediction.draw(known, 30, repeat, 3).tolist())
        others = [row for row in range(45) if row not in own]
        chosen.append([others[place] for place in soft_front(predicted[others, repeat], latency[others], 6)])
        rng = np.random.default_rng(seeds.derive_seed(3, "random front", repeat))
        drawn.append(rng.permutation(45)[: 30 + len(chosen[-1])])
    first = max(min(latency[rows_]) for rows_ in (*chosen, *drawn))
    at = [time for time in sorted(latency) if time >= first]
    measure = "mean accuracy of the front over latencies"
    assert rows.ours["predictor", "networks on the soft front, K"] == np.mean([len(found) for found in chosen])
    for name, found in (("predictor", chosen), ("random search", drawn), ("all networks", [range(45)])):
        expected = np.mean([height(accuracies, latency, rows_, at) for rows_ in found])
        assert rows.ours[name, measure] == pytest.approx(expected)
    assert rows.paper.dropna().tolist() == [137, 256]


def test_quality(inputs):
    inputs = dataclasses.replace(inputs, experiment=EXPERIMENTS["np_fig9"])
    rows = mobile.quality(inputs, settings=QUICK).rows.set_index(["method", "measure"])
    known, accuracies = tables.known(inputs), inputs.truth["imagenet2012"].to_numpy() / 100
    own = prediction.draw(known, 30, 0, 3)
    found = choosing.cross_validate(QUICK, known.graphs.take(own), accuracies[own], number=2, seed=3)
    assert rows.ours["held out", "mse"] == pytest.approx(found.mse.mean(), rel=1e-4)
    predicted = prediction.train(QUICK, known, 30, range(2), 3, None).predict_graphs(known.graphs)
    taus = []
    for repeat in range(2):
        others = np.setdiff1d(np.arange(45), prediction.draw(known, 30, repeat, 3))
        ten = others[mobile.evenly_spaced(predicted[others, repeat], 10)]
        taus.append(stats.kendalltau(predicted[ten, repeat], accuracies[ten]).statistic)
    assert rows.ours["evenly spaced", "tau"] == pytest.approx(np.mean(taus))
    assert rows.paper.tolist() == [0.109, 0.649, 0.648895, 0.956, 0.929]


def test_evenly_spaced_predictions():
    values = np.array([5.0, 0.0, 10.0, 2.4, 2.6, 7.5, 7.5])
    assert values[mobile.evenly_spaced(values, 5)].tolist() == [0, 2.4, 5, 7.5, 10]
    assert mobile.evenly_spaced(values, 9).tolist() == np.argsort(values, kind="stable").tolist()
    assert mobile.evenly_spaced(np.ones(4), 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["np_fig8", "np_fig9"])
def test_from_the_command_line(tmp_path, monkeypatch, capsys, name):
    experiment = EXPERIMENTS[name]
    make = functools.partial(experiment.make, settings=QUICK)
    monkeypatch.setitem(EXPERIMENTS, name, dataclasses.replace(experiment, make=make, repeats=(2, 10)))
    assert reproduce.main([f"--experiment={name}", f"--output={tmp_path}"]) == 0
    found = pd.read_csv(tmp_path / "results.csv")
    assert len(found) >= 2
    assert found.paper.notna().any()  # networks of another space are meant to stand in
    assert "the paper's numbers are of proxylessnas, ours of nasbench201" in capsys.readouterr().out
    assert (tmp_path / f"{name}.png").exists()


def test_a_table_without_latencies(tmp_path, inputs, capsys):
    inputs.truth.drop(columns="latency").to_csv(tmp_path / "t.csv")
    inputs.truth.assign(latency_ms=np.nan).to_csv(tmp_path / "empty.csv")
    flags = [f"--table={tmp_path / 't.csv'}", "--datasets=imagenet2012", "--targets=imagenet2012"]
    assert reproduce.main(["--experiment=np_fig8", f"--output={tmp_path / 'o'}", *flags]) == 2
    assert "np_fig8 needs a latency, which" in capsys.readouterr().err
    flags[0] = f"--table={tmp_path / 'empty.csv'}"
    assert reproduce.main(["--experiment=np_fig8", f"--output={tmp_path / 'o'}", *flags]) == 2
    assert "no network with an accuracy and a latency. Received: latency_ms, all empty" in capsys.readouterr().err
