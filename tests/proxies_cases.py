"""A small network of NAS-Bench-201 and a batch, as layer graph and as Keras model in float64."""

import functools

import keras
import numpy as np
import tensorflow as tf

import spaces
from tests.engine_cases import keras_model, random_weights
from tfnas.engine import reference

SPACE = spaces.get("nasbench201")
MIXED = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
NONE = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
NETWORK = {"width": 4, "depth": 1, "classes": 5, "input_shape": (8, 8, 3)}
LABELS = np.array([0, 1, 2, 0, 1, 2, 4, 4])


@functools.cache
def graph(arch: str = MIXED):
    return SPACE.layer_graph(SPACE.parse(arch), **NETWORK)


@functools.cache
def weights(arch: str = MIXED):
    return random_weights(graph(arch))


@functools.cache
def model() -> keras.Model:
    return keras_model(graph(), weights())


def images(seed: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((len(LABELS), 8, 8, 3)).astype(np.float32)


def outputs(names, x, model=None) -> dict[str, tf.Tensor]:
    """What layers of the Keras model give in training mode, by name; the logits are "logits"."""
    model = model or globals()["model"]()
    names = list(names)
    wide = keras.Model(model.input, [*(model.get_layer(name).output for name in names), model.output])
    return dict(zip([*names, "logits"], reference.logits(wide, x, "batch"), strict=True))
