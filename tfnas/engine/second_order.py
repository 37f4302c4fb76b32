"""Tangents of forward and backward kernels, when the kernels of the network move along a direction."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfnas.engine import convolution, simple
from tfnas.engine.first_order import Seen, replay
from tfnas.engine.plan import Layers
from tfnas.engine.signature import (
    BackwardTangentResult,
    BackwardTangentVariant,
    ChainRun,
    Inner,
    Pulled,
    TangentResult,
    Variant,
)

Tensor = Any


def tangent(
    layers: Layers, variant: Variant, run: ChainRun, us: tuple[Tensor, ...], direction: Tensor | None
) -> TangentResult:
    """Tangent of the forward kernel.

    Args:
        layers: the chain.
        variant: of the kernel.
        run: of the forward pass.
        us: tangents of the chain's inputs.
        direction: in which its kernel moves.
    """
    tangents, z_dot = list(us), None
    slopes: list[Tensor | None] = []
    for entry in replay(layers, variant, run):
        layer, slope = entry.layer, None
        if layer.has_kernel:
            along_input = convolution.linear(layer, tangents[0], entry.params.kernel)
            z_dot = along_input + convolution.linear(layer, entry.inputs[0], direction)
            tangents = [z_dot]
        elif layer.op == "batch_norm":
            moved, slope = entry.norm.project(tangents[0])
            tangents = [moved]
        else:
            tangents = [simple.tangent(layer, entry.inputs, tangents)]
        slopes.append(slope)
    return TangentResult(tangents[0], Inner(z_dot, tuple(slopes)))


def backward_tangent(
    layers: Layers,
    variant: BackwardTangentVariant,
    run: ChainRun,
    us: tuple[Tensor, ...],
    moved: Inner,
    pulled: Pulled,
    direction: Tensor | None,
    gradient: Tensor | None,
    dy_dot: Tensor,
) -> BackwardTangentResult:
    """Tangent of the backward kernel.

    Args:
        layers: the chain.
        variant: of the kernel.
        run: of the forward pass.
        us: tangents of the chain's inputs.
        moved: tangents inside the chain.
        pulled: of the backward pass.
        direction: in which the chain's kernel moves.
        gradient: of the kernel, for the product.
        dy_dot: tangent of the cotangent of the chain's output.
    """
    seen = replay(layers, variant, run)
    met = _tangents_met(seen, us, moved)
    tangents, cotangents = [dy_dot], [pulled.cotangent]
    kernel_dot = inner_dot = None
    for i in reversed(range(len(seen))):
        entry, layer, us, (dy,), (dy_dot,) = seen[i], layers[i], met[i], cotangents, tangents
        # Tangent of <y, dy>, y this layer's output less any bias, where the layer behind has given it.
        known_dot, inner_dot = inner_dot, None
        if layer.has_kernel:
            x, kernel, dz = entry.inputs[0], entry.params.kernel, pulled.inner.output
            if variant.dot:  # <kernel, gradient> is <y, dy>
                if known_dot is None:
                    z = entry.output if entry.params.bias is None else entry.output - entry.params.bias
                    known_dot = tf.reduce_sum(moved.output * dz) + tf.reduce_sum(z * dy_dot)
                kernel_dot = known_dot - tf.reduce_sum(direction * gradient)
            else:
                along_cotangent = convolution.kernel_gradient(layer, x, kernel, dy_dot)
                kernel_dot = along_cotangent + convolution.kernel_gradient(layer, us[0], kernel, dz)
            tangents = [convolution.summed_input_gradients(layer, x, [(kernel, dy_dot), (direction, dz)])]
            cotangents = [convolution.input_gradient(layer, x, kernel, dz)]
        elif layer.op == "batch_norm" and pulled.inner.slopes[i] is not None:
            dx = pulled.inner.output if i and layers[i - 1].has_kernel else entry.norm.project(dy)[0]
            slopes = moved.slopes[i], pulled.inner.slopes[i]
            tangent_, inner_dot = entry.norm.project_tangent(us[0], slopes[0], dx, slopes[1], dy_dot)
            tangents, cotangents = [tangent_], [dx]
        elif layer.op == "batch_norm":
            tangents, cotangents = ([entry.norm.project(value)[0]] for value in (dy_dot, dy))
        else:
            tangents = simple.backward_tangent(layer, entry.inputs, us, dy, dy_dot)
            cotangents = simple.backward(layer, entry.inputs, dy)
    return BackwardTangentResult(tuple(tangents) if variant.input_gradient else (), kernel_dot)


def _tangents_met(seen: list[Seen], us: tuple[Tensor, ...], moved: Inner) -> list[list[Tensor]]:
    """For each layer the tangents of what it reads."""
    met, tangents = [], list(us)
    for entry in seen:
        met.append(tangents)
        if entry.layer.has_kernel:
            tangents = [moved.output]
        elif entry.layer.op == "batch_norm":
            tangents = [entry.norm.project(tangents[0])[0]]
        else:
            tangents = [simple.tangent(entry.layer, entry.inputs, tangents)]
    return met
