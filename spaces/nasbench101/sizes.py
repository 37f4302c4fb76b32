"""Parameters and FLOPs of the networks of NAS-Bench-101, without building them: some microseconds for each.

All is a sum over the vertices of a cell, whose channels follow from the matrix alone: what the 2,494 matrices add is
computed once for each and network configuration, and every labelling picks its terms.
"""

from __future__ import annotations

import functools

import numpy as np

from spaces.base import NetworkConfig, Sizes
from spaces.nasbench101.cells import CONV1X1, CONV3X3, MAXPOOL3X3, OPS, Cell, Matrix
from spaces.nasbench101.network import vertex_channels
from tfnas.networks import flops

_PARAMS, _FORWARD, _OTHERS, _GRADIENT = range(len(Sizes._fields))
_CONV3X3, _CONV1X1, _MAXPOOL3X3 = map(OPS.index, (CONV3X3, CONV1X1, MAXPOOL3X3))


def cell_sizes(cell: Cell, config: NetworkConfig) -> Sizes:
    """The numbers that the layers of a cell's network give.

    Raises:
        InputError: the width is too small for the cell.
    """
    cell = cell.pruned
    shared, vertices = _parts(cell.matrix, config)
    terms = (vertex[op] for vertex, op in zip(vertices, cell.ops[1:-1], strict=True))
    return Sizes(*map(sum, zip(shared, *terms, strict=True)))


@functools.lru_cache(maxsize=8192)
def _parts(matrix: Matrix, config: NetworkConfig) -> tuple[list[int], list[dict[str, list[int]]]]:
    """(what all labellings of a pruned cell share, for each interior vertex what each label adds), as in `Sizes`."""
    height, width, channels = config.input_shape
    last = len(matrix) - 1
    base = np.zeros(4, np.int64)
    added = np.zeros((max(0, last - 1), len(OPS), 4), np.int64)
    base += _convolution(height * width, channels, config.width, 3, first=True)
    inputs = outputs = config.width
    for stack in range(config.stages):
        if stack:
            height, width, outputs = -(-height // 2), -(-width // 2), outputs * 2
            base[_OTHERS] += 4 * height * width * inputs
        positions = height * width
        each = vertex_channels(inputs, outputs, matrix)
        for v in range(1, last):
            terms = sum(matrix[u][v] for u in range(v))
            base[_OTHERS] += config.depth * positions * each[v] * (terms - 1)
            added[v - 1, _CONV3X3] += config.depth * _convolution(positions, each[v], each[v], 3)
            added[v - 1, _CONV1X1] += config.depth * _convolution(positions, each[v], each[v], 1)
            added[v - 1, _MAXPOOL3X3, _OTHERS] += config.depth * 9 * positions * each[v]
        joins = matrix[0][last] and any(matrix[v][last] for v in range(1, last))
        base[_OTHERS] += config.depth * positions * outputs * bool(joins)
        for module in range(config.depth):
            into = inputs if module == 0 else outputs
            for v in range(1, last + 1):
                if matrix[0][v]:
                    base += _convolution(positions, into, outputs if v == last else each[v], 1)
        inputs = outputs
    base[_OTHERS] += height * width * outputs
    kernel, bias = outputs * config.classes, config.classes
    base[_PARAMS] += kernel + bias
    base[_FORWARD] += flops.PER_MULTIPLY_ADD * (kernel + bias)
    base[_GRADIENT] += flops.PER_MULTIPLY_ADD * (2 * kernel + bias)
    return base.tolist(), [dict(zip(OPS, vertex, strict=True)) for vertex in added.tolist()]


def _convolution(positions: int, inputs: int, outputs: int, size: int, *, first: bool = False) -> np.ndarray:
    """Sizes of a convolution with batch normalisation and ReLU behind it; the first one's input has no gradient."""
    kernel = size * size * inputs * outputs
    forward = flops.PER_MULTIPLY_ADD * positions * kernel
    return np.array(Sizes(kernel + 2 * outputs, forward, 3 * positions * outputs, forward if first else 2 * forward))
