"""Where each parameter of a network lies in the vectors that a step of training works on.

One vector has all trained parameters, so that an optimiser is a handful of operations whatever the network, and one has
the moving statistics of all BN layers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnas.errors import InputError
from tfnas.networks.graph import Graph, Shape

if TYPE_CHECKING:
    import tensorflow as tf

_MOVING = ("moving_mean", "moving_variance")


@dataclasses.dataclass(frozen=True)
class Pieces:
    """Arrays of one vector, in its order.

    Attributes:
        keys: "<node>.<param>".
        shapes: of the arrays.
    """

    keys: tuple[str, ...]
    shapes: tuple[Shape, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", [math.prod(shape) for shape in self.shapes])
        # Made once: converting them costs more than the operations themselves.
        object.__setattr__(self, "_tensors", None)

    def join(self, arrays: Mapping[str, Any], dtype: Any) -> np.ndarray:
        """The vector of some arrays."""
        parts = [np.asarray(arrays[key], dtype).reshape(-1) for key in self.keys]
        return np.concatenate(parts) if parts else np.zeros(0, dtype)

    def cut(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """The arrays of a vector."""
        parts = np.split(vector, np.cumsum(self.sizes)[:-1]) if self.keys else []
        return {key: part.reshape(shape) for key, part, shape in zip(self.keys, parts, self.shapes, strict=True)}

    def cut_tensor(self, vector: tf.Tensor) -> dict[str, tf.Tensor]:
        """The same of a tensor."""
        import tensorflow as tf

        if not self.keys:
            return {}
        if self._tensors is None:
            with tf.init_scope():
                made = tf.constant(self.sizes), [tf.constant(shape, tf.int32) for shape in self.shapes]
            object.__setattr__(self, "_tensors", made)
        sizes, shapes = self._tensors
        parts = tf.raw_ops.SplitV(value=vector, size_splits=sizes, axis=0, num_split=len(self.keys))
        return {
            key: tf.raw_ops.Reshape(tensor=part, shape=shape)
            for key, part, shape in zip(self.keys, parts, shapes, strict=True)
        }

    def join_tensors(self, tensors: Mapping[str, tf.Tensor], dtype: tf.DType) -> tf.Tensor:
        """The vector of some tensors; a missing one is zeros."""
        import tensorflow as tf

        flat = (-1,)
        parts = [
            tf.raw_ops.Reshape(tensor=tensors[key], shape=flat) if key in tensors else tf.zeros(size, dtype)
            for key, size in zip(self.keys, self.sizes, strict=True)
        ]
        return tf.concat(parts, 0) if parts else tf.zeros(0, dtype)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The parameters of a network by what becomes of them in a training.

    Attributes:
        graph: the network.
        trained: what the optimiser changes.
        moving: moving statistics of BN layers, which every step moves.
        fixed: keys of all others, which stay as they are.
    """

    graph: Graph
    trained: Pieces
    moving: Pieces
    fixed: tuple[str, ...]

    def decay(self, weight_decay: float, decayed: str) -> np.ndarray:
        """Weight decay of each entry of the trained vector: [P] float64."""
        spared = ("gamma", "beta") if decayed == "not_bn" else ()
        values = [0.0 if key.rpartition(".")[2] in spared else weight_decay for key in self.trained.keys]
        return np.repeat(values, self.trained.sizes) if values else np.zeros(0)

    def kept(self) -> np.ndarray:
        """Share of each moving statistic that a step keeps: [M] float64."""
        values = [self.graph.by_name[key.rpartition(".")[0]]["momentum"] for key in self.moving.keys]
        return np.repeat(np.array(values, float), self.moving.sizes)

    def bessel(self, batch_size: int) -> np.ndarray:
        """What makes unbiased variances of the biased ones of a batch, 1 for means: [M] float64."""
        values = []
        for key in self.moving.keys:
            node, _, param = key.rpartition(".")
            count = batch_size * math.prod(self.graph.by_name[node].shape[:-1])
            values.append(count / max(1, count - 1) if param == "moving_variance" else 1.0)
        return np.repeat(np.array(values, float), self.moving.sizes)


def make(graph: Graph, trained: Collection[str] | None = None) -> Layout:
    """The layout of a network.

    Args:
        graph: the network.
        trained: names of the nodes that are trained; None: all.

    Raises:
        InputError: a node that the network does not have, or nothing is left to train.
    """
    if trained is not None and (odd := sorted(set(trained) - graph.by_name.keys())):
        raise InputError(f"The network has no layer of this name to train. Received: {odd[0]!r}")
    moving, chosen, fixed = [], [], []
    for node in graph.nodes:
        for param, shape in node.params:
            key = f"{node.name}.{param}"
            if param in _MOVING:
                moving.append((key, shape))
            elif trained is None or node.name in trained:
                chosen.append((key, shape))
            else:
                fixed.append(key)
    if not chosen:
        raise InputError("Nothing is left to train: every layer with parameters is frozen")
    return Layout(graph, _pieces(chosen), _pieces(moving), tuple(fixed))


def _pieces(found: Sequence[tuple[str, Shape]]) -> Pieces:
    return Pieces(tuple(key for key, _ in found), tuple(shape for _, shape in found))


def last_cells(graph: Graph, count: int) -> frozenset[str]:
    """Names of the nodes of the last cells of a network and of all that follows them.

    Cells are the numbered blocks of the longest list of blocks, such as cells.0, cells.1, ...; reductions count where
    they are in that list.

    Args:
        graph: the network.
        count: of cells.

    Raises:
        InputError: it has fewer.
    """
    lists: dict[str, dict[str, int]] = {}
    for place, node in enumerate(graph.nodes):
        parts = node.name.split(".")
        if len(parts) > 1 and parts[1].isdecimal():
            lists.setdefault(parts[0], {}).setdefault(parts[1], place)
    longest = max(lists.values(), key=len, default={})
    if not 1 <= count <= len(longest):
        raise InputError(f"The network has {len(longest)} cells to choose the last from. Received: {count}")
    first = sorted(longest.values())[-count]
    return frozenset(node.name for node in graph.nodes[first:])
