"""Short training of a classifier on arrays, by the recipe of NAS-Bench-201 with its parts switchable.

The update is that of torch.optim.SGD, which the published benchmarks were trained with; Keras' own SGD differs in both
of its options (decoupled weight decay, learning rate inside the velocity):

    g = dL/dw + weight_decay * w        v = momentum * v + g        w = w - rate * (g + momentum * v)

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

from tfnas import errors, seeds

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Arrays = tuple[np.ndarray, np.ndarray]

SCHEDULES = ("cosine_epoch", "cosine_step", "constant")
_EVAL_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train. The defaults are the 12-epoch recipe of NAS-Bench-201 (specification: its hyper-opts/12E.config).

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step.
        learning_rate: at the start.
        schedule: "cosine_epoch" falls to 0 along a cosine once per epoch, "cosine_step" every step; or "constant".
        momentum: of Nesterov's method; 0 is plain SGD.
        weight_decay: added to the gradient of every trainable parameter, those of BN included.
        label_smoothing: share of the target that is spread over all classes.
        flip: mirror each training image with probability 1/2.
        crop: pad training images by so many pixels on each side, then cut the original size at a random place; 0 is
            no crop.
    """

    epochs: int = 12
    batch_size: int = 256
    learning_rate: float = 0.1
    schedule: str = "cosine_epoch"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    flip: bool = True
    crop: int = 4

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise errors.unknown("schedule", self.schedule, SCHEDULES)
        if self.epochs < 1 or self.batch_size < 1 or self.crop < 0:
            raise errors.InputError(
                "A recipe needs epochs and batch_size of 1 or more and a crop of 0 or more. "
                f"Received: epochs={self.epochs}, batch_size={self.batch_size}, crop={self.crop}"
            )
        if self.learning_rate <= 0 or self.weight_decay < 0:
            raise errors.InputError(
                "A recipe needs a learning_rate above 0 and a weight_decay of 0 or more. "
                f"Received: learning_rate={self.learning_rate}, weight_decay={self.weight_decay}"
            )
        if not (0 <= self.momentum < 1 and 0 <= self.label_smoothing < 1):
            raise errors.InputError(
                "momentum and label_smoothing must lie in [0, 1). "
                f"Received: momentum={self.momentum}, label_smoothing={self.label_smoothing}"
            )

    def rates(self, epoch: int, steps: int) -> np.ndarray:
        """Learning rate of each step of an epoch (counted from 0): [steps] float32."""
        if self.schedule == "constant":
            return np.full(steps, self.learning_rate, np.float32)
        within = np.arange(steps) / steps if self.schedule == "cosine_step" else np.zeros(steps)
        rates = self.learning_rate * 0.5 * (1 + np.cos(math.pi * (epoch + within) / self.epochs))
        return rates.astype(np.float32)


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
        for start in range(0, len(labels), _EVAL_BATCH):
            part = slice(start, start + _EVAL_BATCH)
            correct += int(self._predict(tf.constant(images[part]), tf.constant(labels[part])))
        return correct / len(labels)

    def _correct(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return _count_correct(tf, self.model(images, training=False), labels)

    def _train_epoch(
        self, images: tf.Tensor, labels: tf.Tensor, order: tf.Tensor, draws: tf.Tensor, rates: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Trains on `order` [steps, batch] of the images; returns mean loss and accuracy."""
        import tensorflow as tf

        recipe = self.recipe
        total_loss, total_correct = tf.constant(0.0), tf.constant(0)
        for step in tf.range(tf.shape(order)[0]):
            batch = self._augment(tf.gather(images, order[step]), draws[step])
            targets = tf.gather(labels, order[step])
            with tf.GradientTape() as tape:
                logits = tf.cast(self.model(batch, training=True), tf.float32)
                loss = _cross_entropy(tf, logits, targets, recipe.label_smoothing)
            gradients = tape.gradient(loss, self._variables, unconnected_gradients="zero")
            for variable, velocity, gradient in zip(self._variables, self._velocity, gradients, strict=True):
                gradient += recipe.weight_decay * variable
                velocity.assign(recipe.momentum * velocity + gradient)
                variable.assign_sub(rates[step] * (gradient + recipe.momentum * velocity))
            total_loss += loss
            total_correct += _count_correct(tf, logits, targets)
        count = tf.cast(tf.size(order), tf.float32)
        return total_loss / tf.cast(tf.shape(order)[0], tf.float32), tf.cast(total_correct, tf.float32) / count

    def _augment(self, images: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
        """Flips and crops a batch [B, H, W, C]; `draw` is a pair of integers."""
        import tensorflow as tf

        count = self.recipe.batch_size
        _, height, width, channels = images.shape
        images = tf.ensure_shape(images, (count, height, width, channels))
        if self.recipe.flip:
            mirrored = tf.random.stateless_uniform((count, 1, 1, 1), draw) < 0.5
            images = tf.where(mirrored, images[:, :, ::-1], images)
        if pad := self.recipe.crop:
            black = tf.zeros(channels) if self._black is None else tf.constant(self._black, tf.float32)
            frame = ((0, 0), (pad, pad), (pad, pad), (0, 0))
            # Only what lies around the image is black: pad the difference from it with zeros.
            padded = tf.pad(images - black, frame) + black
            corner = tf.random.stateless_uniform((2, count, 1), draw + 1, maxval=2 * pad + 1, dtype=tf.int32)
            rows = corner[0] + tf.range(height)
            columns = corner[1] + tf.range(width)
            images = tf.gather(padded, rows, axis=1, batch_dims=1)
            images = tf.gather(images, columns, axis=2, batch_dims=1)
        return images


def check_size(size: int, recipe: Recipe) -> None:
    """Raises InputError if `size` training images do not fill one batch."""
    if size < recipe.batch_size:
        raise errors.InputError(
            f"Fewer training images than one batch. Received: {size} images, batch_size={recipe.batch_size}"
        )


def assign(model: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Sets all weights of a model made by `keras_model.to_keras`; keys are "<layer>.<param>"."""
    for key, value in weights.items():
        layer, _, param = key.rpartition(".")
        getattr(model.get_layer(layer), param).assign(value)


def _cross_entropy(tf: object, logits: tf.Tensor, labels: tf.Tensor, smoothing: float) -> tf.Tensor:
    classes = logits.shape[-1]
    targets = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))


def _count_correct(tf: object, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    predicted = tf.argmax(logits, axis=-1, output_type=labels.dtype)
    return tf.reduce_sum(tf.cast(predicted == labels, tf.int32))
