"""Training on several devices: the same weights as on one, and BN of each device apart where that is asked for."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import training_worker
from tests.conftest import ROOT
from tests.tfnas.training import cases
from tfnas import training
from tfnas.errors import InputError
from tfnas.training import passes, replicas, step


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder, values = tmp_path_factory.mktemp("replicas"), {}
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    for count in ("2", "3"):
        command = [sys.executable, "-m", "tests.training_worker", count, str(folder / f"{count}.npz")]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        with np.load(folder / f"{count}.npz") as arrays:
            for name, value in arrays.items():
                values.setdefault(name.partition("/")[0], {})[name.partition("/")[2]] = value
    return values


@pytest.mark.parametrize("count", ["2", "3"])
def test_devices_that_share_their_statistics_train_as_one(found, count):
    cases.assert_close(found[count], training_worker.train(None))


def test_a_training_on_two_devices_goes_on_and_ends_the_same_bit_for_bit(found):
    for key, value in found["2"].items():
        np.testing.assert_array_equal(found["resumed"][key], value, err_msg=key)


def test_frozen_layers_are_frozen_on_all_devices(found):
    cases.assert_close(found["frozen"], training_worker.train(None, trained=training_worker.last_cell()))


def test_products_of_bfloat16_are_rounded_on_all_devices(found):
    """They cost about as much as on one device, far more than what float32 costs."""
    alone = training_worker.train(None, precision="bfloat16", recipe=training_worker.HALF)
    exact = training_worker.train(None, recipe=training_worker.HALF)
    distance = lambda a, b: max(np.abs(a[key] - b[key]).max() for key in a)  # noqa: E731
    assert 0.25 < distance(found["bfloat16"], exact) / distance(alone, exact) < 4
    single = training_worker.train(None, precision="float32", recipe=training_worker.HALF)
    assert distance(alone, exact) > 30 * distance(single, exact)


def test_devices_with_statistics_of_their_own_average_the_gradients_of_their_parts(found):
    """A plain loop over both halves of each batch; the moving statistics, with unbiased variances, are the first's."""
    graph, recipe = cases.small_graph(dropout=0.3), training_worker.HALF
    images, labels = training_worker.data()
    trainer = cases.started(graph, recipe, precision="float64")
    own = passes.Passes(graph, trainer.layout.trained.keys)

    def train(weights, batch, targets, smoothing, masks):
        halves = [
            own.train(
                weights, *(tf.split(value, 2)[i] for value in (batch, targets)), smoothing, [tf.split(masks[0], 2)[i]]
            )
            for i in (0, 1)
        ]
        (first, second) = halves
        gradients = {key: (value + second.gradients[key]) / 2 for key, value in first.gradients.items()}
        loss, correct = (first.loss + second.loss) / 2, first.correct + second.correct
        statistics = {
            key: value * unbiased(key) if key.endswith("variance") else value for key, value in first.statistics.items()
        }
        return passes.Outcome(loss, correct, gradients, statistics)

    def unbiased(key):
        height, width, _ = graph.by_name[key.rpartition(".")[0]].shape
        count = training_worker.BATCH // 2 * height * width
        return count / (count - 1)

    biased = dataclasses.replace(recipe, unbiased_variance=False)
    trainer._step = step.make(trainer.layout, biased, "float64", train, own.dropouts())
    epochs = list(trainer.run((images, labels), seed=3))
    values = np.array([(epoch.train_loss, epoch.train_accuracy) for epoch in epochs])
    cases.assert_close(found["apart"], trainer.weights() | {"epochs": values})
    together = training_worker.train(None, recipe=recipe)
    assert not np.allclose(found["apart"]["cells.1.conv.kernel"], together["cells.1.conv.kernel"], rtol=1e-6)


class _Two:
    num_replicas_in_sync = 2


def test_what_devices_cannot_share_is_told():
    with pytest.raises(InputError, match="Received: batch_size=7 on 2 devices"):
        replicas.check_share(7, _Two())
    with pytest.raises(InputError, match="XLA compiles for one device"):
        training.Trainer(cases.linear_graph(), cases.PLAIN, strategy=_Two(), jit=True)
