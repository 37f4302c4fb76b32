"""Forward and backward kernels of chains.

Outputs of kernel layers (z) and BN statistics are kept from the forward pass; everything between is cheap and computed
again. What a kernel does not return TensorFlow does not compute.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import tensorflow as tf

from tfnas.engine import convolution, normalization, simple
from tfnas.engine.plan import Layer, Layers
from tfnas.engine.reducers import Reducer
from tfnas.engine.signature import (
    BackwardResult,
    BackwardVariant,
    ChainRun,
    ForwardResult,
    ForwardVariant,
    Inner,
    Params,
    Saved,
    Statistics,
    Variant,
)

Tensor = Any


def forward(
    layers: Layers, variant: ForwardVariant, inputs: tuple[Tensor, ...], params: tuple[Params | None, ...]
) -> ForwardResult:
    """Runs a chain on its inputs."""
    output, codes = None, None
    statistics: list[Statistics | None] = []
    values = list(inputs)
    for position, (layer, own) in enumerate(zip(layers, params, strict=True)):
        if variant.codes and position > 0 and layer.is_relu:
            counts = _agreement_counts(values[0])
            codes = counts if codes is None else codes + counts
        found = None
        if layer.has_kernel:
            y = convolution.linear(layer, values[0], own.kernel)
            y = output = y if own.bias is None else tf.nn.bias_add(y, own.bias)
        elif layer.op == "batch_norm":
            found = normalization.statistics(layer, own, values[0], variant.bn)
            y = normalization.forward(layer, own, values[0], found)
            if normalization.on_moving_statistics(layer, variant.bn):
                found = None
        else:
            y = simple.apply(layer, values)
        statistics.append(found if variant.save != "nothing" else None)
        values = [y]
    return ForwardResult(values[0], Saved(output if variant.save == "all" else None, tuple(statistics)), codes)


def agreement(layers: Layers, variant: Variant, x: Tensor) -> Tensor:
    """Counts [N, N] of a ReLU at the head of a chain, which other chains may share; there are no layers."""
    return _agreement_counts(x)


def _agreement_counts(x: Tensor) -> Tensor:
    """For each pair of examples the number of ReLU units (x [N, ...]) that are on in both or off in both: [N, N].

    With codes c in {0, 1} this is c c' + (1 - c)(1 - c)', NASWOT's kernel of one layer, here from one product c c' and
    the numbers of units that are on. Exact in float32 up to 2^24 units.
    """
    on = tf.cast(tf.reshape(x, [x.shape[0], -1]) > 0, tf.float32)
    count = tf.reduce_sum(on, 1, keepdims=True)
    return 2 * tf.matmul(on, on, transpose_b=True) - count - tf.transpose(count) + float(on.shape[1])


@dataclasses.dataclass
class Seen:
    """What one layer saw and gave.

    Attributes:
        layer: the layer.
        params: its parameters.
        inputs: what it read.
        output: what it gave.
        norm: of a BN layer.
    """

    layer: Layer
    params: Params | None
    inputs: list[Tensor]
    output: Tensor
    norm: normalization.Normalized | None = None


def replay(layers: Layers, variant: Variant, run: ChainRun) -> list[Seen]:
    """What every layer saw, from what the forward kernel saved."""
    inputs = list(run.inputs)
    seen = []
    for layer, params, statistics in zip(layers, run.params, run.saved.statistics, strict=True):
        norm = None
        if layer.has_kernel:
            output = run.saved.output
        elif layer.op == "batch_norm":
            statistics = statistics or Statistics(params.moving_mean, params.moving_variance)
            norm = normalization.normalize(layer, params, inputs[0], statistics, variant.bn, variant.jit)
            output = normalization.forward(layer, params, inputs[0], statistics)
        else:
            output = simple.apply(layer, inputs)
        seen.append(Seen(layer, params, inputs, output, norm))
        inputs = [output]
    return seen


def backward(layers: Layers, variant: BackwardVariant, run: ChainRun, dy: Tensor) -> BackwardResult:
    """Pulls the cotangent of a chain's output back."""
    cotangents = [dy]
    gradients: list[Params | None] = []
    slopes: list[Tensor | None] = []
    dz = fisher = None
    for entry in reversed(replay(layers, variant, run)):
        layer, (dy,) = entry.layer, cotangents
        gradients.append(_parameter_gradients(entry, dy, variant))
        slope = None
        if layer.has_kernel:
            dz = dy
            fisher = _fisher(layer, entry.output, dz) if variant.fisher else None
            cotangents = [convolution.input_gradient(layer, entry.inputs[0], entry.params.kernel, dz)]
        elif layer.op == "batch_norm":
            pulled, slope = entry.norm.project(dy)
            cotangents = [pulled]
        else:
            cotangents = simple.backward(layer, entry.inputs, dy)
        slopes.append(slope)
    gradients.reverse()
    slopes.reverse()
    parts = [value for params in gradients if params for value in params if value is not None]
    return BackwardResult(
        inputs=tuple(cotangents) if variant.input_gradient else (),
        params=tuple(gradients) if parts and not variant.reducer else (),
        reduced=variant.reducer.combine(parts) if parts and variant.reducer else None,
        fisher=fisher,
        inner=Inner(dz, tuple(slopes)) if variant.keep else None,
    )


def _parameter_gradients(entry: Seen, dy: Tensor, variant: BackwardVariant) -> Params | None:
    """Gradients of the parameters of one layer that are wanted, those of a reducer in its form."""
    layer, reducer = entry.layer, variant.reducer
    gradients = {}
    for name, _ in layer.params:
        if name not in variant.params:
            continue
        if name != "kernel":
            gradients[name] = _channel_gradient(dy * entry.norm.value if name == "gamma" else dy, reducer)
        elif reducer:
            slabs = convolution.example_kernel_gradients(layer, entry.inputs[0], dy)
            gradients[name] = reducer.reduce(layer, list(slabs))
        else:
            gradients[name] = convolution.kernel_gradient(layer, entry.inputs[0], entry.params.kernel, dy)
    return Params(**gradients) if gradients else None


def _channel_gradient(values: Tensor, reducer: Reducer | None) -> Tensor:
    """Gradient [C] of a parameter of channels, as a sum of values [N, ..., C]."""
    axes = list(range(1 if reducer else 0, len(values.shape) - 1))
    values = tf.reduce_sum(values, axes) if axes else values
    return reducer.reduce(None, [values]) if reducer else values


def _fisher(layer: Layer, z: Tensor, dz: Tensor) -> Tensor:
    """Fisher saliency of a kernel layer (zero-cost-nas): sum over channels of mean_n (sum_hw z dz)^2 / 2, times fan-in.

    The mask of the reference is per channel and every weight of the channel counts, hence the fan-in.
    """
    product = tf.reduce_sum(z * dz, list(range(1, len(z.shape) - 1))) if len(z.shape) > 2 else z * dz
    *window, channels, _ = dict(layer.params)["kernel"]
    fan_in = math.prod(window) * (1 if layer.op == "depthwise_conv" else channels)
    return tf.reduce_sum(tf.reduce_mean(tf.square(product), 0)) / 2 * fan_in
