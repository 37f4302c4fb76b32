"""What every search space must do, whatever it holds."""

import dataclasses
import itertools
import os
import subprocess
import sys

import networkx
import numpy as np
import pytest

import spaces
from spaces.base import Space
from tests.conftest import ROOT
from tfnas.errors import InputError
from tfnas.networks import flops


@dataclasses.dataclass(frozen=True)
class _Case:
    """What the tests need to know of a space.

    Attributes:
        network: settings that make a tiny network.
        bad: strings that are no architecture, with the words that must tell why.
        single: mutation makes one change or none, and neighbours are all that one change gives. Elsewhere mutation
            may make several, and only one neighbour of each network counts.
        residual: residual connections are defined.
    """

    network: dict
    bad: dict
    single: bool = True
    residual: bool = True


_BLOCKS = (
    "r1_k3_s11_e1_i32_o16_noskip",
    "r2_k3_s22_e6_i16_o24",
    "r3_k5_s22_e3_i24_o40_se0.25",
    "r4_k3_s22_e6_i40_o80",
    "r2_k3_s11_e6_i80_o112_se0.25",
    "r3_k5_s22_e6_i112_o160_se0.25",
    "r1_k3_s11_e6_i160_o320",
)


def _mnas(*blocks: str) -> str:
    """MnasNet-A1 with its first blocks replaced."""
    return "|".join([*blocks, *_BLOCKS[len(blocks) :]])


_PROXYLESS = "k3e3:k3e3:skip:k3e6|k5e6:skip:skip:skip|k7e3:k3e3:k3e3:k3e3|k3e3:skip:k3e3:skip|k3e3:k3e3:k7e6:skip|k3e3"

