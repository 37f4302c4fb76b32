"""The networks of NAS-Bench-201, layer by layer.

Source: Dong and Yang, "NAS-Bench-201" (ICLR 2020), section 2, and the constants of its published implementations.
A node is named by the path of the reference module that it stands for, so published weights map by name. Nodes that
no reference module stands for: `input`, sums (`*.node<j>`, `*.sum`) and the symmetric padding in front of a strided
convolution (`*.op.0_pad`). `cells`, `layers`, `stack_cell<k>` and `options` only hold other blocks.

Two flavours, which are not the same network:

* `tiny`, the network of the benchmark itself: convolutions without bias, ordinary batch normalisation (BN).
* `zcnas`, the network of the zero-cost-nas study: the convolutions of the cells have a bias and their BN has neither
  scale nor offset nor moving statistics (the statistics of the batch also at inference); stem, reductions and tail
  are ordinary. The reference holds all five candidates of an edge and switches four off. Here only the chosen one
  exists: what is switched off has no gradient and adds nothing to scores that sum gradients or saliencies. Scores
  that read unused kernels do change: `l2_norm` loses a large constant, means over kernels lose a constant factor.
"""

from __future__ import annotations

from collections.abc import Sequence

from spaces.base import NetworkConfig
from tfnas.errors import InputError, unknown
from tfnas.networks.builder import GraphBuilder
from tfnas.networks.graph import Graph

