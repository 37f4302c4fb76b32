"""The blocks of mobile networks, one function each, on a graph under construction.

Sources: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018), for the inverted
residual (MBConv); Howard et al., "MobileNets" (2017), for the depthwise-separable convolution; Hu et al.,
"Squeeze-and-Excitation Networks" (CVPR 2018), here with the squeezed width given by the block's caller.

Every convolution has TensorFlow's 'same' padding, or that of PyTorch's networks where the style says so, and, but for
those of squeeze-and-excitation, no bias and batch normalisation (BN) behind it. Each function takes the builder, the
name in front of its nodes, the node to read and the style, and returns the name of its last node.
"""

from __future__ import annotations

import dataclasses

from tfnas.networks.builder import GraphBuilder

# What passes by a layer: its input, its input pooled, nothing.
SKIPS = ("identity", "pool", "none")


@dataclasses.dataclass(frozen=True)
class Style:
    """What all blocks of a network have in common.

    Attributes:
        activation: one of `tfnas.networks.activations.ACTIVATIONS`; mobile networks use relu, relu6, swish, hard_swish.
        bn_momentum: kept share of the old moving statistics (the Keras convention).
        bn_epsilon: added to the variance.
        symmetric: pad half a window on all four sides, as PyTorch's networks do; 'same' pads even maps at stride 2
            below and to the right more than above and to the left.
    """

    activation: str
    bn_momentum: float
    bn_epsilon: float
    symmetric: bool = False


def conv_bn(
    b: GraphBuilder,
    name: str,
    x: str,
    style: Style,
    filters: int,
    *,
    kernel: int = 1,
    strides: int = 1,
    activate: bool = True,
) -> str:
    """Convolution, BN and, unless it is to stay linear, the activation."""
    x, padding = _padded(b, name, x, style, kernel, strides)
    x = b.conv(f"{name}.conv", x, filters, kernel, strides=strides, padding=padding)
    return _bn(b, name, x, style, activate)


def depthwise_bn(b: GraphBuilder, name: str, x: str, style: Style, *, kernel: int, strides: int = 1) -> str:
    """Depthwise convolution, BN, activation."""
    x, padding = _padded(b, name, x, style, kernel, strides)
    x = b.depthwise_conv(f"{name}.conv", x, kernel, strides=strides, padding=padding)
    return _bn(b, name, x, style, activate=True)


def squeeze_excite(b: GraphBuilder, name: str, x: str, style: Style, squeezed: int) -> str:
    """Squeeze-and-excitation: every channel times a gate that the means of all channels decide.

    Mean over the pixels, 1x1 convolution with bias to `squeezed` channels, activation, 1x1 convolution with bias back
    to the channels of the map, sigmoid.
    """
    channels = b.shape(x)[-1]
    gate = b.reshape(f"{name}.map", b.global_avg_pool(f"{name}.mean", x), (1, 1, channels))
    gate = b.conv(f"{name}.squeeze", gate, squeezed, 1, use_bias=True)
    gate = b.activation(f"{name}.activation", gate, style.activation)
    gate = b.conv(f"{name}.excite", gate, channels, 1, use_bias=True)
    return b.multiply(f"{name}.multiply", x, b.activation(f"{name}.gate", gate, "sigmoid"))


def conv_block(
    b: GraphBuilder,
    name: str,
    x: str,
    style: Style,
    filters: int,
    *,
    kernel: int,
    strides: int = 1,
    squeezed: int = 0,
) -> str:
    """Regular convolution, BN, activation and, with `squeezed` above 0, squeeze-and-excitation."""
    x = conv_bn(b, f"{name}.regular", x, style, filters, kernel=kernel, strides=strides)
    return squeeze_excite(b, f"{name}.se", x, style, squeezed) if squeezed else x


def separable(
    b: GraphBuilder,
    name: str,
    x: str,
    style: Style,
    filters: int,
    *,
    kernel: int,
    strides: int = 1,
    squeezed: int = 0,
) -> str:
    """Depthwise-separable convolution: depthwise_bn, squeeze-and-excitation if any, linear 1x1 convolution and BN."""
    x = depthwise_bn(b, f"{name}.depthwise", x, style, kernel=kernel, strides=strides)
    if squeezed:
        x = squeeze_excite(b, f"{name}.se", x, style, squeezed)
    return conv_bn(b, f"{name}.project", x, style, filters, activate=False)


def mbconv(
    b: GraphBuilder,
    name: str,
    x: str,
    style: Style,
    filters: int,
    *,
    kernel: int,
    strides: int = 1,
    expanded: int,
    squeezed: int = 0,
) -> str:
    """Inverted residual without its sum: 1x1 convolution to `expanded` channels, BN, activation, then `separable`."""
    x = conv_bn(b, f"{name}.expand", x, style, expanded)
    return separable(b, name, x, style, filters, kernel=kernel, strides=strides, squeezed=squeezed)


def skipped(kind: str, strides: int, inputs: int, outputs: int) -> str:
    """What passes by a layer after all: a map of other channels cannot, and the input itself only at stride 1.

    Args:
        kind: what is wanted, one of `SKIPS`.
        strides: of the layer.
        inputs: channels that it reads.
        outputs: channels that it gives.
    """
    fits = inputs == outputs and (kind == "pool" or strides == 1)
    return kind if fits else "none"


def skip(b: GraphBuilder, name: str, x: str, y: str, kind: str, *, strides: int = 1) -> str:
    """The output y of a layer plus what passes by it: its input x, or x averaged over 3x3 pixels at its stride.

    No publication tells the pooling; the average keeps the way around the layer linear, as the identity is.
    """
    kind = skipped(kind, strides, b.shape(x)[-1], b.shape(y)[-1])
    if kind == "none":
        return y
    if kind == "pool":
        x = b.avg_pool(f"{name}.pool", x, 3, strides=strides, padding="same")
    return b.add(f"{name}.add", [y, x])


def round_filters(filters: int, multiplier: float) -> int:
    """Channels times a multiplier, to the nearest multiple of 8, but never down by more than a tenth.

    As the published code does for any multiplier, 1 included; without one it takes channels as they are.
    """
    scaled = filters * multiplier
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _padded(b: GraphBuilder, name: str, x: str, style: Style, kernel: int, strides: int) -> tuple[str, str]:
    """What a convolution reads, and how it pads that itself."""
    if not style.symmetric or strides == 1 or kernel == 1:
        return x, "same"
    return b.pad(f"{name}.pad", x, (kernel // 2,) * 4), "valid"


def _bn(b: GraphBuilder, name: str, x: str, style: Style, activate: bool) -> str:
    x = b.batch_norm(f"{name}.bn", x, momentum=style.bn_momentum, epsilon=style.bn_epsilon)
    return b.activation(f"{name}.activation", x, style.activation) if activate else x
