"""Plain reference implementation of per-example gradients of a Keras model: slow, and simple enough to trust.

Two ways, which must agree with each other and with the engine: `GradientTape.jacobian`, and a loop of ordinary
gradients. Both hold all N gradients, and both run the model eagerly. What is differentiated is the scalar
s_i = <cotangent_i, logits_i> of each example: ones give the gradients of the tangent kernel `sum_logits`, softmax minus
one-hot those of the cross-entropy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnas.errors import InputError, unknown
from tfnas.networks.keras_layers import BatchStatisticsNormalization
from tfnas.networks.modes import BN_MODES

Tensor = Any


def jacobian(
    model: keras.Model, images: Any, cotangents: Any, bn: str, *, use_pfor: bool = True
) -> dict[str, np.ndarray]:
    """Gradients of every example's scalar by `GradientTape.jacobian`.

    Args:
        model: functional or Sequential, images -> logits.
        images: [N, H, W, C].
        cotangents: [N, classes], one of each example's logits.
        bn: "inference": moving statistics; "example": one forward pass an example, which normalises it by its own
            statistics; "batch": those of the batch, through which an example's gradients see the others.
        use_pfor: passed on as `experimental_use_pfor`.

    Returns:
        [N, *shape] for each trainable weight, by the weight's path with dots: "<layer>.<weight>".

    Raises:
        InputError: an unknown BN mode, or grouped convolutions with pfor, whose conversion of their kernel gradient is
            silently wrong (TensorFlow 2.21: relative errors of 0.75 and more).
    """
    grouped = [layer.name for layer in _layers(model) if getattr(layer, "groups", 1) > 1]
    if use_pfor and grouped:
        raise InputError(
            f"GradientTape.jacobian with pfor is wrong for grouped convolutions. Received: {', '.join(grouped)}. "
            "Allowed: use_pfor=False, or `loop`"
        )
    variables = model.trainable_variables
    # Without pfor an eager tape is read once for every row.
    with tf.GradientTape(persistent=not use_pfor) as tape:
        scalars = tf.reduce_sum(logits(model, images, bn) * _tensor(model, cotangents), -1)
    rows = tape.jacobian(
        scalars,
        [variable.value for variable in variables],
        unconnected_gradients="zero",
        experimental_use_pfor=use_pfor,
    )
    return {_key(variable): row.numpy() for variable, row in zip(variables, rows, strict=True)}


def loop(model: keras.Model, images: Any, cotangents: Any, bn: str) -> dict[str, np.ndarray]:
    """Gradients of every example's scalar, one ordinary gradient each; arguments and result as in :func:`jacobian`.

    Where BN does not couple examples, each goes through the model alone. Where it does, the whole batch goes through
    for every row, whose cotangent is zero but for that example.

    Raises:
        InputError: an unknown BN mode.
    """
    images, cotangents = _tensor(model, images), _tensor(model, cotangents)
    coupled = bn == "batch" or (
        bn == "inference" and any(isinstance(layer, BatchStatisticsNormalization) for layer in _layers(model))
    )
    variables = model.trainable_variables
    rows = []
    for i in range(len(images)):
        if coupled:
            row = tf.one_hot(i, len(images), dtype=cotangents.dtype)
            batch, pulled = images, cotangents * row[:, None]
        else:
            batch, pulled = images[i : i + 1], cotangents[i : i + 1]
        with tf.GradientTape() as tape:
            y = logits(model, batch, bn)
        values = [variable.value for variable in variables]
        rows.append(tape.gradient(y, values, output_gradients=pulled, unconnected_gradients="zero"))
    return {_key(variable): np.stack(row) for variable, row in zip(variables, zip(*rows, strict=True), strict=True)}


def logits(model: keras.Model, images: Any, bn: str) -> Tensor:
    """Output [N, classes] in a BN mode; the model's moving statistics stay as they are.

    Raises:
        InputError: an unknown BN mode.
    """
    if bn not in BN_MODES:
        raise unknown("BN mode", bn, BN_MODES)
    images = _tensor(model, images)
    with _statistics_kept(model):
        if bn == "example":
            return tf.concat([model(images[i : i + 1], training=True) for i in range(len(images))], 0)
        return model(images, training=bn == "batch")


@contextlib.contextmanager
def _statistics_kept(model: keras.Model) -> Iterator[None]:
    """Puts back what a pass in training mode changes."""
    kept = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield from _layers(layer) if isinstance(layer, keras.Model) else (layer,)


def _tensor(model: keras.Model, values: Any) -> Tensor:
    return tf.convert_to_tensor(values, model.inputs[0].dtype)


def _key(variable: keras.Variable) -> str:
    return variable.path.replace("/", ".")
