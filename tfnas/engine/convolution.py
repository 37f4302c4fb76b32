"""Kernel layers (convolutions of all kinds, dense layers): outputs, input gradients, per-example kernel gradients.

First-order batch gradients come from TensorFlow, which is right for every kind (it is `GradientTape.jacobian` that is
wrong for grouped convolutions, not the gradient op). Per-example kernel gradients are one batched product per kernel
tap: the input shifted by the tap, [N, positions, C_in], against the output cotangent, [N, positions, C_out].
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfnas.engine.plan import Layer

Tensor = Any


# Attribute of layers whose products are taken of numbers in this type.
_HALF = ("products", "bfloat16")


def halved(layer: Layer) -> Layer:
    """A layer with a kernel that multiplies in bfloat16 and gives what it is given; other layers as they are."""
    return dataclasses.replace(layer, attrs=(*layer.attrs, _HALF)) if layer.has_kernel else layer


def linear(layer: Layer, x: Tensor, kernel: Tensor) -> Tensor:
    """Output without bias. x [N, H, W, C] (dense: [N, ..., C])."""
    if _HALF in layer.attrs:
        return tf.cast(_linear(layer, tf.cast(x, tf.bfloat16), tf.cast(kernel, tf.bfloat16)), x.dtype)
    return _linear(layer, x, kernel)


def _linear(layer: Layer, x: Tensor, kernel: Tensor) -> Tensor:
    if layer.op == "dense":
        return tf.tensordot(x, kernel, 1) if len(x.shape) > 2 else tf.matmul(x, kernel)
    step, dilation, padding = layer["strides"], layer["dilation"], layer["padding"].upper()
    if step > 1 and dilation > 1:
        # TensorFlow has no convolution with both: filter at stride 1, then keep every n-th pixel.
        x = tf.pad(x, [[0, 0], *padding_amounts(layer), [0, 0]])
        return _filter(layer, x, kernel, 1, "VALID")[:, ::step, ::step, :]
    return _filter(layer, x, kernel, step, padding)


def _filter(layer: Layer, x: Tensor, kernel: Tensor, step: int, padding: str) -> Tensor:
    dilations = [layer["dilation"]] * 2
    if layer.op == "depthwise_conv":
        return tf.nn.depthwise_conv2d(x, kernel, [1, step, step, 1], padding, dilations=dilations)
    # TensorFlow's own grouped convolution has no CPU gradient; groups are few, so one convolution each. The same goes
    # for `tf.nn.conv2d` with dilation; `tf.nn.convolution` brings the dilated pixels together first.
    groups = layer["groups"]
    xs, kernels = (tf.split(x, groups, axis=-1), tf.split(kernel, groups, axis=-1)) if groups > 1 else ([x], [kernel])
    ys = [tf.nn.convolution(part, k, step, padding, dilations=dilations) for part, k in zip(xs, kernels, strict=True)]
    return tf.concat(ys, axis=-1) if groups > 1 else ys[0]


def input_gradient(layer: Layer, x: Tensor, kernel: Tensor, dz: Tensor) -> Tensor:
    """Gradient of <linear(x), dz> by x."""
    return _gradient(layer, x, kernel, dz, 0)


def summed_input_gradients(layer: Layer, x: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Sum of the input gradients of several (kernel, dz).

    Of ordinary convolutions it is one gradient with all output channels side by side, faster than one for each where
    kernels are larger than a pixel.
    """
    if layer.op != "conv" or layer["groups"] > 1 or layer["kernel_size"] == (1, 1):
        return tf.add_n([input_gradient(layer, x, kernel, dz) for kernel, dz in pairs])
    kernels, dzs = (tf.concat(parts, axis=-1) for parts in zip(*pairs, strict=True))
    return input_gradient(layer, x, kernels, dzs)


def kernel_gradient(layer: Layer, x: Tensor, kernel: Tensor, dz: Tensor) -> Tensor:
    """Gradient of <linear(x), dz> by the kernel, summed over examples."""
    return _gradient(layer, x, kernel, dz, 1)


