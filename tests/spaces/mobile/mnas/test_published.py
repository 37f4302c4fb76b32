"""The published networks against the numbers of the published code."""

import json
import zlib

import numpy as np
import pytest

import spaces
from spaces.mobile.mnas import published
from tests.conftest import shared_path
from tfnas.engine import Network
from tfnas.errors import InputError
from tfnas.networks import flops

SPACE = spaces.get("mnas")


def golden(name):
    file = shared_path() / "golden" / "spaces" / name
    return json.loads(file.read_text()) if file.exists() else {}


@pytest.mark.parametrize("name", golden("mnasnet.json"))
def test_golden_sizes(name):
    expected = golden("mnasnet.json")[name]
    key, _, multiplier = name.partition("_x")
    arch = published.named(key, float(multiplier) if multiplier else None)
    size = expected["resolution"]
    graph = SPACE.layer_graph(arch, input_shape=(size, size, 3), flavour=published.FLAVOURS[key])
    assert graph.count_params() == expected["trainable_params"]
    assert flops.multiply_adds(graph) == expected["macs_conv_dw_fc"]
    moving = sum(np.prod(shape) for node in graph.nodes for param, shape in node.params if "moving" in param)
    assert graph.count_params() + moving == expected["all_variables_params"]


@pytest.mark.parametrize(
    ("name", "multiplier", "params", "macs"),
    [
        ("d1", None, 3_638_404, 967_705_824),
        ("b1", 0.75, 3_170_208, 215_493_104),
        ("a1", 1.4, 6_105_992, 586_317_952),
    ],
)
def test_further_sizes_of_the_published_code(name, multiplier, params, macs):
    graph = SPACE.layer_graph(published.named(name, multiplier))
    assert (graph.count_params(), flops.multiply_adds(graph)) == (params, macs)


@pytest.mark.parametrize("name", golden("mnasnet_numeric.json"))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_golden_logits(name, dtype):
    """Logits and maps in training mode at 64 pixels, with weights that follow from their places."""
    expected = golden("mnasnet_numeric.json")[name]
    graph = SPACE.layer_graph(published.named(name), input_shape=(64, 64, 3))
    arrays = {}
    keys = [f"{node.name}.{param}" for node in graph.nodes for param, _ in node.params if not param.startswith("mov")]
    for key, (place, _, shape) in zip(keys, expected["trainable_in_creation_order"], strict=True):
        z = np.random.RandomState(zlib.crc32(place.encode()) & 0x7FFFFFFF).standard_normal(shape)
        node, _, param = key.rpartition(".")
        if len(shape) == 4:
            depthwise = graph.by_name[node].op == "depthwise_conv"
            z *= np.sqrt(2 / np.prod(shape[:2] if depthwise else shape[:3]))
        elif len(shape) == 2:
            z *= np.sqrt(1 / shape[0])
        else:
            z = 0.1 * z + (param == "gamma")
        arrays[key] = z.astype(np.float32)
    for node in graph.nodes:
        for param, shape in node.params:
            arrays.setdefault(f"{node.name}.{param}", np.full(shape, param == "moving_variance", np.float32))
    x = np.random.RandomState(0).standard_normal((4, 64, 64, 3)).astype(np.float32)
    run = Network(graph, arrays, dtype=dtype).forward(x, "batch")
    logits = run.values[graph.output].numpy()
    np.testing.assert_allclose(logits[:, :10], expected["logits_first10"], atol=1e-3)
    assert np.linalg.norm(logits) == pytest.approx(expected["logits_l2"], rel=1e-4)
    for place, shape, mean, norm in expected["endpoints_shapeNHWC_mean_l2"]:
        part = place.replace("block_", "blocks.")
        last = [node.name for node in graph.nodes if node.name.startswith(f"{part}.")][-1]
        value = run.values[last].numpy()
        assert list(value.shape) == shape
        assert value.mean() == pytest.approx(mean, abs=1e-4)
        assert np.linalg.norm(value) == pytest.approx(norm, rel=1e-4)


class TestNames:
    def test_architectures_are_the_published_strings(self):
        for name, blocks in published.BLOCKS.items():
            arch = published.named(name)
            assert published.named(name.removeprefix("mnasnet-")) == arch
            assert SPACE.parse(str(arch)) == arch
            if name != "mnasnet-small":
                assert [str(block) for block in arch.blocks] == list(blocks)

    def test_small_reads_its_stem(self):
        """Its first block says 16 channels, of which nothing is built but that the identity does not pass."""
        first, *rest = published.named("small").blocks
        assert str(first) == "r1_k3_s11_e1_i8_o8_noskip"
        assert [str(block) for block in rest] == list(published.BLOCKS["mnasnet-small"][1:])
        graph = SPACE.layer_graph(published.named("small"))
        assert graph.by_name["stem.conv"].shape == (112, 112, 8)
        assert "blocks.0.add" not in graph.by_name

    def test_small_at_half_width(self):
        """Rounding makes 8 of all three, and then the identity does pass."""
        assert "blocks.0.add" in SPACE.layer_graph(published.named("small", 0.5)).by_name

    def test_a_width_is_a_multiplier(self):
        for name in ("a1", "b1"):
            half = SPACE.layer_graph(published.named(name), width=16)
            assert half == SPACE.layer_graph(published.named(name, 0.5))

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: published.named("c1"), r"Received: 'c1'\. Allowed: mnasnet-a1"),
            (lambda: published.named("a1", 0), r"multiplier lies above 0\. Received: 0"),
            (lambda: published.named("a1", float("nan")), "Received: nan"),
            (lambda: published.official(published.BLOCKS["mnasnet-d1"], stem=16), "reads 32 channels.*stem of 16"),
            (lambda: published.official(published.BLOCKS["mnasnet-a1"][:6]), "6 blocks instead of 7"),
        ],
    )
    def test_bad_names(self, call, message):
        with pytest.raises(InputError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
