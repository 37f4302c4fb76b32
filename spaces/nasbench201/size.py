"""The size search space of NATS-Bench: one cell, five widths.

Source: Dong, Liu, Musial and Gabrys, "NATS-Bench" (TPAMI 2021). An architecture "c1:c2:c3:c4:c5" gives the output
channels of cell, reduction, cell, reduction, cell (the stem has c1), each a multiple of 8 up to 64.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from spaces.base import Architecture, NetworkConfig, Space
from spaces.nasbench201 import network
from tfnas.errors import InputError
from tfnas.networks.graph import Graph
from tfnas.predictor.graphs import Graphs, equal_chains

if TYPE_CHECKING:
    import networkx

WIDTHS = tuple(range(8, 65, 8))
# |nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|
CELL = ("nor_conv_3x3", "nor_conv_3x3", "nor_conv_3x3", "skip_connect", "nor_conv_3x3", "nor_conv_3x3")
_BLOCKS = ("cell", "reduction", "cell", "reduction", "cell")


@dataclasses.dataclass(frozen=True)
class Widths(Architecture):
    """Output channels of the five blocks."""

    widths: tuple[int, ...]

    def __str__(self) -> str:
        return ":".join(map(str, self.widths))


class NASBench201Size(Space[Widths]):
    """The size search space."""

    name = "nasbench201_size"
    published = NetworkConfig(
        width=0,
        depth=1,
        classes=10,
        input_shape=(32, 32, 3),
        bn_momentum=0.9,
        bn_epsilon=1e-5,
        flavour="tiny",
    )
    flavours = ("tiny",)
    size = len(WIDTHS) ** len(_BLOCKS)
    min_width = 0
    operations = ("input", *(f"{block}_{width}" for block in ("cell", "reduction") for width in WIDTHS), "output")

    def sample(self, rng: np.random.Generator) -> Widths:
        return Widths(tuple(WIDTHS[i] for i in rng.integers(len(WIDTHS), size=len(_BLOCKS))))

    def parse(self, text: str) -> Widths:
        fields = text.strip().split(":")
        allowed = f"{len(_BLOCKS)} of {', '.join(map(str, WIDTHS))} joined by ':'"
        if len(fields) != len(_BLOCKS):
            raise InputError(f"{len(fields)} widths instead of {len(_BLOCKS)}. Received: {text!r}. Allowed: {allowed}")
        for field in fields:
            if field not in map(str, WIDTHS):
                raise InputError(f"{field!r} is no width of the space. Received: {text!r}. Allowed: {allowed}")
        return Widths(tuple(map(int, fields)))

    def mutate(self, arch: Widths, rng: np.random.Generator) -> Widths:
        """One width, all five equally likely, drawn anew from all eight: one child in eight is its parent.

        This is the rule of the benchmark's regularised evolution.
        """
        return _replace(arch, int(rng.integers(len(_BLOCKS))), WIDTHS[rng.integers(len(WIDTHS))])

    def neighbors(self, arch: Widths) -> list[Widths]:
        return [
            _replace(arch, block, width)
            for block in range(len(_BLOCKS))
            for width in WIDTHS
            if width != arch.widths[block]
        ]

    def canonical(self, arch: Widths) -> str:
        """The string itself: no two architectures are the same network."""
        return str(arch)

    def graph(self, arch: Widths) -> networkx.DiGraph:
        """A chain: 0 is the input, 1 to 5 the blocks with operations like "cell_16", 6 the output."""
        import networkx

        blocks = [f"{block}_{width}" for block, width in zip(_BLOCKS, arch.widths, strict=True)]
        out = networkx.DiGraph(arch=str(arch))
        for node, op in enumerate(("input", *blocks, "output")):
            out.add_node(node, op=op)
        networkx.add_path(out, range(len(blocks) + 2))
        return out

    def encode(self, arch: Widths) -> np.ndarray:
        """One-hot widths, block after block: [40]."""
        rows = [WIDTHS.index(width) for width in arch.widths]
        return np.eye(len(WIDTHS), dtype=np.float32)[rows].ravel()

    def features(self, archs: Sequence[Widths | str]) -> Graphs:
        """The chain of `graph`, one-hot over input, a cell's and a reduction's eight widths, output: [N, 7, 18]."""
        rows = np.array([[WIDTHS.index(width) for width in arch.widths] for arch in self.parsed(archs)], int)
        kinds = np.array([len(WIDTHS) * (block == "reduction") for block in _BLOCKS])
        nodes = np.zeros((len(rows), len(_BLOCKS) + 2, len(self.operations)), np.uint8)
        nodes[:, 0, 0] = nodes[:, -1, -1] = 1
        nodes[:, 1:-1, 1:-1] = np.eye(2 * len(WIDTHS), dtype=np.uint8)[rows.reshape(-1, len(_BLOCKS)) + kinds]
        return equal_chains(nodes)

    def enumerate(self) -> Iterator[Widths]:
        return map(Widths, itertools.product(WIDTHS, repeat=len(_BLOCKS)))

    def at(self, index: int) -> Widths:
        """The architecture with an index of the benchmark: counting in base 8, last width fastest.

        Raises:
            InputError: the index is out of range.
        """
        if not 0 <= index < self.size:
            raise InputError(f"An index of {self.name} lies in [0, {self.size}). Received: {index}")
        places = reversed(range(len(_BLOCKS)))
        return Widths(tuple(WIDTHS[index // len(WIDTHS) ** place % len(WIDTHS)] for place in places))

    def index(self, arch: Widths) -> int:
        """The benchmark's index of an architecture."""
        return functools.reduce(lambda code, width: code * len(WIDTHS) + WIDTHS.index(width), arch.widths, 0)

    def _network(self, arch: Widths, config: NetworkConfig) -> Graph:
        if config.depth != 1:
            raise InputError(f"A network of {self.name} has one cell in each stage. Received: depth={config.depth}")
        return network.chain_graph(CELL, arch.widths, config)


def _replace(arch: Widths, block: int, width: int) -> Widths:
    return Widths((*arch.widths[:block], width, *arch.widths[block + 1 :]))
