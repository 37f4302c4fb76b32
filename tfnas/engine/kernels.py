"""Compiled kernels of chains: forward, backward, and the tangent of both, cached for the life of the process.

A kernel is traced once per (chain signature, batch shape, dtype, options), whatever the number of networks. Kernels
take and return flat lists of tensors; weights are arguments, never constants, and no Keras object is involved.

Outputs of layers with kernels (z) and BN statistics are kept from the forward pass; everything between is cheap and
computed again.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfnas.engine import convolution, normalization, simple
from tfnas.engine.plan import Layer

Tensor = Any
Layers = tuple[Layer, ...]

PARAMETER_SETS = {
    "kernels": ("kernel",),
    # Every parameter whose PyTorch name contains "weight": kernels and BN gamma (TE-NAS' choice).
    "te_nas": ("kernel", "gamma"),
    "all": ("kernel", "bias", "gamma", "beta"),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What is traced into a kernel besides the chain.

    Attributes:
        bn: one of `BN_MODES`.
        form: "none": no parameter gradients, "batch": sums over the batch, "example": per-example ones given to
            `reducer`.
        params: one of `PARAMETER_SETS`.
        reducer: of per-example gradients, one of `REDUCERS`.
        anchors: of a Gram matrix the rows of the first so many examples alone; 0: all rows.
        fisher: whether the backward kernel also gives the Fisher saliency of its kernel layer.
        keep: whether it also gives what the tangent kernels need: in the order of the layers the cotangent of the
            kernel layer's output and the slope of each BN's cotangent (see :meth:`Normalized.project`).
        input_gradient: whether it gives the gradients of the chain's inputs.
        dot: whether tangent kernels give the product with the kernel in place of the tangent of its gradient.
        codes: whether the forward kernel also gives the agreement counts of its ReLU codes.
        save: what the forward kernel also gives: "all" that the backward kernel needs, the "statistics" of BN alone, or
            "nothing", with which TensorFlow fuses a convolution with its bias and ReLU.
        jit: compile with XLA.
    """

    bn: str
    form: str = "none"
    params: str = "kernels"
    reducer: str = ""
    anchors: int = 0
    fisher: bool = False
    keep: bool = False
    input_gradient: bool = True
    dot: bool = False
    codes: bool = False
    save: str = "all"
    jit: bool = False


_CACHE: dict[tuple, Callable] = {}


def call(kind: str, layers: Layers, options: Options, args: list[Tensor]) -> list[Tensor]:
    """Run the kernel of one kind ("forward", "backward", "tangent", "backward_tangent"), tracing it if it is new."""
    key = (kind, layers, options, *((arg.shape, arg.dtype) for arg in args))
    kernel = _CACHE.get(key)
    if kernel is None:
        body = functools.partial(_KINDS[kind], layers, options)
        function = tf.function(lambda *flat: body(list(flat)), autograph=False, jit_compile=options.jit or None)
        traced = function.get_concrete_function(*(tf.TensorSpec(arg.shape, arg.dtype) for arg in args))
        kernel = traced if options.jit else _direct(traced)
        _CACHE[key] = kernel
    return kernel(*args)


def _direct(traced: Any) -> Callable:
    """Calls a traced function through its op: a fourth of the cost of the checks and bindings of a Python call."""
    dtypes = [output.dtype for output in traced.outputs]
    return lambda *args: tf.raw_ops.PartitionedCall(args=args, Tout=dtypes, f=traced)


def cache_size() -> int:
    """Number of kernels traced so far in this process."""
    return len(_CACHE)


# What one layer saw and gave, rebuilt inside a kernel from the chain's inputs and the saved values.
@dataclasses.dataclass
class _Seen:
    layer: Layer
    params: dict[str, Tensor]
    inputs: list[Tensor]
    output: Tensor | None
    norm: normalization.Normalized | None = None


class _Arguments:
    """Splits a kernel's flat arguments in the order in which `forward_arguments` and its kin list them."""

    def __init__(self, args: list[Tensor]) -> None:
        self._args = iter(args)

    def take(self, count: int) -> list[Tensor]:
        return [next(self._args) for _ in range(count)]

    def params(self, layers: Layers) -> list[dict[str, Tensor]]:
        return [{name: next(self._args) for name, _ in layer.params} for layer in layers]

    def saved(self, layers: Layers, bn: str) -> list[list[Tensor]]:
        """What the forward kernel saves of each layer."""
        return [self.take(saved_count((layer,), bn)) for layer in layers]

    def kept(self, layers: Layers, bn: str) -> list[Tensor | None]:
        """What the backward or tangent kernel keeps of each layer."""
        return [next(self._args) if saved_count((layer,), bn) else None for layer in layers]


