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
from tfnas.errors import InputError
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
    return tables.ordered(Inputs(EXPERIMENTS["np_mse"], SPACE, frame, ("cifar10",), None, seed=3, repeats=2))


@pytest.fixture
def low(inputs):
    """Of which none lie above the paper's threshold."""
    return dataclasses.replace(inputs, truth=inputs.truth - 20)


def test_mse_is_that_of_networks_not_learned_from(inputs):
    made = learned.mse(inputs, settings=QUICK)
    rows = made.rows.set_index("method")
    assert rows.paper.to_dict() == {"one_stage, all": 1.95, "one_stage": 1.95, "two_stage": 0.66}
    accuracies = inputs.truth["cifar10"].to_numpy()
    known = tables.known(inputs)
    threshold, notes = tables.cut_of(known.accuracies)
    assert (threshold, notes) == (0.91, ())
    for method, cut, least in (("one_stage, all", None, 0), ("one_stage", None, 91), ("two_stage", 0.91, 91)):
        found = prediction.train(QUICK, known, 60, range(2), 3, cut)
        predicted = model.Predictor(found.regressor).predict_graphs(known.graphs)
        errors, counts = [], []
        for repeat in range(2):
            rest = np.setdiff1d(np.arange(90), prediction.draw(known, 60, repeat, 3))
            rest = rest[accuracies[rest] > least]
            counts.append(len(rest))
            errors.append(np.mean((100 * predicted[rest, repeat] - accuracies[rest]) ** 2))
        assert rows.ours[method] == pytest.approx(np.mean(errors), rel=1e-4)
        assert rows.high[method] - rows.ours[method] == pytest.approx(np.std(errors), rel=1e-3, abs=1e-4)
        assert rows.n[method] == round(np.mean(counts))


@pytest.mark.parametrize("shift", [0, 20])
def test_shares_that_the_first_stage_keeps(inputs, shift):
    """Of unseen networks, by the paper's threshold and by that of each repeat."""
    inputs = dataclasses.replace(inputs, truth=inputs.truth - shift)
    made = learned.kept(inputs, settings=QUICK)
    rows, known = made.rows.set_index("method"), tables.known(inputs)
    accuracies = inputs.truth["cifar10"].to_numpy()
    shares = {"above the threshold": [], "at or below it": []}
    counts = {name: [] for name in shares}
    for repeat in range(2):
        own = set(prediction.draw(known, 60, repeat, 3).tolist())
        cut = np.median([known.accuracies[row] for row in own]) if shift else 0.91
        predicted = prediction.train(QUICK, known, 60, [repeat], 3, cut).predict_graphs(known.graphs)[:, 0]
        for name, side in zip(shares, (True, False), strict=True):
            part = [row for row in range(90) if row not in own and (accuracies[row] > 100 * cut) == side]
            counts[name].append(len(part))
            shares[name].append(100 * sum(predicted[row] >= 0 for row in part) / len(part))
    for name, values in shares.items():
        assert rows.ours[name] == pytest.approx(np.mean(values), abs=1e-9)
        assert rows.n[name] == round(np.mean(counts[name]))
    # What is drawn are all the unseen ones, at most 30, that are not below the axis.
    bars = [patch.get_height() for patch in made.figure.axes[0].patches]
    assert 25 <= sum(bars) <= 30


def test_a_part_that_all_repeats_learn_from_has_no_share(inputs, monkeypatch):
    """The best 1 % is the last of the table here, which both repeats draw."""
    best = int(np.argmax(inputs.truth["cifar10"]))
    draw = prediction.draw
    monkeypatch.setattr(prediction, "draw", lambda *asked: np.r_[best, np.setdiff1d(draw(*asked), best)[:59]])
    rows = learned.kept(inputs, settings=QUICK).rows.set_index("method")
    assert rows.n["the best 1 %"] == 0
    assert rows.ours.isna().to_dict() == {"above the threshold": False, "at or below it": False, "the best 1 %": True}


