"""The trainer: steps by hand and by a plain loop, what is frozen, stops, states, orders, precisions."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tests import engine_cases, float32
from tests.tfnas.training import cases
from tfnas import training
from tfnas.engine import cache_size
from tfnas.errors import InputError
from tfnas.networks import keras_model
from tfnas.training import augment, optimizers

PLAIN = cases.PLAIN


def softmax_gradient(kernel, bias, images, labels, smoothing):
    """Mean cross-entropy of a linear classifier and its gradient, by hand, in float64."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    logits = flat @ kernel + bias
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    targets = np.full(shares.shape, smoothing / shares.shape[1])
    targets[np.arange(len(labels)), labels] += 1 - smoothing
    loss = -(targets * np.log(shares)).sum(1).mean()
    error = (shares - targets) / len(labels)
    return loss, flat.T @ error, error.sum(0)


@pytest.mark.parametrize(
    "changes", [{}, {"momentum": 0.0}, {"weight_decay": 0.0}, {"label_smoothing": 0.2}, {"nesterov": False}]
)
def test_steps_equal_a_hand_written_update(changes):
    recipe = dataclasses.replace(PLAIN, **{"weight_decay": 0.1} | changes)
    # One batch is the whole data: the order of the examples cannot matter.
    images, labels = cases.random_data(8)
    trainer = cases.started(cases.linear_graph(), recipe)
    initial = [trainer.weights()[f"classifier.{param}"] for param in ("kernel", "bias")]

    def by_hand(values, images):
        values = [np.array(value) for value in values]
        velocity = [np.zeros_like(value) for value in values]
        losses = []
        for _ in range(recipe.epochs):
            loss, *gradients = softmax_gradient(*values, images, labels, recipe.label_smoothing)
            losses.append(loss)
            for i, gradient in enumerate(gradients):
                gradient = gradient + recipe.weight_decay * values[i]
                velocity[i] = recipe.momentum * velocity[i] + gradient
                direction = gradient + recipe.momentum * velocity[i] if recipe.nesterov else velocity[i]
                values[i] = values[i] - recipe.learning_rate * direction
        return {"kernel": values[0], "bias": values[1], "losses": losses}

    found = list(trainer.run((images, labels)))
    kernel, bias = (trainer.weights()[f"classifier.{param}"] for param in ("kernel", "bias"))
    received = {"kernel": kernel, "bias": bias, "losses": [epoch.train_loss for epoch in found]}
    expected = by_hand([value.astype(np.float64) for value in initial], images.astype(np.float64))
    float32.check(received, expected, float32.allowed(float32.spread(by_hand, initial, images), expected))
    assert [epoch.epoch for epoch in found] == [1, 2, 3]


def test_training_learns_the_digits(digits):
    recipe = training.Recipe(epochs=10, batch_size=16, learning_rate=0.1, flip=False, crop=0)
    trainer = cases.started(cases.small_graph(), recipe)
    before = trainer.evaluate(digits[1])
    epochs = list(trainer.run(*digits))
    assert before < 0.4
    assert epochs[-1].test_accuracy > 0.8
    assert epochs[-1].train_accuracy > epochs[0].train_accuracy
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert all(epoch.seconds > 0 and not epoch.stopped for epoch in epochs)


def test_seconds_are_those_of_steps_without_tracing_and_testing(monkeypatch):
    """By a clock that calls move: 100 to trace, 1 a step, 1000 a test."""
    now = [0.0]
    monkeypatch.setattr("tfnas.training.trainer.time.perf_counter", lambda: now[0])
    trainer = cases.started(cases.linear_graph(), PLAIN)
    step, evaluate, data = trainer._step, trainer.evaluate, cases.random_data(24)

    def timed_step(*arguments):
        now[0] += 1 + 100 * (step.experimental_get_tracing_count() == 0)
        return step(*arguments)

    def timed_test(data):
        now[0] += 1000
        return evaluate(data)

    trainer._step, trainer.evaluate = timed_step, timed_test
    for _ in range(2):
        trainer.start(cases.initial(trainer.graph))
        assert [epoch.seconds for epoch in trainer.run(data, data)] == [3.0] * 3
    assert now[0] == 101 + 2 * 3 * (3 + 1000)


@pytest.fixture(scope="module")
def trainer():
    return training.Trainer(cases.small_graph(), dataclasses.replace(PLAIN, epochs=2, flip=True, crop=1))


def test_training_again_from_the_same_weights_repeats_itself(trainer, digits):
    initial = cases.initial(trainer.graph)

    def run(seed):
        trainer.start(initial)
        epochs = list(trainer.run((digits[0][0][:64], digits[0][1][:64]), digits[1], seed=seed))
        return trainer.weights(), [dataclasses.replace(epoch, seconds=0) for epoch in epochs]

    (first, history), (again, same), (other, _) = run(1), run(1), run(2)
    assert history == same
    for key, value in first.items():
        np.testing.assert_array_equal(value, again[key])
    assert any(not np.array_equal(value, other[key]) for key, value in first.items())


