"""The choices of the space: how many, how they are drawn and changed, and which make one network."""

import collections
import itertools
import math

import numpy as np
import pytest

import spaces
from spaces.mobile.mnas import published
from spaces.mobile.mnas.space import BASE, Mnas
from tfnas.errors import InputError

SPACE = spaces.get("mnas")
A1 = str(published.named("a1"))


def replaced(arch, index, block):
    return SPACE.parse("|".join(block if i == index else str(old) for i, old in enumerate(arch.blocks)))


class TestSize:
    def test_the_counts_of_the_paper(self):
        """432 = 4 convolutions * 2 kernels * 2 ratios * 3 skips * 3 widths * 3 depths."""
        assert Mnas(searched=5).size == 432**5 == pytest.approx(1.5e13, rel=0.01)
        assert Mnas(searched=5, expansions=(6,)).size == 324**5

    def test_blocks_of_one_layer_have_two_depths(self):
        assert SPACE.size == Mnas(searched=7).size == 432**5 * 288**2
        assert [len(choices[-1]) for choices in SPACE.choices] == [2, 3, 3, 3, 3, 3, 2]

    def test_enumeration_is_the_product_of_the_choices(self):
        small = Mnas(searched=5)
        small.choices = [tuple(values[:1] for values in choices) for choices in small.choices]
        small.choices[2] = Mnas(searched=5).choices[2]
        archs = list(small.enumerate())
        assert len(set(archs)) == len(archs) == small.size == 432
        assert {str(arch.blocks[0]) for arch in archs} == {"r1_k3_s11_e1_i32_o16_noskip"}
        assert {(arch.blocks[6].layers, arch.blocks[6].outputs) for arch in archs} == {(1, 320)}

    @pytest.mark.parametrize("options", [{"searched": 6}, {"expansions": ()}, {"expansions": (1, 6)}])
    def test_bad_options(self, options):
        with pytest.raises(InputError, match=r"Received: .*Allowed: ") as error:
            Mnas(**options)
        assert "\n" not in str(error.value)


class TestChoices:
    def test_channels(self):
        """Exact multiples, and those above 64 down to multiples of 16."""
        exact = [[math.floor(c * m) for m in (0.75, 1, 1.25)] for c, _, _ in BASE]
        assert [[value["outputs"] for value in choices[4]] for choices in Mnas(exact=True).choices] == exact
        found = [[value["outputs"] for value in choices[4]] for choices in SPACE.choices]
        assert found[:4] == exact[:4]
        assert found[4:] == [[64, 96, 112], [112, 160, 192], [240, 320, 400]]

    @pytest.mark.parametrize("space", [SPACE, Mnas(searched=5)])
    @pytest.mark.parametrize("name", ["a1", "b1"])
    def test_published_networks_are_of_the_choices(self, space, name):
        arch = published.named(name)
        for index in space.searched:
            block = arch.blocks[index]
            for values in space.choices[index]:
                assert any(all(getattr(block, key) == value for key, value in v.items()) for v in values), block

    def test_every_value_is_drawn_equally_often(self):
        rng = np.random.default_rng(0)
        count = 2000
        drawn = [SPACE.sample(rng) for _ in range(count)]
        for index, choices in enumerate(SPACE.choices):
            for values in choices:
                found = collections.Counter(
                    tuple(getattr(arch.blocks[index], key) for key in values[0]) for arch in drawn
                )
                share = 1 / len(values)
                assert found.keys() == {tuple(value.values()) for value in values}
                for number in found.values():
                    assert number / count == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / count))


