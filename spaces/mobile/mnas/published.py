"""The published MnasNets.

Source: tensorflow/tpu, models/official/mnasnet, mnasnet_models.py: the blocks as that code writes them, and the
channels of the stem.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from spaces.mobile.blocks import round_filters
from spaces.mobile.mnas.network import STEM
from spaces.mobile.mnas.strings import MnasNet, parse, parse_block
from tfnas.errors import InputError, unknown

BLOCKS = {
    "mnasnet-a1": (
        "r1_k3_s11_e1_i32_o16_noskip",
        "r2_k3_s22_e6_i16_o24",
        "r3_k5_s22_e3_i24_o40_se0.25",
        "r4_k3_s22_e6_i40_o80",
        "r2_k3_s11_e6_i80_o112_se0.25",
        "r3_k5_s22_e6_i112_o160_se0.25",
        "r1_k3_s11_e6_i160_o320",
    ),
    "mnasnet-b1": (
        "r1_k3_s11_e1_i32_o16_noskip",
        "r3_k3_s22_e3_i16_o24",
        "r3_k5_s22_e3_i24_o40",
        "r3_k5_s22_e6_i40_o80",
        "r2_k3_s11_e6_i80_o96",
        "r4_k5_s22_e6_i96_o192",
        "r1_k3_s11_e6_i192_o320_noskip",
    ),
    "mnasnet-small": (
        "r1_k3_s11_e1_i16_o8",
        "r1_k3_s22_e3_i8_o16",
        "r2_k3_s22_e6_i16_o16",
        "r4_k5_s22_e6_i16_o32_se0.25",
        "r3_k3_s11_e6_i32_o32_se0.25",
        "r3_k5_s22_e6_i32_o88_se0.25",
        "r1_k3_s11_e6_i88_o144",
    ),
    "mnasnet-d1": (
        "r1_k3_s11_e9_i32_o24",
        "r3_k3_s22_e9_i24_o36",
        "r5_k3_s22_e9_i36_o48",
        "r4_k5_s22_e9_i48_o96",
        "r5_k7_s11_e3_i96_o96",
        "r3_k3_s22_e9_i96_o80",
        "r1_k7_s11_e6_i80_o320_noskip",
    ),
    "mnasnet-d1-320": (
        "r3_k5_s11_e6_i32_o24",
        "r4_k7_s22_e9_i24_o36",
        "r5_k5_s22_e9_i36_o48",
        "r5_k7_s22_e6_i48_o96",
        "r5_k3_s11_e9_i96_o144",
        "r5_k5_s22_e6_i144_o160",
        "r1_k7_s11_e9_i160_o320",
    ),
}
STEMS = dict.fromkeys(BLOCKS, STEM) | {"mnasnet-small": 8}
FLAVOURS = dict.fromkeys(BLOCKS, "mnasnet") | {"mnasnet-small": "mnasnet_small"}


def named(name: str, multiplier: float | None = None) -> MnasNet:
    """A published network.

    Args:
        name: one of `BLOCKS`; "a1" will do for "mnasnet-a1". `FLAVOURS` tells the flavour of the network.
        multiplier: the published depth multiplier; None takes the channels as they are written, without rounding.

    Raises:
        InputError: an unknown name, or a multiplier that is not above 0.
    """
    key = name if name in BLOCKS else f"mnasnet-{name}"
    if key not in BLOCKS:
        raise unknown("MnasNet", name, BLOCKS)
    return official(BLOCKS[key], STEMS[key], multiplier)


def official(blocks: Sequence[str], stem: int = STEM, multiplier: float | None = None) -> MnasNet:
    """The architecture of a list of block strings as the published code has them, with the channels of its stem.

    The first block of MnasNet-Small says that it reads 16 channels where its stem gives 8. Nothing is built with the
    16, for it neither expands nor squeezes, but they keep the identity from passing. In an architecture every block
    reads what is there, so that block becomes i8 and noskip. The other way round, the blocks of an architecture are its
    `blocks`, each with its string.

    Args:
        blocks: seven of them.
        stem: channels of the stem.
        multiplier: as in :func:`named`.

    Raises:
        InputError: as `strings.parse`; first of all, channels that the first block needs and the stem does not give.
    """
    if multiplier is not None and not 0 < multiplier < float("inf"):
        raise InputError(f"A depth multiplier lies above 0. Received: {multiplier}")
    first, *rest = map(parse_block, blocks)
    if multiplier is not None:
        stem = round_filters(stem, multiplier)
        first, *rest = (block.scaled(multiplier) for block in (first, *rest))
    if first.inputs != stem:
        if first.expansion != 1 or first.se_ratio:
            raise InputError(f"The first block reads {first.inputs} channels. Received: a stem of {stem} channels")
        passes = first.inputs == first.outputs or stem != first.outputs
        first = dataclasses.replace(first, inputs=stem, skip=first.skip if passes else "none")
    return parse("|".join(map(str, (first, *rest))))
