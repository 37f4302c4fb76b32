"""One and two stages, predictions of many graphs, files."""

import dataclasses

import keras
import numpy as np
import pytest

from tests.tfnas.predictor import cases
from tests.tfnas.predictor.test_gcn import make
from tfnas.errors import InputError
from tfnas.predictor import model, training
from tfnas.predictor.settings import PAPER
from tfnas.predictor.training import Task

SMALL = dataclasses.replace(PAPER, width=16, heads=(8,), epochs=40, learning_rate=3e-3)


@pytest.fixture(scope="module")
def graphs():
    return cases.graphs(120)


@pytest.fixture(scope="module")
def tasks():
    return [Task(np.arange(80), 0), Task(np.arange(20, 100), 1)]


@pytest.fixture(scope="module")
def two_stages(graphs, tasks):
    accuracies = cases.accuracies(graphs)
    threshold = float(np.median(accuracies))
    return model.fit(SMALL, graphs, accuracies, tasks, threshold=threshold, space="some", target="accuracy")


class TestStages:
    def test_the_second_learns_from_what_is_good(self, graphs, tasks, two_stages):
        accuracies = cases.accuracies(graphs)
        good = [Task(task.rows[accuracies[task.rows] > two_stages.threshold], task.seed) for task in tasks]
        alone = training.train(SMALL, graphs, accuracies, good)
        for received, expected in zip(two_stages.regressor.variables, alone.variables, strict=True):
            np.testing.assert_allclose(received.numpy(), expected.numpy(), atol=2e-5)

    def test_what_the_first_turns_down_ranks_last(self, graphs, two_stages):
        found = two_stages.predict_graphs(graphs)
        single = model.Predictor(two_stages.regressor).predict_graphs(graphs)
        probability = model.Predictor(two_stages.classifier).predict_graphs(graphs)
        kept = probability >= 0.5
        assert kept.any()
        assert not kept.all()
        assert np.array_equal(found[kept], single[kept])
        np.testing.assert_allclose(found[~kept], probability[~kept] - 1, atol=1e-6)
        assert found[~kept].max() < 0 < found[kept].min()

    def test_the_first_tells_them_apart(self, graphs, two_stages):
        good = cases.accuracies(graphs)[100:] > two_stages.threshold
        kept = two_stages.predict_graphs(graphs.take(slice(100, None))) > 0
        assert (kept == good[:, None]).mean() > 0.8

    @pytest.mark.parametrize(("threshold", "side"), [(0.0, "above"), (0.999, "at or below")])
    def test_one_class_alone(self, graphs, tasks, threshold, side):
        with pytest.raises(InputError, match=f"80 networks that all lie {side} it") as error:
            model.fit(SMALL, graphs, cases.accuracies(graphs), tasks, threshold=threshold)
        assert "\n" not in str(error.value)


class TestPredictions:
    def test_are_those_of_the_keras_model(self, graphs, two_stages):
        inputs = [part[None] for part in training.inputs_of(graphs, SMALL.norm)]
        np.testing.assert_allclose(two_stages.predict_graphs(graphs), two_stages(inputs).numpy().T, atol=1e-6)

    @pytest.mark.parametrize("at_once", [1, 7, 120, 8192])
    def test_blocks_change_nothing(self, monkeypatch, graphs, at_once):
        predictor = model.Predictor(make(SMALL, predictors=2))
        expected = predictor.predict_graphs(graphs)
        assert expected.shape == (120, 2)
        monkeypatch.setattr(model, "_AT_ONCE", at_once)
        np.testing.assert_allclose(predictor.predict_graphs(graphs), expected, rtol=0, atol=1e-6)

    def test_one_of_several(self, graphs, two_stages):
        both = two_stages.predict_graphs(graphs)
        for predictor in range(2):
            alone = two_stages.only(predictor).predict_graphs(graphs)
            np.testing.assert_allclose(alone[:, 0], both[:, predictor], rtol=0, atol=1e-6)

    def test_graphs_of_another_space(self, two_stages):
        other = dataclasses.replace(cases.graphs(3), nodes=np.zeros((3, 7, 4), np.float32))
        for wrong in (other, cases.graphs(3, extras=1)):
            with pytest.raises(InputError, match=r"of another space\. Received: .*Allowed: 5 and 0"):
                two_stages.predict_graphs(wrong)

    def test_none(self, two_stages):
        assert two_stages.predict_graphs(cases.graphs(3).take(slice(0, 0))).shape == (0, 2)


class TestFiles:
    @pytest.mark.parametrize("stages", [1, 2])
    def test_round_trip(self, tmp_path, graphs, two_stages, stages):
        predictor = two_stages if stages == 2 else model.Predictor(two_stages.regressor, space="some", target="t")
        model.save(predictor, tmp_path / "a.keras")
        again = model.load(tmp_path / "a.keras")
        assert np.array_equal(again.predict_graphs(graphs), predictor.predict_graphs(graphs))
        for name in ("space", "target", "threshold"):
            assert getattr(again, name) == getattr(predictor, name)
        assert again.regressor.settings == predictor.regressor.settings
        assert (again.classifier is None) == (stages == 1)

    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in Keras' own saving
    def test_files_that_hold_none(self, tmp_path):
        (tmp_path / "text.keras").write_text("no model")
        other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        other.save(tmp_path / "other.keras")
        for name in ("text.keras", "other.keras", "missing.keras", "a.h5"):
            with pytest.raises(InputError, match=f"Received: .*{name}") as error:
                model.load(tmp_path / name)
            assert "\n" not in str(error.value)
        with pytest.raises(InputError, match=r"ends in \.keras"):
            model.save(model.Predictor(make(SMALL)), tmp_path / "a.h5")
