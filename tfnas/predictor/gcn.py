"""The bidirectional graph convolutional network of Neural Predictor, several predictors side by side.

Source: Wen et al., "Neural Predictor for Neural Architecture Search" (ECCV 2020), section 3.2. With V [V, F] the nodes
of a graph and A its normalised adjacency matrix, a layer is

    V' = relu(A V W+) / 2 + relu(A' V W-) / 2,

A' being that of the reversed edges; then mean over the nodes, dense layers, and one number.

Every weight has a first axis of P predictors, which share nothing: what one learns does not depend on the others.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnas.predictor.settings import Settings

Tensor = Any


@keras.saving.register_keras_serializable(package="tfnas")
class BidirectionalGraphConvolution(keras.layers.Layer):
    """One layer. Nodes [P or 1, N, V, F], matrices of both directions [P or 1, N, V, V] -> [P, N, V, units].

    Nodes of zeros that no edge touches, with which graphs are padded, stay zeros.
    """

    def __init__(self, units: int, predictors: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.predictors = units, predictors

    def build(self, shape: tuple[int | None, ...]) -> None:
        # Both directions in one product: the kernels lie side by side.
        self.kernel = self.add_weight(shape=(self.predictors, shape[-1], 2 * self.units), name="kernel")

    def call(self, nodes: Tensor, ahead: Tensor, behind: Tensor) -> Tensor:
        lead, count, most, features = tf.unstack(tf.shape(nodes))
        flat = tf.reshape(nodes, (lead, count * most, features))
        both = tf.reshape(tf.matmul(flat, self.kernel), (self.predictors, count, most, 2 * self.units))
        taken = tf.nn.relu(tf.matmul(ahead, both[..., : self.units]))
        given = tf.nn.relu(tf.matmul(behind, both[..., self.units :]))
        return (taken + given) / 2

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units, "predictors": self.predictors}


@keras.saving.register_keras_serializable(package="tfnas")
class ParallelDense(keras.layers.Layer):
    """Dense layers of P predictors: [P, N, C] -> [P, N, units]."""

    def __init__(self, units: int, predictors: int = 1, use_bias: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.predictors, self.use_bias = units, predictors, use_bias

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(shape=(self.predictors, shape[-1], self.units), name="kernel")
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.predictors, 1, self.units), initializer="zeros", name="bias")

    def call(self, x: Tensor) -> Tensor:
        x = tf.matmul(x, self.kernel)
        return x + self.bias if self.use_bias else x

    def get_config(self) -> dict[str, Any]:
        own = {"units": self.units, "predictors": self.predictors, "use_bias": self.use_bias}
        return super().get_config() | own


@keras.saving.register_keras_serializable(package="tfnas")
class GCN(keras.Model):
    """P predictors of one form.

    Args:
        settings: the form, or its fields.
        features: numbers that tell a node, F.
        extras: numbers that are known of each architecture besides, E.
        predictors: P.
    """

    def __init__(
        self, settings: Settings | dict[str, Any], features: int, extras: int = 0, predictors: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.settings = settings if isinstance(settings, Settings) else Settings(**settings)
        self.features, self.extras, self.predictors = features, extras, predictors
        form = self.settings
        self.convolutions = [
            BidirectionalGraphConvolution(form.width, predictors, name=f"graph_{i}") for i in range(form.layers)
        ]
        self.denses = [
            ParallelDense(units, predictors, form.bias, name=f"dense_{i}") for i, units in enumerate((*form.heads, 1))
        ]
        self.build()

    def build(self, *shapes: Any) -> None:
        """Makes the weights; the numbers that scale come from the training set and are none that learn."""
        if self.built:
            return
        inputs = [self.features, *[self.settings.width] * (self.settings.layers - 1)]
        for layer, size in zip(self.convolutions, inputs, strict=True):
            layer.build((self.predictors, None, None, size))
        units = [self.settings.width + self.extras, *self.settings.heads]
        for layer, size in zip(self.denses, units, strict=True):
            layer.build((self.predictors, None, size))

        def constant(name: str, shape: tuple[int, ...], value: str) -> Any:
            return self.add_weight(name=name, shape=shape, initializer=value, trainable=False)

        self.offset = constant("offset", (self.predictors, 1), "zeros")
        self.scale = constant("scale", (self.predictors, 1), "ones")
        self.extras_mean = constant("extras_mean", (self.predictors, 1, self.extras), "zeros")
        self.extras_scale = constant("extras_scale", (self.predictors, 1, self.extras), "ones")
        self.built = True

    def call(self, inputs: tuple[Tensor, ...], dropout_seeds: Tensor | None = None) -> Tensor:
        """Predictions [P, N].

        Args:
            inputs: nodes [P or 1, N, V, F], matrices of both directions [P or 1, N, V, V], counts of nodes
                [P or 1, N], extras [P or 1, N, E], all float32.
            dropout_seeds: [P, 2] int32, where values are to be dropped.
        """
        z = self.before_output(inputs, dropout_seeds)
        if self.settings.output != "linear":
            z = tf.sigmoid(z)
        return self.offset + self.scale * z

    def before_output(self, inputs: tuple[Tensor, ...], dropout_seeds: Tensor | None = None) -> Tensor:
        """What goes into the sigmoid, or z-scores: [P, N]; arguments as `call`."""
        nodes, ahead, behind, counts, extras = inputs
        x = nodes
        for place, layer in enumerate(self.convolutions):
            x = self._drop(layer(x, ahead, behind), dropout_seeds, place)
        x = tf.reduce_sum(x, axis=2) / counts[..., None]
        if self.extras:
            known = (extras - self.extras_mean) / self.extras_scale
            x = tf.concat([x, tf.broadcast_to(known, (*tf.unstack(tf.shape(x))[:2], self.extras))], axis=-1)
        for place, layer in enumerate(self.denses):
            x = layer(x)
            if place < len(self.denses) - 1:
                x = tf.nn.relu(x) if self.settings.activate else x
                if place == 0:
                    x = self._drop(x, dropout_seeds, len(self.convolutions))
        return x[..., 0]

    def _drop(self, x: Tensor, seeds: Tensor | None, place: int) -> Tensor:
        """Dropout whose draws of one predictor do not depend on the others."""
        rate = self.settings.dropout
        if seeds is None or not rate:
            return x
        kept = [
            tf.random.stateless_uniform(tf.shape(x)[1:], seed=seeds[predictor] + [0, place], dtype=x.dtype) >= rate
            for predictor in range(self.predictors)
        ]
        return tf.where(tf.stack(kept), x / (1 - rate), 0)

    def initialize(self, seeds: list[int]) -> None:
        """Weights by Glorot and Bengio's uniform law, those of graph convolutions times the gain, biases 0.

        Each predictor has a seed of its own.
        """
        for predictor, seed in enumerate(seeds):
            rng = np.random.default_rng(seed)
            for layer in self.convolutions:
                value = layer.kernel.numpy().copy()
                # Two matrices side by side, each with fans of its own.
                halves = [_glorot(rng, half.shape) for half in np.hsplit(value[predictor], 2)]
                value[predictor] = self.settings.gain * np.hstack(halves)
                layer.kernel.assign(value)
            for layer in self.denses:
                value = layer.kernel.numpy().copy()
                value[predictor] = _glorot(rng, value[predictor].shape)
                layer.kernel.assign(value)
                if layer.use_bias:
                    layer.bias.assign(
                        tf.tensor_scatter_nd_update(layer.bias, [[predictor]], tf.zeros_like(layer.bias[:1]))
                    )

    def get_config(self) -> dict[str, Any]:
        return {
            "settings": dataclasses.asdict(self.settings),
            "features": self.features,
            "extras": self.extras,
            "predictors": self.predictors,
            "name": self.name,
        }


def _glorot(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    limit = np.sqrt(6 / sum(shape))
    return rng.uniform(-limit, limit, shape)
