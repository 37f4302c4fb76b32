"""NAS-Bench-101 once more, as plainly as can be: what tests compare the space with."""

import itertools


def parameters(cell, width=128, depth=3, stages=3, classes=10, channels=3):
    """Parameters of a cell's network, counted from its definition without building it."""
    total = _convolution(3, channels, width)
    inputs = width
    for outputs in (width * 2**stage for stage in range(stages)):
        for _ in range(depth):
            total += _module(cell.pruned, inputs, outputs)
            inputs = outputs
    return total + inputs * classes + classes


def _convolution(size, inputs, outputs):
    """A kernel, and gamma and beta of its batch normalisation."""
    return size * size * inputs * outputs + 2 * outputs


def _module(cell, inputs, outputs):
    last = len(cell.ops) - 1
    edges = {(x, y) for x, y in itertools.product(range(last + 1), repeat=2) if cell.matrix[x][y]}
    feeding = sorted(x for x, y in edges if x and y == last)
    widths = {x: len(range(rank, outputs, len(feeding))) for rank, x in enumerate(feeding)}
    for v in reversed(range(1, last)):
        if v not in widths:
            widths[v] = max(widths[y] for x, y in edges if x == v)
    widths[last] = outputs
    total = sum(_convolution(1, inputs, widths[y]) for x, y in edges if x == 0)
    sizes = {"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1}
    return total + sum(_convolution(sizes[op], widths[v], widths[v]) for v, op in enumerate(cell.ops) if op in sizes)


def isomorphs(cell):
    """(matrix, ops) of a cell in every order of its interior vertices that keeps edges pointing forward."""
    count = len(cell.ops)
    for order in itertools.permutations(range(1, count - 1)):
        old = (0, *order, count - 1)
        matrix = [[cell.matrix[u][v] for v in old] for u in old]
        if not any(matrix[i][j] for i in range(count) for j in range(i + 1)):
            yield matrix, [cell.ops[v] for v in old]