def test_another_network_of_the_same_layers_is_traced_no_more(digits):
    def train(order):
        b = cases.GraphBuilder((8, 8, 1))
        x = b.conv("stem", "input", 4, 3, padding="same")
        for i, kernel in enumerate(order):
            x = b.conv(f"{i}.conv", b.activation(f"{i}.relu", x, "relu"), 4, kernel, padding="same")
        graph = b.finish(b.dense("classifier", b.global_avg_pool("pool", x), 10), features="pool")
        trainer = cases.started(graph, dataclasses.replace(PLAIN, epochs=1))
        list(trainer.run(digits[0], digits[1]))
        functions = (trainer._batch, optimizers.updater(trainer.recipe, "float32"))
        return cache_size(), [function.experimental_get_tracing_count() for function in functions]

    known = train((1, 3, 3))
    assert train((3, 1, 1, 3)) == train((1, 1, 3)) == known


def test_stopping_early_is_the_beginning_of_a_longer_run(trainer, digits):
    trainer.start(cases.initial(trainer.graph))
    first = next(iter(trainer.run(digits[0], seed=4)))
    trainer.start(cases.initial(trainer.graph))
    whole = list(trainer.run(digits[0], seed=4))
    assert (first.train_loss, len(whole)) == (whole[0].train_loss, 2)


def test_one_may_look_at_the_weights_after_an_epoch_and_go_on(trainer, digits):
    """The weights are those that a proxy takes, and looking changes nothing."""
    import proxies

    def run(look):
        trainer.start(cases.initial(trainer.graph))
        for epoch in trainer.run(digits[0], seed=4):
            if look:
                outcomes = proxies.evaluate(trainer.graph, trainer.weights(), *(a[:8] for a in digits[1]), ["snip"])
                found.append((epoch.epoch, outcomes["snip"].score))
        return trainer.weights()

    found = []
    looked, plain = run(True), run(False)
    assert [epoch for epoch, _ in found] == [1, 2]
    assert all(math.isfinite(score) for _, score in found)
    assert found[0][1] != found[1][1]
    for key, value in plain.items():
        np.testing.assert_array_equal(looked[key], value)


def test_accuracy_is_that_of_the_predictions_of_the_keras_model(trainer, digits):
    trainer.start(cases.initial(trainer.graph))
    images, labels = digits[1]
    expected = keras_model.to_keras(trainer.graph, trainer.weights()).predict(images, verbose=0)
    np.testing.assert_allclose(trainer.predict(images), expected, atol=1e-5 * np.abs(expected).max())
    assert trainer.evaluate((images, labels)) == np.mean(trainer.predict(images).argmax(1) == labels)


def test_every_epoch_has_an_order_and_every_step_an_augmentation_of_its_own(monkeypatch):
    """Noted while training, step by step: what is augmented and with which draw. Image i is all i."""
    seen, drawn = [], []
    images = np.ones((26, 2, 2, 1), np.float32) * np.arange(26, dtype=np.float32)[:, None, None, None]
    trainer = training.Trainer(cases.linear_graph(), dataclasses.replace(PLAIN, learning_rate=1e-9))
    original = trainer.step

    def step(batch, labels, rate, draw):
        seen.append(batch[:, 0, 0, 0].numpy())
        drawn.append(tuple(draw.numpy()))
        return original(batch, labels, rate, draw)

    monkeypatch.setattr(trainer, "step", step)
    runs = []
    for seed in (1, 1, 2):
        seen.clear()
        drawn.clear()
        trainer.start(cases.initial(trainer.graph))
        list(trainer.run((images, np.zeros(26, np.int32)), seed=seed))
        runs.append((np.reshape(seen, (3, 24)).astype(int).tolist(), list(drawn)))
    (orders, draws), again, (others, other_draws) = runs
    for order in orders:
        assert len(set(order)) == 24, "an epoch has every example once, but for what fills no batch"
        assert order != sorted(order)
    assert len(set(map(tuple, orders + others))) == 6
    assert len(set(map(frozenset, orders))) > 1, "not always the same ones are left out"
    assert len(draws) == 9
    assert len(set(draws + other_draws)) == 18
    assert again == (orders, draws)


def test_batches_are_augmented_by_the_recipe():
    recipe = dataclasses.replace(PLAIN, flip=True, crop=2, cutout=3)
    graph = cases.small_graph()
    trainer = training.Trainer(graph, recipe, black=[1.5])
    images, labels = cases.random_data(30, (8, 8, 1), 10)
    order, draw = np.array([3, 1, 4, 15, 9, 2, 6, 5], np.int32), np.array([7, 8], np.int32)
    found, targets = trainer._batch(images, labels, order, draw)
    expected = augment.flip_and_crop(tf.constant(images[order]), tf.constant(draw), flip=True, crop=2, black=[1.5])
    expected = augment.cut_out(expected, tf.constant(draw), 3)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(targets, labels[order])


