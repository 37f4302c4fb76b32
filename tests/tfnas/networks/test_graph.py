"""Layer graphs: shapes, sizes, the same layers on other images."""

import pytest

from tfnas.networks.builder import GraphBuilder, with_input_shape


def small():
    b = GraphBuilder((9, 8, 3))
    x = b.conv("stem", "input", 4, (3, 1), strides=2, padding="valid")
    x = b.batch_norm("norm", x, momentum=0.9, epsilon=1e-5)
    left = b.depthwise_conv("left", x, 3, use_bias=True)
    right = b.activation("right", x)
    x = b.add("sum", [left, right])
    x = b.concat("joined", [x, b.conv("grouped", x, 6, 1, groups=2)])
    x = b.global_avg_pool("pooled", x)
    return b.finish(b.dense("logits", x, 5), features="pooled")


def test_shapes_parameters_and_flops_by_hand():
    graph = small()
    assert graph.by_name["stem"].shape == (4, 4, 4)  # (9 - 3) // 2 + 1, (8 - 1) // 2 + 1
    assert graph.by_name["joined"].shape == (4, 4, 10)
    assert graph.num_classes == 5
    assert graph.count_params() == 3 * 1 * 3 * 4 + (4 + 4) + (9 * 4 + 4) + 2 * 6 + (10 * 5 + 5)
    assert graph.flops() == 16 * (9 * 4) + 16 * (9 * 4 + 4) + 16 * 12 + 55


def test_other_images_keep_the_weights_and_change_the_maps():
    graph = small()
    assert with_input_shape(graph, graph.input_shape) == graph
    larger = with_input_shape(graph, (17, 16, 3))
    assert larger.by_name["stem"].shape == (8, 8, 4)
    assert larger.count_params() == graph.count_params()
    with pytest.raises(ValueError, match="no pixel"):
        with_input_shape(graph, (2, 8, 3))
