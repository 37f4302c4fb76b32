"""What becomes of per-example gradients inside the kernel that makes them, so that they are never held as [N, P]."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import tensorflow as tf

from tfnas.engine import convolution
from tfnas.engine.plan import Layer

Tensor = Any


class Reducer(abc.ABC):
    """A reduction, hashable by its settings: they are traced into kernels."""

    @abc.abstractmethod
    def reduce(self, layer: Layer | None, slabs: list[Tensor]) -> Tensor:
        """Reduces the gradients of one parameter.

        Args:
            layer: for kernels the layer, None for other parameters.
            slabs: parts [N, ...] that together are the gradients, as in `convolution.example_kernel_gradients`.
        """

    @abc.abstractmethod
    def combine(self, parts: list[Tensor]) -> Tensor:
        """The reduced gradients of all parameters of a chain as one tensor."""


@dataclasses.dataclass(frozen=True)
class SignSums(Reducer):
    """Per weight the sum over examples of the sign of its gradient: [P], in an order of its own."""

    def reduce(self, layer: Layer | None, slabs: list[Tensor]) -> Tensor:
        return tf.concat([tf.reduce_sum(tf.sign(_flat(slab)), 0) for slab in slabs], 0)

    def combine(self, parts: list[Tensor]) -> Tensor:
        return tf.concat(parts, 0)


@dataclasses.dataclass(frozen=True)
class Gram(Reducer):
    """Gram matrix of the per-example gradients: [N, N] or [anchors, N], float64.

    Attributes:
        anchors: rows of the first so many examples alone; 0: all.
        exact: products in float64. Those in the precision of the gradients cost a fourth; sums over slabs are float64
            in either case.
    """

    anchors: int = 0
    exact: bool = True

    def reduce(self, layer: Layer | None, slabs: list[Tensor]) -> Tensor:
        return tf.add_n([tf.cast(self._products(_flat(slab)), tf.float64) for slab in slabs])

    def _products(self, rows: Tensor) -> Tensor:
        rows = tf.cast(rows, tf.float64) if self.exact else rows
        return tf.matmul(rows[: self.anchors] if self.anchors else rows, rows, transpose_b=True)

    def combine(self, parts: list[Tensor]) -> Tensor:
        return tf.add_n(parts)


@dataclasses.dataclass(frozen=True)
class Rows(Reducer):
    """The gradients themselves, for tests and small networks: [N, P].

    Parameters come in the order of the layers and of `tfnas.engine.signature.Params`, each in row-major order.
    """

    def reduce(self, layer: Layer | None, slabs: list[Tensor]) -> Tensor:
        return _flat(slabs[0] if layer is None else convolution.stack_slabs(layer, slabs))

    def combine(self, parts: list[Tensor]) -> Tensor:
        return tf.concat(parts, 1)


def _flat(slab: Tensor) -> Tensor:
    return tf.reshape(slab, [slab.shape[0], -1])
