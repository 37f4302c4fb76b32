"""Layers without parameters: outputs, gradients, and their tangents along a direction.

Gradients come from TensorFlow's tape inside the traced kernel, where whatever they do not use is pruned.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tfnas.engine.plan import LINEAR_OPS, Layer
from tfnas.networks.activations import ACTIVATIONS

Tensor = Any


def apply(layer: Layer, inputs: list[Tensor]) -> Tensor:
    """Output of a layer without parameters."""
    x = inputs[0]
    match layer.op:
        case "activation":
            return ACTIVATIONS[layer["kind"]](x)
        case "avg_pool" | "max_pool":
            pool = tf.nn.avg_pool2d if layer.op == "avg_pool" else tf.nn.max_pool2d
            return pool(x, layer["size"], layer["strides"], layer["padding"].upper())
        case "concat":
            return tf.concat(inputs, axis=-1)
        case "crop":
            top, bottom, left, right = layer["amount"]
            return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right, :]
        case "flatten" | "reshape":
            return tf.reshape(x, [-1, *layer.shape])
        case "global_avg_pool":
            return tf.reduce_mean(x, [1, 2])
        case "multiply":
            return x * inputs[1]
        case "pad":
            top, bottom, left, right = layer["amount"]
            return tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]], constant_values=layer["value"])
        case "slice_channels":
            return x[..., : layer["channels"]]
        case "subsample":
            return x[:, :: layer["strides"], :: layer["strides"], :]
    raise AssertionError(f"no kernel for {layer.op}")


def backward(layer: Layer, inputs: list[Tensor], dy: Tensor) -> list[Tensor]:
    """Gradients of <apply(inputs), dy> by the inputs."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        y = apply(layer, inputs)
    return tape.gradient(y, inputs, output_gradients=dy, unconnected_gradients="zero")


def tangent(layer: Layer, inputs: list[Tensor], us: list[Tensor]) -> Tensor:
    """Tangent of the output when the inputs move along `us`."""
    if layer.op == "pad":  # affine: the padding value does not move
        return tf.pad(us[0], [[0, 0], layer["amount"][:2], layer["amount"][2:], [0, 0]])
    if layer.op in LINEAR_OPS:
        return apply(layer, us)
    if layer.op == "max_pool":
        return _max_pool_tangent(layer, inputs[0], us[0])
    # A Jacobian-vector product as the gradient of a vector-Jacobian product, which is linear in its cotangent.
    cotangent = tf.zeros([inputs[0].shape[0], *layer.shape], inputs[0].dtype)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(cotangent)
        pulled = backward(layer, inputs, cotangent)
    return tape.gradient(pulled, cotangent, output_gradients=us, unconnected_gradients="zero")


def _max_pool_tangent(layer: Layer, x: Tensor, u: Tensor) -> Tensor:
    """The tangent u of the first pixel of each window that holds its maximum.

    Not by TensorFlow's second derivative of max pooling: on CPU it may work in place where input and output are of one
    shape and then reads what it has overwritten; XLA knows it in float32 only.
    """
    size, step, shape = layer["size"], layer["strides"], layer.shape
    y = apply(layer, [x])
    amounts = [[0, 0], [0, 0], [0, 0], [0, 0]]
    if layer["padding"] == "same":
        for axis, (length, out) in enumerate(zip(x.shape[1:3], shape[:2], strict=True), 1):
            total = max((out - 1) * step + size - length, 0)
            amounts[axis] = [total // 2, total - total // 2]
    x, u = tf.pad(x, amounts, constant_values=-math.inf), tf.pad(u, amounts)
    y_dot, missing = tf.zeros_like(y), tf.ones_like(y, tf.bool)
    for row in range(size):
        for column in range(size):
            rows, columns = (slice(i, i + (n - 1) * step + 1, step) for i, n in ((row, shape[0]), (column, shape[1])))
            found = missing & (x[:, rows, columns] == y)
            y_dot += tf.where(found, u[:, rows, columns], tf.zeros_like(y))
            missing &= ~found
    return y_dot


def backward_tangent(layer: Layer, inputs: list[Tensor], us: list[Tensor], dy: Tensor, dy_dot: Tensor) -> list[Tensor]:
    """Tangents of :func:`backward` when the inputs move along `us` and dy along dy_dot."""
    along_cotangent = backward(layer, inputs, dy_dot)
    if layer.op in LINEAR_OPS | {"max_pool"}:
        return along_cotangent
    if layer.op == "activation" and ACTIVATIONS[layer["kind"]].piecewise_linear:
        return along_cotangent
    # The Hessian of <apply(x), dy> is symmetric, so its product with u is the gradient of <backward(x, dy), u>.
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        pulled = backward(layer, inputs, dy)
        moved = tf.add_n([tf.reduce_sum(p * u) for p, u in zip(pulled, us, strict=True)])
    curved = tape.gradient(moved, inputs, unconnected_gradients="zero")
    return [a + b for a, b in zip(along_cotangent, curved, strict=True)]
