"""Training against a plain loop: the tape, Adam written out, one predictor after the other."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ROOT
from tests.tfnas.predictor import cases
from tfnas import seeds
from tfnas.errors import InputError
from tfnas.predictor import gcn, training
from tfnas.predictor.settings import PAPER, REFERENCE
from tfnas.predictor.training import Task

SMALL = dataclasses.replace(PAPER, layers=2, width=8, heads=(6,), epochs=3, batch_size=4, learning_rate=1e-2)
FORMS = {
    "sigmoid": SMALL,
    "linear": dataclasses.replace(SMALL, output="linear"),
    "probability": dataclasses.replace(SMALL, output="probability"),
}


def targets_of(settings, graphs):
    accuracies = cases.accuracies(graphs)
    return (accuracies > np.median(accuracies)).astype(np.float32) if settings.output == "probability" else accuracies


def plain(settings, graphs, targets, task):
    """A loop over batches: weights of one predictor."""
    model = gcn.GCN(settings, graphs.features)
    model.initialize([seeds.derive_seed(task.seed, "weights")])
    rng = np.random.default_rng(seeds.derive_seed(task.seed, "batches"))
    orders = [rng.permutation(len(task.rows)) for _ in range(settings.epochs)]
    own = targets[task.rows]
    if settings.output == "sigmoid":
        model.offset.assign([[settings.low]])
        model.scale.assign([[settings.high - settings.low]])
        # It starts at the mean of its training set.
        share = (own.mean(dtype=np.float64) - settings.low) / (settings.high - settings.low)
        model.denses[-1].bias.assign([[[np.log(share / (1 - share))]]])
    if settings.output == "linear":
        model.offset.assign([[own.mean(dtype=np.float64)]])
        model.scale.assign([[own.std(dtype=np.float64)]])
    weights = model.trainable_variables
    mean, square, step = [0.0] * len(weights), [0.0] * len(weights), 0
    for epoch, order in enumerate(orders):
        rate = settings.learning_rate * (1 + np.cos(np.pi * epoch / settings.epochs)) / 2
        for start in range(0, len(order) - settings.batch_size + 1, settings.batch_size):
            rows = task.rows[order[start : start + settings.batch_size]]
            inputs = [part[None] for part in training.inputs_of(graphs.take(rows), settings.norm)]
            with tf.GradientTape() as tape:
                y = targets[rows][None]
                if settings.output == "probability":
                    loss = tf.reduce_mean(keras.losses.binary_crossentropy(y, model(inputs)))
                elif settings.output == "linear":
                    scale, offset = model.scale.numpy(), model.offset.numpy()
                    loss = tf.reduce_mean(((model(inputs) - offset) / scale - (y - offset) / scale) ** 2)
                else:
                    loss = tf.reduce_mean((100 * model(inputs) - 100 * y) ** 2)
            gradients = tape.gradient(loss, [w.value for w in weights])
            step += 1
            for i, (gradient, weight) in enumerate(zip(gradients, weights, strict=True)):
                total = (gradient + settings.weight_decay * weight).numpy().astype(np.float64)
                mean[i] = 0.9 * mean[i] + 0.1 * total
                square[i] = 0.999 * square[i] + 0.001 * total**2
                move = mean[i] / (1 - 0.9**step) / (np.sqrt(square[i] / (1 - 0.999**step)) + 1e-8)
                weight.assign(weight.numpy() - rate * move)
    return [w.numpy()[0] for w in model.trainable_variables]


@pytest.mark.parametrize("form", FORMS)
def test_is_that_of_a_loop(form):
    settings, graphs = FORMS[form], cases.graphs(30)
    targets = targets_of(settings, graphs)
    tasks = [Task(np.arange(0, 22), 3), Task(np.arange(5, 30), 4)]
    found = training.train(settings, graphs, targets, tasks)
    for predictor, task in enumerate(tasks):
        expected = plain(settings, graphs, targets, task)
        for received, value in zip(found.trainable_variables, expected, strict=True):
            np.testing.assert_allclose(received.numpy()[predictor], value, rtol=0, atol=2e-5)


def test_beside_others_as_alone():
    """Training sets of other sizes too, one smaller than a batch."""
    settings, graphs = dataclasses.replace(SMALL, dropout=0.3), cases.graphs(40, extras=2)
    accuracies = cases.accuracies(graphs)
    tasks = [Task(np.arange(37), 3), Task(np.arange(10, 20), 4), Task(np.array([1, 5, 9]), 5)]
    together = training.train(settings, graphs, accuracies, tasks, most=40)
    for predictor, task in enumerate(tasks):
        alone = training.train(settings, graphs, accuracies, [task], most=40)
        for both, one in zip(together.variables, alone.variables, strict=True):
            np.testing.assert_allclose(both.numpy()[predictor], one.numpy()[0], rtol=0, atol=2e-5)


@pytest.mark.usefixtures("uncompiled")
def test_extras_are_scaled_by_what_is_learned_from():
    """Each predictor by its own networks, of which the others' extras, however large, change nothing."""
    graphs = cases.graphs(20, extras=2)
    graphs.extras[15:] = 1e6
    tasks = [Task(np.arange(10), 0), Task(np.arange(5, 15), 1)]
    found = training.train(SMALL, graphs, cases.accuracies(graphs), tasks)
    for predictor, task in enumerate(tasks):
        for name, column in (("extras_mean", np.mean), ("extras_scale", np.std)):
            expected = [column([float(graphs.extras[row, place]) for row in task.rows]) for place in range(2)]
            np.testing.assert_allclose(getattr(found, name).numpy()[predictor, 0], expected, rtol=1e-5)


