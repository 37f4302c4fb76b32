"""Table A.1: predictors on the half that none of them has learned from."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import spaces
from launch.jobs import prediction
from launch.jobs.knowledge import Known
from launch.papers.base import Inputs
from launch.papers.gradsign import predictors
from launch.papers.registry import EXPERIMENTS
from tfnas.errors import InputError

pytestmark = pytest.mark.usefixtures("uncompiled")

SPACE = spaces.get("nasbench201")
QUICK = dataclasses.replace(predictors.SETTINGS, layers=1, heads=(), epochs=3, width=6, learning_rate=3e-3)


def kendall(first, second):
    """Of all pairs, those in one order less those in the other, over the mean of those without a tie in each."""
    pairs = [(first[i] - first[j], second[i] - second[j]) for i in range(len(first)) for j in range(i)]
    untied = [sum(pair[side] != 0 for pair in pairs) for side in range(2)]
    return sum(np.sign(a * b) for a, b in pairs) / np.sqrt(untied[0] * untied[1])


def test_is_that_of_pairs_of_the_other_half(monkeypatch):
    monkeypatch.setattr(predictors, "SIZES", (8, 31))
    told, fit = {}, prediction.baseline

    def noted(name, known, codes, number, repeat, seed):
        found = told[known.target, number, repeat] = fit(name, known, codes, number, repeat, seed)
        assert (name, seed) == ("mlp", 4)
        assert np.array_equal(codes, known.flat(slice(None)))
        return found

    monkeypatch.setattr(prediction, "baseline", noted)
    archs = sorted(str(arch) for arch in SPACE.sample_distinct(np.random.default_rng(0), 60))
    rng = np.random.default_rng(1)
    values = np.array([60 + 4 * arch.count("3x3~") for arch in archs]) + rng.uniform(size=60)
    frame = pd.DataFrame({"cifar10": values, "cifar100": values[::-1]}, index=pd.Index(archs, name="arch"))
    # Whatever the order of the table.
    inputs = Inputs(EXPERIMENTS["gs_tableA_1"], SPACE, frame[::-1], ("cifar10", "cifar100"), None, seed=4, repeats=2)
    rows = predictors.kendall(inputs, settings=QUICK).rows.set_index("method")
    # 31 networks are more than a half.
    assert rows.index.tolist() == ["mlp, N = 8", "gcn, N = 8"]
    assert (rows.n == 30).all()
    found = {name: [] for name in rows.index}
    graphs = SPACE.features(archs)
    for dataset in frame:
        accuracies = frame[dataset].to_numpy() / 100
        known = Known(SPACE, archs, graphs, accuracies, accuracies, dataset)
        for number in (8,):
            trained = prediction.train(QUICK, known, number, range(2), 4, None).predict_graphs(graphs)
            for repeat in range(2):
                learned = prediction.draw(known, number, repeat, 4)
                held = prediction.draw(known, 60, repeat, 4)[30:]
                assert not set(learned.tolist()) & set(held.tolist())
                for name, predicted in (("mlp", told[dataset, number, repeat]), ("gcn", trained[:, repeat])):
                    found[f"{name}, N = {number}"].append(kendall(predicted[held], accuracies[held]))
    for name, taus in found.items():
        assert rows.ours[name] == pytest.approx(np.mean(taus))
        assert rows.high[name] - rows.ours[name] == pytest.approx(np.std(taus, ddof=1))


def test_networks_at_chance_are_learned_from_as_well():
    """On CIFAR-100 and ImageNet16-120 every fiftieth network of NAS-Bench-201 has 1 %."""
    archs = [str(arch) for arch in SPACE.sample_distinct(np.random.default_rng(0), 20)]
    frame = pd.DataFrame({"cifar100": np.linspace(0.8, 70, 20)}, index=pd.Index(archs, name="arch"))
    inputs = Inputs(EXPERIMENTS["gs_tableA_1"], SPACE, frame, ("cifar100",), None, seed=0)
    assert (predictors.kendall(inputs, settings=QUICK).rows.n == 10).all()
    with pytest.raises(InputError, match=r"needs 4 networks or more, .* Received: 3"):
        predictors.kendall(dataclasses.replace(inputs, truth=frame[:3]))


def test_minibatches_of_the_paper_are_those_of_its_numbers_of_networks():
    """A network of CIFAR-10 trains for 200 epochs of 196 batches, and all 15,625 share what some have cost."""
    assert [200 * 196 * number // 15_625 for number in predictors.SIZES] == [195, 978, 1959]


def test_the_paper_s_number_stands_at_its_number_of_networks():
    expected = EXPERIMENTS["gs_tableA_1"].expected
    assert predictors._PRINTED == {("mlp", 781): "mlp"}
    assert set(expected) == {"mlp", *predictors._ELSEWHERE}
