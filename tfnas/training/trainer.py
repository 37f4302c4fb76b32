"""Trains one Keras model by a recipe.

An epoch is one call of one traced function, and a trainer traces once: training the same network again from other
weights costs no further tracing. All shapes are static and the last examples that fill no batch are dropped, as XLA
devices need.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfnas import seeds
from tfnas.training.augment import flip_and_crop
from tfnas.training.recipes import Recipe, check_size

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Arrays = tuple[np.ndarray, np.ndarray]

EVAL_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Epoch:
    """What one epoch gave.

    Attributes:
        epoch: counted from 1.
        train_loss, train_accuracy: mean over the epoch's steps, measured on the batches while training on them.
        test_accuracy: after the epoch, with moving statistics; NaN without test data.
        seconds: wall time of training, without testing.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    test_accuracy: float
    seconds: float


class Trainer:
    """Trains one model, as often as needed. Making a trainer traces the model, which takes seconds for a deep one.

    Args:
        model: classifier with logits [N, classes]; what it marks as not trainable stays as it is. It is trained in
            place.
        recipe: how.
        black: per channel, what crops are padded with: the value of a black pixel in the units of the images
            (`data.Source.black`). None is 0.
    """

    def __init__(self, model: keras.Model, recipe: Recipe, *, black: Sequence[float] | None = None) -> None:
        import tensorflow as tf

        self.model, self.recipe = model, recipe
        self._black = black
        self._variables = [variable.value for variable in model.trainable_variables]
        self._velocity = [tf.Variable(tf.zeros_like(value), trainable=False) for value in self._variables]
        # Free leading sizes, so that data of another size costs no tracing; a batch itself has a static shape.
        images, labels = tf.TensorSpec((None, *model.input_shape[1:])), tf.TensorSpec((None,), tf.int32)
        order, draws = (tf.TensorSpec((None, size), tf.int32) for size in (recipe.batch_size, 2))
        signature = [images, labels, order, draws, tf.TensorSpec((None,))]
        self._train = tf.function(self._train_epoch, input_signature=signature).get_concrete_function()
        self._predict = tf.function(self._correct, input_signature=[images, labels]).get_concrete_function()

    def run(self, train: Arrays, test: Arrays | None = None, *, seed: int = 0) -> Iterator[Epoch]:
        """Trains from the model's present weights, with the velocity at rest, and yields after each epoch.

        Stop asking for epochs to stop early. Order of examples and augmentation depend on the seed and the epoch alone.

        Args:
            train: images [N, H, W, C] float32 and labels [N] int32.
            test: the same, for the accuracy after each epoch.
            seed: any integer.

        Raises:
            InputError: fewer training images than one batch.
        """
        import tensorflow as tf

        size, recipe = len(train[1]), self.recipe
        steps = size // recipe.batch_size
        check_size(size, recipe)
        for velocity in self._velocity:
            velocity.assign(tf.zeros_like(velocity))
        images, labels = (tf.constant(array) for array in train)
        for epoch in range(recipe.epochs):
            start = time.perf_counter()
            rng = np.random.default_rng(seeds.derive_seed(seed, "epoch", epoch))
            order = rng.permutation(size)[: steps * recipe.batch_size].reshape(steps, -1)
            draws = rng.integers(2**31 - 1, size=(steps, 2))
            rates = recipe.rates(epoch, steps)
            integers = (tf.constant(array, tf.int32) for array in (order, draws))
            loss, accuracy = self._train(images, labels, *integers, tf.constant(rates))
            loss, accuracy = float(loss), float(accuracy)
            seconds = time.perf_counter() - start
            yield Epoch(epoch + 1, loss, accuracy, self.evaluate(test) if test else math.nan, seconds)

    def evaluate(self, data: Arrays) -> float:
        """Accuracy (a fraction) on images and labels, with moving statistics."""
        import tensorflow as tf

        images, labels = data
        correct = 0
        for start in range(0, len(labels), EVAL_BATCH):
            part = slice(start, start + EVAL_BATCH)
            correct += int(self._predict(tf.constant(images[part]), tf.constant(labels[part])))
        return correct / len(labels)

    def _correct(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return _count_correct(self.model(images, training=False), labels)

    def _train_epoch(
        self, images: tf.Tensor, labels: tf.Tensor, order: tf.Tensor, draws: tf.Tensor, rates: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Trains on `order` [steps, batch] of the images; returns mean loss and accuracy."""
        import tensorflow as tf

        recipe = self.recipe
        total_loss, total_correct = tf.constant(0.0), tf.constant(0)
        for step in tf.range(tf.shape(order)[0]):
            batch = tf.ensure_shape(tf.gather(images, order[step]), (recipe.batch_size, *images.shape[1:]))
            batch = flip_and_crop(batch, draws[step], flip=recipe.flip, crop=recipe.crop, black=self._black)
            targets = tf.gather(labels, order[step])
            with tf.GradientTape() as tape:
                logits = tf.cast(self.model(batch, training=True), tf.float32)
                loss = _cross_entropy(logits, targets, recipe.label_smoothing)
            gradients = tape.gradient(loss, self._variables, unconnected_gradients="zero")
            for variable, velocity, gradient in zip(self._variables, self._velocity, gradients, strict=True):
                gradient += recipe.weight_decay * variable
                velocity.assign(recipe.momentum * velocity + gradient)
                variable.assign_sub(rates[step] * (gradient + recipe.momentum * velocity))
            total_loss += loss
            total_correct += _count_correct(logits, targets)
        count = tf.cast(tf.size(order), tf.float32)
        return total_loss / tf.cast(tf.shape(order)[0], tf.float32), tf.cast(total_correct, tf.float32) / count


def assign(model: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Sets all weights of a model made by `keras_model.to_keras`; keys are "<layer>.<param>"."""
    for key, value in weights.items():
        layer, _, param = key.rpartition(".")
        getattr(model.get_layer(layer), param).assign(value)


def _cross_entropy(logits: tf.Tensor, labels: tf.Tensor, smoothing: float) -> tf.Tensor:
    import tensorflow as tf

    classes = logits.shape[-1]
    targets = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))


def _count_correct(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    predicted = tf.argmax(logits, axis=-1, output_type=labels.dtype)
    return tf.reduce_sum(tf.cast(predicted == labels, tf.int32))
