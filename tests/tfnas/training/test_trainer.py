"""Training: the update by hand and by a plain loop, repeats, early stops."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import engine_cases, float32
from tfnas import data, seeds, training
from tfnas.errors import InputError
from tfnas.networks import keras_model, weights
from tfnas.networks.builder import GraphBuilder
from tfnas.training import trainer as trainer_lib

PLAIN = training.Recipe(epochs=3, batch_size=8, learning_rate=0.05, schedule="constant", flip=False, crop=0)


def linear_model(seed=0):
    """Logits that are linear in the image, so that the gradient can be written down."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])


def small_graph():
    b = GraphBuilder((8, 8, 1))
    x = b.batch_norm("bn", b.conv("conv", "input", 8, 3, strides=2), momentum=0.9, epsilon=1e-5)
    x = b.global_avg_pool("pool", b.activation("relu", b.conv("conv2", x, 16, 3)))
    return b.finish(b.dense("classifier", x, 10), features="pool")


def small_model(seed=0):
    graph = small_graph()
    initial = weights.initialize(graph, "torch", seed)
    return keras_model.to_keras(graph, initial), initial


def random_data(count, shape=(2, 2, 1), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, *shape), np.float32), rng.integers(classes, size=count).astype(np.int32)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    return tuple(data.load("digits", split, data_dir=folder) for split in ("train[:512]", "test"))


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


@pytest.mark.parametrize("changes", [{}, {"momentum": 0.0}, {"weight_decay": 0.0}, {"label_smoothing": 0.2}])
def test_steps_equal_a_hand_written_update(changes):
    recipe = dataclasses.replace(PLAIN, **{"weight_decay": 0.1} | changes)
    # One batch is the whole data: the order of the examples cannot matter.
    images, labels = random_data(8)
    model = linear_model()
    initial = model.get_weights()

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
                values[i] = values[i] - recipe.learning_rate * (gradient + recipe.momentum * velocity[i])
        return {"kernel": values[0], "bias": values[1], "losses": losses}

    found = list(training.Trainer(model, recipe).run((images, labels)))
    kernel, bias = model.get_weights()
    received = {"kernel": kernel, "bias": bias, "losses": [epoch.train_loss for epoch in found]}
    check_float32(received, by_hand, initial, images)
    assert [epoch.epoch for epoch in found] == [1, 2, 3]


def test_steps_equal_a_plain_loop_with_batch_normalisation(digits):
    recipe = dataclasses.replace(PLAIN, epochs=1, batch_size=64, schedule="cosine_step", weight_decay=5e-4)
    images, labels = (array[:192] for array in digits[0])
    model, initial = small_model()
    list(training.Trainer(model, recipe).run((images, labels), seed=3))

    plain = engine_cases.keras_model(small_graph(), initial)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    order = np.random.default_rng(seeds.derive_seed(3, "epoch", 0)).permutation(192).reshape(3, 64)

    def by_plain_loop(weights, images):
        training.assign(plain, weights)
        velocity = [tf.zeros_like(variable) for variable in plain.trainable_variables]
        for step, rate in zip(order, recipe.rates(0, 3), strict=True):
            with tf.GradientTape() as tape:
                loss = cross_entropy(labels[step], plain(images[step], training=True))
                loss += 0.5 * recipe.weight_decay * sum(tf.reduce_sum(v.value**2) for v in plain.trainable_variables)
            gradients = tape.gradient(loss, [variable.value for variable in plain.trainable_variables])
            for i, variable in enumerate(plain.trainable_variables):
                velocity[i] = recipe.momentum * velocity[i] + gradients[i]
                variable.assign(variable - rate * (gradients[i] + recipe.momentum * velocity[i]))
        return {variable.path: variable.numpy() for variable in plain.weights}

    received = {variable.path: variable.numpy() for variable in model.weights}
    assert not np.allclose(received["conv/kernel"], initial["conv.kernel"])
    check_float32(received, by_plain_loop, initial, images)


def check_float32(received, compute, initial, images):
    """Results of training in float32 against those of a computation in float64 from the same weights and images."""
    widened = keras.tree.map_structure(np.float64, (initial, images))
    expected = compute(*widened)
    float32.check(received, expected, float32.allowed(float32.spread(compute, initial, images), expected))