def test_sizes_share_their_budgets(inputs, monkeypatch):
    """90 networks, of which two thirds or fewer are learned from."""
    monkeypatch.setattr(learned, "VALIDATED", 35)
    rows = learned.sizes(inputs, settings=QUICK, ns=(10, 20, 60, 61)).rows
    assert rows.groupby("method").size().to_dict() == {"N = 10": 3, "N = 20": 3, "N = 60": 1}
    assert rows.measure.unique().tolist() == [f"accuracy, N + K = {budget}" for budget in (45, 55, 90)]
    known, accuracies = tables.known(inputs), inputs.truth["cifar10"].to_numpy()
    for n in (10, 20):
        predicted = prediction.train(QUICK, known, n, range(2), 3, 0.91).predict_graphs(known.graphs)
        others = [np.setdiff1d(np.arange(90), prediction.draw(known, n, repeat, 3)) for repeat in range(2)]
        orders = [sorted(rows, key=lambda row: -column[row]) for rows, column in zip(others, predicted.T, strict=True)]
        for budget in (45, 55, 90):
            best = [max(accuracies[order[: budget - n]]) for order in orders]
            found = rows[(rows.method == f"N = {n}") & rows.measure.str.endswith(f" {budget}")]
            assert found.ours.tolist() == [pytest.approx(np.mean(best))]


def test_where_few_lie_above_the_threshold_it_is_the_median_of_what_a_repeat_knows(low):
    known = tables.known(low)
    threshold, notes = tables.cut_of(known.accuracies)
    assert threshold is None
    assert "the threshold is the median of the networks that a repeat learns from, as 0%" in notes[0]
    cuts = tables.cuts(known, threshold, 30, range(3), 3)
    for repeat, cut in enumerate(cuts):
        values = sorted(known.accuracies[prediction.draw(known, 30, repeat, 3)])
        assert cut == pytest.approx((values[14] + values[15]) / 2)
    assert len(set(cuts)) == 3
    assert tables.cuts(known, 0.91, 30, range(3), 3) == [0.91] * 3
    told, probability = tables.stages(QUICK, known, 30, range(3), 3, cuts, known.graphs)
    for repeat, cut in enumerate(cuts):
        alone = prediction.train(QUICK, known, 30, [repeat], 3, cut).predict_stages(known.graphs)
        np.testing.assert_allclose(told[:, repeat], alone[0][:, 0], rtol=1e-6)
        np.testing.assert_allclose(probability[:, repeat], alone[1][:, 0], rtol=1e-6)


@pytest.mark.parametrize("make", [learned.mse, learned.kept, functools.partial(learned.sizes, ns=(10, 20))])
def test_the_order_of_the_table_does_not_matter(inputs, make):
    other = dataclasses.replace(inputs, truth=inputs.truth.sort_values("cifar10", ascending=False), repeats=1)
    first = make(dataclasses.replace(inputs, repeats=1), settings=QUICK)
    pd.testing.assert_frame_equal(make(other, settings=QUICK).rows, first.rows)


@pytest.mark.parametrize(("count", "ns"), [(64, learned.SIZES), (19, (13,))])
def test_tables_that_are_too_small(inputs, count, ns):
    few = dataclasses.replace(inputs, truth=inputs.truth.iloc[:count], experiment=EXPERIMENTS["np_fig7"])
    with pytest.raises(InputError, match=rf"np_fig7 .* of {count}\. Needed: {count + 1} networks or more"):
        learned.sizes(few, settings=QUICK, ns=ns)


@pytest.mark.parametrize("name", ["np_mse", "np_fig6", "np_fig7"])
def test_from_the_command_line(tmp_path, monkeypatch, capsys, name):
    """On the embedded table, as the runner makes it."""
    experiment = EXPERIMENTS[name]
    make = functools.partial(experiment.make, settings=QUICK)
    monkeypatch.setitem(EXPERIMENTS, name, dataclasses.replace(experiment, make=make, repeats=(1, 1)))
    assert reproduce.main([f"--experiment={name}", f"--output={tmp_path}"]) == 0
    found = pd.read_csv(tmp_path / "results.csv")
    assert found[found.n > 0].ours.notna().all()
    assert (found.n > 0).sum() >= 2
    assert found.paper.isna().all()
    told = "the paper's numbers are of nasbench101 and do not stand beside those of nasbench201"
    assert (told in capsys.readouterr().out) == (name == "np_mse")  # it prints none of the others
    assert {f"{name}.png", "recipe.json"} <= {path.name for path in tmp_path.iterdir()}
