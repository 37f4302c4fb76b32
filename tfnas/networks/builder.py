"""Builds layer graphs one layer at a time, with the shapes inferred. Nothing here imports TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tfnas.networks.activations import ACTIVATIONS
from tfnas.networks.graph import Graph, Node, Shape

# Many times what any published network has: more would take minutes and gigabytes before the first image runs.
MOST_LAYERS = 50_000


class GraphBuilder:
    """Adds layers one by one and infers their shapes; `finish` returns the graph.

    Every method takes the node's name and the name(s) of its input(s) and returns the name, so calls chain.
    """

    def __init__(self, input_shape: Shape) -> None:
        self._nodes: dict[str, Node] = {}
        self._add("input", "input", (), {}, tuple(input_shape))

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    def shape(self, name: str) -> Shape:
        return self._nodes[name].shape

    def finish(self, output: str, features: str = "") -> Graph:
        for name in filter(None, (output, features)):
            self.shape(name)
        return Graph(tuple(self._nodes.values()), output, features)

    def copy(self, node: Node, inputs: Sequence[str], **changes: Any) -> str:
        """A layer like `node` on these inputs, with some attributes changed."""
        attrs = dict(node.attrs) | changes
        params = dict(node.params)
        args: tuple[Any, ...] = ()
        if node.op in ("conv", "dense"):
            args = (params["kernel"][-1],)
        if node.op in ("conv", "depthwise_conv"):
            args += (attrs.pop("kernel_size"),)
        if node.op == "dropout":
            args = (attrs.pop("rate"),)
        names = (list(inputs),) if node.op in ("add", "concat") else inputs
        return getattr(self, node.op)(node.name, *names, *args, **attrs)

    # Layers with weights -------------------------------------------------------------------------------------------

    def conv(
        self,
        name: str,
        x: str,
        filters: int,
        kernel: int | tuple[int, int],
        *,
        strides: int = 1,
        padding: str = "same",
        dilation: int = 1,
        groups: int = 1,
        use_bias: bool = False,
    ) -> str:
        height, width, channels = self.shape(x)
        kh, kw = _pair(kernel)
        if channels % groups or filters % groups:
            raise ValueError(f"{name}: groups must divide channels. Received: {channels=}, {filters=}, {groups=}")
        spatial = _window_shape((height, width), (kh, kw), strides, padding, dilation)
        params = [("kernel", (kh, kw, channels // groups, filters))] + [("bias", (filters,))] * use_bias
        attrs = {
            "kernel_size": (kh, kw),
            "strides": strides,
            "padding": padding,
            "dilation": dilation,
            "groups": groups,
            "use_bias": use_bias,
        }
        return self._add(name, "conv", (x,), attrs, (*spatial, filters), params)

    def depthwise_conv(
        self,
        name: str,
        x: str,
        kernel: int | tuple[int, int],
        *,
        strides: int = 1,
        padding: str = "same",
        dilation: int = 1,
        multiplier: int = 1,
        use_bias: bool = False,
    ) -> str:
        """Every channel by `multiplier` filters of its own; channel c gives those from c * multiplier on."""
        height, width, channels = self.shape(x)
        kh, kw = _pair(kernel)
        spatial = _window_shape((height, width), (kh, kw), strides, padding, dilation)
        filters = channels * multiplier
        params = [("kernel", (kh, kw, channels, multiplier))] + [("bias", (filters,))] * use_bias
        attrs = {
            "kernel_size": (kh, kw),
            "strides": strides,
            "padding": padding,
            "dilation": dilation,
            "multiplier": multiplier,
            "use_bias": use_bias,
        }
        return self._add(name, "depthwise_conv", (x,), attrs, (*spatial, filters), params)

    def dense(self, name: str, x: str, units: int, *, use_bias: bool = True) -> str:
        (*lead, channels) = self.shape(x)
        params = [("kernel", (channels, units))] + [("bias", (units,))] * use_bias
        return self._add(name, "dense", (x,), {"use_bias": use_bias}, (*lead, units), params)

    def batch_norm(
        self,
        name: str,
        x: str,
        *,
        momentum: float,
        epsilon: float,
        scale: bool = True,
        center: bool = True,
        moving: bool = True,
    ) -> str:
        """Batch normalisation over the channel axis.

        `momentum` is the kept share of the old moving statistics (the Keras convention; PyTorch 0.1 is 0.9 here).
        `moving=False` is for layers that keep none and use the statistics of the batch also at inference.
        """
        shape = self.shape(x)
        channels = shape[-1:]
        params = [("gamma", channels)] * scale + [("beta", channels)] * center
        params += [("moving_mean", channels), ("moving_variance", channels)] * moving
        attrs = {"momentum": momentum, "epsilon": epsilon, "scale": scale, "center": center, "moving": moving}
        return self._add(name, "batch_norm", (x,), attrs, shape, params)

    # Layers without weights ----------------------------------------------------------------------------------------

    def activation(self, name: str, x: str, kind: str = "relu") -> str:
        if kind not in ACTIVATIONS:
            raise ValueError(f"{name}: unknown activation. Received: {kind!r}. Allowed: {', '.join(ACTIVATIONS)}")
        return self._add(name, "activation", (x,), {"kind": kind}, self.shape(x))

    def max_pool(self, name: str, x: str, size: int, *, strides: int, padding: str = "valid") -> str:
        return self._pool("max_pool", name, x, size, strides, padding)

    def avg_pool(self, name: str, x: str, size: int, *, strides: int, padding: str = "valid") -> str:
        """Average over the pixels inside the map: padding never counts."""
        return self._pool("avg_pool", name, x, size, strides, padding)

    def _pool(self, op: str, name: str, x: str, size: int, strides: int, padding: str) -> str:
        *spatial, channels = self.shape(x)
        spatial = _window_shape(tuple(spatial), (size, size), strides, padding, 1)
        attrs = {"size": size, "strides": strides, "padding": padding}
        return self._add(name, op, (x,), attrs, (*spatial, channels))

    def global_avg_pool(self, name: str, x: str) -> str:
        """[N, H, W, C] -> [N, C]."""
        return self._add(name, "global_avg_pool", (x,), {}, self.shape(x)[-1:])

    def pad(self, name: str, x: str, amount: tuple[int, int, int, int], value: float = 0.0) -> str:
        """Constant padding; `amount` is (top, bottom, left, right)."""
        height, width, channels = self.shape(x)
        top, bottom, left, right = amount
        shape = (height + top + bottom, width + left + right, channels)
        return self._add(name, "pad", (x,), {"amount": tuple(amount), "value": float(value)}, shape)

    def crop(self, name: str, x: str, amount: tuple[int, int, int, int]) -> str:
        """Inverse of `pad`."""
        height, width, channels = self.shape(x)
        top, bottom, left, right = amount
        shape = (height - top - bottom, width - left - right, channels)
        return self._add(name, "crop", (x,), {"amount": tuple(amount)}, shape)

    def subsample(self, name: str, x: str, strides: int) -> str:
        """Every `strides`-th pixel, from the first."""
        height, width, channels = self.shape(x)
        shape = (-(-height // strides), -(-width // strides), channels)
        return self._add(name, "subsample", (x,), {"strides": strides}, shape)

    def slice_channels(self, name: str, x: str, channels: int) -> str:
        """The first `channels` channels."""
        return self._add(name, "slice_channels", (x,), {"channels": channels}, (*self.shape(x)[:-1], channels))

    def flatten(self, name: str, x: str) -> str:
        return self._add(name, "flatten", (x,), {}, (math.prod(self.shape(x)),))

    def reshape(self, name: str, x: str, shape: Shape) -> str:
        return self._add(name, "reshape", (x,), {"shape": tuple(shape)}, tuple(shape))

    def identity(self, name: str, x: str) -> str:
        return self._add(name, "identity", (x,), {}, self.shape(x))

    def dropout(self, name: str, x: str, rate: float) -> str:
        """The identity, but in the training of a Keras model: there each value is 0 with probability `rate`."""
        return self._add(name, "dropout", (x,), {"rate": float(rate)}, self.shape(x))

    def zero(self, name: str, x: str) -> str:
        """Multiply by 0: keeps the shape, passes no gradient."""
        return self._add(name, "zero", (x,), {}, self.shape(x))

    def add(self, name: str, xs: list[str]) -> str:
        if len({self.shape(x) for x in xs}) != 1:
            raise ValueError(f"{name}: cannot add. Received shapes: {[self.shape(x) for x in xs]}")
        return self._add(name, "add", tuple(xs), {}, self.shape(xs[0]))

    def concat(self, name: str, xs: list[str]) -> str:
        """Concatenation over channels."""
        if len({self.shape(x)[:-1] for x in xs}) != 1:
            raise ValueError(f"{name}: cannot concatenate. Received shapes: {[self.shape(x) for x in xs]}")
        channels = sum(self.shape(x)[-1] for x in xs)
        return self._add(name, "concat", tuple(xs), {}, (*self.shape(xs[0])[:-1], channels))

    def multiply(self, name: str, x: str, gate: str) -> str:
        """Product of x [N, H, W, C] and a gate of the same shape or [N, 1, 1, C] (squeeze-and-excite)."""
        shape = self.shape(x)
        if self.shape(gate) not in (shape, (*[1] * (len(shape) - 1), shape[-1])):
            raise ValueError(f"{name}: the gate does not fit. Received shapes: {[shape, self.shape(gate)]}")
        return self._add(name, "multiply", (x, gate), {}, shape)

    def _add(
        self, name: str, op: str, inputs: tuple[str, ...], attrs: dict[str, Any], shape: Shape, params: Any = ()
    ) -> str:
        if name in self._nodes:
            raise ValueError(f"A node named {name!r} exists already")
        if len(self._nodes) == MOST_LAYERS:
            raise MemoryError(f"a network of more than {MOST_LAYERS} layers")
        shape = tuple(int(size) for size in shape)
        if any(size < 1 for size in shape):
            raise ValueError(f"{name}: the map has no pixel or channel left. Received: shape {shape}")
        self._nodes[name] = Node(name, op, inputs, tuple(attrs.items()), shape, tuple(params))
        return name


def with_input_shape(graph: Graph, input_shape: Shape) -> Graph:
    """The same layers on images of another size; weights fit both where the maps are pooled before dense layers.

    Raises:
        ValueError: the images are too small.
    """
    if tuple(input_shape) == graph.input_shape:
        return graph
    builder = GraphBuilder(input_shape)
    for node in graph.nodes[1:]:
        builder.copy(node, node.inputs)
    return builder.finish(graph.output, graph.features)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _window_shape(
    spatial: tuple[int, int], size: tuple[int, int], strides: int, padding: str, dilation: int
) -> tuple[int, int]:
    if padding == "same":
        return tuple(-(-length // strides) for length in spatial)
    if padding == "valid":
        return tuple(
            (length - (window - 1) * dilation - 1) // strides + 1 for length, window in zip(spatial, size, strict=True)
        )
    raise ValueError(f"padding must be 'same' or 'valid'. Received: {padding!r}")