_CASES = {
    "mnas": _Case(
        {"width": 8},
        {
            "": "1 blocks instead of 7",
            "|".join(_BLOCKS[:6]): "6 blocks instead of 7",
            _mnas(""): "block 1 has '', which is no token",
            _mnas("r1_k3_s11_e1_i32"): "block 1 does not tell its outputs ('o')",
            _mnas("r1_k3_s1_e1_i32_o16"): "the strides of block 1 are s11 or s22, not 's1'",
            _mnas("r1_k3_s12_e1_i32_o16"): "the strides of block 1 are s11 or s22, not 's12'",
            _mnas("r1_k3_s11_s22_e1_i32_o16"): "block 1 tells its strides twice",
            _mnas("r0_k3_s11_e1_i32_o16"): "the layers of block 1 must be a number of 1 or more, not 'r0'",
            _mnas("r01_k3_s11_e1_i32_o16"): "not 'r01'",
            _mnas("r1.5_k3_s11_e1_i32_o16"): "not 'r1.5'",
            _mnas("r1_k4_s11_e1_i32_o16"): "the kernel of block 1 is 3, 5, 7, not 4",
            _mnas("r1_k3_s11_e0_i32_o16"): "the expansion of block 1 must be a number of 1 or more, not 'e0'",
            _mnas("r1_k3_s11_e1_i32_o16_se1.25"): "ratio of block 1 lies above 0 and not above 1",
            _mnas("r1_k3_s11_e1_i32_o16_se0"): "not 'se0'",
            _mnas("r1_k3_s11_e1_i32_o16_se0.00001"): "four decimals at most, not 'se0.00001'",
            _mnas("r1_k3_s11_e1_i32_o16_skip"): "block 1 has 'skip', which is no token",
            _mnas("r1_k3_s11_e1_i32_o16_noskip_poolskip"): "block 1 tells its skip twice",
            _mnas("r1_k3_s11_e1_i32_o\u0661"): "block 1 has 'o\u0661', which is no token",
            _mnas("r1_k3_s11_e6_i32_o16_conv"): "block 1 is of regular convolutions, which need e1, not 'e6'",
            _mnas("r1_k3_s11_e1_i32_o24"): "block 2 reads 16 channels, but block 1 gives 24",
        },
    ),
    "nasbench101": _Case(
        {"width": 8, "depth": 1},
        {
            "": "vertex 1 must be output, '~' and what it reads, not ''",
            "conv3x3~0": "vertex 1 must be output",
            "conv3x3~0|conv1x1~1": "vertex 2 must be output",
            "output~0|output~1": "vertex 1 must be conv3x3 or conv1x1 or maxpool3x3, '~' and what it reads",
            "conv5x5~0|output~1": "not 'conv5x5~0'",
            "conv3x3|output~1": "not 'conv3x3'",
            "conv3x3~0|output~1|": "vertex 2 must be conv3x3",
            "conv3x3~1|output~1": "vertex 1 reads vertices below 1 in ascending order, not '1'",
            "conv3x3~0|output~10": "vertex 2 reads vertices below 2 in ascending order, not '10'",
            "conv3x3~0|output~11": "not '11'",
            "conv3x3~0|output~x": "not 'x'",
            "conv3x3~0|output~1~1": "not '1~1'",
            "conv3x3~\u0660|output~1": "ascending order",
            "conv3x3~|output~1": "no path from input to output",
            "conv3x3~0|output~": "no path from input to output",
            "|".join(["conv3x3~0"] * 6 + ["output~1"]): "8 vertices instead of 7 at most",
            "conv3x3~0|" * 5 + "output~012345": "7 vertices and 11 edges after pruning instead of 7 and 9 at most",
        },
        single=False,
    ),
    "nasbench201": _Case(
        {"width": 4, "depth": 1},
        {
            "": "1 nodes",
            "|none~0|+|none~0|none~1|": "2 nodes",
            "none~0|+|none~0|none~1|+|none~0|none~1|none~2|": "node 1 is not enclosed",
            "|none~0|+|none~0|+|none~0|none~1|none~2|": "node 2 has 1 edges",
            "|none~0|+|none~0|none~1|+|none~0|none~1|conv~2|": "'conv'",
            "|none~0|+|none~0|none~0|+|none~0|none~1|none~2|": "edge 1 of node 2 must end with '~1'",
            "|none~0|+|none~0|none|+|none~0|none~1|none~2|": "edge 1 of node 2 must end with '~1'",
        },
    ),
    "nasbench201_size": _Case(
        {},
        {
            "": "1 widths",
            "8:8:8:8": "4 widths",
            "8:8:8:8:72": "'72'",
            "8:8:8:8:08": "'08'",
            "8:8:8:8:-8": "'-8'",
            "8:8:8:8:x": "'x'",
        },
        residual=False,
    ),
    "proxylessnas": _Case(
        {"width": 8},
        {
            "": "the first layer is k3e1, k5e1, k7e1, not ''",
            "k3e3|" + _PROXYLESS: "not 'k3e3'",
            "k3e1": "0 blocks instead of 6",
            "k3e1|" + _PROXYLESS + "|k3e3": "7 blocks instead of 6",
            "k3e1|k3e3|" + _PROXYLESS[20:]: "block 1 has 1 layers instead of 4",
            "k3e1|" + _PROXYLESS + ":skip": "block 6 has 2 layers instead of 1",
            "k3e1|" + _PROXYLESS.replace("k5e6", "k5e4"): "block 2 has 'k5e4', which is no operation",
            "k3e1|" + _PROXYLESS[:-4] + "skip": "the first layer of block 6 cannot be left out",
        },
    ),
}
_IMAGE = {"classes": 3, "input_shape": (8, 8, 1)}


def test_every_registered_space_is_covered():
    assert set(_CASES) == set(spaces.names())


@pytest.fixture(params=spaces.names())
def name(request):
    return request.param


@pytest.fixture
def space(name):
    return spaces.get(name)


@pytest.fixture
def samples(space):
    """20 architectures as they are drawn, no two of which are one network."""
    rng = np.random.default_rng(0)
    found = {}
    while len(found) < 20:
        arch = space.sample(rng)
        found.setdefault(space.canonical(arch), arch)
    return list(found.values())


