"""The networks of NAS-Bench-101, layer by layer.

Source: Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search" (ICML 2019), and the published
model_builder.py and base_ops.py. Nodes are named by the variable scopes of that code, with dots for slashes.
"""

from __future__ import annotations

from collections.abc import Sequence

from spaces.base import NetworkConfig
from spaces.nasbench101.cells import CONV1X1, CONV3X3, MAXPOOL3X3, Matrix
from tfnas.errors import InputError
from tfnas.networks.builder import GraphBuilder
from tfnas.networks.graph import Graph

_CONVOLUTIONS = {CONV3X3: ("Conv3x3-BN-ReLU", 3), CONV1X1: ("Conv1x1-BN-ReLU", 1)}
_MAXPOOL = "MaxPool3x3"


def vertex_channels(inputs: int, outputs: int, matrix: Matrix) -> list[int]:
    """Channels of each vertex of a pruned cell (model_builder.compute_vertex_channels).

    The output's channels are divided among the interior vertices that feed it, the first ones getting one more where
    this leaves a remainder; every other interior vertex has the most that any of its interior successors has.

    Args:
        inputs: channels of the cell's input.
        outputs: channels of the cell's output.
        matrix: [V, V], row to column, upper triangular.

    Raises:
        InputError: more vertices feed the output than it has channels.
    """
    count = len(matrix)
    last = count - 1
    channels = [0] * count
    channels[0], channels[last] = inputs, outputs
    feeding = [v for v in range(1, last) if matrix[v][last]]
    if len(feeding) > outputs:
        raise InputError(
            f"{len(feeding)} vertices of the cell share its output. Received: {outputs} channels. "
            f"Allowed: a width of {len(feeding)} or more"
        )
    for rank, v in enumerate(feeding):
        channels[v] = outputs // len(feeding) + (rank < outputs % len(feeding))
    for v in range(count - 3, 0, -1):
        if not matrix[v][last]:
            channels[v] = max(channels[w] for w in range(v + 1, last) if matrix[v][w])
    return channels


def cell_graph(matrix: Matrix, ops: Sequence[str], config: NetworkConfig) -> Graph:
    """The network of a pruned cell: stem, `stages` stacks of `depth` modules, pooled features, logits.

    Args:
        matrix: [V, V] of the pruned cell.
        ops: label of each vertex, "input" first and "output" last.
        config: network constants; `width` is that of the stem, doubled by every stack but the first.

    Raises:
        InputError: the width is too small for the cell.
    """
    return _Builder(matrix, ops, config).graph()


class _Builder:
    def __init__(self, matrix: Matrix, ops: Sequence[str], config: NetworkConfig) -> None:
        self.matrix, self.ops, self.config = matrix, ops, config
        self.b = GraphBuilder(config.input_shape)

    def graph(self) -> Graph:
        b, channels = self.b, self.config.width
        x = self.conv_bn_relu("stem", "input", channels, 3)
        for stack in range(self.config.stages):
            if stack:
                x = b.max_pool(f"stack{stack}.downsample", x, 2, strides=2, padding="same")
                channels *= 2
            for module in range(self.config.depth):
                x = self.module(f"stack{stack}.module{module}", x, channels)
        x = b.global_avg_pool("global_pooling", x)
        return b.finish(b.dense("dense", x, self.config.classes), features="global_pooling")

    def module(self, name: str, x: str, outputs: int) -> str:
        b, matrix, last = self.b, self.matrix, len(self.matrix) - 1
        channels = vertex_channels(b.shape(x)[-1], outputs, matrix)
        tensors = {}
        for v in range(1, last):
            vertex = f"{name}.vertex_{v}"
            # Vertices differ by one channel where the output's channels do not divide evenly: the rest is cut off.
            terms = [
                tensors[u]
                if channels[u] == channels[v]
                else b.slice_channels(f"{vertex}.truncate_{u}", tensors[u], channels[v])
                for u in range(1, v)
                if matrix[u][v]
            ]
            if matrix[0][v]:
                terms.append(self.projection(vertex, x, channels[v]))
            total = b.add(f"{vertex}.add", terms) if len(terms) > 1 else terms[0]
            tensors[v] = self.op(vertex, self.ops[v], total, channels[v])
        parts = [tensors[v] for v in range(1, last) if matrix[v][last]]
        out = b.concat(f"{name}.concat", parts) if len(parts) > 1 else parts[0] if parts else ""
        if not matrix[0][last]:
            return out
        if not out:
            return self.projection(f"{name}.output", x, outputs)
        return b.add(f"{name}.add", [out, self.projection(name, x, outputs)])

    def op(self, vertex: str, op: str, x: str, channels: int) -> str:
        if op == MAXPOOL3X3:
            return self.b.max_pool(f"{vertex}.{_MAXPOOL}", x, 3, strides=1, padding="same")
        label, size = _CONVOLUTIONS[op]
        return self.conv_bn_relu(f"{vertex}.{label}", x, channels, size)

    def projection(self, name: str, x: str, channels: int) -> str:
        """Every edge from the input is a 1x1 convolution with BN and ReLU of its own, also where channels agree."""
        return self.conv_bn_relu(f"{name}.projection", x, channels, 1)

    def conv_bn_relu(self, name: str, x: str, channels: int, size: int) -> str:
        x = self.b.conv(f"{name}.conv2d", x, channels, size)
        norm = f"{name}.batch_normalization"
        x = self.b.batch_norm(norm, x, momentum=self.config.bn_momentum, epsilon=self.config.bn_epsilon)
        return self.b.activation(f"{name}.relu", x)