def saved_count(layers: Layers, bn: str, save: str = "all") -> int:
    """How many tensors the forward kernel saves: z of the kernel layer, mean and variance of each BN."""
    kernels = sum(layer.has_kernel for layer in layers) if save == "all" else 0
    return kernels + (2 * sum(saves_statistics(layer, bn) for layer in layers) if save != "nothing" else 0)


def kept_count(layers: Layers, bn: str) -> int:
    """How many tensors the backward kernel keeps: one of each layer of which the forward kernel saves any."""
    return sum(saved_count((layer,), bn) > 0 for layer in layers)


def saves_statistics(layer: Layer, bn: str) -> bool:
    return layer.op == "batch_norm" and not (bn == "inference" and layer["moving"])


def _forward(layers: Layers, options: Options, args: list[Tensor]) -> list[Tensor]:
    """Inputs, parameters -> output, what `save` asks for, with `codes` the counts [N, N] of later ReLUs."""
    arguments = _Arguments(args)
    inputs = arguments.take(len(layers[0].input_shapes))
    all_params = arguments.params(layers)
    saved, codes = [], None
    for position, (layer, params) in enumerate(zip(layers, all_params, strict=True)):
        if options.codes and position > 0 and layer.op == "activation" and layer["kind"] == "relu":
            counts = agreement_counts(inputs[0])
            codes = counts if codes is None else codes + counts
        if layer.has_kernel:
            y = convolution.linear(layer, inputs[0], params["kernel"])
            if "bias" in params:
                y = tf.nn.bias_add(y, params["bias"])
            saved += [y] if options.save == "all" else []
        elif layer.op == "batch_norm":
            stats = normalization.statistics(layer, params, inputs[0], options.bn)
            if options.save != "nothing" and saves_statistics(layer, options.bn):
                saved.extend(stats)
            y = normalization.forward(layer, params, inputs[0], stats)
        else:
            y = simple.apply(layer, inputs)
        inputs = [y]
    return [inputs[0], *saved, *([] if codes is None else [codes])]


def agreement_counts(x: Tensor) -> Tensor:
    """For each pair of examples the number of ReLU units (x [N, ...]) that are on in both or off in both: [N, N].

    With codes c in {0, 1} this is c c' + (1 - c)(1 - c)', NASWOT's kernel of one layer, here from one product c c' and
    the numbers of units that are on. Exact in float32 up to 2^24 units.
    """
    on = tf.cast(tf.reshape(x, [x.shape[0], -1]) > 0, tf.float32)
    count = tf.reduce_sum(on, 1, keepdims=True)
    return 2 * tf.matmul(on, on, transpose_b=True) - count - tf.transpose(count) + float(on.shape[1])


def _replay(layers: Layers, options: Options, arguments: _Arguments) -> list[_Seen]:
    """What every layer saw, from the chain's inputs, parameters and what the forward kernel saved."""
    inputs = arguments.take(len(layers[0].input_shapes))
    params = arguments.params(layers)
    seen = []
    for layer, layer_params, saved in zip(layers, params, arguments.saved(layers, options.bn), strict=True):
        entry = _Seen(layer, layer_params, inputs, None)
        if layer.has_kernel:
            (entry.output,) = saved
        elif layer.op == "batch_norm":
            stats = saved or (layer_params["moving_mean"], layer_params["moving_variance"])
            entry.norm = normalization.normalize(layer, layer_params, inputs[0], stats, options.bn, options.jit)
            entry.output = normalization.forward(layer, layer_params, inputs[0], stats)
        else:
            entry.output = simple.apply(layer, inputs)
        seen.append(entry)
        inputs = [entry.output]
    return seen


def _backward(layers: Layers, options: Options, args: list[Tensor]) -> list[Tensor]:
    """Inputs, parameters, saved values, cotangent -> input gradients, then extras, then parameter gradients.

    Parameter gradients come in the order of the layers and of their parameters: with form "batch" each in its
    parameter's shape; with form "example" whatever the reducer makes of them.
    """
    arguments = _Arguments(args)
    seen = _replay(layers, options, arguments)
    (dy,) = arguments.take(1)
    extras: list[Tensor] = []
    kept: list[Tensor] = []
    gradients: list[Tensor] = []
    cotangents = [dy]
    for entry in reversed(seen):
        layer, (dy,) = entry.layer, cotangents
        wanted = _wanted(layer, options)
        if wanted:
            gradients = _parameter_gradients(entry, dy, options, wanted) + gradients
        if layer.has_kernel and options.fisher:
            extras.append(_fisher(layer, entry.output, dy))
        if layer.has_kernel:
            cotangents = [convolution.input_gradient(layer, entry.inputs[0], entry.params["kernel"], dy)]
            kept = [dy, *kept]
        elif layer.op == "batch_norm":
            pulled, slope = entry.norm.project(dy)
            cotangents, kept = [pulled], [slope, *kept]
        else:
            cotangents = simple.backward(layer, entry.inputs, dy)
    if options.form == "example":
        gradients = [REDUCERS[options.reducer].combine(gradients)] if gradients else []
    # What is not returned is not computed.
    return [
        *(cotangents if options.input_gradient else ()),
        *extras,
        *(value for value in kept if options.keep and value is not None),
        *gradients,
    ]


