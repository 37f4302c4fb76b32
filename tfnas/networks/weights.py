"""Initial weights of layer graphs: numpy only, one random stream for a network.

A Keras network of 1.5 million parameters spends more time in its initialisers than one batch spends in the network;
here it is a few draws for all layers. Weights are a dictionary "<node>.<param>" -> float32 array.

Fans are those of PyTorch: with a kernel [kh, kw, C_in / groups, C_out], fan_in = kh * kw * C_in / groups and
fan_out = kh * kw * C_out. A depthwise convolution has C groups, so its fan_in is kh * kw; Keras' own initialisers
take kh * kw * C there.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tfnas import memory
from tfnas.errors import unknown
from tfnas.networks.graph import Graph, Node, Shape

_CONSTANTS = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0}
# Standard deviation of a standard normal cut off at +-2.
_TRUNCATED_STDDEV = 0.87962566103423978

_Draw = Callable[[np.random.Generator, Shape, int, int], np.ndarray]


def _torch(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> np.ndarray:
    return _uniform(rng, shape, 1 / math.sqrt(fan_in))


def _kaiming_normal(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> np.ndarray:
    return _normal(rng, shape, math.sqrt(2 / fan_in))


def _kaiming_normal_fan_out(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> np.ndarray:
    return _normal(rng, shape, math.sqrt(2 / fan_out))


def _xavier(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> np.ndarray:
    return _normal(rng, shape, math.sqrt(2 / (fan_in + fan_out)))


def _gaussian(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def _lecun(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> np.ndarray:
    values = rng.standard_normal(math.prod(shape), dtype=np.float32)
    outside = np.flatnonzero(np.abs(values) > 2)
    while outside.size:
        values[outside] = rng.standard_normal(outside.size, dtype=np.float32)
        outside = outside[np.abs(values[outside]) > 2]
    values *= np.float32(1 / math.sqrt(fan_in) / _TRUNCATED_STDDEV)
    return values.reshape(shape)


def _uniform(rng: np.random.Generator, shape: Shape, limit: float) -> np.ndarray:
    values = rng.random(shape, dtype=np.float32)
    values *= np.float32(2 * limit)
    values -= np.float32(limit)
    return values


def _normal(rng: np.random.Generator, shape: Shape, stddev: float) -> np.ndarray:
    values = rng.standard_normal(shape, dtype=np.float32)
    values *= np.float32(stddev)
    return values


def _tensorflow(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> np.ndarray:
    # Dense kernels have two axes; TensorFlow 1 draws them by Glorot and Bengio, convolutions by variance scaling.
    if len(shape) == 2:
        return _uniform(rng, shape, math.sqrt(6 / (fan_in + fan_out)))
    return _lecun(rng, shape, fan_in, fan_out)


def _mnas(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> np.ndarray:
    # Keras' shapes alone decide: the last axis of a depthwise kernel is its multiplier.
    if len(shape) == 2:
        return _uniform(rng, shape, 1 / math.sqrt(shape[-1]))
    return _normal(rng, shape, math.sqrt(2 / (math.prod(shape[:2]) * shape[-1])))


def _proxylessnas(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> np.ndarray:
    draw = _torch if len(shape) == 2 else _kaiming_normal_fan_out
    return draw(rng, shape, fan_in, fan_out)


_KERNELS: dict[str, _Draw] = {
    "torch": _torch,
    "kaiming_normal": _kaiming_normal,
    "kaiming_normal_fan_out": _kaiming_normal_fan_out,
    "xavier": _xavier,
    "gaussian": _gaussian,
    "lecun": _lecun,
    "tensorflow": _tensorflow,
    "mnas": _mnas,
    "proxylessnas": _proxylessnas,
}
SCHEMES = tuple(_KERNELS)


def initialize(graph: Graph, scheme: str = "torch", seed: int = 0) -> dict[str, np.ndarray]:
    """Fresh weights for every parameter of a graph.

    Batch normalisation starts at gamma 1, beta 0, moving mean 0, moving variance 1 in every scheme. Biases of
    convolutions and dense layers are 0, except in `torch`.

    Args:
        graph: the network.
        scheme: how kernels are drawn:
            torch: PyTorch's default, U(+-1 / sqrt(fan_in)), for biases too.
            kaiming_normal: N(0, 2 / fan_in) (He et al. 2015).
            kaiming_normal_fan_out: N(0, 2 / fan_out).
            xavier: N(0, 2 / (fan_in + fan_out)) (Glorot and Bengio 2010, in its normal form).
            gaussian: N(0, 1).
            lecun: N(0, 1 / fan_in) cut off at two standard deviations, TensorFlow's variance scaling default.
            mnas: as MnasNet: N(0, 2 / (kh * kw * C_out)) for convolutions, N(0, 2 / (kh * kw * multiplier)) for
                depthwise ones, U(+-1 / sqrt(units)) for dense kernels.
            proxylessnas: as ProxylessNAS: kaiming_normal_fan_out for convolutions, torch for dense kernels.
            tensorflow: as NAS-Bench-101: lecun for convolutions, U(+-sqrt(6 / (fan_in + fan_out))) for dense kernels.
        seed: of the one random stream; the same graph, scheme and seed give the same arrays.

    Returns:
        Arrays keyed "<node>.<param>", in the order of the graph.

    Raises:
        InputError: an unknown scheme.
        MemoryError: they do not fit.
    """
    memory.require(4 * sum(math.prod(shape) for node in graph.nodes for _, shape in node.params), "the weights")
    if scheme not in _KERNELS:
        raise unknown("initialisation scheme", scheme, SCHEMES)
    draw = _KERNELS[scheme]
    rng = np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {}
    for node in graph.nodes:
        for param, shape in node.params:
            key = f"{node.name}.{param}"
            if param == "kernel":
                weights[key] = draw(rng, shape, *fans(node))
            elif param != "bias":
                weights[key] = np.full(shape, _CONSTANTS[param], np.float32)
            elif scheme == "torch":
                weights[key] = _uniform(rng, shape, 1 / math.sqrt(fans(node)[0]))
            else:
                weights[key] = np.zeros(shape, np.float32)
    return weights


def fans(node: Node) -> tuple[int, int]:
    """(fan_in, fan_out) of a convolution or dense layer, as PyTorch counts them."""
    *window, inputs, outputs = dict(node.params)["kernel"]
    area = math.prod(window)
    if node.op == "depthwise_conv":
        return area, area * inputs * outputs
    return area * inputs, area * outputs
