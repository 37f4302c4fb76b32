"""MNAS: factorised hierarchical; the layers of a block share their choices, blocks differ.

Source: Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile" (CVPR 2019), section 4.1. Each block
chooses its convolution, kernel (3 or 5), squeeze-and-excitation ratio (0 or 0.25), skip (pooling, identity, none),
output channels (0.75, 1 or 1.25 times those of MobileNetV2) and number of layers (one less, as many or one more than
MobileNetV2). Strides and the stem of 32 channels are fixed. `strings` tells how architectures are written.

Where the paper leaves a choice open, the space that is registered and the options of :class:`Mnas`:

* Blocks. The figures of the paper have seven, and "about 10^13" architectures is 432^5. Seven are searched here;
  `searched=5` searches those of several layers (2, 3, 4, 3, 3: the three layers a block of the paper's estimate) and
  leaves the first and the last as MobileNetV2 has them.
* Convolutions. The paper names three, regular, depthwise-separable and MBConv, which gives 324 choices for a block, but
  counts 432: that takes four, so MBConv with expansion 3 and 6, which are those of the published networks.
  `expansions=(6,)` gives 324.
* Channels. Multiples above 64 are rounded down to one of 16, which gives the 112 and 192 of the published A1 and B1;
  `exact=True` takes them as they are.
* A block of one layer cannot have one less: it has 1 or 2.

Any architecture of seven blocks that `strings` can write is one of the space as far as networks, children and
neighbours go, so published networks with other expansions or channels are, too; `sample` and `enumerate` give those of
the choices alone, and `size` counts these.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spaces.base import NetworkConfig, Space
from spaces.mobile.blocks import SKIPS
from spaces.mobile.mnas import network, strings
from spaces.mobile.mnas.strings import BLOCKS, Block, MnasNet
from tfnas.errors import InputError
from tfnas.networks.graph import Graph
from tfnas.predictor.graphs import Graphs, of_chains

if TYPE_CHECKING:
    import networkx

# MobileNetV2: channels, layers and stride of each block.
BASE = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
MULTIPLES = (0.75, 1.0, 1.25)

# The choices of a block: for each the values that it may have, as changes of a block.
Choices = tuple[tuple[dict[str, Any], ...], ...]


class Mnas(Space[MnasNet]):
    """The space.

    Args:
        searched: blocks that are searched, 7 or 5.
        expansions: of the MBConv layers.
        exact: whether channels are the exact multiples.

    Attributes:
        searched: indices of the blocks that are searched.
        choices: for each block its choices (convolution, kernel, squeeze-and-excitation, skip, channels, layers), each
            as the changes of a block that its values are.

    Raises:
        InputError: an option that is not one of these.
    """

    name = "mnas"
    published = NetworkConfig(
        width=network.STEM,
        depth=1,
        classes=1000,
        input_shape=(224, 224, 3),
        bn_momentum=0.99,
        bn_epsilon=1e-3,
        flavour="mnasnet",
        stages=BLOCKS,
    )
    flavours = network.FLAVOURS
    init = "mnas"

    def __init__(self, searched: int = 7, expansions: Sequence[int] = (3, 6), exact: bool = False) -> None:
        if searched not in (5, 7):
            raise InputError(f"Blocks that are searched. Received: {searched}. Allowed: 5, 7")
        if not expansions or min(expansions) < 2 or len(set(expansions)) != len(expansions):
            raise InputError(f"Expansions of MBConv. Received: {tuple(expansions)}. Allowed: different ones above 1")
        fixed = (BLOCKS - searched) // 2
        self.searched = range(fixed, BLOCKS - fixed)
        operations = [("conv", 1), ("mbconv", 1), *(("mbconv", expansion) for expansion in expansions)]
        shared: Choices = (
            tuple({"operation": operation, "expansion": expansion} for operation, expansion in operations),
            _values("kernel", 3, 5),
            _values("se_ratio", 0.0, 0.25),
            _values("skip", *SKIPS),
        )
        self.choices: list[Choices] = [
            (*shared, _values("outputs", *_channels(filters, exact)), _values("layers", *_depths(layers)))
            for filters, layers, _ in BASE
        ]

    @property
    def size(self) -> int:
        """Architectures of the choices: 432^5 * 288^2, about 1.2e18, as registered."""
        return math.prod(len(values) for index in self.searched for values in self.choices[index])

    def sample(self, rng: np.random.Generator) -> MnasNet:
        """Every choice of every block independent and uniform."""
        changes = [[values[rng.integers(len(values))] for values in self.choices[index]] for index in self.searched]
        return self._chosen(changes)

    def parse(self, text: str) -> MnasNet:
        return strings.parse(text)

    def mutate(self, arch: MnasNet, rng: np.random.Generator) -> MnasNet:
        """One choice of one block becomes another one; blocks, choices and other values are equally likely."""
        index = int(rng.choice(self.searched))
        choices = self.choices[index]
        others = _changed(arch, index, choices[rng.integers(len(choices))])
        return others[rng.integers(len(others))]

    def neighbors(self, arch: MnasNet) -> list[MnasNet]:
        """Architectures with one choice of one block changed; several may be one network."""
        return [
            child
            for index in self.searched
            for values in self.choices[index]
            for child in _changed(arch, index, values)
        ]

    def canonical(self, arch: MnasNet) -> str:
        """The layers as they are built.

        Skips that no layer of a block can have are left out, and it does not matter which of two equal blocks in a row
        has how many of their layers.
        """
        return "|".join(
            f"{layer.op}_s{layer.strides}_i{layer.inputs}_o{layer.outputs}_q{layer.squeezed}_{layer.skip}"
            for layer in arch.unrolled()
        )

    def graph(self, arch: MnasNet) -> networkx.DiGraph:
        """A chain of layers with operations like "mbconv6_3x3_se"; `filters`, `strides` and `skip` beside `op`."""
        import networkx

        layers = arch.unrolled()
        out = networkx.DiGraph(arch=str(arch))
        out.add_node(0, op="input")
        for node, layer in enumerate(layers, start=1):
            out.add_node(node, op=layer.op, filters=layer.outputs, strides=layer.strides, skip=layer.skip)
        out.add_node(len(layers) + 1, op="output")
        networkx.add_path(out, range(len(layers) + 2))
        return out

    def encode(self, arch: MnasNet) -> np.ndarray:
        """Nine numbers for each block, most of them near 1: [63].

        Whether it is of regular convolutions, expansion / 6, kernel / 5, 4 times the squeeze-and-excitation ratio,
        whether the identity passes, whether a pooling passes, stride - 1, channels and layers over MobileNetV2's.
        """
        rows = [
            (
                block.operation == "conv",
                block.expansion / 6,
                block.kernel / 5,
                4 * block.se_ratio,
                block.skip == "identity",
                block.skip == "pool",
                block.strides - 1,
                block.outputs / filters,
                block.layers / layers,
            )
            for block, (filters, layers, _) in zip(arch.blocks, BASE, strict=True)
        ]
        return np.array(rows, np.float32).ravel()

    def features(self, archs: Sequence[MnasNet | str]) -> Graphs:
        """The chain of the layers as they are built, nine numbers near 1 for each: [N, V, 9].

        Whether it is a regular convolution, expansion / 6, kernel / 5, whether it squeezes, whether the identity
        passes, whether a pooling passes, stride - 1, and its channels before and after over 320.
        """
        return of_chains([_layer_features(arch) for arch in self.parsed(archs)])

    def residual_connections(self, arch: MnasNet) -> int:
        """Layers that their input passes by unchanged."""
        return sum(layer.skip == "identity" for layer in arch.unrolled())

    def enumerate(self) -> Iterator[MnasNet]:
        """Every combination of the choices, the last ones changing fastest; the publication has no order."""
        blocks = [list(itertools.product(*self.choices[index])) for index in self.searched]
        return map(self._chosen, itertools.product(*blocks))

    def _chosen(self, changes: Sequence[Sequence[dict[str, Any]]]) -> MnasNet:
        """The architecture of the choices of all blocks that are searched, MobileNetV2's in the others."""
        found = list(_MOBILENET_V2)
        for index, parts in zip(self.searched, changes, strict=True):
            for change in parts:
                found[index] = dataclasses.replace(found[index], **change)
        return strings.linked(found)

    def _network(self, arch: MnasNet, config: NetworkConfig) -> Graph:
        return network.mnas_graph(arch, config)


