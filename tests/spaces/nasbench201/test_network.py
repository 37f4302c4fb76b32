"""The networks of NAS-Bench-201 against what follows from their definition."""

import numpy as np
import pytest

import spaces
from spaces.base import Space
from tfnas.errors import InputError

SPACE = spaces.get("nasbench201")
_ONE_EACH = SPACE.parse("|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|")


class TestNetworks:
    @pytest.mark.parametrize("flavour", ["tiny", "zcnas"])
    @pytest.mark.parametrize(("width", "depth", "classes", "channels"), [(16, 5, 10, 3), (4, 1, 3, 1), (6, 2, 7, 3)])
    def test_parameters_by_hand(self, flavour, width, depth, classes, channels):
        tiny = flavour == "tiny"

        def norm(c):
            return 2 * c

        def cell(c):
            areas = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}
            return sum(areas[op] * c * c + (norm(c) if tiny else c) for op in _ONE_EACH.ops if op in areas)

        def reduction(c):
            return 9 * c * 2 * c + 9 * 4 * c * c + 2 * norm(2 * c) + c * 2 * c

        c = width
        expected = 9 * channels * c + norm(c) + norm(4 * c) + 4 * c * classes + classes
        expected += depth * sum(map(cell, (c, 2 * c, 4 * c))) + reduction(c) + reduction(2 * c)
        graph = SPACE.layer_graph(
            _ONE_EACH, flavour=flavour, width=width, depth=depth, classes=classes, input_shape=(8, 8, channels)
        )
        assert graph.count_params() == expected
        assert graph.by_name[graph.features].shape == (4 * c,)

    def test_zcnas_norms(self):
        graph = SPACE.layer_graph(_ONE_EACH, flavour="zcnas", depth=1)
        for node in graph.nodes:
            if node.op == "batch_norm":
                in_cell = node.name.startswith("stack_cell")
                assert (node["scale"], node["center"], node["moving"]) == (not in_cell,) * 3
            if node.op == "conv":
                assert node["use_bias"] == node.name.startswith("stack_cell")

    @pytest.mark.parametrize("shape", [(30, 32, 3), (32, 6, 3)])
    def test_image_size(self, shape):
        with pytest.raises(InputError, match="divisible by 4"):
            SPACE.layer_graph(_ONE_EACH, input_shape=shape)

    def test_width_zero(self):
        with pytest.raises(InputError, match=r"1 or more\. Received: 0"):
            SPACE.config(width=0)


@pytest.mark.parametrize(("flavour", "width", "depth"), [("tiny", 16, 1), ("zcnas", 3, 2)])
def test_sizes_are_those_of_the_layers(flavour, width, depth):
    """They are looked up by how often each operation is there, the network says the same."""
    archs = SPACE.sample_distinct(np.random.default_rng(width), 25)
    config = SPACE.config(flavour=flavour, width=width, depth=depth)
    for arch in archs:
        assert SPACE._sizes(arch, config) == Space._sizes(SPACE, arch, config)