def _gradient(layer: Layer, x: Tensor, kernel: Tensor, dz: Tensor, which: int) -> Tensor:
    sources = (x, kernel)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(sources[which])
        z = linear(layer, x, kernel)  # unused by the gradient, so the compiled kernel does not compute it
    return tape.gradient(z, sources[which], output_gradients=dz)


def example_kernel_gradients(layer: Layer, x: Tensor, dz: Tensor) -> Iterator[Tensor]:
    """Per-example gradients of <linear(x), dz> by the kernel, one slab [N, ...] per kernel tap.

    The slabs of all taps together, each flattened over everything but N, are the per-example gradient [N, P]; in slabs
    the largest array held is [N, C_in, C_out]. Slabs of an ordinary kernel are [N, C_in, C_out], of a grouped one
    [N, groups, C_in / groups, C_out / groups], of a depthwise one [N, C, multiplier]; :func:`stack_slabs` puts them
    together.
    """
    if layer.op == "dense":
        positions = math.prod(layer.shape[:-1])
        channels, units = dict(layer.params)["kernel"]
        if positions == 1:
            yield tf.reshape(x, [-1, channels, 1]) * tf.reshape(dz, [-1, 1, units])
        else:
            x, dz = tf.reshape(x, [-1, positions, channels]), tf.reshape(dz, [-1, positions, units])
            yield tf.matmul(x, dz, transpose_a=True)
        return
    out_h, out_w, filters = layer.shape
    channels = x.shape[-1]
    positions = out_h * out_w
    (kh, kw), step, dilation = layer["kernel_size"], layer["strides"], layer["dilation"]
    amounts = padding_amounts(layer)
    if any(amounts[0] + amounts[1]):
        x = tf.pad(x, [[0, 0], *amounts, [0, 0]])
    groups = dict(layer.attrs).get("groups", 1)
    depthwise = layer.op == "depthwise_conv"
    if depthwise:
        dz = tf.reshape(dz, [-1, out_h, out_w, channels, layer["multiplier"]])
    elif groups > 1:
        dz = _by_group(tf.reshape(dz, [-1, positions, filters]), groups)
    else:
        dz = tf.reshape(dz, [-1, positions, filters])
    for row in range(kh):
        for column in range(kw):
            top, left = row * dilation, column * dilation
            window = x[:, top : top + (out_h - 1) * step + 1 : step, left : left + (out_w - 1) * step + 1 : step, :]
            if depthwise:
                yield tf.reduce_sum(window[..., tf.newaxis] * dz, [1, 2])
                continue
            window = tf.reshape(window, [-1, positions, channels])
            yield tf.matmul(_by_group(window, groups) if groups > 1 else window, dz, transpose_a=True)


def stack_slabs(layer: Layer, slabs: list[Tensor]) -> Tensor:
    """Slabs of all taps as per-example gradients in the layout of the kernel: [N, *kernel.shape]."""
    shape = dict(layer.params)["kernel"]
    if layer.op == "dense":
        return tf.reshape(slabs[0], [-1, *shape])
    if dict(layer.attrs).get("groups", 1) > 1:
        slabs = [tf.concat(tf.unstack(slab, axis=1), axis=-1) for slab in slabs]
    return tf.reshape(tf.stack(slabs, axis=1), [-1, *shape])


def padding_amounts(layer: Layer) -> list[list[int]]:
    """Zero rows and columns that `padding` stands for: [[top, bottom], [left, right]]."""
    if layer["padding"] == "valid":
        return [[0, 0], [0, 0]]
    amounts = []
    for size, out, window in zip(layer.input_shapes[0][:2], layer.shape[:2], layer["kernel_size"], strict=True):
        total = max((out - 1) * layer["strides"] + (window - 1) * layer["dilation"] + 1 - size, 0)
        amounts.append([total // 2, total - total // 2])
    return amounts


def _by_group(x: Tensor, groups: int) -> Tensor:
    """[N, positions, C] -> [N, groups, positions, C / groups]."""
    _, positions, channels = x.shape
    return tf.transpose(tf.reshape(x, [-1, positions, groups, channels // groups]), [0, 2, 1, 3])