class TestMoves:
    def test_neighbors_are_all_single_changes(self):
        arch = SPACE.sample(np.random.default_rng(1))
        neighbors = SPACE.neighbors(arch)
        assert len(neighbors) == sum(len(values) - 1 for choices in SPACE.choices for values in choices)
        for other in neighbors:
            changed = [i for i, (a, b) in enumerate(zip(arch.blocks, other.blocks, strict=True)) if a != b]
            assert len(changed) in (1, 2)
            if len(changed) == 2:  # the next block reads what the changed one gives
                assert other.blocks[changed[1]].inputs == other.blocks[changed[0]].outputs

    def test_five_blocks_leave_the_ends(self):
        space = Mnas(searched=5)
        rng = np.random.default_rng(0)
        arch = space.sample(rng)
        for other in [*space.neighbors(arch), *(space.mutate(arch, rng) for _ in range(50))]:
            assert (other.blocks[0], other.blocks[6].outputs) == (arch.blocks[0], 320)
            assert other.blocks[6].layers == 1

    def test_children_of_published_networks(self):
        """Values that are none of the choices may become one of them."""
        rng = np.random.default_rng(0)
        for name in published.BLOCKS:
            arch = published.named(name)
            children = [SPACE.mutate(arch, rng) for _ in range(20)]
            assert arch not in children
            assert set(children) <= set(SPACE.neighbors(arch))
            assert [SPACE.parse(str(child)) for child in children] == children


class TestCanonical:
    """Equal keys where networks are equal, by their graphs."""

    @pytest.mark.parametrize(
        ("index", "block", "same"),
        [
            (6, "r1_k3_s11_e6_i160_o320_noskip", True),
            (6, "r1_k3_s11_e6_i160_o320_poolskip", True),
            (1, "r2_k3_s22_e6_i16_o24_noskip", False),
            (1, "r2_k3_s22_e6_i16_o24_poolskip", False),
            (0, "r1_k3_s11_e1_i32_o16_conv_noskip", False),
            (2, "r3_k5_s22_e3_i24_o40_se0.26", True),  # 6 and 10 channels either way
            (2, "r3_k5_s22_e3_i24_o40_se0.5", False),
        ],
    )
    def test_what_no_layer_shows(self, index, block, same):
        arch, other = SPACE.parse(A1), replaced(SPACE.parse(A1), index, block)
        assert arch != other
        assert (SPACE.canonical(arch) == SPACE.canonical(other)) == same
        assert (SPACE.layer_graph(arch) == SPACE.layer_graph(other)) == same

    def test_layers_move_between_equal_blocks(self):
        one = "r1_k3_s11_e1_i32_o16|r2_k3_s22_e6_i16_o24|r2_k3_s22_e6_i24_o32|r{}_k3_s22_e6_i32_o64|"
        one += "r{}_k3_s11_e6_i64_o64|r1_k3_s22_e6_i64_o160|r1_k3_s11_e6_i160_o320"
        keys = {SPACE.canonical(SPACE.parse(one.format(a, 6 - a))) for a in (1, 2, 3)}
        assert len(keys) == 1
        assert SPACE.canonical(SPACE.parse(one.format(3, 4))) not in keys

    def test_keys_of_samples_are_those_of_their_graphs(self):
        rng = np.random.default_rng(2)
        archs = [SPACE.sample(rng) for _ in range(10)]
        archs += [other for arch in archs[:2] for other in SPACE.neighbors(arch)[:30]]
        for a, b in itertools.combinations(archs, 2):
            if SPACE.canonical(a) == SPACE.canonical(b):
                assert SPACE.layer_graph(a, width=8) == SPACE.layer_graph(b, width=8)
        assert len({SPACE.canonical(arch) for arch in archs}) == len({SPACE.layer_graph(arch) for arch in archs})


def test_residual_connections_are_sums_of_the_network():
    rng = np.random.default_rng(0)
    for arch in [published.named("a1"), *(SPACE.sample(rng) for _ in range(10))]:
        graph = SPACE.layer_graph(arch)
        sums = [node for node in graph.nodes if node.op == "add"]
        pooled = [node for node in sums if graph.by_name[node.inputs[1]].op == "avg_pool"]
        assert SPACE.residual_connections(arch) == len(sums) - len(pooled)


def test_encoding_tells_published_networks_apart():
    codes = [SPACE.encode(published.named(name, multiplier)) for name in published.BLOCKS for multiplier in (None, 0.5)]
    assert {code.shape for code in codes} == {(63,)}
    assert len({code.tobytes() for code in codes}) == len(codes)
    assert SPACE.encode(SPACE.parse(A1))[:9].tolist() == pytest.approx([0, 1 / 6, 3 / 5, 0, 0, 0, 0, 1, 1])
