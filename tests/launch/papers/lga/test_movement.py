"""Figure 5: kernels of a real training, each gradient by itself, and what becomes of them."""

import numpy as np
import pandas as pd
import pytest

import spaces
from launch.flags.architectures import sample_architectures
from launch.flags.execution import Execution
from launch.flags.trained import Trained
from launch.jobs import base
from launch.papers.lga import movement
from launch.papers.registry import EXPERIMENTS
from tests.launch.papers.cases import frame_of, inputs_of
from tfnas import data, seeds, training
from tfnas.engine import reference
from tfnas.networks import keras_model, weights
from tfnas.runs import records

SPACE = spaces.get("nasbench201")
ARCH = sample_architectures(SPACE, 1, seed=4)[0]
NETWORK = {"width": 2, "depth": 1}


def job_of(digits_dir, output="", **changes):
    settings = {
        "dataset": "digits",
        "data_dir": str(digits_dir),
        "proxies": ("shortreg",),
        "after_epochs": (1, 3),
        "recipe": "lga",
        "train_split": "train[:128]",
        "train_batch_size": 32,
        "crop": 0,
        "split": "test",
        "batch_size": 1,
        **NETWORK,
    }
    return movement.MovementJob(Trained(**settings | changes), output)


def kernel(graph, now, images):
    """Inner products of the gradients of all pairs of image and logit, one ordinary gradient each."""
    model = keras_model.to_keras(graph, now)
    repeated, cotangents = np.repeat(images, 10, axis=0), np.tile(np.eye(10), (len(images), 1))
    rows = reference.loop(model, repeated, cotangents, "inference")
    flat = [
        row.reshape(len(row), -1).astype(np.float64) for key, row in rows.items() if key.endswith(("kernel", "gamma"))
    ]
    return sum(row @ row.T for row in flat)


def by_hand(digits_dir):
    """(kernel before training, kernels after 1 and 3 epochs)."""
    graph = SPACE.layer_graph(ARCH, input_shape=(8, 8, 1), classes=10, **NETWORK)
    images, _ = data.batch("digits", "test", 1, 0, data_dir=digits_dir)
    start = weights.initialize(graph, SPACE.init, seeds.derive_seed(0, "nasbench201", ARCH, 0))
    trainer = training.Trainer(graph, job_of(digits_dir).settings.short())
    trainer.start(start)
    found = []
    for epoch in trainer.run(
        data.load("digits", "train[:128]", data_dir=digits_dir), seed=seeds.derive_seed(0, "train", 0)
    ):
        if epoch.epoch in (1, 3):
            found.append(kernel(graph, trainer.weights(), images))
        if epoch.epoch == 3:
            return kernel(graph, start, images), found


def test_records_are_those_of_the_kernels_by_hand(tmp_path, digits_dir):
    base.run(job_of(digits_dir), [ARCH], Execution(output=str(tmp_path)))
    found = records.read(tmp_path).set_index("proxy")
    assert set(found["status"]) == {"ok"}
    assert set(found["batch_size"]) == {1}
    start, later = by_hand(digits_dir)
    assert start.shape == (10, 10)
    for epochs, now in zip((1, 3), later, strict=True):
        pairs = list(zip(start.ravel(), now.ravel(), strict=True))
        a, b = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
        both = sum((x - a) * (y - b) for x, y in pairs)
        alone = [sum((pair[i] - mean) ** 2 for pair in pairs) for i, mean in ((0, a), (1, b))]
        correlation = both / (alone[0] * alone[1]) ** 0.5
        difference = (sum((y - x) ** 2 for x, y in pairs) / sum(x**2 for x, _ in pairs)) ** 0.5
        assert found.score[f"kernel_correlation_after{epochs}"] == pytest.approx(correlation, rel=1e-3)
        assert found.score[f"kernel_difference_after{epochs}"] == pytest.approx(difference, rel=1e-3)


def test_keys_tell_everything_that_changes_the_kernel(digits_dir):
    first = {blank.key for blank in job_of(digits_dir).blanks()}
    assert len(first) == 4
    changes = ({"learning_rate": 0.1}, {"train_split": "train"}, {"split": "train"}, {"ntk_params": "all"})
    for change in (*changes, {"batch_size": 2}, {"seed": 1}, {"width": 3}, {"init": "xavier"}, {"dtype": "float64"}):
        assert not first & {blank.key for blank in job_of(digits_dir, **change).blanks()}, change
    for change in ({"checkpoint_seconds": 1.0}, {"ntk_batch_size": 3}):
        assert first == {blank.key for blank in job_of(digits_dir, **change).blanks()}, change


def test_measures_of_kernels_that_do_not_move_and_of_constant_ones():
    some = np.random.default_rng(0).normal(size=(4, 4))
    assert movement.correlation(some, 3 * some + 1) == pytest.approx(1)
    assert movement.difference(some, some) == 0
    assert movement.difference(some, 3 * some) == pytest.approx(2)
    assert np.isnan(movement.correlation(np.ones((2, 2)), np.eye(2)))
    assert np.isnan(movement.difference(np.zeros((2, 2)), np.eye(2)))


def test_rows_are_the_mean_the_least_and_the_most_of_the_networks():
    archs = ["a", "b", "c"]
    columns = {
        f"kernel_{name}_after{t}": [t, 2.0 * t, 4.0 * t] for name in ("correlation", "difference") for t in (1, 3)
    }
    records = pd.concat([frame_of(columns, archs), frame_of({"params": [1.0] * 3}, archs)])
    made = movement.fig5(inputs_of(EXPERIMENTS["lga_fig5"], records, {"digits": pd.Series([1.0, 2.0, 3.0], archs)}))
    assert len(made.rows) == 4
    for row in made.rows.itertuples():
        assert (row.low, row.high, row.n) == (row.epochs, 4 * row.epochs, 3)
        assert row.ours == pytest.approx(7 * row.epochs / 3)
    left, right = made.figure.axes
    assert left.get_lines()[1].get_ydata().tolist() == [1.0, 2.0, 6.0]
    assert right.get_lines()[1].get_ydata().tolist() == [0.0, 2.0, 6.0]