def _base_blocks() -> Iterator[Block]:
    inputs = network.STEM
    for index, (outputs, layers, strides) in enumerate(BASE):
        yield Block(layers, 3, strides, 6 if index else 1, inputs, outputs, skip="identity" if index else "none")
        inputs = outputs


_MOBILENET_V2 = tuple(_base_blocks())


def _layer_features(arch: MnasNet) -> np.ndarray:
    rows = [
        (
            layer.operation == "conv",
            layer.expansion / 6,
            layer.kernel / 5,
            layer.squeezed > 0,
            layer.skip == "identity",
            layer.skip == "pool",
            layer.strides - 1,
            layer.inputs / 320,
            layer.outputs / 320,
        )
        for layer in arch.unrolled()
    ]
    return np.array(rows, np.float32)


def _values(name: str, *values: Any) -> tuple[dict[str, Any], ...]:
    return tuple({name: value} for value in values)


def _channels(filters: int, exact: bool) -> list[int]:
    multiples = [int(filters * multiple) for multiple in MULTIPLES]
    return multiples if exact else [value if value <= 64 else value // 16 * 16 for value in multiples]


def _depths(layers: int) -> list[int]:
    return [depth for depth in (layers - 1, layers, layers + 1) if depth]


def _changed(arch: MnasNet, index: int, values: Sequence[dict[str, Any]]) -> list[MnasNet]:
    """Architectures with other values of one choice of one block."""
    blocks = arch.blocks
    changed = (dataclasses.replace(blocks[index], **change) for change in values)
    return [
        strings.linked([*blocks[:index], block, *blocks[index + 1 :]]) for block in changed if block != blocks[index]
    ]
