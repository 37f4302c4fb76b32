"""Penultimate features of networks: the pooled vector [N, d] in front of the classifier.

Batch normalisation runs on moving statistics that one batch has set, and is folded into the convolutions before it, so
that a forward pass is convolutions with bias, ReLUs and pools alone.

On one device the engine runs the network kernel by kernel, which traces nothing a network. Under a strategy of
`tf.distribute` every replica has the weights and takes its share of the images through one traced function, as TPUs
want it; the members of an ensemble share the trace.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfnas import memory
from tfnas.engine import Network
from tfnas.errors import InputError
from tfnas.networks.builder import GraphBuilder
from tfnas.networks.graph import Graph, Node

if TYPE_CHECKING:
    from tfnas.data.lazy import Images

Tensor = Any
Weights = Mapping[str, np.ndarray]


def calibrate(
    graph: Graph,
    weights: Weights,
    images: np.ndarray,
    momentum: float | None = None,
    *,
    dtype: str = "float32",
    strategy: tf.distribute.Strategy | None = None,
) -> dict[str, np.ndarray]:
    """The weights with the moving statistics that one forward pass in training mode leaves.

    moving <- momentum * moving + (1 - momentum) * statistic of the batch, with the biased variance (TensorFlow 1 takes
    the unbiased one here, which differs by a factor of 1 + 1 / (N H W)).

    The whole batch runs on one device whatever the strategy: replicas that each saw a part of it would have statistics
    of their own, as Keras' layers silently have, and the features would depend on the number of devices. Where several
    processes work together each runs the batch (the others would only wait) and all take the result of the first.

    Args:
        graph: the network.
        weights: arrays by "<node>.<param>".
        images: [N, H, W, C], the one batch.
        momentum: kept share of the old statistics; that of each layer by default.
        dtype: of the forward pass and of the moved statistics, "float32" or "float64".
        strategy: under which the features will be extracted.
    """
    network = Network(graph, weights, dtype=dtype)
    run = network.forward(images, "batch", keep=False, statistics=True)
    moved = dict(weights)
    changed = []
    for name, statistics in run.statistics.items():
        kept = graph.by_name[name]["momentum"] if momentum is None else momentum
        for param, value in zip(("moving_mean", "moving_variance"), statistics, strict=True):
            key = f"{name}.{param}"
            if key in moved:
                old = _widened(moved[key], dtype)
                moved[key] = (kept * old + (1 - kept) * value.numpy().reshape(old.shape)).astype(dtype)
                changed.append(key)
    if strategy is not None and changed:
        moved |= _of_first_worker({key: moved[key] for key in changed}, strategy)
    return moved


def fold_batch_norm(graph: Graph, weights: Weights) -> tuple[Graph, dict[str, np.ndarray]]:
    """An equal network at inference without the BN layers that follow a convolution nothing else reads.

    The convolution takes over the slope and gets a bias. BN layers elsewhere, and those without moving statistics,
    stay.
    """
    builder = GraphBuilder(graph.input_shape)
    folded: dict[str, np.ndarray] = {}
    renamed = {}
    for node in graph.nodes[1:]:
        inputs = [renamed.get(name, name) for name in node.inputs]
        before = graph.by_name[node.inputs[0]]
        if node.op == "batch_norm" and node["moving"] and _is_foldable(graph, before):
            variance = weights[f"{node.name}.moving_variance"]
            slope = 1 / np.sqrt(variance + variance.dtype.type(node["epsilon"]))
            slope = slope * weights.get(f"{node.name}.gamma", np.float32(1))
            offset = weights.get(f"{node.name}.beta", np.float32(0)) - weights[f"{node.name}.moving_mean"] * slope
            folded[f"{before.name}.kernel"] = weights[f"{before.name}.kernel"] * slope
            folded[f"{before.name}.bias"] = offset + slope * weights.get(f"{before.name}.bias", np.float32(0))
            renamed[node.name] = before.name
            continue
        has_norm = node.op == "conv" and _is_foldable(graph, node)
        builder.copy(node, inputs, **({"use_bias": True} if has_norm else {}))
        folded |= {key: weights[key] for key in node.param_keys()}
    out = builder.finish(*(renamed.get(name, name) for name in (graph.output, graph.features)))
    return out, folded


def _is_foldable(graph: Graph, node: Node) -> bool:
    readers = graph.consumers[node.name]
    if node.op != "conv" or len(readers) != 1 or node.name in (graph.output, graph.features):
        return False
    reader = graph.by_name[readers[0]]
    return reader.op == "batch_norm" and reader["moving"]


def extract(
    graph: Graph,
    weights: Weights,
    images: np.ndarray | Images,
    *,
    batch_size: int = 50,
    dtype: str = "float32",
    strategy: tf.distribute.Strategy | None = None,
) -> np.ndarray:
    """Features [N, d] at inference, in the order of the images.

    Values that are not finite are left to the caller. Not every overflow inside a network ends in one: on CPU
    TensorFlow's max pooling drops NaN, and so do its convolutions that are fused with a ReLU (by oneDNN).

    Args:
        graph: the network; `graph.features` names the layer.
        weights: arrays by "<node>.<param>", with the moving statistics to use.
        images: [N, H, W, C]; slices of them are taken, so that they may stay in their files.
        batch_size: images that run at once on each device, at most (on one device two batches overlap, and fewer run
            where memory is short); N is padded to a multiple of it (and of the number of devices), so that all batches
            are of one shape, and what the padding gives is dropped.
        dtype: of the arithmetic and of the features, "float32" or "float64".
        strategy: shares the images among its devices, see `tfnas.devices`; every process gets the features of all. By
            default one device takes them all.

    Raises:
        InputError: no layer of features, a BN layer without moving statistics (through which an image's features would
            depend on the others of its batch), images of another shape, or a batch size below 1.
        MemoryError: one image does not fit.
    """
    _check(graph, images, batch_size)
    if not len(images):
        return np.zeros((0, *graph.by_name[graph.features].shape), dtype)
    graph, weights = fold_batch_norm(graph, {key: _widened(value, dtype) for key, value in weights.items()})
    if strategy is not None:
        share = -(-len(images) // strategy.num_replicas_in_sync)
        return _replicas(graph, min(batch_size, share), dtype, strategy)(weights, images)
    network = Network(graph, weights, dtype=dtype)
    _, most = network.footprint.forward(keep=False)
    batch_size = memory.block(min(batch_size, len(images)), 0, 2 * most, "features of one image")
    # As many batches of equal sizes: the last one is padded by less.
    batch_size = math.ceil(len(images) / math.ceil(len(images) / batch_size))

    def of_batch(start: int) -> np.ndarray:
        block = images[start : start + batch_size]
        run = network.forward(_padded(block, batch_size), "inference", keep=False)
        return run.values[graph.features].numpy()[: len(block)]

    first, *rest = range(0, len(images), batch_size)
    traced = of_batch(first)
    # A second batch works where the first leaves the device waiting: between kernels, in ops of one thread.
    with ThreadPoolExecutor(2) as pool:
        return np.concatenate([traced, *pool.map(of_batch, rest)])


def forward(graph: Graph, weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Features [N, d] of one batch [N, H, W, C] as one piece of a traced function, with or without XLA.

    The cached kernels of the engine are called within the trace; what the features do not need is pruned.
    """
    network = Network(graph, weights, dtype=images.dtype.name)
    return network.forward(images, "inference", keep=False).values[graph.features]