def test_training_learns_the_digits(digits):
    model, _ = small_model()
    recipe = training.Recipe(epochs=10, batch_size=16, learning_rate=0.1, flip=False, crop=0)
    trainer = training.Trainer(model, recipe)
    before = trainer.evaluate(digits[1])
    epochs = list(trainer.run(*digits))
    assert before < 0.3
    assert epochs[-1].test_accuracy > 0.8
    assert epochs[-1].train_accuracy > epochs[0].train_accuracy
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert all(epoch.seconds > 0 for epoch in epochs)


@pytest.fixture(scope="module")
def trainer():
    model, initial = small_model()
    return training.Trainer(model, dataclasses.replace(PLAIN, epochs=2, flip=True, crop=1)), initial


def test_training_again_from_the_same_weights_repeats_itself(trainer, digits):
    trainer, initial = trainer

    def run(seed):
        training.assign(trainer.model, initial)
        epochs = list(trainer.run((digits[0][0][:64], digits[0][1][:64]), digits[1], seed=seed))
        return trainer.model.get_weights(), [dataclasses.replace(epoch, seconds=0) for epoch in epochs]

    (first, history), (again, same), (other, _) = run(1), run(1), run(2)
    assert history == same
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_stopping_early_is_the_beginning_of_a_longer_run(trainer, digits):
    trainer, initial = trainer
    training.assign(trainer.model, initial)
    first = next(iter(trainer.run(digits[0], seed=4)))
    training.assign(trainer.model, initial)
    whole = list(trainer.run(digits[0], seed=4))
    assert (first.train_loss, len(whole)) == (whole[0].train_loss, 2)


def test_accuracy_is_that_of_the_predictions(trainer, digits):
    trainer, _ = trainer
    images, labels = digits[1]
    predicted = trainer.model.predict(images, verbose=0).argmax(1)
    assert trainer.evaluate((images, labels)) == np.mean(predicted == labels)


def test_what_is_not_trainable_stays(digits):
    model, initial = small_model()
    model.get_layer("conv").trainable = False
    list(training.Trainer(model, dataclasses.replace(PLAIN, epochs=1)).run(digits[0]))
    np.testing.assert_array_equal(model.get_layer("conv").kernel.numpy(), initial["conv.kernel"])
    assert not np.array_equal(model.get_layer("conv2").kernel.numpy(), initial["conv2.kernel"])


def test_fewer_images_than_a_batch_are_told():
    trainer = training.Trainer(linear_model(), PLAIN)
    with pytest.raises(InputError, match=r"Received: 7 images, batch_size=8"):
        next(trainer.run(random_data(7)))


def test_batches_are_augmented_by_the_recipe(monkeypatch):
    seen = []

    def augment(images, draw, **options):
        seen.append((images.shape, options))
        return images

    monkeypatch.setattr(trainer_lib, "flip_and_crop", augment)
    recipe = dataclasses.replace(PLAIN, flip=True, crop=2)
    training.Trainer(linear_model(), recipe, black=[1.5])
    assert seen == [((8, 2, 2, 1), {"flip": True, "crop": 2, "black": [1.5]})]


def test_every_epoch_has_an_order_and_every_step_an_augmentation_of_its_own(monkeypatch):
    """Noted while training, step by step: what is augmented and with which draw. Image i is all i."""
    seen, drawn = [], []

    def augment(images, draw, **options):
        note = lambda batch, numbers: (seen.append(batch[:, 0, 0, 0].copy()), drawn.append(tuple(numbers)))  # noqa: E731
        tf.numpy_function(lambda *arrays: note(*arrays) and np.int32(0), [images, draw], tf.int32)
        return images

    monkeypatch.setattr(trainer_lib, "flip_and_crop", augment)
    images = np.ones((26, 2, 2, 1), np.float32) * np.arange(26, dtype=np.float32)[:, None, None, None]
    trainer = training.Trainer(linear_model(), dataclasses.replace(PLAIN, learning_rate=1e-9))
    runs = []
    for seed in (1, 1, 2):
        seen.clear()
        drawn.clear()
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
