"""Architectures of the ProxylessNAS space as strings and as rows of numbers.

An architecture is the kernel of the first, separable layer and the operations of the 21 layers behind it, in their six
blocks:

    k3e1|k5e3:k3e3:skip:skip|k7e3:k3e3:k5e3:k5e3|k7e6:k5e3:k5e3:k5e3|k5e6:k5e3:k5e3:k5e3|k7e6:k7e6:k7e3:k7e3|k7e6

`k5e3` is an inverted residual (MBConv) of a 5x5 window and expansion 3; `skip` leaves a layer out. The first layer of a
block, which changes channels or resolution, cannot be left out.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from spaces.base import Architecture
from tfnas.errors import InputError

KERNELS = (3, 5, 7)
EXPANSIONS = (3, 6)
SKIP = "skip"
# In the order of the published code.
OPS = (*(f"k{kernel}e{expansion}" for kernel in KERNELS for expansion in EXPANSIONS), SKIP)
LAYERS = (4, 4, 4, 4, 4, 1)
# Layers that are the first of their block.
FIRST = tuple(sum(LAYERS[:block]) for block in range(len(LAYERS)))
CHOICES = tuple(OPS[:-1] if layer in FIRST else OPS for layer in range(sum(LAYERS)))
_SEPARABLE = {f"k{kernel}e1": kernel for kernel in KERNELS}
_ALLOWED = f"{' or '.join(_SEPARABLE)}, then {len(LAYERS)} blocks of {', '.join(map(str, LAYERS))} of {', '.join(OPS)}"


@dataclasses.dataclass(frozen=True)
class ProxylessNet(Architecture):
    """A network of the space.

    Attributes:
        ops: of the 21 layers, each of `OPS`.
        first: kernel of the separable layer before them.
    """

    ops: tuple[str, ...]
    first: int = 3

    def __str__(self) -> str:
        return "|".join([f"k{self.first}e1", *map(":".join, self.blocks())])

    def blocks(self) -> list[tuple[str, ...]]:
        """The operations of each block."""
        return [self.ops[start : start + count] for start, count in zip(FIRST, LAYERS, strict=True)]

    def skips_last(self) -> ProxylessNet:
        """The same function with the layers that are left out at the end of each block."""
        ordered = (sorted(block, key=lambda op: op == SKIP) for block in self.blocks())
        return dataclasses.replace(self, ops=tuple(itertools.chain(*ordered)))


def window(op: str) -> tuple[int, int]:
    """(kernel, expansion) of an operation that is no skip."""
    return int(op[1]), int(op[3])


def parse(text: str) -> ProxylessNet:
    """The architecture of a string.

    Raises:
        InputError: another number of blocks or layers, an unknown operation, or a skip where a block begins.
    """
    separable, *blocks = text.strip().split("|")
    try:
        if separable not in _SEPARABLE:
            raise ValueError(f"the first layer is {', '.join(_SEPARABLE)}, not {separable!r}")
        if len(blocks) != len(LAYERS):
            raise ValueError(f"{len(blocks)} blocks instead of {len(LAYERS)}")
        ops: list[str] = []
        for number, (block, count) in enumerate(zip(blocks, LAYERS, strict=True), start=1):
            layers = block.split(":")
            if len(layers) != count:
                raise ValueError(f"block {number} has {len(layers)} layers instead of {count}")
            for op in layers:
                if op not in OPS:
                    raise ValueError(f"block {number} has {op!r}, which is no operation")
            if layers[0] == SKIP:
                raise ValueError(f"the first layer of block {number} cannot be left out")
            ops += layers
    except ValueError as error:
        raise InputError(f"No ProxylessNAS architecture: {error}. Received: {text!r}. Allowed: {_ALLOWED}") from error
    return ProxylessNet(tuple(ops), _SEPARABLE[separable])


def to_codes(archs: Sequence[ProxylessNet]) -> np.ndarray:
    """Architectures as rows [N, 22] uint8: index in `KERNELS` of the first layer, then those in `OPS` of the others."""
    places = {op: index for index, op in enumerate(OPS)}
    rows = [[KERNELS.index(arch.first), *map(places.__getitem__, arch.ops)] for arch in archs]
    return np.array(rows, np.uint8).reshape(-1, 1 + len(CHOICES))


def from_codes(codes: np.ndarray) -> list[ProxylessNet]:
    """The inverse of :func:`to_codes`."""
    return [ProxylessNet(tuple(OPS[code] for code in row), KERNELS[first]) for first, *row in codes.tolist()]