@pytest.mark.usefixtures("uncompiled")
def test_seeds_decide():
    graphs = cases.graphs(20)
    train = lambda seed: training.train(SMALL, graphs, cases.accuracies(graphs), [Task(np.arange(20), seed)])  # noqa: E731
    first, again, other = (train(seed).trainable_variables[0].numpy() for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("settings", [PAPER, REFERENCE], ids=["paper", "reference"])
def test_learns_what_there_is_to_learn(settings):
    """Of graphs that it has not seen it tells three quarters of the variance, of shuffled accuracies nothing."""
    settings = dataclasses.replace(settings, width=24, heads=(16,), epochs=40, learning_rate=3e-3)
    graphs = cases.graphs(260)
    accuracies = cases.accuracies(graphs)
    rows = np.arange(160)
    shuffled = accuracies.copy()
    shuffled[:160] = np.random.default_rng(0).permutation(shuffled[:160])
    for values, told in ((accuracies, True), (shuffled, False)):
        model = training.train(settings, graphs, values, [Task(rows, 0)])
        inputs = [part[None] for part in training.inputs_of(graphs.take(slice(160, None)), settings.norm)]
        correlation = np.corrcoef(model(inputs).numpy()[0], accuracies[160:])[0, 1]
        assert (correlation > 0.87) == told, correlation


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y * 100, r"40 of 40 accuracies lie outside.*Allowed: 0\.1 to 1, as fractions"),
        (lambda y: np.where(y == y[3], 0.05, y), r"2 of 40 .*Received: 0\.05"),
        (lambda y: np.where(y == y[3], np.nan, y), r"finite numbers\. Received: nan"),
    ],
)
def test_bad_accuracies(change, message):
    graphs = cases.graphs(40)
    with pytest.raises(InputError, match=message):
        training.train(SMALL, graphs, change(cases.accuracies(graphs)), [Task(np.arange(40), 0)])


@pytest.mark.usefixtures("uncompiled")
def test_chance_is_near_enough_to_the_least_accuracy():
    graphs = cases.graphs(40)
    accuracies = cases.accuracies(graphs)
    found = [
        training.train(SMALL, graphs, np.where(accuracies < 0.86, least, accuracies), [Task(np.arange(40), 0)])
        for least in (0.0915, 0.1)
    ]
    for one, other in zip(found[0].variables, found[1].variables, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())


def test_nothing_to_learn_from():
    graphs = cases.graphs(4)
    for tasks in ([], [Task(np.arange(0), 0)]):
        with pytest.raises(InputError, match=r"needs networks to learn from\. Received: none"):
            training.train(SMALL, graphs, cases.accuracies(graphs), tasks)


MANY_SIZES = """
import dataclasses, numpy as np
from tests.tfnas.predictor import cases, test_training
from tfnas.predictor import training

graphs, small = cases.graphs(20), dataclasses.replace(test_training.SMALL, layers=1, epochs=1)
for most in range(8, 13):
    tasks = [training.Task(np.arange(most), 0)]
    training.train(small, graphs, cases.accuracies(graphs), tasks, most=most)
"""


def test_many_sizes_bring_no_warning():
    """TensorFlow warns, but twice a process, of a function that is traced often; here each size needs a trace."""
    made = subprocess.run([sys.executable, "-c", MANY_SIZES], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "training predictors" in made.stderr
    assert "retracing" not in made.stderr
