"""Batch normalisation with explicit statistics, exact to second order.

Keras' layer computes the variance with `tf.nn.moments`, which treats the mean inside it as a constant; its first
derivative is right and its second derivative is not. Here the derivatives are written out, with `mean` over the axes
that the mode shares: in mode `batch` all of N, H, W; in mode `example` H, W (what one-image-at-a-time code does); in
mode `inference` none, the moving statistics being constants.

    x' = (x - mean x) s,  s = (var x + epsilon)^(-1/2),  y = gamma x' + beta
    gradient of x:  s P(gamma dy),  P(v) = v - mean v - x' mean(x' v)
    tangent of x':  s P(u) for a tangent u of x, so P also carries tangents
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

    def project(self, v: Tensor, factor: Tensor) -> Tensor:
        """`factor` times P(v), the factor [..., C]: few passes over maps, all else happens on channels."""
        if self.axes is None:
            return v * factor
        return v * factor - self.value * (factor * self.mean(self.value * v)) - factor * self.mean(v)


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
    return norm.project(dy, _factor(norm, params))


def tangent(norm: Normalized, params: dict[str, Tensor], u: Tensor) -> Tensor:
    """Tangent of y for a tangent u of x."""
    return norm.project(u, _factor(norm, params))


def backward_tangent(norm: Normalized, params: dict[str, Tensor], u: Tensor, dy: Tensor, dy_dot: Tensor) -> Tensor:
    """Tangent of :func:`backward` when x moves along u and dy along dy_dot.

    With v the tangent of x' and s' that of s, it is gamma times
    s' P(dy) + s (P(dy_dot) - v mean(x' dy) - x' mean(v dy)), gathered by dy, dy_dot, u and x'.
    """
    factor = _factor(norm, params)
    if norm.axes is None:
        return factor * dy_dot
    s, value = norm.scale, norm.value
    mean_u, mean_dy, mean_dot = norm.mean(u), norm.mean(dy), norm.mean(dy_dot)
    x_u, x_dy, x_dot = norm.mean(value * u), norm.mean(value * dy), norm.mean(value * dy_dot)
    v_dy = s * (norm.mean(u * dy) - mean_u * mean_dy - x_u * x_dy)
    by_dy, by_u, by_value = -s * x_u, -s * x_dy, 2 * s * x_u * x_dy - v_dy - x_dot
    constant = -(by_dy * mean_dy + by_u * mean_u + mean_dot)
    return (
        factor * dy_dot + (factor * by_dy) * dy + (factor * by_u) * u + (factor * by_value) * value + factor * constant
    )


def _factor(norm: Normalized, params: dict[str, Tensor]) -> Tensor:
    """The slope of y by x at fixed statistics: gamma s."""
    return norm.scale * params["gamma"] if "gamma" in params else norm.scale
