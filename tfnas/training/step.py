"""One step of training as a function of the state, without a trainer around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from tfnas.training import augment, optimizers
from tfnas.training.layout import Layout
from tfnas.training.optimizers import State
from tfnas.training.recipes import Recipe

if TYPE_CHECKING:
    from tfnas.training.passes import Outcome


class Step(NamedTuple):
    """What one step gave: the next state; before its update mean loss, right answers, norm before clipping."""

    state: State
    loss: tf.Tensor
    correct: tf.Tensor
    gradient_norm: tf.Tensor


def make(
    layout: Layout,
    recipe: Recipe,
    dtype: str,
    train: Callable[..., Outcome],
    dropouts: Sequence[tuple[tuple[int, ...], float]],
    counted: int | None = None,
) -> Callable[..., Step]:
    """The step of a network: (state, fixed, images, labels, rate, number, draw) -> what it gave.

    Its arguments are the state; parameters that stay as they are, by "<node>.<param>"; images [B, H, W, C] and labels
    [B]; learning rate; number of the step, counted from 0; and the seed [2] of dropout, None for none.

    Args:
        layout: of the network's parameters.
        recipe: how to train.
        dtype: of the arithmetic.
        train: `Passes.train`, or that of `Replicas`.
        dropouts: shape of an example and rate of each dropout layer.
        counted: examples that the statistics of BN are of; those of the batch by default.
    """
    update = optimizers.updater(recipe, dtype)
    decay = tf.constant(layout.decay(recipe.weight_decay, recipe.decayed), dtype)
    kept = tf.constant(layout.kept(), dtype)
    bessel = tf.constant(layout.bessel(counted or recipe.batch_size), dtype) if recipe.unbiased_variance else None

    def step(
        state: State,
        fixed: dict[str, tf.Tensor],
        images: tf.Tensor,
        labels: tf.Tensor,
        rate: tf.Tensor,
        number: tf.Tensor,
        draw: tf.Tensor | None,
    ) -> Step:
        masks = [
            augment.dropped((images.shape[0], *shape), share, draw, place, dtype)
            for place, (shape, share) in enumerate(dropouts if draw is not None else ())
        ]
        weights = layout.trained.cut_tensor(state.weights) | fixed
        found = train(weights, images, labels, recipe.label_smoothing, masks)
        gradient = layout.trained.join_tensors(found.gradients, state.weights.dtype)
        statistics = layout.moving.join_tensors(found.statistics, state.weights.dtype)
        statistics = statistics if bessel is None else statistics * bessel
        after, norm = update(state, gradient, statistics, rate, number, decay, kept)
        return Step(after, found.loss, found.correct, norm)

    return step
