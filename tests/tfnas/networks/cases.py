"""What the tests of Keras models and of their reader share."""

import numpy as np

from tfnas.networks import weights
from tfnas.networks.activations import ACTIVATIONS
from tfnas.networks.builder import GraphBuilder

_RNG = np.random.default_rng(0)


def random_weights(graph, seed=0):
    """Weights with no value that a mistake could hide behind, such as a scale of one."""
    rng = np.random.default_rng(seed)
    arrays = weights.initialize(graph, "torch", seed)
    for key, value in arrays.items():
        if not key.endswith("kernel"):
            arrays[key] = rng.uniform(0.5, 1.5, value.shape).astype(np.float32)
    return arrays


def images(shape, batch=3):
    return _RNG.standard_normal((batch, *shape)).astype(np.float32)


def all_ops():
    """A network with every operation of GraphBuilder in it."""
    b = GraphBuilder((9, 9, 3))
    norm = {"momentum": 0.9, "epsilon": 1e-3}
    stem = b.conv("stem.0", "input", 8, 3, use_bias=True)
    x = b.batch_norm("stem.1", stem, **norm)
    ends = [b.activation(f"act.{kind}", x, kind) for kind in ACTIVATIONS]
    x = b.add("act.sum", ends)
    grouped = b.conv("grouped", x, 8, 3, groups=4)
    dilated = b.conv("dilated", x, 8, (3, 5), dilation=2)
    x = b.batch_norm("bare", b.add("sum", [grouped, dilated, x]), **norm, scale=False, center=False, moving=False)
    x = b.concat("concat", [x, b.zero("zero", x), b.identity("identity", x)])
    x = b.slice_channels("slice", x, 20)
    x = b.depthwise_conv("depthwise", x, 3, dilation=2, use_bias=True)
    x = b.batch_norm("offset_only", x, **norm, scale=False)
    pooled = b.max_pool("max", b.pad("max_pad", x, (1, 1, 1, 1), float("-inf")), 3, strides=2)
    average = b.subsample("subsample", b.avg_pool("average", x, 3, strides=1, padding="same"), 2)
    strided = b.conv("strided", b.pad("strided_pad", x, (1, 0, 1, 1)), 20, (2, 3), strides=2, padding="valid")
    cropped = b.crop("crop", b.pad("crop_pad", strided, (1, 2, 3, 4)), (1, 2, 3, 4))
    x = b.add("merge", [pooled, average, cropped])
    gate = b.reshape("gate.1", b.global_avg_pool("gate.0", x), (1, 1, 20))
    gate = b.activation("gate.3", b.conv("gate.2", gate, 20, 1, use_bias=True), "sigmoid")
    x = b.add("alone", [b.multiply("gated", x, gate)])
    x = b.depthwise_conv("strided_depthwise", x, 3, strides=2, multiplier=2)
    x = b.batch_norm("still", x, **norm, moving=False)
    features = b.dense("hidden", b.flatten("flatten", x), 6, use_bias=False)
    return b.finish(b.dense("classifier", b.dropout("dropout", features, 0.25), 4), features=features)
