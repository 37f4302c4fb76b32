"""Networks of NAS-Bench-101 against what follows from their definition."""

import collections

import numpy as np
import pytest

from spaces.nasbench101 import network
from tests import nasbench101_plain
from tests.spaces.nasbench101.cases import INCEPTION, LOOSE, SPACE, draw
from tfnas.errors import InputError
from tfnas.networks.builder import GraphBuilder


class TestNetworks:
    @pytest.mark.parametrize(
        ("inputs", "outputs", "edges", "expected"),
        [
            (8, 16, [(0, 1), (1, 2), (2, 3)], [8, 16, 16, 16]),
            (8, 15, [(0, 1), (0, 2), (1, 3), (2, 3)], [8, 8, 7, 15]),
            (8, 8, [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)], [8, 3, 3, 2, 8]),
            (8, 16, [(0, 1)], [8, 16]),
            # An edge from input to output is a projection: it takes no share of the channels.
            (8, 16, [(0, 1), (1, 2), (0, 2)], [8, 16, 16]),
            # 1 feeds 2 (8 channels) and 3 (7): the larger number.
            (8, 15, [(0, 1), (1, 2), (1, 3), (2, 4), (3, 4)], [8, 8, 8, 7, 15]),
        ],
    )
    def test_channels(self, inputs, outputs, edges, expected):
        matrix = np.zeros((len(expected),) * 2, int)
        matrix[tuple(zip(*edges, strict=True))] = 1
        assert network.vertex_channels(inputs, outputs, matrix.tolist()) == expected

    def test_too_narrow(self):
        cell = SPACE.parse("conv3x3~0|conv3x3~0|conv3x3~0|output~123")
        assert SPACE.layer_graph(cell, width=3, depth=1).output == "dense"
        with pytest.raises(InputError, match=r"Received: 2 channels\. Allowed: a width of 3 or more$") as error:
            SPACE.layer_graph(cell, width=2)
        assert "\n" not in str(error.value)

    def test_published_parameters(self):
        assert SPACE.layer_graph(INCEPTION).count_params() == 2_694_282

    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"width": 8, "depth": 1, "stages": 1, "classes": 2, "input_shape": (5, 7, 1)},
            {"width": 17, "depth": 2, "stages": 4, "classes": 100, "input_shape": (16, 16, 3)},
        ],
    )
    def test_parameters_by_hand(self, settings):
        config = SPACE.config(**settings)
        for cell in [INCEPTION, LOOSE, SPACE.parse("output~0"), *draw(10)]:
            graph = SPACE.layer_graph(cell, **settings)
            assert graph.count_params() == nasbench101_plain.parameters(
                cell, config.width, config.depth, config.stages, config.classes, config.input_shape[-1]
            )
            assert graph.by_name[graph.features].shape == (config.width * 2 ** (config.stages - 1),)
            assert graph.num_classes == config.classes
            modules = {tuple(node.name.split(".")[:2]) for node in graph.nodes if ".module" in node.name}
            assert len(modules) == config.depth * config.stages

    def test_uneven_channels_are_cut_off(self):
        """20 channels make 7, 7 and 6: the last vertex reads the first 6 of the 7 that its source has."""
        graph = SPACE.layer_graph("conv3x3~0|conv1x1~0|conv3x3~2|output~0123", width=20, depth=1, stages=1)
        cut = [node for node in graph.nodes if node.op == "slice_channels"]
        assert [(node.name, node.inputs, node.shape[-1]) for node in cut] == [
            ("stack0.module0.vertex_3.truncate_2", ("stack0.module0.vertex_2.Conv1x1-BN-ReLU.relu",), 6)
        ]
        by_hand = GraphBuilder((32, 32, 3))
        x = _conv_bn_relu(by_hand, "stem", "input", 20, 3)
        parts = [_conv_bn_relu(by_hand, f"p{v}", x, 7, 1) for v in (1, 2)]
        first = _conv_bn_relu(by_hand, "1", parts[0], 7, 3)
        second = _conv_bn_relu(by_hand, "2", parts[1], 7, 1)
        third = _conv_bn_relu(by_hand, "3", by_hand.slice_channels("cut", second, 6), 6, 3)
        joined = by_hand.concat("concat", [first, second, third])
        total = by_hand.add("add", [joined, _conv_bn_relu(by_hand, "p4", x, 20, 1)])
        expected = by_hand.finish(by_hand.dense("dense", by_hand.global_avg_pool("pool", total), 10))
        assert collections.Counter(map(_kind, graph.nodes)) == collections.Counter(map(_kind, expected.nodes))

    def test_pooling_vertices(self):
        """They read the sum of their inputs at their own width, a projection of the cell's input among them."""
        graph = SPACE.layer_graph("conv3x3~0|maxpool3x3~01|output~2", width=8, depth=1, stages=2)
        for stack, width in enumerate((8, 16)):
            name = f"stack{stack}.module0.vertex_2"
            assert graph.by_name[f"{name}.MaxPool3x3"].shape[-1] == width
            assert graph.by_name[f"{name}.MaxPool3x3"].inputs == (f"{name}.add",)
            assert graph.by_name[f"{name}.add"].inputs == (
                f"stack{stack}.module0.vertex_1.Conv3x3-BN-ReLU.relu",
                f"{name}.projection.relu",
            )
        assert graph.by_name["stack1.downsample"].shape == (16, 16, 8)

    def test_least_width(self):
        """As many vertices as can share the output's channels get one each."""
        cell = "conv3x3~0|conv3x3~0|conv3x3~0|conv3x3~0|output~1234"
        graph = SPACE.layer_graph(cell, width=SPACE.min_width, depth=1)
        assert graph.by_name["stack0.module0.vertex_1.Conv3x3-BN-ReLU.relu"].shape[-1] == 1
        with pytest.raises(InputError, match="4 vertices of the cell share its output"):
            SPACE.layer_graph(cell, width=SPACE.min_width - 1, depth=1)

    def test_keras_model(self):
        model = SPACE.build(INCEPTION, width=8, depth=1, input_shape=(8, 8, 3))
        norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
        assert {(norm.momentum, norm.epsilon, norm.scale, norm.center) for norm in norms} == {(0.997, 1e-5, True, True)}
        convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
        assert len(norms) == len(convolutions) == 1 + 3 * (4 + 4)
        assert {layer.use_bias for layer in convolutions} == {False}
        # Variance scaling: cut-off normal of variance 1 / fan_in; dense kernel: Glorot's uniform limit.
        stem = convolutions[0].kernel.numpy()
        assert np.std(stem) == pytest.approx(1 / np.sqrt(27), rel=0.15)
        assert np.abs(stem).max() <= 2 / 0.8796 / np.sqrt(27)
        dense = model.get_layer("dense")
        assert np.sqrt(6 / 42) * 0.9 < np.abs(dense.kernel.numpy()).max() <= np.sqrt(6 / 42)
        assert not dense.bias.numpy().any()


def _conv_bn_relu(builder, name, x, channels, size):
    x = builder.conv(f"{name}.conv", x, channels, size)
    return builder.activation(f"{name}.relu", builder.batch_norm(f"{name}.bn", x, momentum=0.997, epsilon=1e-5))


def _kind(node):
    return (node.op, node.shape, node.params, len(node.inputs))
