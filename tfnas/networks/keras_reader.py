"""Any Keras classifier made of common layers as a layer graph, so that user models can be scored too.

Layers keep their names: the layer "conv1" becomes the node "conv1". Where a node has that name already, a number is put
behind it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from tfnas.errors import InputError
from tfnas.networks.activations import ACTIVATIONS
from tfnas.networks.builder import GraphBuilder
from tfnas.networks.graph import Graph
from tfnas.networks.keras_layers import BatchStatisticsNormalization, ConstantPadding2D, SliceChannels


def from_keras(model: keras.Model) -> tuple[Graph, dict[str, np.ndarray]]:
    """The graph and the weights of a Keras classifier.

    Layers become nodes of the same name; nested models are unfolded with their name in front. An activation given as
    a layer's argument becomes the node "<layer>_activation", the first half of a separable convolution
    "<layer>_depthwise". Dropout that spares whole axes is the identity that it is at inference. A softmax at the end
    is dropped, for scores want logits. All weights count as trainable, whatever the layers say.

    Args:
        model: a built functional or Sequential model of one image input and one [N, classes] output.

    Returns:
        The graph and its arrays, keyed "<node>.<param>".

    Raises:
        InputError: something that graphs cannot express, with the layer and what is supported.
    """
    if not isinstance(model, keras.Model) or not getattr(model, "outputs", None):
        raise InputError(
            f"Only functional and built Sequential Keras models can be read. Received: {type(model).__name__}"
        )
    image = _only("input", model, model.inputs)
    if len(image.shape) != 4 or None in image.shape[1:]:
        raise InputError(f"The input must be images [N, H, W, C] of a fixed size. Received: {tuple(image.shape)}")
    reader = _Reader(GraphBuilder(tuple(image.shape[1:])), {})
    # A softmax at the end is left out by taking the plain name of the logits.
    output = str(reader.read(model, "input", prefix=""))
    if len(reader.builder.shape(output)) != 1:
        raise InputError(f"A classifier ends in [N, classes]. Received: {(None, *reader.builder.shape(output))}")
    graph = reader.builder.finish(output)
    last = graph.by_name[output]
    if last.op == "dense" and len(graph.by_name[last.inputs[0]].shape) == 1:
        features = graph.by_name[last.inputs[0]]
        while features.op == "dropout":
            features = graph.by_name[features.inputs[0]]
        graph = dataclasses.replace(graph, features=features.name)
    return graph, reader.weights


def _only(what: str, model: keras.Model, tensors: list[Any]) -> Any:
    if len(tensors) != 1:
        raise InputError(f"A classifier has one {what}. Received: {len(tensors)} in model {model.name!r}")
    return tensors[0]


class _Probabilities(str):
    """Name of the node whose logits a softmax has turned into probabilities: fine at the end, nowhere else."""


@dataclasses.dataclass
class _Reader:
    """Adds the layers of a Keras model to a graph under construction."""

    builder: GraphBuilder
    weights: dict[str, np.ndarray]
    weighted: set[int] = dataclasses.field(default_factory=set)  # the layers with weights that there have been, by id

    def read(self, model: keras.Model, source: str, prefix: str) -> str:
        """Adds all layers between the input and the output of a model; depth first, so any depth and wiring works."""
        found = {id(_only("input", model, model.inputs)): source}
        pending = [_only("output", model, model.outputs)]
        output = pending[0]
        while pending:
            tensor = pending[-1]
            layer, index, _ = tensor._keras_history
            inputs = layer._inbound_nodes[index].input_tensors
            missing = [x for x in inputs if id(x) not in found]
            if id(tensor) in found:
                pending.pop()
            elif missing:
                pending.extend(reversed(missing))
            else:
                shape = tuple(layer._inbound_nodes[index].output_tensors[0].shape[1:])
                found[id(tensor)] = self.add(layer, [found[id(x)] for x in inputs], prefix, shape)
        return found[id(output)]

    def add(self, layer: Any, inputs: list[str], prefix: str, shape: tuple[int, ...]) -> str:
        if any(isinstance(x, _Probabilities) for x in inputs) and type(layer) not in _PASS_THROUGH:
            raise _refusal(layer, "follows a softmax", "a softmax only at the end")
        if isinstance(layer, keras.Model) and getattr(layer, "outputs", None) and len(inputs) == 1:
            return self.read(layer, inputs[0], f"{prefix}{layer.name}.")
        if type(layer) not in _READERS:
            allowed = ", ".join(sorted({kind.__name__ for kind in _READERS}))
            raise _refusal(layer, "cannot be read", allowed)
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise _refusal(layer, f"has data_format={layer.data_format!r}", "'channels_last'")
        if type(layer) in _PASS_THROUGH and isinstance(inputs[0], _Probabilities):
            return inputs[0]
        if id(layer) in self.weighted:
            raise _refusal(layer, "is used twice", "each layer with weights once")
        self.weighted |= {id(layer)} if layer.weights else set()
        name = self.free(f"{prefix}{layer.name}")
        out = _READERS[type(layer)](self, layer, name, inputs, shape)
        for param in ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"):
            if getattr(layer, param, None) is not None:
                self.weights[f"{name}.{param}"] = getattr(layer, param).numpy()
        if isinstance(layer, layers.Activation) or getattr(layer, "activation", None) is None:
            return out
        return self.activation(self.free(f"{name}_activation"), out, layer)

    def free(self, name: str) -> str:
        """The name, or the first with a number behind it that no node has."""
        numbered = (f"{name}_{count}" for count in itertools.count(1))
        return name if name not in self.builder else next(other for other in numbered if other not in self.builder)

    def activation(self, name: str, x: str, layer: Any) -> str:
        function = layer.activation
        if function is keras.activations.softmax:
            return _Probabilities(x)
        if function is keras.activations.linear:
            return self.builder.identity(name, x) if isinstance(layer, layers.Activation) else x
        for kind, known in ACTIVATIONS.items():
            if function is known.keras_function:
                return self.builder.activation(name, x, kind)
        label = getattr(function, "__name__", repr(function))
        raise _refusal(layer, f"has activation {label!r}", ", ".join(ACTIVATIONS))

    def conv(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        return self.builder.conv(name, *inputs, layer.filters, groups=layer.groups, **_read_window(layer))

    def depthwise_conv(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        options = _read_window(layer)
        return self.builder.depthwise_conv(name, *inputs, multiplier=layer.depth_multiplier, **options)

    def separable_conv(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        first = self.free(f"{name}_depthwise")
        options = {**_read_window(layer), "use_bias": False}
        x = self.builder.depthwise_conv(first, *inputs, multiplier=layer.depth_multiplier, **options)
        self.weights[f"{first}.kernel"] = layer.depthwise_kernel.numpy()
        self.weights[f"{name}.kernel"] = layer.pointwise_kernel.numpy()
        return self.builder.conv(name, x, layer.filters, 1, use_bias=layer.use_bias)

    def dense(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        return self.builder.dense(name, *inputs, layer.units, use_bias=layer.use_bias)

    def batch_norm(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        _need_channel_axis(layer, self.builder.shape(inputs[0]))
        return self.builder.batch_norm(
            name,
            *inputs,
            momentum=layer.momentum,
            epsilon=layer.epsilon,
            scale=layer.scale,
            center=layer.center,
        )

    def batch_statistics(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        options = {"epsilon": layer.epsilon, "scale": layer.scale, "center": layer.center}
        return self.builder.batch_norm(name, *inputs, momentum=0.0, **options, moving=False)

    def activation_layer(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        return self.activation(name, *inputs, layer)

    def softmax(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        _need_channel_axis(layer, self.builder.shape(inputs[0]))
        return _Probabilities(inputs[0])

    def relu(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        constants = (layer.max_value, layer.negative_slope, layer.threshold)
        if constants not in ((None, 0, 0), (6, 0, 0)):
            raise _refusal(layer, f"has (max_value, negative_slope, threshold)={constants}", "max_value None or 6")
        return self.builder.activation(name, *inputs, "relu" if layer.max_value is None else "relu6")

    def leaky_relu(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        if not np.isclose(layer.negative_slope, 0.2):
            raise _refusal(layer, f"has negative_slope={layer.negative_slope}", "0.2")
        return self.builder.activation(name, *inputs, "leaky_relu")

    def elu(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        if layer.alpha != 1:
            raise _refusal(layer, f"has alpha={layer.alpha}", "1")
        return self.builder.activation(name, *inputs, "elu")

    def max_pool(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        size, strides = _one_size(layer, "pool_size"), _one_size(layer, "strides")
        if size == 1:
            return self.builder.subsample(name, *inputs, strides)
        return self.builder.max_pool(name, *inputs, size, strides=strides, padding=layer.padding)

    def avg_pool(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        size, strides = _one_size(layer, "pool_size"), _one_size(layer, "strides")
        return self.builder.avg_pool(name, *inputs, size, strides=strides, padding=layer.padding)

    def global_avg_pool(self, layer: Any, name: str, inputs: list[str], shape: tuple[int, ...]) -> str:
        if not layer.keepdims:
            return self.builder.global_avg_pool(name, *inputs)
        return self.builder.reshape(name, self.builder.global_avg_pool(self.free(f"{name}_vector"), *inputs), shape)

    def pad(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        (top, bottom), (left, right) = layer.padding
        return self.builder.pad(name, *inputs, (top, bottom, left, right), getattr(layer, "value", 0.0))

    def crop(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        (top, bottom), (left, right) = layer.cropping
        return self.builder.crop(name, *inputs, (top, bottom, left, right))

    def slice_channels(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        return self.builder.slice_channels(name, *inputs, layer.channels)

    def sum(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        self.need_equal(layer, inputs, "shapes", lambda shape: shape)
        return self.builder.add(name, inputs)

    def concat(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        _need_channel_axis(layer, self.builder.shape(inputs[0]))
        return self.builder.concat(name, inputs)

    def multiply(self, layer: Any, name: str, inputs: list[str], shape: tuple[int, ...]) -> str:
        self.need_equal(layer, inputs, "ranks or channels", lambda shape: (len(shape), shape[-1]))
        # The gate is the smaller one; the other already has the shape of the product.
        inputs = sorted(inputs, key=lambda x: self.builder.shape(x) != shape)
        gate = self.builder.shape(inputs[-1])
        if len(inputs) != 2 or self.builder.shape(inputs[0]) != shape or (gate != shape and set(gate[:-1]) != {1}):
            raise _refusal(layer, f"multiplies {len(inputs)} maps into {shape}", "a map and a gate [N, 1, 1, C]")
        return self.builder.multiply(name, *inputs)

    def flatten(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        return self.builder.flatten(name, *inputs)

    def reshape(self, layer: Any, name: str, inputs: list[str], shape: tuple[int, ...]) -> str:
        return self.builder.reshape(name, *inputs, shape)

    def identity(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        return self.builder.identity(name, *inputs)

    def dropout(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        if layer.noise_shape is not None:
            return self.identity(layer, name, inputs, _)
        return self.builder.dropout(name, *inputs, layer.rate)

    def rescaling(self, layer: Any, name: str, inputs: list[str], _: Any) -> str:
        constants = (layer.scale, layer.offset)
        if constants == (0, 0):
            return self.builder.zero(name, *inputs)
        if constants == (1, 0):
            return self.builder.identity(name, *inputs)
        raise _refusal(layer, f"has (scale, offset)={constants}", "scale 0 or 1 and offset 0; rescale the images ahead")

    def need_equal(self, layer: Any, inputs: list[str], what: str, part: Callable[[tuple[int, ...]], Any]) -> None:
        shapes = [self.builder.shape(x) for x in inputs]
        if len({part(shape) for shape in shapes}) != 1:
            raise _refusal(layer, f"has inputs of different {what}: {shapes}", "equal ones")


_PASS_THROUGH = frozenset({layers.Identity, layers.Dropout, layers.SpatialDropout2D})

_READERS: dict[type, Callable[..., str]] = {
    layers.Conv2D: _Reader.conv,
    layers.DepthwiseConv2D: _Reader.depthwise_conv,
    layers.SeparableConv2D: _Reader.separable_conv,
    layers.Dense: _Reader.dense,
    layers.BatchNormalization: _Reader.batch_norm,
    BatchStatisticsNormalization: _Reader.batch_statistics,
    layers.Activation: _Reader.activation_layer,
    layers.Softmax: _Reader.softmax,
    layers.ReLU: _Reader.relu,
    layers.LeakyReLU: _Reader.leaky_relu,
    layers.ELU: _Reader.elu,
    layers.MaxPooling2D: _Reader.max_pool,
    layers.AveragePooling2D: _Reader.avg_pool,
    layers.GlobalAveragePooling2D: _Reader.global_avg_pool,
    layers.ZeroPadding2D: _Reader.pad,
    ConstantPadding2D: _Reader.pad,
    layers.Cropping2D: _Reader.crop,
    SliceChannels: _Reader.slice_channels,
    layers.Add: _Reader.sum,
    layers.Concatenate: _Reader.concat,
    layers.Multiply: _Reader.multiply,
    layers.Flatten: _Reader.flatten,
    layers.Reshape: _Reader.reshape,
    layers.Rescaling: _Reader.rescaling,
    **dict.fromkeys(_PASS_THROUGH, _Reader.identity),
    layers.Dropout: _Reader.dropout,
}


def _refusal(layer: Any, problem: str, allowed: str) -> InputError:
    return InputError(f"Layer {layer.name!r} ({type(layer).__name__}) {problem}. Supported: {allowed}")


def _one_size(layer: Any, key: str) -> int:
    value = getattr(layer, key)
    sizes = {value} if isinstance(value, int) else set(value)
    if len(sizes) != 1:
        raise _refusal(layer, f"has {key}={value}", "the same for height and width")
    return sizes.pop()


def _read_window(layer: Any) -> dict[str, Any]:
    return {
        "kernel": tuple(layer.kernel_size),
        "strides": _one_size(layer, "strides"),
        "padding": layer.padding,
        "dilation": _one_size(layer, "dilation_rate"),
        "use_bias": layer.use_bias,
    }


def _need_channel_axis(layer: Any, shape: tuple[int, ...]) -> None:
    if layer.axis not in (-1, len(shape)):
        raise _refusal(layer, f"works on axis {layer.axis}", "the last axis")