class _Replicas:
    """One network on every replica of a strategy: variables that weights are put in, and the traced function."""

    def __init__(self, graph: Graph, batch_size: int, dtype: str, strategy: tf.distribute.Strategy) -> None:
        self.batch_size, self.dtype, self.strategy = batch_size, dtype, strategy
        shapes = {f"{node.name}.{param}": shape for node in graph.nodes for param, shape in node.params}
        with strategy.scope():
            # Weights go to each device once a network and not with every batch.
            self.variables = {
                key: tf.Variable(tf.zeros(shape, dtype), trainable=False) for key, shape in shapes.items()
            }

        def on_replica(images: Tensor) -> Tensor:
            return forward(graph, {key: variable.read_value() for key, variable in self.variables.items()}, images)

        self.step = tf.function(lambda images: strategy.run(on_replica, (images,)), autograph=False)

    def __call__(self, weights: Weights, images: np.ndarray | Images) -> np.ndarray:
        for key, variable in self.variables.items():
            variable.assign(weights[key])
        # Each replica takes one range of the images, so that those of one replica after the other are in order.
        steps = -(-len(images) // (self.strategy.num_replicas_in_sync * self.batch_size))
        share = steps * self.batch_size

        def batch(context: tf.distribute.experimental.ValueContext, offset: int) -> Tensor:
            start = context.replica_id_in_sync_group * share + offset
            return tf.convert_to_tensor(_padded(images[start : start + self.batch_size], self.batch_size), self.dtype)

        distribute = self.strategy.experimental_distribute_values_from_function
        parts = []
        for offset in range(0, share, self.batch_size):
            found = self.step(distribute(functools.partial(batch, offset=offset)))
            parts.append([part.numpy() for part in self.strategy.experimental_local_results(found)])
        shares = [np.concatenate(of_replica) for of_replica in zip(*parts, strict=True)]
        return _gathered(shares, self.strategy)[: len(images)]


# Tracing costs seconds a network, so the members of an ensemble share one; more would only fill the devices.
_replicas = functools.lru_cache(maxsize=1)(_Replicas)


def _gathered(values: Sequence[np.ndarray], strategy: tf.distribute.Strategy) -> np.ndarray:
    """The arrays [N, ...] of this process' replicas and of those of all others, joined in the order of replicas."""
    if len(values) == strategy.num_replicas_in_sync:
        return np.concatenate(values)
    rest = iter(values)
    shared = strategy.experimental_distribute_values_from_function(lambda _: tf.convert_to_tensor(next(rest)))
    return strategy.gather(shared, axis=0).numpy()


def _of_first_worker(arrays: Mapping[str, np.ndarray], strategy: tf.distribute.Strategy) -> dict[str, np.ndarray]:
    """The first process' values of arrays that all have."""
    flat = np.concatenate([array.ravel() for array in arrays.values()])
    flat = _gathered([flat[None]] * len(strategy.extended.worker_devices), strategy)[0]
    ends = np.cumsum([array.size for array in arrays.values()])[:-1]
    parts = np.split(flat, ends)
    return {key: part.reshape(array.shape) for (key, array), part in zip(arrays.items(), parts, strict=True)}


def _padded(block: np.ndarray, count: int) -> np.ndarray:
    """At least `count` images, with zeros where there are no more."""
    if len(block) >= count:
        return block
    return np.concatenate([block, np.zeros((count - len(block), *block.shape[1:]), block.dtype)])


def _widened(array: np.ndarray, dtype: str) -> np.ndarray:
    return np.asarray(array, np.result_type(array, dtype))


def _check(graph: Graph, images: np.ndarray | Images, batch_size: int) -> None:
    if not graph.features:
        raise InputError("The network names no layer of features. Allowed: a graph finished with `features`")
    if alone := [node.name for node in graph.nodes if node.op == "batch_norm" and not node["moving"]]:
        raise InputError(
            "Features are of single images, but a BN layer without moving statistics takes those of the batch. "
            f"Received: {alone[0]!r}. Allowed: networks whose BN layers all keep moving statistics"
        )
    if images.shape[1:] != graph.input_shape:
        allowed = ", ".join(map(str, graph.input_shape))
        raise InputError(f"Images do not fit the network. Received: {images.shape}. Allowed: (N, {allowed})")
    if batch_size < 1:
        raise InputError(f"The batch size must be at least 1. Received: {batch_size}")
