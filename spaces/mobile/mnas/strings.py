"""Architectures of the MNAS space, and the strings of the published code that stand for their blocks.

Source: tensorflow/tpu, models/official/mnasnet, mnasnet_models.py. A block is written

    r{layers}_k{kernel}_s{stride}{stride}_e{expansion}_i{inputs}_o{outputs}[_se{ratio}][_noskip]

and stands for MBConv layers of which the first has the stride and goes from `inputs` to `outputs` channels. An
expansion of 1 has no expanding convolution: that is the depthwise-separable convolution. The published code can write
no more than that. Two tokens of our own at the end stand for what the paper has besides: `poolskip` for an average of
the input that passes by each layer in place of the input itself, and `conv` for regular convolutions, which need e1.

An architecture is seven blocks joined by '|', each reading the channels of the one before it; the first reads the stem.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence

from spaces.base import Architecture
from spaces.mobile.blocks import round_filters, skipped
from tfnas.errors import InputError

BLOCKS = 7
KERNELS = (3, 5, 7)
_SKIP_TOKENS = {"noskip": "none", "poolskip": "pool"}
_TOKEN = re.compile("(se|[rkseio])([0-9.]+)")
_RATIO = re.compile("0|(0|1)[.][0-9]{1,4}|1")
_NAMES = {"r": "layers", "k": "kernel", "s": "strides", "e": "expansion", "i": "inputs", "o": "outputs"}
_ALLOWED = f"{BLOCKS} blocks like r2_k3_s22_e6_i16_o24_se0.25_noskip, joined by '|'"


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of a block, as it is built.

    Attributes:
        operation: mbconv (depthwise-separable where expansion is 1) or conv.
        kernel: size of its window.
        strides: 1 or 2.
        expansion: channels of the depthwise convolution for each input channel.
        inputs, outputs: channels.
        squeezed: channels between the convolutions of squeeze-and-excitation; 0: there is none.
        skip: what passes by it, after channels and stride have had their say.
    """

    operation: str
    kernel: int
    strides: int
    expansion: int
    inputs: int
    outputs: int
    squeezed: int
    skip: str

    @property
    def op(self) -> str:
        """Operation, expansion, kernel and squeeze-and-excitation in a word: "mbconv6_3x3_se"."""
        kind = self.operation
        if kind == "mbconv":
            kind = f"mbconv{self.expansion}" if self.expansion != 1 else "sepconv"
        return f"{kind}_{self.kernel}x{self.kernel}{'_se' if self.squeezed else ''}"


@dataclasses.dataclass(frozen=True)
class Block:
    """Layers with the same choices.

    Attributes:
        layers: how many.
        kernel: size of their windows.
        strides: of the first layer, 1 or 2; the others have 1.
        expansion: channels of the depthwise convolution for each input channel; 1 for regular convolutions.
        inputs: channels that the first layer reads.
        outputs: channels that each layer gives.
        se_ratio: channels between the convolutions of squeeze-and-excitation for each input of the layer; 0: none.
        skip: one of `spaces.mobile.blocks.SKIPS`.
        operation: mbconv or conv.
    """

    layers: int
    kernel: int
    strides: int
    expansion: int
    inputs: int
    outputs: int
    se_ratio: float = 0.0
    skip: str = "identity"
    operation: str = "mbconv"

    def __str__(self) -> str:
        tokens = [f"r{self.layers}", f"k{self.kernel}", f"s{self.strides}{self.strides}", f"e{self.expansion}"]
        tokens += [f"i{self.inputs}", f"o{self.outputs}"] + [f"se{self.se_ratio}"] * (self.se_ratio > 0)
        tokens += [token for token, skip in _SKIP_TOKENS.items() if skip == self.skip]
        return "_".join(tokens + ["conv"] * (self.operation == "conv"))

    def unrolled(self) -> list[Layer]:
        """Its layers, in order."""
        ways = [(self.strides, self.inputs)] + [(1, self.outputs)] * (self.layers - 1)
        return [
            Layer(
                operation=self.operation,
                kernel=self.kernel,
                strides=strides,
                expansion=self.expansion,
                inputs=inputs,
                outputs=self.outputs,
                squeezed=max(1, int(inputs * self.se_ratio)) if self.se_ratio else 0,
                skip=skipped(self.skip, strides, inputs, self.outputs),
            )
            for strides, inputs in ways
        ]

    def scaled(self, multiplier: float) -> Block:
        """The block with its channels rounded as :func:`spaces.mobile.blocks.round_filters` does."""
        inputs, outputs = (round_filters(filters, multiplier) for filters in (self.inputs, self.outputs))
        return dataclasses.replace(self, inputs=inputs, outputs=outputs)


