"""The choices of the space: how many, how they are drawn and changed, and which make one network."""

import collections
import itertools

import numpy as np
import pytest

import spaces
from spaces.mobile.proxylessnas import published, strings
from spaces.mobile.proxylessnas.space import ProxylessNAS
from tfnas.errors import InputError

SPACE = spaces.get("proxylessnas")
WIDER = ProxylessNAS(first_kernels=(3, 5, 7))
MOBILE = published.named("proxyless_mobile")


class TestSize:
    def test_the_counts_of_the_papers(self):
        assert SPACE.size == 6**6 * 7**15 == pytest.approx(2.215e17, rel=1e-3)
        assert WIDER.size == 3 * SPACE.size == pytest.approx(6.64e17, rel=1e-2)

    @pytest.mark.parametrize("kernels", [(), (3, 3), (1,), (3, 9)])
    def test_bad_options(self, kernels):
        with pytest.raises(InputError, match=r"Received: .*Allowed: different ones of \(3, 5, 7\)"):
            ProxylessNAS(first_kernels=kernels)


class TestMoves:
    def test_layers_are_uniform_over_their_operations(self):
        """Every operation of every layer within five standard deviations of its share of 20,000 draws."""
        codes = WIDER.sample_codes(np.random.default_rng(0), 20_000)
        choices = (strings.KERNELS, *strings.CHOICES)
        for layer, allowed in enumerate(choices):
            counts = np.bincount(codes[:, layer], minlength=7)
            share = 1 / len(allowed)
            assert not counts[len(allowed) :].any()
            spread = 5 * np.sqrt(20_000 * share * (1 - share))
            assert np.abs(counts[: len(allowed)] - 20_000 * share).max() < spread
        assert set(SPACE.sample_codes(np.random.default_rng(0), 1000)[:, 0]) == {0}

    def test_mutations_reach_every_choice(self):
        rng = np.random.default_rng(0)
        for space, neighbors in ((SPACE, 6 * 5 + 15 * 6), (WIDER, 2 + 6 * 5 + 15 * 6)):
            assert len(space.neighbors(MOBILE)) == neighbors
            assert {space.mutate(MOBILE, rng) for _ in range(4000)} == set(space.neighbors(MOBILE))

    def test_enumeration(self):
        first = list(itertools.islice(WIDER.enumerate(), 6 * 7 + 1))
        assert str(first[0]) == "k3e1|" + "|".join([":".join(["k3e3"] * 4)] * 5) + "|k3e3"
        changed = collections.Counter(
            layer for arch in first[1:6] for layer in range(21) if arch.ops[layer] != first[0].ops[layer]
        )
        assert changed == {20: 5}
        assert first[-1].ops[-3:] == ("k3e6", "k3e3", "k3e3")


class TestViews:
    def test_codes_round_trip(self):
        archs = [WIDER.sample(np.random.default_rng(seed)) for seed in range(50)]
        assert strings.from_codes(strings.to_codes(archs)) == archs
        assert strings.to_codes([]).shape == (0, 22)

    def test_where_in_a_block_a_layer_is_left_out_does_not_matter(self):
        archs = [SPACE.parse(f"k3e1|k3e3:{block}|{tail}") for block in _orders() for tail in [_TAIL]]
        assert len({SPACE.canonical(arch) for arch in archs}) == 2  # k5e3 before k7e3, or behind it
        graphs = {str([(n.op, n.attrs, n.params) for n in SPACE.layer_graph(arch).nodes]) for arch in archs}
        assert len(graphs) == 2
        # Never across blocks: their channels differ.
        assert SPACE.canonical(MOBILE) == str(MOBILE)

    def test_residual_connections_are_the_sums_of_the_network(self):
        for seed in range(5):
            arch = SPACE.sample(np.random.default_rng(seed))
            graph = SPACE.layer_graph(arch, width=8, input_shape=(32, 32, 3))
            assert SPACE.residual_connections(arch) == sum(node.op == "add" for node in graph.nodes)

    def test_published_names(self):
        assert set(published.FLAVOURS) < set(published.ARCHITECTURES)
        for name in published.ARCHITECTURES:
            assert str(published.named(name)) == published.ARCHITECTURES[name]
        with pytest.raises(InputError, match=r"Unknown ProxylessNAS network\. Received: 'proxyless'"):
            published.named("proxyless")


_TAIL = "k3e3:skip:skip:skip|k3e3:skip:skip:skip|k3e3:skip:skip:skip|k3e3:skip:skip:skip|k3e3"


def _orders():
    return [":".join(order) for order in set(itertools.permutations(["k5e3", "k7e3", "skip"]))]
