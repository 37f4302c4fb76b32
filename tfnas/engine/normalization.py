"""Batch normalisation with explicit statistics, exact to second order.

Keras' layer computes the variance with `tf.nn.moments`, which treats the mean inside it as a constant; its first
derivative is right and its second derivative is not. Here the derivatives are written out, with `mean` over the axes
that the mode shares: in mode `batch` all of N, H, W; in mode `example` H, W (what one-image-at-a-time code does); in
mode `inference` none, the moving statistics being constants.

    x' = (x - mean x) s,  s = (var x + epsilon)^(-1/2),  y = gamma x' + beta
    gradient of x:  s P(gamma dy),  P(v) = v - mean v - x' mean(x' v)
    tangent of x':  s P(u) for a tangent u of x, so P also carries tangents

TensorFlow has one op for a product with P, which takes a fifth of the time of the same arithmetic op by op. It serves
for the statistics of the batch, in float32, on CPU without XLA: elsewhere it takes another form of the variance.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfnas.engine.plan import Layer
from tfnas.engine.signature import Params, Statistics

Tensor = Any


@dataclasses.dataclass
class Normalized:
    """A BN layer on its input x.

    Attributes:
        x: [N, ..., C].
        mean, variance: its statistics, broadcastable to x.
        gamma: [C], or 1.
        epsilon: added to the variance.
        axes: of the statistics; None: they are constants.
        fused: whether TensorFlow's op for P serves.
    """

    x: Tensor
    mean: Tensor
    variance: Tensor
    gamma: Tensor
    epsilon: float
    axes: tuple[int, ...] | None
    fused: bool

    @functools.cached_property
    def scale(self) -> Tensor:
        """The factor s."""
        return tf.math.rsqrt(self.variance + self.epsilon)

    @functools.cached_property
    def value(self) -> Tensor:
        """The normalised input x'."""
        return by_channel(tf.multiply, by_channel(tf.subtract, self.x, self.mean), self.scale)

    @functools.cached_property
    def factor(self) -> Tensor:
        """The slope of y by x at fixed statistics: gamma s."""
        return self.scale * self.gamma

    def project(self, v: Tensor) -> tuple[Tensor, Tensor | None]:
        """The product gamma s P(v), and mean(x' v), which is None where the statistics are constants."""
        if self.axes is None:
            return by_channel(tf.multiply, v, self.factor), None
        if self.fused:
            return self._project_by_one_op(v)
        mean = tf.reduce_mean(v, self.axes, keepdims=True)
        slope = tf.reduce_mean(self.value * v, self.axes, keepdims=True)
        # Few passes over maps, all else happens on channels.
        sloped = by_channel(tf.multiply, self.value, self.factor * slope)
        return by_channel(tf.subtract, by_channel(tf.multiply, v, self.factor) - sloped, self.factor * mean), slope

    def _project_by_one_op(self, v: Tensor) -> tuple[Tensor, Tensor]:
        channels = self.x.shape[-1]
        projected, slopes, *_ = tf.raw_ops.FusedBatchNormGradV3(
            y_backprop=v,
            x=self.x,
            scale=self.gamma * tf.ones([channels], self.x.dtype),
            reserve_space_1=tf.reshape(self.mean, [channels]),
            reserve_space_2=tf.reshape(self.variance, [channels]),
            reserve_space_3=tf.zeros([0], self.x.dtype),
            epsilon=self.epsilon,
        )
        return projected, tf.reshape(slopes / self._count, self.mean.shape)

    @property
    def _count(self) -> int:
        """Values that share one mean."""
        return self.x.shape.num_elements() // self.mean.shape.num_elements()

    def project_tangent(
        self, u: Tensor, x_u: Tensor, dx: Tensor, x_dy: Tensor, dy_dot: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tangents of dx = project(dy) and of <x, dx> when x moves along u and dy along dy_dot.

        x_u and x_dy are what `project` gives with u and dy. With v = s P(u) the tangent of x' and s' = -s^2 x_u that of
        s, the tangent of dx is gamma times s' P(dy) + s (P(dy_dot) - v x_dy - x' mean(v dy)), where
        gamma mean(v dy) = mean(u dx). As <x', P(q)> is epsilon s^2 <x', q>, the tangent of <x, dx> needs no pass over
        maps. Only where the statistics move.
        """
        s = self.scale
        u_dx = tf.reduce_mean(u * dx, self.axes, keepdims=True)
        projected, slope = self.project(dy_dot + by_channel(tf.multiply, u, -s * x_dy))
        inner = tf.reduce_sum(self.epsilon * self._count * s * s * (u_dx + self.gamma * (slope - s * x_u * x_dy)))
        centred = by_channel(tf.subtract, self.x, self.mean)
        parts = [projected, by_channel(tf.multiply, dx, -s * x_u), by_channel(tf.multiply, centred, -s * s * u_dx)]
        return tf.add_n(parts), inner


def on_moving_statistics(layer: Layer, mode: str) -> bool:
    """Whether a BN layer normalises by constants in a BN mode."""
    return mode == "inference" and layer["moving"]


def statistics_axes(layer: Layer, mode: str, rank: int) -> tuple[int, ...] | None:
    """Axes over which inputs of a rank share statistics; None: they are constants."""
    if on_moving_statistics(layer, mode):
        return None
    return tuple(range(1, rank - 1)) if mode == "example" else tuple(range(rank - 1))


def statistics(layer: Layer, params: Params, x: Tensor, mode: str) -> Statistics:
    """Mean and biased variance, broadcastable to x [N, ..., C]."""
    axes = statistics_axes(layer, mode, len(x.shape))
    if axes is None:
        return Statistics(params.moving_mean, params.moving_variance)
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(by_channel(tf.math.squared_difference, x, mean), axes, keepdims=True)
    return Statistics(mean, variance)


def normalize(layer: Layer, params: Params, x: Tensor, stats: Statistics, mode: str, jit: bool) -> Normalized:
    """A BN layer on x [N, ..., C] in a BN mode, in a kernel that is or is not compiled with XLA."""
    axes = statistics_axes(layer, mode, len(x.shape))
    fused = axes == (0, 1, 2) and x.dtype == tf.float32 and not jit and _on_cpu()
    gamma = 1 if params.gamma is None else params.gamma
    return Normalized(x, stats.mean, stats.variance, gamma, layer["epsilon"], axes, fused)


@functools.cache
def _on_cpu() -> bool:
    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())


def forward(layer: Layer, params: Params, x: Tensor, stats: Statistics) -> Tensor:
    """Output as x a + b, the arithmetic of Keras and PyTorch: others flip ReLUs whose input is round-off."""
    scale = tf.math.rsqrt(stats.variance + layer["epsilon"])
    scale = scale if params.gamma is None else scale * params.gamma
    shift = -stats.mean * scale if params.beta is None else params.beta - stats.mean * scale
    return by_channel(tf.add, by_channel(tf.multiply, x, scale), shift)


def by_channel(op: Callable[[Tensor, Tensor], Tensor], x: Tensor, values: Tensor) -> Tensor:
    """op(x, values) for values [C], [1, 1, 1, C] or [N, 1, 1, C] of maps x [N, H, W, C].

    Each row of W C numbers meets a row of values: where channels are few, twice as fast as to broadcast C values.
    """
    if len(x.shape) == 4:
        values = tf.tile(values if len(values.shape) == 4 else values[None, None, None], [1, 1, x.shape[2], 1])
    return op(x, values)