def wanted_params(layers: Layers, options: Options) -> list[tuple[int, str]]:
    """(position in the chain, parameter) for each parameter gradient that a "batch" backward kernel returns."""
    return [(i, name) for i, layer in enumerate(layers) for name in _wanted(layer, options)]


def _wanted(layer: Layer, options: Options) -> list[str]:
    if options.form == "none":
        return []
    return [name for name, _ in layer.params if name in PARAMETER_SETS[options.params]]


def _parameter_gradients(entry: _Seen, dy: Tensor, options: Options, wanted: list[str]) -> list[Tensor]:
    layer = entry.layer
    by_example = options.form == "example"
    reducer = REDUCERS[options.reducer] if by_example else None
    gradients = []
    for name in wanted:
        if name == "kernel":
            x = entry.inputs[0]
            if by_example:
                slabs = list(convolution.example_kernel_gradients(layer, x, dy))
                gradients.append(reducer.reduce(layer, slabs, options.anchors))
            else:
                gradients.append(convolution.kernel_gradient(layer, x, entry.params["kernel"], dy))
            continue
        values = dy * entry.norm.value if name == "gamma" else dy
        axes = list(range(1 if by_example else 0, len(values.shape) - 1))
        values = tf.reduce_sum(values, axes) if axes else values
        gradients.append(reducer.reduce(None, [values], options.anchors) if by_example else values)
    return gradients


def _fisher(layer: Layer, z: Tensor, dz: Tensor) -> Tensor:
    """Fisher saliency of a kernel layer (zero-cost-nas): sum over channels of mean_n (sum_hw z dz)^2 / 2, times fan-in.

    The mask of the reference is per channel and every weight of the channel counts, hence the fan-in.
    """
    product = tf.reduce_sum(z * dz, list(range(1, len(z.shape) - 1))) if len(z.shape) > 2 else z * dz
    kernel = dict(layer.params)["kernel"]
    fan_in = kernel[0] * kernel[1] if layer.op == "depthwise_conv" else 1
    if layer.op != "depthwise_conv":
        for size in kernel[:-1]:
            fan_in *= size
    return tf.reduce_sum(tf.reduce_mean(tf.square(product), 0)) / 2 * fan_in


def _tangent(layers: Layers, options: Options, args: list[Tensor]) -> list[Tensor]:
    """Inputs, parameters, saved values, input tangents, [direction] -> output tangent, kept values.

    The direction in which its kernel moves is there for chains with a kernel layer. Kept are, in the order of the
    layers, the tangent of the kernel layer's output and the slope of the tangent of each BN's input.
    """
    arguments = _Arguments(args)
    seen = _replay(layers, options, arguments)
    us = arguments.take(len(layers[0].input_shapes))
    kept = []
    for entry in seen:
        layer = entry.layer
        if layer.has_kernel:
            (direction,) = arguments.take(1)
            x, u = entry.inputs[0], us[0]
            us = [convolution.linear(layer, u, entry.params["kernel"]) + convolution.linear(layer, x, direction)]
            kept += us
        elif layer.op == "batch_norm":
            moved, slope = entry.norm.project(us[0])
            us = [moved]
            kept.append(slope)
        else:
            us = [simple.tangent(layer, entry.inputs, us)]
    return [us[0], *(value for value in kept if value is not None)]