FLAVOURS = ("tiny", "zcnas")
# (source, target) of each edge, in the order in which all encodings of the benchmark list them.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
# Order of the candidates on an edge of the zcnas super-network.
_ZCNAS_OPTIONS = ("none", "skip_connect", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_KERNEL_SIZES = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


def topology_graph(ops: Sequence[str], config: NetworkConfig) -> Graph:
    """The network of a cell: three stages of `depth` cells, `width` doubled by the reductions between them.

    Args:
        ops: operation of each edge, in the order of `EDGES`.
        config: network constants.

    Raises:
        InputError: an image size that two halvings do not divide, or an unknown flavour.
    """
    c, n = config.width, config.depth
    widths = [c] * n + [2 * c] * (1 + n) + [4 * c] * (1 + n)
    return chain_graph(ops, widths, config)


def chain_graph(ops: Sequence[str], widths: Sequence[int], config: NetworkConfig) -> Graph:
    """The network with the output width of every block given.

    Args:
        ops: operation of each edge, in the order of `EDGES`.
        widths: output channels of each of the 3N + 2 blocks (N cells, reduction, N cells, reduction, N cells); the
            stem has those of the first.
        config: network constants; `width` and `depth` are not read.

    Raises:
        InputError: an image size that two halvings do not divide, or an unknown flavour.
    """
    height, width, _ = config.input_shape
    if height % 4 or width % 4:
        raise InputError(
            f"NAS-Bench-201 halves the image twice. Received: input_shape={config.input_shape}. "
            "Allowed: height and width divisible by 4"
        )
    if config.flavour == "tiny":
        return _Tiny(ops, config).graph(widths)
    if config.flavour == "zcnas":
        return _ZeroCost(ops, config).graph(widths)
    raise unknown("flavour", config.flavour, FLAVOURS)


class _Tiny:
    """Builds the benchmark's own network."""

    stem = ("stem.0", "stem.1")
    tail = ("lastact.0", "lastact.1", "global_pooling", "classifier")
    shortcut = "downsample"

    def __init__(self, ops: Sequence[str], config: NetworkConfig) -> None:
        self.ops = tuple(ops)
        self.config = config
        self.builder = GraphBuilder(config.input_shape)

    def graph(self, widths: Sequence[int]) -> Graph:
        b = self.builder
        per_stage = len(widths) // 3
        x = b.conv(self.stem[0], "input", widths[0], 3)
        x = self.batch_norm(self.stem[1], x)
        for i, width in enumerate(widths):
            stage, position = divmod(i, per_stage + 1)
            if position == per_stage:
                x = self.reduction(self.reduction_name(stage, i), x, width)
            else:
                x = self.cell(self.cell_name(stage, position, i), x, width)
        norm, relu, pooling, classifier = self.tail
        x = self.batch_norm(norm, x)
        x = b.activation(relu, x)
        x = b.global_avg_pool(pooling, x)
        return b.finish(b.dense(classifier, x, self.config.classes), features=pooling)

    def cell_name(self, stage: int, position: int, index: int) -> str:
        return f"cells.{index}"

    def reduction_name(self, stage: int, index: int) -> str:
        return f"cells.{index}"

    def edge_name(self, edge: int) -> str:
        return f"layers.{edge}"

    def cell(self, name: str, x: str, width: int) -> str:
        states = [x]
        for target in (1, 2, 3):
            terms = [
                self.edge(f"{name}.{self.edge_name(edge)}", states[source], self.ops[edge], width)
                for edge, (source, end) in enumerate(EDGES)
                if end == target
            ]
            states.append(self.builder.add(f"{name}.node{target}", terms) if len(terms) > 1 else terms[0])
        return states[-1]

    def edge(self, name: str, x: str, op: str, width: int) -> str:
        b = self.builder
        changes_width = b.shape(x)[-1] != width
        if op in _KERNEL_SIZES:
            return self.cell_conv(f"{name}.op", x, width, _KERNEL_SIZES[op])
        if op == "skip_connect":
            # A skip that changes the width is a bare 1x1 convolution and BN: the benchmark leaves the ReLU of its
            # strided sibling out at stride 1.
            if changes_width:
                return self.batch_norm(f"{name}.bn", b.conv(f"{name}.conv", x, width, 1))
            return b.identity(name, x)
        if op == "avg_pool_3x3":
            if changes_width:
                x = self.relu_conv_bn(f"{name}.preprocess.op", x, width, 1)
            return b.avg_pool(f"{name}.op", x, 3, strides=1, padding="same")
        if op == "none" and not changes_width:
            return b.zero(name, x)
        raise InputError(f"No NAS-Bench-201 layer. Received: {op!r} from {b.shape(x)[-1]} to {width} channels")

    def cell_conv(self, name: str, x: str, width: int, size: int) -> str:
        return self.relu_conv_bn(name, x, width, size)

    def relu_conv_bn(self, name: str, x: str, width: int, size: int, strides: int = 1) -> str:
        b = self.builder
        x = b.activation(f"{name}.0", x)
        if strides > 1:
            # The reference pads both sides by one; "same" would pad only the far side of an even map.
            x = b.pad(f"{name}.0_pad", x, (size // 2,) * 4)
        x = b.conv(f"{name}.1", x, width, size, strides=strides, padding="valid" if strides > 1 else "same")
        return self.batch_norm(f"{name}.2", x)

    def reduction(self, name: str, x: str, width: int) -> str:
        b = self.builder
        main = self.relu_conv_bn(f"{name}.conv_a.op", x, width, 3, strides=2)
        main = self.relu_conv_bn(f"{name}.conv_b.op", main, width, 3)
        shortcut = b.avg_pool(f"{name}.{self.shortcut}.0", x, 2, strides=2)
        shortcut = b.conv(f"{name}.{self.shortcut}.1", shortcut, width, 1)
        return b.add(f"{name}.sum", [main, shortcut])

    def batch_norm(self, name: str, x: str) -> str:
        return self.builder.batch_norm(name, x, momentum=self.config.bn_momentum, epsilon=self.config.bn_epsilon)


class _ZeroCost(_Tiny):
    """Builds the zero-cost-nas network, without the candidates that are switched off."""

    stem = ("stem.net.0", "stem.net.1")
    tail = ("top.lastact.0", "top.lastact.1", "top.global_pooling", "top.classifier")
    shortcut = "residual"

    def cell_name(self, stage: int, position: int, index: int) -> str:
        return f"stack_cell{stage + 1}.{position}"

    def reduction_name(self, stage: int, index: int) -> str:
        return f"reduction{stage + 1}"

    def edge_name(self, edge: int) -> str:
        return f"options.{edge * len(_ZCNAS_OPTIONS) + _ZCNAS_OPTIONS.index(self.ops[edge])}"

    def cell_conv(self, name: str, x: str, width: int, size: int) -> str:
        b = self.builder
        x = b.activation(f"{name}.0", x)
        x = b.conv(f"{name}.1", x, width, size, use_bias=True)
        return b.batch_norm(
            f"{name}.2",
            x,
            momentum=self.config.bn_momentum,
            epsilon=self.config.bn_epsilon,
            scale=False,
            center=False,
            moving=False,
        )