@dataclasses.dataclass(frozen=True)
class MnasNet(Architecture):
    """Seven blocks; the stem has the channels that the first one reads."""

    blocks: tuple[Block, ...]

    def __str__(self) -> str:
        return "|".join(map(str, self.blocks))

    def unrolled(self) -> list[Layer]:
        """All layers between stem and head."""
        return [layer for block in self.blocks for layer in block.unrolled()]

    def scaled(self, multiplier: float) -> MnasNet:
        """The architecture with all channels rounded as :func:`spaces.mobile.blocks.round_filters` does."""
        return MnasNet(tuple(block.scaled(multiplier) for block in self.blocks))


def linked(blocks: Sequence[Block]) -> MnasNet:
    """The architecture of these blocks, each made to read the channels of the one before it."""
    found = [blocks[0]]
    for block in blocks[1:]:
        found.append(dataclasses.replace(block, inputs=found[-1].outputs))
    return MnasNet(tuple(found))


def parse(text: str) -> MnasNet:
    """The architecture of a string; the order of the tokens of a block is free, as in the published code.

    Raises:
        InputError: another number of blocks, a block that :func:`parse_block` refuses, or one that does not read the
            channels of the block before it.
    """
    parts = text.strip().split("|")
    try:
        if len(parts) != BLOCKS:
            raise ValueError(f"{len(parts)} blocks instead of {BLOCKS}")
        blocks = tuple(_block(f"block {number}", part) for number, part in enumerate(parts, start=1))
        for number, (before, block) in enumerate(itertools.pairwise(blocks), start=2):
            if block.inputs != before.outputs:
                raise ValueError(
                    f"block {number} reads {block.inputs} channels, but block {number - 1} gives {before.outputs}"
                )
    except ValueError as error:
        raise InputError(f"No MNAS architecture: {error}. Received: {text!r}. Allowed: {_ALLOWED}") from error
    return MnasNet(blocks)


def parse_block(text: str) -> Block:
    """The block of a string.

    Raises:
        InputError: an unknown, missing or repeated token, or a value that no block can have.
    """
    try:
        return _block("the block", text.strip())
    except ValueError as error:
        raise InputError(f"No MNAS block: {error}. Received: {text!r}. Allowed: {_ALLOWED}") from error


def _block(which: str, text: str) -> Block:
    values: dict[str, str] = {}
    for token in text.split("_"):
        key, value = ("skip", _SKIP_TOKENS[token]) if token in _SKIP_TOKENS else ("operation", token)
        if match := _TOKEN.fullmatch(token):
            key, value = match.groups()
        elif key == "operation" and token != "conv":
            raise ValueError(f"{which} has {token!r}, which is no token")
        if key in values:
            raise ValueError(f"{which} tells its {_NAMES.get(key, key)} twice")
        values[key] = value
    if missing := [key for key in _NAMES if key not in values]:
        raise ValueError(f"{which} does not tell its {_NAMES[missing[0]]} ('{missing[0]}')")
    if values["s"] not in ("11", "22"):
        raise ValueError(f"the strides of {which} are s11 or s22, not 's{values['s']}'")
    ratio = values.get("se", "0.0")
    if not _RATIO.fullmatch(ratio) or not ("se" not in values or 0 < float(ratio) <= 1):
        raise ValueError(
            f"the squeeze-and-excitation ratio of {which} lies above 0 and not above 1, with four decimals at most, "
            f"not 'se{ratio}'"
        )
    numbers = {name: _count(which, key, values[key]) for key, name in _NAMES.items() if key != "s"}
    if numbers["kernel"] not in KERNELS:
        raise ValueError(f"the kernel of {which} is {', '.join(map(str, KERNELS))}, not {numbers['kernel']}")
    operation = values.get("operation", "mbconv")
    if operation == "conv" and numbers["expansion"] != 1:
        raise ValueError(f"{which} is of regular convolutions, which need e1, not 'e{numbers['expansion']}'")
    return Block(
        **numbers,
        strides=int(values["s"][0]),
        se_ratio=float(ratio),
        skip=values.get("skip", "identity"),
        operation=operation,
    )


def _count(which: str, key: str, value: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,4}", value):
        raise ValueError(f"the {_NAMES[key]} of {which} must be a number of 1 or more, not '{key}{value}'")
    return int(value)