def _backward_tangent(layers: Layers, options: Options, args: list[Tensor]) -> list[Tensor]:
    """Tangent of the backward kernel.

    Takes inputs, parameters, saved values, input tangents, what the tangent and the backward kernel kept, [direction,
    kernel gradient], cotangent, its tangent; the two in brackets for chains with a kernel layer. Gives the tangents of
    the input gradients and, for such chains, that of the kernel gradient or, with `dot`, its product with the kernel.
    """
    arguments = _Arguments(args)
    seen = _replay(layers, options, arguments)
    us = arguments.take(len(layers[0].input_shapes))
    moved, pulled = (arguments.kept(layers, options.bn) for _ in range(2))
    met = []
    for entry, z_dot in zip(seen, moved, strict=True):
        met.append(us)
        if entry.layer.has_kernel:
            us = [z_dot]
        elif entry.layer.op == "batch_norm":
            us = [entry.norm.project(us[0])[0]]
        else:
            us = [simple.tangent(entry.layer, entry.inputs, us)]
    direction, gradient = arguments.take(2) if any(layer.has_kernel for layer in layers) else (None, None)
    dy, dy_dot = arguments.take(2)
    kernel_dot: list[Tensor] = []
    tangents, cotangents = [dy_dot], [dy]
    inner_dot = None
    for i in reversed(range(len(seen))):
        entry, layer, us, (dy,), (dy_dot,) = seen[i], layers[i], met[i], cotangents, tangents
        # Tangent of <y, dy>, y this layer's output less any bias, where the layer behind has given it.
        known_dot, inner_dot = inner_dot, None
        if layer.has_kernel:
            x, kernel, dz = entry.inputs[0], entry.params["kernel"], pulled[i]
            if not options.dot:
                kernel_dot = [
                    convolution.kernel_gradient(layer, x, kernel, dy_dot)
                    + convolution.kernel_gradient(layer, us[0], kernel, dz)
                ]
            else:  # <kernel, gradient> is <y, dy>
                if known_dot is None:
                    z = entry.output - entry.params["bias"] if "bias" in entry.params else entry.output
                    known_dot = tf.reduce_sum(moved[i] * dz) + tf.reduce_sum(z * dy_dot)
                kernel_dot = [known_dot - tf.reduce_sum(direction * gradient)]
            tangents = [convolution.summed_input_gradients(layer, x, [(kernel, dy_dot), (direction, dz)])]
            cotangents = [convolution.input_gradient(layer, x, kernel, dz)]
        elif layer.op == "batch_norm" and pulled[i] is not None:
            dx = pulled[i - 1] if i and layers[i - 1].has_kernel else entry.norm.project(dy)[0]
            tangent, inner_dot = entry.norm.project_tangent(us[0], moved[i], dx, pulled[i], dy_dot)
            tangents, cotangents = [tangent], [dx]
        elif layer.op == "batch_norm":
            tangents, cotangents = ([entry.norm.project(value)[0]] for value in (dy_dot, dy))
        else:
            tangents = simple.backward_tangent(layer, entry.inputs, us, dy, dy_dot)
            cotangents = simple.backward(layer, entry.inputs, dy)
    return [*(tangents if options.input_gradient else ()), *kernel_dot]


@dataclasses.dataclass(frozen=True)
class Reducer:
    """What becomes of per-example gradients inside the kernel that makes them.

    Attributes:
        reduce: (layer or None, slabs [N, ...] of one parameter, anchors) -> tensor; the layer is given for kernels.
        combine: the reduced gradients of all parameters of a chain -> one tensor.
    """

    reduce: Callable[[Layer | None, list[Tensor], int], Tensor]
    combine: Callable[[list[Tensor]], Tensor]


def _flat(slab: Tensor) -> Tensor:
    return tf.reshape(slab, [slab.shape[0], -1])


def _sign_sums(layer: Layer | None, slabs: list[Tensor], anchors: int) -> Tensor:
    return tf.concat([tf.reduce_sum(tf.sign(_flat(slab)), 0) for slab in slabs], 0)


def _gram(layer: Layer | None, slabs: list[Tensor], anchors: int) -> Tensor:
    total = 0.0
    for slab in slabs:
        total = total + _products(tf.cast(_flat(slab), tf.float64), anchors)
    return total


def _quick_gram(layer: Layer | None, slabs: list[Tensor], anchors: int) -> Tensor:
    return tf.add_n([tf.cast(_products(_flat(slab), anchors), tf.float64) for slab in slabs])


def _products(rows: Tensor, anchors: int) -> Tensor:
    return tf.matmul(rows[:anchors] if anchors else rows, rows, transpose_b=True)


def _rows(layer: Layer | None, slabs: list[Tensor], anchors: int) -> Tensor:
    return _flat(slabs[0] if layer is None else convolution.stack_slabs(layer, slabs))


REDUCERS = {
    # Per weight, the sum over examples of the sign of its gradient: [P].
    "sign_sums": Reducer(_sign_sums, lambda parts: tf.concat(parts, 0)),
    # Gram matrix of the per-example gradients, float64: [N, N], or [anchors, N].
    "gram": Reducer(_gram, tf.add_n),
    # The same with products in the precision of the gradients, a fourth of the cost; sums over slabs are float64.
    "quick_gram": Reducer(_quick_gram, tf.add_n),
    # The gradients themselves, for tests and small networks: [N, P].
    "rows": Reducer(_rows, lambda parts: tf.concat(parts, 1)),
}

_KINDS = {
    "agreement": lambda layers, options, args: [agreement_counts(args[0])],
    "forward": _forward,
    "backward": _backward,
    "tangent": _tangent,
    "backward_tangent": _backward_tangent,
}
