"""Experiments of Neural Predictor on small tables, their numbers made again by hand."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest

import spaces
from launch import reproduce
from launch.jobs import prediction
from launch.papers.base import Inputs
from launch.papers.predictor import learned, tables
from launch.papers.registry import EXPERIMENTS
from tfnas.predictor import model
from tfnas.predictor.settings import PAPER

pytestmark = pytest.mark.usefixtures("uncompiled")

SPACE = spaces.get("nasbench101")
QUICK = dataclasses.replace(PAPER, layers=1, heads=(), epochs=2, width=6)


@pytest.fixture(scope="module")
def inputs():
    archs = SPACE.sample_distinct(np.random.default_rng(0), 90)
    values = [88 + 1.5 * min(str(arch).count("conv3x3"), 4) + 0.01 * place for place, arch in enumerate(archs)]
    frame = pd.DataFrame({"cifar10": values}, index=pd.Index(map(str, archs), name="arch"))
    return Inputs(EXPERIMENTS["np_mse"], SPACE, frame, ("cifar10",), None, seed=3, repeats=2)


def test_mse_is_that_of_networks_not_learned_from(inputs):
    made = learned.mse(inputs, settings=QUICK)
    rows = made.rows.set_index("method")
    assert rows.paper.to_dict() == {"one_stage": 1.95, "two_stage": 0.66}
    accuracies = inputs.truth["cifar10"].to_numpy()
    known = tables.known(inputs)
    threshold, notes = tables.cut_of(known.accuracies)
    assert (threshold, notes) == (0.91, ())
    for method, cut in (("one_stage", None), ("two_stage", 0.91)):
        found = prediction.train(QUICK, known, 60, range(2), 3, cut)
        predicted = model.Predictor(found.regressor).predict_graphs(known.graphs)
        errors = []
        for repeat in range(2):
            rest = np.setdiff1d(np.arange(90), prediction.draw(known, 60, repeat, 3))
            rest = rest[accuracies[rest] > 91]
            errors.append(np.mean((100 * predicted[rest, repeat] - accuracies[rest]) ** 2))
        assert rows.ours[method] == pytest.approx(np.mean(errors), rel=1e-4)
        assert rows.high[method] - rows.ours[method] == pytest.approx(np.std(errors), rel=1e-3, abs=1e-4)


def test_shares_that_the_first_stage_keeps(inputs):
    rows = learned.kept(inputs, settings=QUICK).rows.set_index("method")
    known = tables.known(inputs)
    threshold, _ = tables.cut_of(known.accuracies)
    kept = prediction.train(QUICK, known, 60, range(2), 3, threshold).predict_graphs(known.graphs) >= 0
    good = inputs.truth["cifar10"].to_numpy() > 91
    assert rows.n.to_dict() == {"above the threshold": good.sum(), "at or below it": (~good).sum(), "the best 1 %": 1}
    assert rows.ours["above the threshold"] == pytest.approx(100 * kept[good].mean(), abs=2)
    assert rows.ours["at or below it"] == pytest.approx(100 * kept[~good].mean(), abs=2)


def test_sizes_share_their_budgets(inputs):
    rows = learned.sizes(inputs, settings=QUICK, ns=(10, 20, 90)).rows
    assert rows.groupby("method").size().to_dict() == {"N = 10": 2, "N = 20": 2}
    assert rows.measure.unique().tolist() == ["accuracy, N + K = 30", "accuracy, N + K = 70"]
    known, accuracies = tables.known(inputs), inputs.truth["cifar10"].to_numpy()
    for n in (10, 20):
        predicted = prediction.train(QUICK, known, n, range(2), 3, 0.91).predict_graphs(known.graphs)
        orders = [sorted(range(90), key=lambda row: -column[row]) for column in predicted.T]
        for budget in (30, 70):
            best = [max(accuracies[order[: budget - n]]) for order in orders]
            found = rows[(rows.method == f"N = {n}") & rows.measure.str.endswith(f" {budget}")]
            assert found.ours.tolist() == [pytest.approx(np.mean(best))]


def test_where_few_lie_above_the_threshold_it_is_the_median(inputs):
    low = dataclasses.replace(inputs, truth=inputs.truth - 20)
    known = tables.known(low)
    threshold, notes = tables.cut_of(known.accuracies)
    assert threshold == pytest.approx(np.median(known.accuracies))
    assert "the threshold is the median" in notes[0]


@pytest.mark.parametrize("name", ["np_mse", "np_fig6", "np_fig7"])
def test_from_the_command_line(tmp_path, monkeypatch, name):
    """On the embedded table, as the runner makes it."""
    experiment = EXPERIMENTS[name]
    make = functools.partial(experiment.make, settings=QUICK)
    monkeypatch.setitem(EXPERIMENTS, name, dataclasses.replace(experiment, make=make, repeats=(1, 1)))
    assert reproduce.main([f"--experiment={name}", f"--output={tmp_path}"]) == 0
    found = pd.read_csv(tmp_path / "results.csv")
    assert found.ours.notna().all()
    assert {f"{name}.png", "recipe.json"} <= {path.name for path in tmp_path.iterdir()}
