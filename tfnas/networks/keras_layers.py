"""Keras layers for the few operations of graphs that Keras has no layer for.

They are saved with a model; import this module (or `tfnas.networks.keras_model`) before loading it again.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_register = keras.saving.register_keras_serializable(package="tfnas")


@_register
class BatchStatisticsNormalization(keras.layers.Layer):
    """Batch normalisation that keeps no moving statistics: those of the batch at hand, also at inference.

    PyTorch calls this `track_running_stats=False`. The variance is written out as mean((x - mean(x))^2): the moments
    that Keras' own layer uses on TensorFlow give wrong second derivatives.
    """

    def __init__(self, epsilon: float, scale: bool = True, center: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = float(epsilon)
        self.scale = scale
        self.center = center

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = input_shape[-1:]
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma") if self.scale else None
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta") if self.center else None

    def call(self, x: Any) -> Any:
        axes = tuple(range(len(x.shape) - 1))
        centered = x - ops.mean(x, axes, keepdims=True)
        out = centered * ops.rsqrt(ops.mean(ops.square(centered), axes, keepdims=True) + self.epsilon)
        if self.scale:
            out = out * self.gamma
        return out + self.beta if self.center else out

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon, "scale": self.scale, "center": self.center}


@_register
class ConstantPadding2D(keras.layers.Layer):
    """Padding with one value, which may be -inf: what a max-pool with padding reads outside the map.

    Args:
        padding: ((top, bottom), (left, right)), as in `keras.layers.ZeroPadding2D`.
        value: what to pad with.
    """

    def __init__(self, padding: Any, value: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = tuple(tuple(side) for side in padding)
        self.value = float(value)

    def call(self, x: Any) -> Any:
        return ops.pad(x, ((0, 0), *self.padding, (0, 0)), constant_values=self.value)

    def get_config(self) -> dict[str, Any]:
        # Not every JSON reader knows -Infinity; float() reads any repr.
        return {**super().get_config(), "padding": self.padding, "value": repr(self.value)}


@_register
class SliceChannels(keras.layers.Layer):
    """The first `channels` channels."""

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = channels

    def call(self, x: Any) -> Any:
        return x[..., : self.channels]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "channels": self.channels}