def test_dropout_multiplies_features_and_their_gradient_in_training_alone():
    """With masks that are known, a step is that of a network whose pooled features are multiplied by them."""
    rate, graph = 0.4, cases.small_graph(dropout=0.4)
    images, labels = cases.random_data(8, (8, 8, 1), 10)
    trainer = cases.started(graph, PLAIN, precision="float64")
    with engine_cases.in_float64():
        model = keras_model.to_keras(graph, cases.initial(graph))
    draw = tf.constant([5, 6])
    mask = augment.dropped((8, 8), rate, draw, 0, "float64").numpy()
    assert set(np.round(mask.ravel(), 12)) == {0.0, round(1 / 0.6, 12)}
    model.get_layer("dropout").call = lambda x, training=False: x * ops.convert_to_tensor(mask) if training else x
    names = {node.name for node in graph.nodes}
    loss, _, gradients = cases.keras_step(model, images.astype(np.float64), labels, 0, names)
    before = trainer.weights()
    step = trainer.step(images.astype(np.float64), labels, 0.05, draw)
    assert float(step.loss) == pytest.approx(loss, rel=1e-9)
    after = trainer.weights()
    for key, gradient in gradients.items():
        gradient = gradient + PLAIN.weight_decay * before[key]
        np.testing.assert_allclose(after[key], before[key] - 0.05 * 1.9 * gradient, atol=1e-9, err_msg=key)
    again = cases.started(graph, PLAIN, precision="float64")
    assert float(again.step(images.astype(np.float64), labels, 0.05).loss) != pytest.approx(loss, rel=1e-3)
    expected = cases.started(cases.small_graph(), PLAIN).predict(images)
    np.testing.assert_array_equal(cases.started(graph, PLAIN).predict(images), expected)


def test_dropout_of_a_recipe_is_in_the_place_of_the_networks():
    """Bit for bit what a network gives that has this rate itself; 0 is as without dropout layers."""
    images, labels = cases.random_data(8, (8, 8, 1), 10)

    def train(rate, recipe_rate):
        recipe = dataclasses.replace(PLAIN, epochs=1, dropout=recipe_rate)
        trainer = cases.started(cases.small_graph(dropout=rate), recipe)
        list(trainer.run((images, labels)))
        return trainer.weights()

    own, none = train(0.6, None), train(0.0, None)
    for rate, recipe_rate, expected in ((0.3, 0.6, own), (0.6, 0.6, own), (0.3, 0.0, none)):
        found = train(rate, recipe_rate)
        assert all(np.array_equal(found[key], value) for key, value in expected.items())
    assert not np.array_equal(train(0.3, None)["conv.kernel"], own["conv.kernel"])
    message = r"which it has none\. Received: dropout=0\.3"
    with pytest.raises(InputError, match=message):
        training.Trainer(cases.small_graph(), dataclasses.replace(PLAIN, dropout=0.3))


def test_xla_gives_the_same_weights(digits):
    def run(jit):
        trainer = cases.started(cases.small_graph(), dataclasses.replace(PLAIN, epochs=1), precision="float64", jit=jit)
        train = tuple(array[:24] for array in digits[0])
        list(trainer.run(train, train, seed=3))
        return trainer.weights()

    cases.assert_close(run(True), run(False), 1e-8)


def test_products_of_bfloat16_round_their_factors_and_nothing_else():
    """Logits of a linear network are sums of rounded products, rounded once more; its weights have all their bits."""
    import ml_dtypes

    def rounded(value):
        return np.asarray(value, ml_dtypes.bfloat16).astype(np.float64)

    images, labels = cases.random_data(8)
    trainer = cases.started(cases.linear_graph(), PLAIN, precision="bfloat16")
    before = trainer.weights()
    loss, *gradients = softmax_gradient(
        rounded(before["classifier.kernel"]), before["classifier.bias"], rounded(images), labels, 0
    )
    step = trainer.step(images, labels, 0.05)
    assert float(step.loss) == pytest.approx(loss, abs=2**-8 * 4)
    assert float(step.loss) != float(cases.started(cases.linear_graph(), PLAIN).step(images, labels, 0.05).loss)
    after = trainer.weights()
    for key, gradient in zip(("classifier.kernel", "classifier.bias"), gradients, strict=True):
        assert after[key].dtype == np.float32
        moved = (before[key] - after[key]) / (0.05 * 1.9) - PLAIN.weight_decay * before[key]
        np.testing.assert_allclose(moved, gradient, atol=2**-7 * np.abs(gradient).max())
    assert not np.array_equal(rounded(after["classifier.kernel"]), after["classifier.kernel"])


def test_products_of_bfloat16_train_a_network_as_well(digits):
    recipe = training.Recipe(epochs=6, batch_size=16, learning_rate=0.1, flip=False, crop=0)
    trainer = cases.started(cases.small_graph(), recipe, precision="bfloat16")
    assert list(trainer.run(*digits))[-1].test_accuracy > 0.75
