"""Training predictors: those of several seeds, splits or training sets as one batch.

Adam with weight decay in the gradient and a half cosine of the learning rate over the epochs, as Wen et al. 2020 and
the published reimplementation have it. A predictor's batches, initial weights and dropout follow from its own seed, and
one that has seen its epochs stands still while others go on, so that its result is that of being trained alone, but for
round-off. All steps of all trainings of one form are one compiled function.

The paper does not say how it scales its error, which decides how much the weight decay weighs: here accuracies are
learned in percentage points. Nor does it say how weights start: a sigmoid starts at the mean of its training set here.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfnas import seeds
from tfnas.errors import InputError
from tfnas.predictor.gcn import GCN
from tfnas.predictor.graphs import Graphs, normalised
from tfnas.predictor.settings import Settings
from tfnas.progress import Progress

# Steps of one call: between calls, progress shows and an interrupt is heard.
_STEPS = 500
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


@dataclasses.dataclass(frozen=True)
class Task:
    """One predictor to train.

    Attributes:
        rows: of the training set, in the graphs and targets given: [n].
        seed: of its weights, the order of its batches and its dropout.
    """

    rows: np.ndarray
    seed: int


def train(
    settings: Settings,
    graphs: Graphs,
    targets: np.ndarray,
    tasks: Sequence[Task],
    *,
    most: int = 0,
    label: str = "training predictors",
) -> GCN:
    """Trains a predictor for each task.

    Args:
        settings: of all of them.
        graphs: N of them.
        targets: accuracies as fractions, or labels of 0 and 1 where the output is a probability: [N].
        tasks: P of them.
        most: room for training sets, where those of later calls may be larger: saves compiling again.
        label: of the progress.

    Returns:
        The P predictors.

    Raises:
        InputError: no task, an empty training set, or targets that the output cannot reach.
    """
    targets = np.asarray(targets, np.float32)
    _check(settings, targets, tasks)
    if settings.output == "sigmoid":
        targets = np.clip(targets, settings.low, settings.high)
    predictors, most = len(tasks), max(most, *(len(task.rows) for task in tasks))
    model, steps = _compiled(settings, graphs.features, graphs.extras.shape[1], predictors, most)
    model.initialize([seeds.derive_seed(task.seed, "weights") for task in tasks])
    _standardise(model, graphs, targets, tasks)
    data = _stacked(settings, graphs, targets, tasks, most)
    schedules = [_schedule(settings, len(task.rows), task.seed) for task in tasks]
    total = max(len(places) for places, _, _ in schedules)
    places, shares, rates = (
        np.stack([_extended(part, total) for part in parts], axis=1) for parts in zip(*schedules, strict=True)
    )
    drop = np.array([seeds.derive_seed(task.seed, "dropout") % 2**31 for task in tasks], np.int32)
    weights = [tf.convert_to_tensor(variable) for variable in model.trainable_variables]
    constant = (tf.constant(drop), data, [variable.value for variable in model.non_trainable_variables])
    state = (weights, [tf.zeros_like(w) for w in weights], [tf.zeros_like(w) for w in weights])
    with Progress(label, total) as bar:
        for start in range(0, total, _STEPS):
            part = slice(start, start + _STEPS)
            fixed = [tf.constant(_extended(values[part], _STEPS)) for values in (places, shares, rates)]
            arguments = (*state, tf.constant(start), *fixed, *constant)
            # The trace by itself, as TensorFlow would warn of tracing: each size needs one of its own, for a few calls.
            traced = steps if tf.config.functions_run_eagerly() else steps.get_concrete_function(*arguments)
            state = traced(*arguments)
            bar.advance(min(_STEPS, total - start))
    for variable, value in zip(model.trainable_variables, state[0], strict=True):
        variable.assign(value)
    return _copy(model)


def inputs_of(graphs: Graphs, norm: str) -> tuple[np.ndarray, ...]:
    """What `GCN.call` takes, without the axis of the predictors."""
    nodes, extras = graphs.nodes.astype(np.float32), graphs.extras.astype(np.float32)
    return nodes, *normalised(graphs.edges, norm), graphs.counts.astype(np.float32), extras


def _check(settings: Settings, targets: np.ndarray, tasks: Sequence[Task]) -> None:
    if not tasks or not all(len(task.rows) for task in tasks):
        raise InputError("A predictor needs networks to learn from. Received: none")
    learned = targets[np.unique(np.concatenate([task.rows for task in tasks]))]
    if not np.isfinite(learned).all():
        raise InputError(f"Accuracies must be finite numbers. Received: {learned[~np.isfinite(learned)][0]}")
    if len(outside := settings.outside(learned)):
        raise InputError(
            f"{len(outside)} of {len(learned)} accuracies lie outside the range of the predictor. "
            f"Received: {outside[0]:.6g}. Allowed: {settings.low:g} to {settings.high:g}, as fractions"
        )


@functools.lru_cache(maxsize=8)
def _compiled(settings: Settings, features: int, extras: int, predictors: int, most: int) -> tuple[GCN, Any]:
    """The model and `_STEPS` steps of its training as one function, for training sets of up to `most`."""
    model = GCN(settings, features, extras, predictors)
    scale = 100.0 if settings.output == "sigmoid" else 1.0

    def loss(weights: Any, constants: Any, batch: Any, targets: Any, shares: Any, drop: Any) -> Any:
        scope = list(zip(model.trainable_variables, weights, strict=True))
        scope += list(zip(model.non_trainable_variables, constants, strict=True))
        import keras

        with keras.StatelessScope(scope):
            if settings.output == "probability":
                z = model.before_output(batch, drop)
                errors = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=z)
            else:
                found = model.call(batch, drop)
                unit = scale if settings.output == "sigmoid" else 1 / constants[1]  # `scale` of the model
                errors = ((found - targets) * unit) ** 2
        # Of all predictors: no weight is shared, so each has the gradient of its own.
        return tf.reduce_sum(errors * shares)

    @tf.function(jit_compile=True)
    def steps(
        weights: Any,
        first: Any,
        second: Any,
        start: Any,
        places: Any,
        shares: Any,
        rates: Any,
        drop: Any,
        data: Any,
        constants: Any,
    ) -> Any:
        def body(t: Any, weights: Any, first: Any, second: Any) -> Any:
            *batch, targets = (tf.gather(part, places[t], batch_dims=1) for part in data)
            seeds_now = tf.stack([drop, tf.fill(tf.shape(drop), (start + t) * 64)], axis=1)
            with tf.GradientTape() as tape:
                tape.watch(weights)
                value = loss(weights, constants, batch, targets, shares[t], seeds_now)
            count = tf.cast(start + t + 1, tf.float32)
            found = zip(tape.gradient(value, weights), weights, first, second, strict=True)
            new: list[list[Any]] = [[], [], []]
            for gradient, weight, mean, square in found:
                gradient = gradient + settings.weight_decay * weight
                mean = _BETA_1 * mean + (1 - _BETA_1) * gradient
                square = _BETA_2 * square + (1 - _BETA_2) * gradient**2
                move = mean / (1 - _BETA_1**count) / (tf.sqrt(square / (1 - _BETA_2**count)) + _EPSILON)
                rate = tf.reshape(rates[t], (-1, *[1] * (len(weight.shape) - 1)))
                for values, value in zip(new, (weight - rate * move, mean, square), strict=True):
                    values.append(value)
            return t + 1, *new

        return tf.while_loop(lambda t, *_: t < _STEPS, body, (0, weights, first, second))[1:]

    return model, steps


def _standardise(model: GCN, graphs: Graphs, targets: np.ndarray, tasks: Sequence[Task]) -> None:
    """Sets what scales outputs and extras, from each predictor's own training set."""
    settings = model.settings
    own = [targets[task.rows].astype(np.float64) for task in tasks]
    if settings.output == "sigmoid":
        offset, scale = [settings.low] * len(own), [settings.high - settings.low] * len(own)
    elif settings.output == "linear":
        offset, scale = [values.mean() for values in own], [_spread(values) for values in own]
    else:
        offset, scale = [0.0] * len(own), [1.0] * len(own)
    if settings.output == "sigmoid" and settings.bias:
        # Of the sigmoid's start at the middle of the range, far from any accuracy, the weights would bear the traces.
        share = np.array([(values.mean() - settings.low) / (settings.high - settings.low) for values in own])
        share = np.clip(share, 0.01, 0.99)
        model.denses[-1].bias.assign(np.log(share / (1 - share)).reshape(-1, 1, 1))
    model.offset.assign(np.reshape(offset, (-1, 1)))
    model.scale.assign(np.reshape(scale, (-1, 1)))
    known = [graphs.extras[task.rows].astype(np.float64) for task in tasks]
    model.extras_mean.assign(np.stack([values.mean(0) for values in known])[:, None])
    model.extras_scale.assign(np.stack([_spread(values) for values in known])[:, None])


