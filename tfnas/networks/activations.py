"""The activations that graphs know. Nothing here imports TensorFlow or Keras before an activation is computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

Tensor = Any


@dataclasses.dataclass(frozen=True)
class Activation:
    """An elementwise function, with the constants that are Keras' defaults.

    Attributes:
        keras_name: what `keras.activations` calls it.
        piecewise_linear: whether its slope is constant between kinks, so that its second derivative vanishes.
        formula: the same function in differentiable operations, where Keras' has no second derivative.
    """

    keras_name: str
    piecewise_linear: bool = False
    formula: Callable[[Tensor], Tensor] | None = None

    @property
    def keras_function(self) -> Callable[[Tensor], Tensor]:
        import keras

        return getattr(keras.activations, self.keras_name)

    def __call__(self, x: Tensor) -> Tensor:
        """The function of a TensorFlow tensor, twice differentiable."""
        return (self.formula or self.keras_function)(x)


# Units of these are on or off: above 0 or at 0.
RECTIFIERS = frozenset({"relu", "relu6"})


def _swish(x: Tensor) -> Tensor:
    """TensorFlow's own swish has a custom gradient, which cannot be differentiated again."""
    import tensorflow as tf

    return x * tf.sigmoid(x)


# By the name in graphs. The slope of leaky_relu is 0.2, alpha of elu 1, and gelu is the exact one.
ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation("relu", piecewise_linear=True),
    "relu6": Activation("relu6", piecewise_linear=True),
    "hard_swish": Activation("hard_silu"),
    "hard_sigmoid": Activation("hard_sigmoid", piecewise_linear=True),
    "swish": Activation("silu", formula=_swish),
    "sigmoid": Activation("sigmoid"),
    "tanh": Activation("tanh"),
    "gelu": Activation("gelu"),
    "elu": Activation("elu"),
    "leaky_relu": Activation("leaky_relu", piecewise_linear=True),
}
