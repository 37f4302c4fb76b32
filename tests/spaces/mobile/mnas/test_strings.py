"""Block strings, both ways, and the layers that they stand for."""

import json
import re

import numpy as np
import pytest

import spaces
from spaces.mobile.mnas import strings
from spaces.mobile.mnas.strings import Block, Layer, MnasNet
from tfnas.errors import InputError

SPACE = spaces.get("mnas")


class TestBlocks:
    def test_every_field_is_in_the_string(self):
        block = Block(3, 5, 2, 4, 24, 40, 0.25, "none")
        assert str(block) == "r3_k5_s22_e4_i24_o40_se0.25_noskip"
        assert strings.parse_block(str(block)) == block
        block = Block(1, 3, 1, 1, 24, 24, skip="pool", operation="conv")
        assert str(block) == "r1_k3_s11_e1_i24_o24_poolskip_conv"
        assert strings.parse_block(f" {block}\n") == block

    def test_order_of_tokens_is_free(self):
        assert strings.parse_block("noskip_se0.5_o40_i24_e4_s22_k5_r3") == Block(3, 5, 2, 4, 24, 40, 0.5, "none")

    @pytest.mark.parametrize("ratio", ["0.25", "0.5", "0.0625", "1.0"])
    def test_ratios_are_printed_as_the_published_code_prints_them(self, ratio):
        text = f"r1_k3_s11_e6_i8_o8_se{ratio}"
        assert str(strings.parse_block(text)) == text == f"r1_k3_s11_e6_i8_o8_se{float(ratio)}"

    @pytest.mark.parametrize("wrong", ["", "r1", "r1_k3_s3_e1_i8_o8", "r1_k3_s11_e1_i8_o8_se2", "r1_k3_s11_e1_i8_o8_x"])
    def test_refusals_are_one_line(self, wrong):
        with pytest.raises(InputError, match=f"Received: {re.escape(repr(wrong))}. Allowed: ") as error:
            strings.parse_block(wrong)
        assert "\n" not in str(error.value)


class TestLayers:
    def test_the_first_layer_has_the_stride_and_the_change_of_channels(self):
        first, *others = Block(3, 5, 2, 4, 16, 40, 0.25).unrolled()
        assert first == Layer("mbconv", 5, 2, 4, 16, 40, squeezed=4, skip="none")
        assert others == [Layer("mbconv", 5, 1, 4, 40, 40, squeezed=10, skip="identity")] * 2

    def test_squeezed_channels_are_one_at_least_and_none_without_a_ratio(self):
        assert Block(1, 3, 1, 6, 3, 8, 0.25).unrolled()[0].squeezed == 1
        assert Block(1, 3, 1, 6, 3, 8).unrolled()[0].squeezed == 0

    def test_words(self):
        words = [layer.op for layer in strings.parse(EXAMPLE).unrolled()]
        assert words == ["sepconv_3x3", "conv_3x3_se", "conv_3x3_se", "mbconv3_5x5", *["mbconv6_3x3"] * 4]


EXAMPLE = (
    "r1_k3_s11_e1_i32_o16|r2_k3_s22_e1_i16_o24_se0.25_poolskip_conv|r1_k5_s22_e3_i24_o40|r1_k3_s22_e6_i40_o80|"
    "r1_k3_s11_e6_i80_o96|r1_k3_s22_e6_i96_o192|r1_k3_s11_e6_i192_o320"
)


def test_rounding_by_hand():
    """Nearest multiple of 8, at least 8, never below nine tenths."""
    cases = {(32, 0.5): 16, (16, 0.5): 8, (24, 0.5): 16, (16, 0.1): 8, (32, 1.3): 40, (36, 1.0): 40, (24, 0.75): 24}
    assert {key: strings.round_filters(*key) for key in cases} == cases


def test_scaling_keeps_blocks_linked():
    arch = strings.parse(EXAMPLE).scaled(0.3)
    assert strings.parse(str(arch)) == arch
    assert isinstance(arch, MnasNet)


def test_golden_block_strings(shared):
    for name, entry in json.loads((shared / "golden/spaces/mnasnet.json").read_text()).items():
        for text in entry.get("blocks", ()):
            assert str(strings.parse_block(text)) == text, name
        if "blocks" in entry and name != "mnasnet-small":  # whose first block contradicts its stem, not its string
            joined = "|".join(entry["blocks"])
            assert str(SPACE.parse(joined)) == joined


def test_samples_are_strings_that_differ_where_they_do():
    rng = np.random.default_rng(0)
    drawn = {SPACE.sample(rng) for _ in range(200)}
    assert len({str(arch) for arch in drawn}) == len(drawn)