def _spread(values: np.ndarray) -> np.ndarray:
    """Standard deviation, 1 where all are equal."""
    found = values.std(axis=0)
    return np.where(found > 0, found, 1.0)


def _stacked(
    settings: Settings, graphs: Graphs, targets: np.ndarray, tasks: Sequence[Task], most: int
) -> list[tf.Tensor]:
    """The training sets side by side: inputs and targets, each [P, most, ...]."""
    rows = np.stack([np.resize(task.rows, most) for task in tasks])  # what is beyond a set is never drawn
    used, places = np.unique(rows, return_inverse=True)
    places = places.reshape(rows.shape)
    return [tf.constant(part[places]) for part in (*inputs_of(graphs.take(used), settings.norm), targets[used])]


def _schedule(settings: Settings, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The steps of one predictor: places in its training set [T, B], their shares of the mean [T, B], rates [T]."""
    size = settings.batch_size
    batches = max(count // size, 1)
    rng = np.random.default_rng(seeds.derive_seed(seed, "batches"))
    orders = np.stack([rng.permutation(count) for _ in range(settings.epochs)])[:, : batches * size]
    short = max(size - count, 0)
    places = np.pad(orders, ((0, 0), (0, short))).reshape(-1, size).astype(np.int32)
    real = np.arange(size) < min(count, size)
    shares = np.broadcast_to(real / real.sum(), places.shape).astype(np.float32)
    cosine = (1 + np.cos(np.pi * np.arange(settings.epochs) / settings.epochs)) / 2
    rates = np.repeat(settings.learning_rate * cosine, batches).astype(np.float32)
    return places, shares, rates


def _extended(values: np.ndarray, total: int) -> np.ndarray:
    """With zeros behind: of rates, steps that move nothing."""
    return np.pad(values, ((0, total - len(values)), *[(0, 0)] * (values.ndim - 1)))


def _copy(model: GCN) -> GCN:
    """Another model with these weights, as the compiled one goes on to be trained."""
    new = GCN.from_config(model.get_config() | {"name": "gcn"})
    for variable, value in zip(new.variables, model.variables, strict=True):
        variable.assign(value)
    return new
