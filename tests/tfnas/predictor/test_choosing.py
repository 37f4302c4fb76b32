"""Splits, errors and the rule of the width."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from tests.tfnas.predictor import cases
from tfnas import seeds
from tfnas.errors import InputError
from tfnas.predictor import choosing, model
from tfnas.predictor.settings import PAPER, REFERENCE
from tfnas.predictor.training import Task

SMALL = dataclasses.replace(PAPER, width=8, heads=(8,), epochs=4, learning_rate=3e-3)

pytestmark = pytest.mark.usefixtures("uncompiled")


def test_splits():
    found = choosing.splits(30, 4, seed=1)
    for learned, held in found:
        assert (len(learned), len(held)) == (20, 10)
        assert sorted([*learned, *held]) == list(range(30))
    assert len({tuple(held) for _, held in found}) == 4
    fewer = choosing.splits(30, 2, seed=1)
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(fewer, found, strict=False))
    with pytest.raises(InputError, match=r"3 networks or more\. Received: 2"):
        choosing.splits(2, 1, 0)


def test_errors():
    rng = np.random.default_rng(0)
    truth, found = rng.uniform(0.8, 0.9, 50), rng.uniform(0.8, 0.9, 50)
    received = choosing.errors(found, truth)
    assert received["mse"] == pytest.approx(
        sum((100 * a - 100 * b) ** 2 for a, b in zip(found, truth, strict=True)) / 50
    )
    assert received["tau"] == pytest.approx(stats.kendalltau(truth, found).statistic)
    assert received["r2"] == pytest.approx(1 - np.sum((found - truth) ** 2) / np.sum((truth - truth.mean()) ** 2))
    assert choosing.errors(truth, truth) == pytest.approx({"mse": 0, "tau": 1, "r2": 1})
    assert np.isnan(list(choosing.errors(np.ones(3), np.ones(3)).values())).tolist() == [False, True, True]
    assert np.isnan(list(choosing.errors(np.ones(0), np.ones(0)).values())).all()


def test_cross_validation_is_of_what_was_held_out():
    graphs = cases.graphs(30)
    accuracies = cases.accuracies(graphs)
    found = choosing.cross_validate(SMALL, graphs, accuracies, number=3, seed=5)
    assert list(found.columns) == ["split", "mse", "tau", "r2"]
    learned, held = choosing.splits(30, 3, seed=5)[1]
    alone = model.fit(SMALL, graphs, accuracies, [Task(learned, seeds.derive_seed(5, "fold", 1))])
    expected = choosing.errors(alone.predict_graphs(graphs.take(held))[:, 0], accuracies[held].astype(np.float64))
    assert found.iloc[1].to_dict() == pytest.approx({"split": 1, **expected}, rel=1e-3, abs=1e-3)


def test_cross_validation_of_two_stages_and_of_one_is_of_the_same_networks():
    graphs = cases.graphs(60)
    accuracies = cases.accuracies(graphs).astype(np.float64)
    cut = float(np.quantile(accuracies, 0.3))
    two = choosing.cross_validate(SMALL, graphs, accuracies, number=2, seed=0, threshold=cut, above=cut)
    one = choosing.cross_validate(SMALL, graphs, accuracies, number=2, seed=0, above=cut)
    assert list(two.columns) == list(one.columns)
    assert two["mse"].isna().all()
    assert one["mse"].notna().all()
    parts = choosing.splits(60, 2, 0)
    tasks = [Task(learned, seeds.derive_seed(0, "fold", i)) for i, (learned, _) in enumerate(parts)]
    for found, threshold in ((one, None), (two, cut)):
        fitted = model.fit(SMALL, graphs, accuracies, tasks, threshold=threshold)
        second = model.Predictor(fitted.regressor).predict_graphs(graphs)
        for split, (_, held) in enumerate(parts):
            good = [row for row in held if accuracies[row] > cut]
            errors = [(100 * (second[row, split] - accuracies[row])) ** 2 for row in good]
            assert found["mse_above"][split] == pytest.approx(sum(errors) / len(errors), rel=1e-3)
            ranks = fitted.predict_graphs(graphs)[held, split]
            assert found["tau"][split] == pytest.approx(stats.kendalltau(ranks, accuracies[held]).statistic, abs=1e-6)


@pytest.mark.parametrize("settings", [SMALL, PAPER, REFERENCE])
def test_one_and_a_half_times_the_parameters(settings):
    larger = choosing.enlarged(settings, 5)
    wanted = 1.5 * settings.count_params(5)
    below = dataclasses.replace(larger, width=larger.width - 1)
    assert below.count_params(5) < wanted <= larger.count_params(5)
    assert dataclasses.replace(larger, width=settings.width) == settings


def test_the_width_with_the_least_error():
    graphs = cases.graphs(40)
    settings, table = choosing.choose_width(SMALL, graphs, cases.accuracies(graphs), widths=(1, 12), number=2)
    assert table["width"].tolist() == [1, 12]
    best = int(table["width"][table["mse"].argmin()])
    assert settings == choosing.enlarged(dataclasses.replace(SMALL, width=best), 5)
