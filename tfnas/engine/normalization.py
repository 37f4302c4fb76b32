"""Batch normalisation with explicit statistics, exact to second order.

Keras' layer computes the variance with `tf.nn.moments`, which treats the mean inside it as a constant; its first
derivative is right and its second derivative is not. Here the derivatives are written out, with `mean` over the axes
that the mode shares: in mode `batch` all of N, H, W; in mode `example` H, W (what one-image-at-a-time code does); in
mode `inference` none, the moving statistics being constants.

    x' = (x - mean x) s,  s = (var x + epsilon)^(-1/2),  y = gamma x' + beta
    gradient of x:  s P(gamma dy),  P(v) = v - mean v - x' mean(x' v)
    tangent of x':  s P(u) for a tangent u of x
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from tfnas.engine.plan import Layer

Tensor = Any
BN_MODES = ("inference", "example", "batch")


@dataclasses.dataclass
class Normalized:
    """What derivatives need: x' and s (broadcastable), the axes of the statistics (None: constants)."""

    value: Tensor
    scale: Tensor
    axes: tuple[int, ...] | None

    def mean(self, v: Tensor) -> Tensor:
        return tf.reduce_mean(v, self.axes, keepdims=True)

    def project(self, v: Tensor, x_v: Tensor | None = None) -> Tensor:
        """P(v), with mean(x' v) given as `x_v` where it is known."""
        if self.axes is None:
            return v
        x_v = self.mean(self.value * v) if x_v is None else x_v
        return v - self.mean(v) - self.value * x_v


def statistics_axes(layer: Layer, mode: str, rank: int) -> tuple[int, ...] | None:
    if mode == "inference" and layer["moving"]:
        return None
    return tuple(range(1, rank - 1)) if mode == "example" else tuple(range(rank - 1))


def statistics(layer: Layer, params: dict[str, Tensor], x: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """Mean and biased variance, broadcastable to x [N, ..., C]."""
    axes = statistics_axes(layer, mode, len(x.shape))
    if axes is None:
        return params["moving_mean"], params["moving_variance"]
    mean = tf.reduce_mean(x, axes, keepdims=True)
    return mean, tf.reduce_mean(tf.square(x - mean), axes, keepdims=True)


def normalize(layer: Layer, x: Tensor, stats: tuple[Tensor, Tensor], mode: str) -> Normalized:
    mean, variance = stats
    scale = tf.math.rsqrt(variance + layer["epsilon"])
    return Normalized((x - mean) * scale, scale, statistics_axes(layer, mode, len(x.shape)))


def forward(layer: Layer, params: dict[str, Tensor], x: Tensor, stats: tuple[Tensor, Tensor]) -> Tensor:
    """Output as x a + b, the arithmetic of Keras and PyTorch: others flip ReLUs whose input is round-off."""
    mean, variance = stats
    scale = tf.math.rsqrt(variance + layer["epsilon"])
    scale = scale * params["gamma"] if "gamma" in params else scale
    return x * scale + (params["beta"] - mean * scale if "beta" in params else -mean * scale)


def backward(norm: Normalized, params: dict[str, Tensor], dy: Tensor) -> Tensor:
    """Gradient of x."""
    scale = norm.scale * params["gamma"] if "gamma" in params else norm.scale
    return scale * norm.project(dy)


def tangent(norm: Normalized, u: Tensor) -> Tensor:
    """Tangent of x' for a tangent u of x."""
    return norm.scale * norm.project(u)


def backward_tangent(
    norm: Normalized, params: dict[str, Tensor], u: Tensor, value_dot: Tensor, dy: Tensor, dy_dot: Tensor
) -> Tensor:
    """Tangent of :func:`backward` when x moves along u (x' along value_dot) and dy along dy_dot."""
    gamma = params.get("gamma")
    dy, dy_dot = (dy, dy_dot) if gamma is None else (dy * gamma, dy_dot * gamma)
    if norm.axes is None:
        return norm.scale * dy_dot
    x_dy = norm.mean(norm.value * dy)
    scale_dot = -tf.square(norm.scale) * norm.mean(norm.value * u)
    project_dot = -value_dot * x_dy - norm.value * norm.mean(value_dot * dy)
    return scale_dot * norm.project(dy, x_dy) + norm.scale * (project_dot + norm.project(dy_dot))
