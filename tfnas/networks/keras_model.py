"""Layer graphs as Keras models; the way back is `tfnas.networks.keras_reader`.

Layers keep the names of their nodes: node "cells.0.layers.1.op.1" is the layer of that name.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from tfnas.errors import InputError
from tfnas.networks.activations import ACTIVATIONS
from tfnas.networks.graph import Graph, Node
from tfnas.networks.keras_layers import BatchStatisticsNormalization, ConstantPadding2D, SliceChannels


def to_keras(graph: Graph, weights: Mapping[str, np.ndarray]) -> keras.Model:
    """The Keras model of a graph; it maps images [N, H, W, C] to logits [N, classes].

    The penultimate vector is the output of the layer `graph.features`.

    Args:
        graph: the network.
        weights: an array for each parameter, keyed "<node>.<param>".

    Raises:
        InputError: the weights are not those of the graph, or a convolution has both strides and dilation.
    """
    _check_weights(graph, weights)
    first, *rest = graph.nodes
    tensors = {first.name: keras.Input(first.shape, name=first.name)}
    for node in rest:
        inputs = [tensors[name] for name in node.inputs]
        layer, tensors[node.name] = _apply(node, inputs)
        for param, _ in node.params:
            getattr(layer, param).assign(weights[f"{node.name}.{param}"])
    return keras.Model(tensors[first.name], tensors[graph.output])


def assign(model: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Sets all weights of a model made by :func:`to_keras`; keys are "<layer>.<param>"."""
    for key, value in weights.items():
        layer, _, param = key.rpartition(".")
        getattr(model.get_layer(layer), param).assign(value)


def layer_alone(graph: Graph, node: Node) -> keras.Model:
    """The Keras model of one layer of a graph, with an input for each that it reads and weights that Keras draws."""
    inputs = [keras.Input(graph.by_name[name].shape) for name in node.inputs]
    return keras.Model(inputs, _apply(node, inputs)[1])


def _apply(node: Node, inputs: list[Any]) -> tuple[keras.layers.Layer, Any]:
    """The layer of a node and its output."""
    layer = _LAYERS[node.op](node)
    return layer, layer(inputs if isinstance(layer, _MERGING) else inputs[0])


def _check_weights(graph: Graph, weights: Mapping[str, np.ndarray]) -> None:
    wanted = {f"{node.name}.{param}": shape for node in graph.nodes for param, shape in node.params}
    if odd := sorted(wanted.keys() ^ weights.keys()):
        raise InputError(f"The weights are not those of the graph: {odd[0]!r} is only in one of them")
    for key, shape in wanted.items():
        if np.shape(weights[key]) != shape:
            raise InputError(f"Shape of weight {key!r}. Received: {np.shape(weights[key])}. Allowed: {shape}")


_MERGING = (layers.Add, layers.Concatenate, layers.Multiply)


def _conv(node: Node) -> keras.layers.Layer:
    return layers.Conv2D(node.shape[-1], groups=node["groups"], **_window_arguments(node), name=node.name)


def _depthwise_conv(node: Node) -> keras.layers.Layer:
    return layers.DepthwiseConv2D(depth_multiplier=node["multiplier"], **_window_arguments(node), name=node.name)


def _window_arguments(node: Node) -> dict[str, Any]:
    if node["strides"] > 1 and node["dilation"] > 1:
        raise InputError(
            f"{node.name}: Keras has no convolution with both strides and dilation. "
            f"Received: strides={node['strides']}, dilation={node['dilation']}. Allowed: strides=1 and a subsample node"
        )
    return {
        "kernel_size": node["kernel_size"],
        "strides": node["strides"],
        "padding": node["padding"],
        "dilation_rate": node["dilation"],
        "use_bias": node["use_bias"],
    }


def _batch_norm(node: Node) -> keras.layers.Layer:
    options = {"epsilon": node["epsilon"], "scale": node["scale"], "center": node["center"], "name": node.name}
    if not node["moving"]:
        return BatchStatisticsNormalization(**options)
    return layers.BatchNormalization(momentum=node["momentum"], **options)


def _pad(node: Node) -> keras.layers.Layer:
    if node["value"]:
        return ConstantPadding2D(_sides(node["amount"]), node["value"], name=node.name)
    return layers.ZeroPadding2D(_sides(node["amount"]), name=node.name)


def _sides(amount: tuple[int, int, int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    return amount[:2], amount[2:]


_LAYERS: dict[str, Callable[[Node], keras.layers.Layer]] = {
    "conv": _conv,
    "depthwise_conv": _depthwise_conv,
    "dense": lambda n: layers.Dense(n.shape[-1], use_bias=n["use_bias"], name=n.name),
    "batch_norm": _batch_norm,
    "activation": lambda n: layers.Activation(ACTIVATIONS[n["kind"]].keras_function, name=n.name),
    "max_pool": lambda n: layers.MaxPooling2D(n["size"], n["strides"], n["padding"], name=n.name),
    "avg_pool": lambda n: layers.AveragePooling2D(n["size"], n["strides"], n["padding"], name=n.name),
    "global_avg_pool": lambda n: layers.GlobalAveragePooling2D(name=n.name),
    "pad": _pad,
    "crop": lambda n: layers.Cropping2D(_sides(n["amount"]), name=n.name),
    # A window of one pixel is exactly every strides-th pixel.
    "subsample": lambda n: layers.MaxPooling2D(1, n["strides"], name=n.name),
    "slice_channels": lambda n: SliceChannels(n["channels"], name=n.name),
    "flatten": lambda n: layers.Flatten(name=n.name),
    "reshape": lambda n: layers.Reshape(n["shape"], name=n.name),
    # One seed for a name: trainings repeat themselves, and two layers drop different values.
    "dropout": lambda n: layers.Dropout(n["rate"], seed=zlib.crc32(n.name.encode()), name=n.name),
    "identity": lambda n: layers.Identity(name=n.name),
    "zero": lambda n: layers.Rescaling(0.0, name=n.name),
    "add": lambda n: layers.Add(name=n.name) if len(n.inputs) > 1 else layers.Identity(name=n.name),
    "concat": lambda n: layers.Concatenate(name=n.name) if len(n.inputs) > 1 else layers.Identity(name=n.name),
    "multiply": lambda n: layers.Multiply(name=n.name),
}