@pytest.fixture
def tiny(name):
    return {**_CASES[name].network, **_IMAGE}


class TestArchitectures:
    def test_strings_round_trip(self, space, samples):
        for arch in samples:
            again = space.parse(f" {arch}\n")
            assert again == arch
            assert hash(again) == hash(arch)
            assert str(again) == str(arch)

    def test_order_is_that_of_the_strings(self, samples):
        assert [str(arch) for arch in sorted(samples)] == sorted(map(str, samples))
        assert max(samples) >= min(samples)

    def test_frozen(self, samples):
        field = dataclasses.fields(samples[0])[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(samples[0], field, None)

    def test_bad_strings_say_what_is_wrong(self, name, space):
        for text, reason in _CASES[name].bad.items():
            with pytest.raises(InputError) as error:
                space.parse(text)
            assert reason in str(error.value)
            assert f"Received: {text!r}. Allowed: " in str(error.value)
            assert "\n" not in str(error.value)


class TestMoves:
    @pytest.mark.parametrize("draw", ["sample", "sample_uniform"])
    def test_samples_depend_on_the_seed_alone(self, space, draw):
        draw = getattr(space, draw)
        first, again, other = ([draw(rng) for _ in range(10)] for rng in map(np.random.default_rng, (1, 1, 2)))
        assert first == again
        assert first != other
        assert [space.parse(str(arch)) for arch in first] == first

    def test_sample_distinct(self, space):
        drawn = space.sample_distinct(np.random.default_rng(0), 20)
        assert len(set(drawn)) == len(drawn) == 20
        assert space.sample_distinct(np.random.default_rng(0), 7) == drawn[:7]
        with pytest.raises(InputError, match=f"{space.size} architectures. Received: {space.size + 1}"):
            space.sample_distinct(np.random.default_rng(0), space.size + 1)

    def test_children(self, name, space, samples):
        rng = np.random.default_rng(0)
        for arch in samples:
            children = [space.mutate(arch, rng) for _ in range(10)]
            assert set(children) != {arch}
            assert [space.parse(str(child)) for child in children] == children
            if _CASES[name].single:
                assert set(children) <= {arch, *space.neighbors(arch)}

    def test_neighbors(self, name, space, samples):
        def keys(archs):
            return list(archs) if _CASES[name].single else [space.canonical(arch) for arch in archs]

        for arch in samples[:5]:
            neighbors = space.neighbors(arch)
            assert neighbors
            assert len(set(keys(neighbors))) == len(neighbors)
            (own,) = keys([arch])
            assert own not in keys(neighbors)
            assert [space.parse(str(other)) for other in neighbors] == neighbors
            assert all(own in keys(space.neighbors(other)) for other in neighbors[:5])

    def test_enumeration(self, space, samples):
        first = list(itertools.islice(space.enumerate(), 100))
        assert len(set(first)) == 100
        if space.size <= 100_000:
            everything = list(space.enumerate())
            assert len(set(everything)) == len(everything) == space.size
            assert set(samples) <= set(everything)


class TestViews:
    def test_canonical_is_a_function_of_the_architecture(self, space, samples):
        for arch in samples:
            assert space.canonical(arch) == space.canonical(space.parse(str(arch)))
        assert len({space.canonical(arch) for arch in samples}) > 1

    def test_graph(self, space, samples):
        for arch in samples:
            graph = space.graph(arch)
            assert networkx.is_directed_acyclic_graph(graph)
            assert networkx.is_weakly_connected(graph)
            ops = dict(graph.nodes(data="op"))
            assert all(ops.values())
            assert [ops[node] for node in graph if not graph.pred[node]] == ["input"]
            assert [ops[node] for node in graph if not graph.succ[node]] == ["output"]

    def test_encoding(self, space, samples):
        codes = [space.encode(arch) for arch in samples]
        assert {(code.dtype, code.shape) for code in codes} == {(np.dtype(np.float32), codes[0].shape)}
        assert codes[0].ndim == 1
        assert len({code.tobytes() for code in codes}) == len(samples)

    def test_features(self, space, samples):
        """The same whether of many or of one, of strings or architectures, and no two alike."""
        found = space.features(samples)
        assert len(found) == len(samples)
        rows = [found.take([i]) for i in range(len(samples))]
        for row, arch in zip(rows, samples, strict=True):
            alone = space.features([str(arch)])
            count = int(row.counts[0])
            assert alone.features == found.features
            assert alone.counts.tolist() == [count]
            assert np.array_equal(alone.nodes[0, :count], row.nodes[0, :count])
            assert np.array_equal(alone.edges[0, :count, :count], row.edges[0, :count, :count])
            assert not row.nodes[0, count:].any()
            assert not row.edges[0, count:].any()
            assert not row.edges[0, :, count:].any()
        assert len({row.nodes.tobytes() + row.edges.tobytes() for row in rows}) == len(samples)

    def test_features_are_those_of_the_graph(self, space, samples):
        if not space.operations:
            pytest.skip("features of its own")
        plain, fast = Space.features(space, samples), space.features(samples)
        most = plain.nodes.shape[1]
        assert np.array_equal(fast.counts, plain.counts)
        assert np.array_equal(fast.nodes[:, :most], plain.nodes)
        assert np.array_equal(fast.edges[:, :most, :most], plain.edges)

    def test_features_of_all(self, space):
        if space.size > 1_000_000:
            pytest.skip("too many")
        found = space.features_of_all()
        assert len(found) == space.size
        first = list(itertools.islice(space.enumerate(), 300))
        rows = np.random.default_rng(0).integers(space.size, size=100)
        for places, archs in ((np.arange(300), first), (rows, [space.at(int(row)) for row in rows])):
            part, alone = found.take(places), space.features(archs)
            for name in ("nodes", "edges", "counts"):
                assert np.array_equal(getattr(part, name), getattr(alone, name)), name

    def test_residual_connections(self, name, space, samples):
        if not _CASES[name].residual:
            with pytest.raises(InputError, match=f"not defined in this space. Received: space '{name}'"):
                space.residual_connections(samples[0])
            return
        counts = [space.residual_connections(arch) for arch in samples]
        assert {type(count) for count in counts} == {int}
        assert min(counts) >= 0
        assert len(set(counts)) > 1


class TestNetworks:
    def test_models_of_every_flavour(self, space, samples, tiny):
        x = np.random.default_rng(0).standard_normal((2, *_IMAGE["input_shape"])).astype(np.float32)
        first, *others = space.flavours
        for flavour, arch in [*itertools.product([first], samples[:3]), *((flavour, samples[3]) for flavour in others)]:
            graph = space.layer_graph(arch, flavour=flavour, **tiny)
            model = space.build(arch, flavour=flavour, **tiny)
            assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == graph.count_params()
            assert {layer.name for layer in model.layers} == set(graph.by_name)
            assert model(x).shape == (2, 3)
            assert model.get_layer(graph.features).output.shape == (None, *graph.by_name[graph.features].shape)

    def test_blocks_end_with_their_output(self, space, samples, tiny):
        """What a node name's prefixes promise: later readers of a block read its last node."""
        for flavour, arch in itertools.product(space.flavours, samples):
            graph = space.layer_graph(arch, flavour=flavour, **tiny)
            parts = [node.name.split(".") for node in graph.nodes]
            prefixes = {".".join(p[:i]) for p in parts for i in range(1, len(p))}
            for prefix in prefixes:
                members = [node.name for node in graph.nodes if node.name.startswith(f"{prefix}.")]
                leaving = {m for m in members if not set(graph.consumers[m]) <= set(members)}
                # Lists of blocks ("layers", "options") have no output of their own.
                if prefix.rpartition(".")[2] not in ("layers", "options"):
                    assert leaving <= {members[-1]}, prefix

    def test_seed_and_scheme_fix_the_weights(self, space, samples, tiny):
        def kernel(**options):
            model = space.build(samples[0], **options, **tiny)
            return next(layer for layer in model.layers if layer.weights).kernel.numpy()

        first = kernel(seed=1)
        assert np.array_equal(first, kernel(seed=1))
        assert not np.array_equal(first, kernel(seed=2))
        assert not np.array_equal(first, kernel(seed=1, init="gaussian"))

    def test_least_width(self, space, samples):
        """No architecture is too wide for it, and the network is at most as large as the published one."""
        for arch in samples:
            thin = space.layer_graph(arch, width=space.min_width, **_IMAGE)
            assert thin.count_params() <= space.layer_graph(arch, **_IMAGE).count_params()

    def test_sizes_are_those_of_the_layers(self, space, samples, tiny):
        for settings in ({}, tiny):
            found = space.sizes(samples[:5], **settings)
            for row, arch in zip(found.itertuples(index=False), samples, strict=False):
                graph = space.layer_graph(arch, **settings)
                assert row.params == graph.count_params()
                assert (row.forward, row.others) == flops.forward_flops(graph)
                assert row.gradient == flops.gradient_flops(graph)
            again = space.sizes([str(arch) for arch in samples[:5]], **settings)
            assert again.equals(found)
            assert again.index.tolist() == [str(arch) for arch in samples[:5]]
        assert space.sizes([]).shape == (0, 4)
        with pytest.raises(InputError, match="'widht'"):
            space.sizes(samples, widht=3)

    def test_settings(self, space, samples):
        assert space.config() == space.published == space.config(depth=None, flavour=None)
        config = space.config(classes=7, input_shape=[16, 16, 1], bn_momentum=0.5, bn_epsilon=0.1)
        assert (config.classes, config.input_shape, config.bn_momentum) == (7, (16, 16, 1), 0.5)
        graph = space.layer_graph(samples[0], classes=7, input_shape=(16, 16, 1), bn_momentum=0.5, bn_epsilon=0.1)
        assert graph == space.layer_graph(
            str(samples[0]), classes=7, input_shape=(16, 16, 1), bn_momentum=0.5, bn_epsilon=0.1
        )
        assert graph.num_classes == 7
        assert graph.input_shape == (16, 16, 1)
        norms = {(node["momentum"], node["epsilon"]) for node in graph.nodes if node.op == "batch_norm"}
        assert norms == {(0.5, 0.1)}

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"widht": 3}, "Unknown network setting. Received: 'widht'. Allowed: .*width"),
            ({"flavour": "sour"}, "Unknown flavour of .*Received: 'sour'. Allowed: {flavours}"),
            ({"classes": 0}, "Received: .*classes=0"),
            ({"depth": 0}, "Received: .*depth=0"),
            ({"input_shape": (32, 32)}, r"Received: \(32, 32\)"),
            ({"bn_momentum": 2.0}, "Received: bn_momentum=2.0"),
            ({"bn_epsilon": 0.0}, "Received: .*bn_epsilon=0.0"),
        ],
    )
    def test_bad_settings(self, space, setting, message):
        message = message.format(flavours=", ".join(sorted(space.flavours)))
        with pytest.raises(InputError, match=message):
            space.config(**setting)


class TestRegistry:
    def test_name_is_the_key(self, name, space):
        assert isinstance(space, Space)
        assert space.name == name

    def test_import_is_light(self, name, tmp_path):
        heavy = "{'tensorflow', 'keras', 'networkx', 'pandas', 'pyarrow', 'scipy', 'tensorflow_datasets'}"
        code = f"""
import sys, spaces
next(spaces.get({name!r}).enumerate())
sys.exit(str(sorted({heavy} & set(sys.modules))))
"""
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "TFNAS_CACHE": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr.strip() == "[]"
