"""The networks of the ProxylessNAS space.

Source: Cai et al., "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware" (ICLR 2019), and its
published code (mit-han-lab/proxylessnas): 3x3 convolution of stride 2, a separable layer to the first channels, six
blocks of inverted residuals of strides 2, 2, 2, 1, 2, 1, 1x1 convolution, mean over the pixels, dropout, dense layer.
ReLU6 everywhere, padding of half a window on all sides. A layer adds its input where a block goes on, and one that is
left out is its input.

Layer i of the network, the separable one being 0, is the block of nodes `blocks.{i}`; one that is left out has none.
"""

from __future__ import annotations

import dataclasses

from spaces.base import NetworkConfig
from spaces.mobile import blocks
from spaces.mobile.proxylessnas.strings import FIRST, LAYERS, SKIP, ProxylessNet, window
from tfnas.errors import InputError
from tfnas.networks.builder import GraphBuilder
from tfnas.networks.graph import Graph

STRIDES = (2, 2, 2, 1, 2, 1)
# Of the stem of the published space; with it, channels are as `CHANNELS` has them.
STEM = 32


@dataclasses.dataclass(frozen=True)
class Channels:
    """The channels of a flavour, and how much of the mean over the pixels it drops in training.

    Attributes:
        widths: of the six blocks.
        stem: of the first convolution.
        first: of the separable layer.
        head: of the last convolution.
        dropout: probability.
    """

    widths: tuple[int, ...]
    stem: int = STEM
    first: int = 16
    head: int = 1280
    dropout: float = 0.0

    def scaled(self, multiplier: float) -> Channels:
        """All but the head's times a multiplier, rounded as :func:`spaces.mobile.blocks.round_filters` does."""
        scale = lambda filters: blocks.round_filters(filters, multiplier)  # noqa: E731
        return dataclasses.replace(
            self, widths=tuple(map(scale, self.widths)), stem=scale(self.stem), first=scale(self.first)
        )


# The networks that were released, and those among which the published code searches: of 24 channels in the first block
# where the release has 32. Dropout is that of the published training; for the wider mobile network none is told.
CHANNELS = {
    "mobile": Channels((32, 40, 80, 96, 192, 320), dropout=0.1),
    "search": Channels((24, 40, 80, 96, 192, 320)),
    "cpu": Channels((32, 48, 88, 104, 216, 360), stem=40, first=24, head=1432, dropout=0.2),
    "gpu": Channels((32, 56, 112, 128, 256, 432), stem=40, first=24, head=1728, dropout=0.3),
    "mobile_14": Channels((40, 56, 112, 136, 256, 448), stem=48, first=24, head=1792, dropout=0.1),
}


@dataclasses.dataclass(frozen=True)
class Layer:
    """One inverted residual as it is built.

    Attributes:
        op: its operation; `SKIP` where there is none.
        strides: 1 or 2.
        inputs, outputs: channels.
        residual: whether its input is added.
    """

    op: str
    strides: int
    inputs: int
    outputs: int
    residual: bool


def layers(arch: ProxylessNet, channels: Channels) -> list[Layer]:
    """The 21 layers of an architecture, those left out too."""
    found, inputs = [], channels.first
    for block, (start, count) in enumerate(zip(FIRST, LAYERS, strict=True)):
        outputs, strides = channels.widths[block], STRIDES[block]
        for layer in range(start, start + count):
            begins = layer == start
            found.append(Layer(arch.ops[layer], strides if begins else 1, inputs, outputs, not begins))
            inputs = outputs
    return found


def proxyless_graph(arch: ProxylessNet, config: NetworkConfig) -> Graph:
    """The network of an architecture.

    Args:
        arch: the architecture.
        config: network constants. A width of 32 takes channels as the flavour has them; with another, all but those of
            the head are scaled by width / 32.

    Raises:
        InputError: a depth other than 1, for the architecture tells how many layers there are.
    """
    if config.depth != 1:
        raise InputError(
            f"The layers of a ProxylessNAS network are fixed by its architecture. "
            f"Received: depth={config.depth}. Allowed: 1"
        )
    channels = CHANNELS[config.flavour]
    if config.width != STEM:
        channels = channels.scaled(config.width / STEM)
    style = blocks.Style("relu6", config.bn_momentum, config.bn_epsilon, symmetric=True)
    b = GraphBuilder(config.input_shape)
    x = blocks.conv_bn(b, "stem", "input", style, channels.stem, kernel=3, strides=2)
    x = blocks.separable(b, "blocks.0", x, style, channels.first, kernel=arch.first)
    for index, layer in enumerate(layers(arch, channels), start=1):
        x = _add_layer(b, f"blocks.{index}", x, layer, style)
    x = blocks.conv_bn(b, "head", x, style, channels.head)
    x = b.global_avg_pool("head.pool", x)
    if channels.dropout:
        x = b.dropout("head.dropout", x, channels.dropout)
    return b.finish(b.dense("head.dense", x, config.classes), features="head.pool")


def _add_layer(b: GraphBuilder, name: str, x: str, layer: Layer, style: blocks.Style) -> str:
    if layer.op == SKIP:
        return x
    kernel, expansion = window(layer.op)
    y = blocks.mbconv(
        b,
        name,
        x,
        style,
        layer.outputs,
        kernel=kernel,
        strides=layer.strides,
        expanded=layer.inputs * expansion,
    )
    return b.add(f"{name}.add", [y, x]) if layer.residual else y
