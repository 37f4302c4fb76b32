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
from typing import Any

import tensorflow as tf

from tfnas.engine.plan import Layer

Tensor = Any
Moments = tuple[Tensor, ...]
BN_MODES = ("inference", "example", "batch")


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
        return (self.x - self.mean) * self.scale

    @functools.cached_property
    def factor(self) -> Tensor:
        """The slope of y by x at fixed statistics: gamma s."""
        return self.scale * self.gamma

    def average(self, v: Tensor) -> Tensor:
        return tf.reduce_mean(v, self.axes, keepdims=True)

    def project(self, v: Tensor) -> tuple[Tensor, Moments]:
        """The product gamma s P(v), and mean v and mean(x' v), which are none where the statistics are constants."""
        if self.axes is None:
            return v * self.factor, ()
        if self.fused:
            return self._project_by_one_op(v)
        mean, slope = self.average(v), self.average(self.value * v)
        # Few passes over maps, all else happens on channels.
        return v * self.factor - self.value * (self.factor * slope) - self.factor * mean, (mean, slope)

    def _project_by_one_op(self, v: Tensor) -> tuple[Tensor, Moments]:
        channels = self.x.shape[-1]
        projected, slopes, sums, *_ = tf.raw_ops.FusedBatchNormGradV3(
            y_backprop=v,
            x=self.x,
            scale=self.gamma * tf.ones([channels], self.x.dtype),
            reserve_space_1=tf.reshape(self.mean, [channels]),
            reserve_space_2=tf.reshape(self.variance, [channels]),
            reserve_space_3=tf.zeros([0], self.x.dtype),
            epsilon=self.epsilon,
        )
        count = self.x.shape.num_elements() // channels
        return projected, tuple(tf.reshape(total / count, self.mean.shape) for total in (sums, slopes))

    def project_tangent(self, u: Tensor, moments_u: Moments, dy: Tensor, moments_dy: Moments, dy_dot: Tensor) -> Tensor:
        """Tangent of `project(dy)` when x moves along u and dy along dy_dot; the moments are those of `project`.

        With v the tangent of x' and s' that of s, it is gamma times
        s' P(dy) + s (P(dy_dot) - v mean(x' dy) - x' mean(v dy)), where v = s P(u) and s' = -s^2 mean(x' u).
        """
        if self.axes is None:
            return dy_dot * self.factor
        (mean_u, x_u), (mean_dy, x_dy), s = moments_u, moments_dy, self.scale
        v_dy = s * (self.average(u * dy) - mean_u * mean_dy - x_u * x_dy)
        projected, _ = self.project(tf.add_n([dy_dot, dy * (-s * x_u), u * (-s * x_dy)]))
        return projected - (self.x - self.mean) * (self.factor * v_dy * s)


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


def normalize(
    layer: Layer, params: dict[str, Tensor], x: Tensor, stats: tuple[Tensor, Tensor], mode: str, jit: bool
) -> Normalized:
    axes = statistics_axes(layer, mode, len(x.shape))
    fused = axes == (0, 1, 2) and x.dtype == tf.float32 and not jit and _on_cpu()
    return Normalized(x, *stats, params.get("gamma", 1), layer["epsilon"], axes, fused)


@functools.cache
def _on_cpu() -> bool:
    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())


def forward(layer: Layer, params: dict[str, Tensor], x: Tensor, stats: tuple[Tensor, Tensor]) -> Tensor:
    """Output as x a + b, the arithmetic of Keras and PyTorch: others flip ReLUs whose input is round-off."""
    mean, variance = stats
    scale = tf.math.rsqrt(variance + layer["epsilon"])
    scale = scale * params["gamma"] if "gamma" in params else scale
    return x * scale + (params["beta"] - mean * scale if "beta" in params else -mean * scale)
