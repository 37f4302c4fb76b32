"""The networks of the MNAS space.

Source: Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile" (CVPR 2019), and the published
mnasnet_model.py of tensorflow/tpu (models/official/mnasnet): stem of a 3x3 convolution of stride 2, layers, head of a
1x1 convolution to 1,280 channels, mean over the pixels, dropout of 0.2, dense layer. All activations are ReLU, all
padding TensorFlow's 'same'. Layer i of the network is the block of nodes `blocks.{i}`; the published variables of that
layer are in the scope `mnas_blocks_{i}`.

Of our own making, for no code is published: regular convolutions are convolution, BN, ReLU and then
squeeze-and-excitation if any; a pooled skip is as in :func:`spaces.mobile.blocks.skip`; all skips, not those of MBConv
layers alone, need the same channels before and after, and the identity stride 1.
"""

from __future__ import annotations

from spaces.base import NetworkConfig
from spaces.mobile import blocks
from spaces.mobile.mnas.strings import Layer, MnasNet
from tfnas.errors import InputError
from tfnas.networks.builder import GraphBuilder
from tfnas.networks.graph import Graph

# Of MnasNet-Small no value is dropped.
FLAVOURS = ("mnasnet", "mnasnet_small")
STEM = 32
HEAD = 1280
DROPOUT = {"mnasnet": 0.2, "mnasnet_small": 0.0}


def mnas_graph(arch: MnasNet, config: NetworkConfig) -> Graph:
    """The network of an architecture.

    Args:
        arch: the architecture.
        config: network constants. A width of 32 takes channels as the architecture tells them; with another, all but
            the head's 1,280 are scaled by width / 32 and rounded as the published depth multiplier does.

    Raises:
        InputError: a depth other than 1, for the architecture tells how many layers there are.
    """
    if config.depth != 1:
        raise InputError(
            f"The layers of a MnasNet are fixed by its architecture. Received: depth={config.depth}. Allowed: 1"
        )
    if config.width != STEM:
        arch = arch.scaled(config.width / STEM)
    style = blocks.Style("relu", config.bn_momentum, config.bn_epsilon)
    b = GraphBuilder(config.input_shape)
    x = blocks.conv_bn(b, "stem", "input", style, arch.blocks[0].inputs, kernel=3, strides=2)
    for index, layer in enumerate(arch.unrolled()):
        x = add_layer(b, f"blocks.{index}", x, layer, style)
    x = blocks.conv_bn(b, "head", x, style, HEAD)
    x = b.global_avg_pool("head.pool", x)
    if rate := DROPOUT[config.flavour]:
        x = b.dropout("head.dropout", x, rate)
    return b.finish(b.dense("head.dense", x, config.classes), features="head.pool")


def add_layer(b: GraphBuilder, name: str, x: str, layer: Layer, style: blocks.Style) -> str:
    """Adds one layer with what passes by it, and returns the name of its last node."""
    window = {"kernel": layer.kernel, "strides": layer.strides, "squeezed": layer.squeezed}
    if layer.operation == "conv":
        y = blocks.conv_block(b, name, x, style, layer.outputs, **window)
    elif layer.expansion == 1:
        y = blocks.separable(b, name, x, style, layer.outputs, **window)
    else:
        y = blocks.mbconv(b, name, x, style, layer.outputs, expanded=layer.inputs * layer.expansion, **window)
    return blocks.skip(b, name, x, y, layer.skip, strides=layer.strides)
