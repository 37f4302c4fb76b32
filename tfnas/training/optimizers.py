"""Updates of a network's parameters, all of them as one vector [P]. Importing this does not import TensorFlow.

`sgd` is that of torch.optim.SGD, which most published benchmarks were trained with; Keras' own differs in weight decay
(decoupled) and in where the learning rate stands (inside the velocity):

    v = momentum * v + g        w = w - rate * (g + momentum * v)  (Nesterov)  or  w - rate * v

`rmsprop` is that of TensorFlow 1, with which NAS-Bench-101 and MnasNet were trained; Keras' starts r at 0:

    r = decay * r + (1 - decay) * g^2,  r = 1 at first
    v = momentum * v + rate * g / sqrt(r + epsilon)        w = w - v

In both g is the gradient of the loss, clipped, plus weight decay times w.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import tensorflow as tf

    from tfnas.training.recipes import Recipe


class State(NamedTuple):
    """What a step changes.

    Attributes:
        weights: trained parameters [P].
        slots: of the optimiser: [S, P].
        moving: moving means and variances of all BN layers [M].
        average: moving average of weights and moving statistics [P + M]; empty where there is none.
    """

    weights: tf.Tensor
    slots: tf.Tensor
    moving: tf.Tensor
    average: tf.Tensor


def start(recipe: Recipe, weights: tf.Tensor, moving: tf.Tensor) -> State:
    """The state before the first step."""
    import tensorflow as tf

    slots = [tf.ones_like(weights)] if recipe.optimizer == "rmsprop" else []
    average = tf.concat([weights, moving], 0)
    return State(weights, tf.stack([*slots, tf.zeros_like(weights)]), moving, average if recipe.ema else average[:0])


@functools.lru_cache(maxsize=64)
def updater(recipe: Recipe, dtype: str) -> Callable[..., tuple[State, tf.Tensor]]:
    """The step of a recipe: (state, gradient, statistics, rate, step, decay, kept) -> state, norm of the gradient.

    It is traced once, whatever the sizes of networks. Its arguments are the state; the gradient of the loss [P]; mean
    and variance of the batch in all BN layers [M]; the learning rate; the number of the step, counted from 0; weight
    decay, and the share of moving statistics that a step keeps, of each entry ([P] and [M], or one number for all).
    The norm is that before clipping.
    """
    import tensorflow as tf

    def update(
        state: State,
        gradient: tf.Tensor,
        statistics: tf.Tensor,
        rate: tf.Tensor,
        step: tf.Tensor,
        decay: tf.Tensor,
        kept: tf.Tensor,
    ) -> tuple[State, tf.Tensor]:
        norm = tf.norm(gradient)
        if recipe.clip_norm:  # torch.nn.utils.clip_grad_norm_, which adds 1e-6
            gradient *= tf.minimum(tf.constant(1, dtype), recipe.clip_norm / (norm + 1e-6))
        weights, slots = rules[recipe.optimizer](recipe, state, gradient + decay * state.weights, rate)
        moving = kept * state.moving + (1 - kept) * statistics
        average = state.average
        if recipe.ema:
            share = tf.minimum(tf.constant(recipe.ema, dtype), (1 + step) / (10 + step))
            average = share * average + (1 - share) * tf.concat([weights, moving], 0)
        return State(weights, slots, moving, average), norm

    rules = {"sgd": _sgd, "rmsprop": _rmsprop}
    vector, number = tf.TensorSpec((None,), dtype), tf.TensorSpec((), dtype)
    state = State(vector, tf.TensorSpec((None, None), dtype), vector, vector)
    signature = [state, vector, vector, number, number, vector, vector]
    return tf.function(update, input_signature=signature, autograph=False)


def _sgd(recipe: Recipe, state: State, gradient: tf.Tensor, rate: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    import tensorflow as tf

    velocity = recipe.momentum * state.slots[0] + gradient
    direction = gradient + recipe.momentum * velocity if recipe.nesterov else velocity
    return state.weights - rate * direction, tf.stack([velocity])


def _rmsprop(recipe: Recipe, state: State, gradient: tf.Tensor, rate: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    import tensorflow as tf

    square = recipe.rms_decay * state.slots[0] + (1 - recipe.rms_decay) * gradient**2
    velocity = recipe.momentum * state.slots[1] + rate * gradient * tf.math.rsqrt(square + recipe.rms_epsilon)
    return state.weights - velocity, tf.stack([square, velocity])
