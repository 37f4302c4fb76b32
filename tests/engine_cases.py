"""Small networks, one for each thing that a layer can do, and their Keras models in float64.

Each case puts the layer under test between a stem and a head, on maps of odd height and even width.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator

import keras
import numpy as np

from tfnas.engine import Network
from tfnas.networks import weights
from tfnas.networks.activations import ACTIVATIONS
from tfnas.networks.builder import GraphBuilder
from tfnas.networks.graph import Graph
from tfnas.networks.keras_model import to_keras

SHAPE = (7, 6, 3)
CHANNELS = 4
CLASSES = 3
COUNT = 3
BN = {"momentum": 0.9, "epsilon": 1e-3}

# (builder, name of the stem's output) -> name of the output of the layers under test.
Body = Callable[[GraphBuilder, str], str]


@dataclasses.dataclass(frozen=True)
class Case:
    """Attributes:
    body: the layers under test.
    for_keras: the same computation in layers that Keras has, where `body` has others.
    """

    name: str
    body: Body
    for_keras: Body | None = None

    @functools.cached_property
    def graph(self) -> Graph:
        return build(self.body)

    @functools.cached_property
    def weights(self) -> dict[str, np.ndarray]:
        return random_weights(self.graph)

    @functools.cached_property
    def model(self) -> keras.Model:
        return keras_model(build(self.for_keras or self.body), self.weights)

    @property
    def has_own_parameters(self) -> bool:
        """Whether layers between stem and head have parameters."""
        return sum(bool(node.params) for node in self.graph.nodes) > 4

    @functools.cached_property
    def network(self) -> Network:
        return Network(self.graph, self.weights, dtype="float64")


def build(body: Body) -> Graph:
    b = GraphBuilder(SHAPE)
    x = b.batch_norm("stem_bn", b.conv("stem", "input", CHANNELS, 3, use_bias=True), **BN)
    x = body(b, x)
    x = b.activation("tail_tanh", b.batch_norm("tail_bn", x, **BN), "tanh")
    return b.finish(b.dense("head", b.flatten("tail_flatten", x), CLASSES))


def random_weights(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights with no value that a mistake could hide behind, such as a bias of zero."""
    rng = np.random.default_rng(seed)
    arrays = weights.initialize(graph, "torch", seed)
    for key, value in arrays.items():
        param = key.rpartition(".")[2]
        if param in ("gamma", "moving_variance"):
            arrays[key] = rng.uniform(0.5, 1.5, value.shape)
        elif param != "kernel":
            arrays[key] = rng.normal(0, 0.3, value.shape)
    return {key: value.astype(np.float32) for key, value in arrays.items()}


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    """Keras models that are built within are float64 throughout."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def keras_model(graph: Graph, arrays: dict[str, np.ndarray]) -> keras.Model:
    """The Keras model of a graph, float64 throughout."""
    with in_float64():
        return to_keras(graph, arrays)


def images(count: int = COUNT, shape: tuple[int, ...] = SHAPE, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, *shape))


def cotangents(count: int = COUNT, classes: int = CLASSES) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((count, classes))


def _conv(*args, filters=CHANNELS, **options) -> Body:
    return lambda b, x: b.conv("op", x, filters, *args, **options)


def _depthwise(*args, **options) -> Body:
    return lambda b, x: b.depthwise_conv("op", x, *args, **options)


def _norm(**options) -> Body:
    """A BN between convolutions, read by a ReLU."""
    return lambda b, x: b.activation("op_relu", b.batch_norm("op", b.conv("op_conv", x, CHANNELS, 1), **BN, **options))


def _plain(op: str, *args, **options) -> Body:
    return lambda b, x: getattr(b, op)("op", x, *args, **options)


def _dilated_by_hand(depthwise: bool, padding: str, groups: int = 1, multiplier: int = 1) -> Body:
    """Strides 2 and dilation 2 of a 3x3 window, which Keras lacks: pad, filter at stride 1, subsample."""

    def body(b: GraphBuilder, x: str) -> str:
        if padding == "same":  # 4 = ceil(7 / 2) rows need 3 * 2 + 5 pixels, 3 columns need 2 * 2 + 5
            x = b.pad("op_pad", x, (2, 2, 1, 2))
        if depthwise:
            x = b.depthwise_conv("op", x, 3, dilation=2, padding="valid", multiplier=multiplier)
        else:
            x = b.conv("op", x, CHANNELS, 3, dilation=2, padding="valid", groups=groups)
        return b.subsample("op_subsample", x, 2)

    return body


def _squeeze_and_excite(b: GraphBuilder, x: str) -> str:
    x = b.activation("op_tanh", x, "tanh")
    gate = b.reshape("gate_map", b.global_avg_pool("gate_pool", x), (1, 1, CHANNELS))
    gate = b.activation("gate_relu", b.conv("gate_1", gate, 2, 1, use_bias=True))
    gate = b.activation("gate", b.conv("gate_2", gate, CHANNELS, 1, use_bias=True), "hard_sigmoid")
    return b.multiply("op", x, gate)


def _global_pool(b: GraphBuilder, x: str) -> str:
    """Of a tanh: the mean of a BN is its offset, whatever the image."""
    pooled = b.global_avg_pool("op", b.activation("op_tanh", x, "tanh"))
    return b.reshape("op_map", pooled, (1, 2, 2))


def _vector_norm(b: GraphBuilder, x: str) -> str:
    hidden = b.dense("hidden", b.flatten("op_flatten", x), 8, use_bias=False)
    hidden = b.activation("op_relu", b.batch_norm("op", hidden, **BN))
    return b.reshape("op_map", hidden, (2, 1, 4))


def _dead_branch(b: GraphBuilder, x: str) -> str:
    dead = b.zero("op", b.batch_norm("dead_bn", b.conv("dead", x, CHANNELS, 3), **BN))
    return b.add("sum", [dead, b.conv("alive", x, CHANNELS, 1)])


def _zero_map(b: GraphBuilder, x: str) -> str:
    """BN and a convolution on a map of zeros, beside a path that is alive."""
    zero = b.batch_norm("on_zeros", b.conv("of_zeros", b.zero("op", x), CHANNELS, 3, use_bias=True), **BN)
    return b.concat("both", [b.activation("relu_zeros", zero), x])


def _cell(b: GraphBuilder, x: str) -> str:
    """A cell as search spaces have it: shared inputs, skip, pool, two ReLU-conv-BN."""
    one = b.batch_norm("one.2", b.conv("one.1", b.activation("one.0", x), CHANNELS, 3), **BN)
    pooled = b.avg_pool("pool", x, 3, strides=1, padding="same")
    middle = b.add("middle", [one, pooled])
    two = b.batch_norm("two.2", b.conv("two.1", b.activation("two.0", middle), CHANNELS, 1), **BN)
    return b.add("out", [two, b.identity("skip", x), middle])


def _reads_twice(b: GraphBuilder, x: str) -> str:
    return b.add("sum", [x, b.multiply("op", x, x), x])


def _concat(b: GraphBuilder, x: str) -> str:
    return b.concat("op", [x, b.conv("branch", x, 2, 3), x])


_POOLS = {
    f"{op}_{size}_{strides}_{padding}": _plain(op, size, strides=strides, padding=padding)
    for op in ("max_pool", "avg_pool")
    for size, strides, padding in ((3, 1, "same"), (2, 1, "same"), (3, 2, "same"), (2, 2, "same"), (3, 2, "valid"))
}

_BODIES: dict[str, Body] = {
    "conv_1x1": _conv(1),
    "conv_3x3_bias": _conv(3, use_bias=True),
    "conv_5x5": _conv(5),
    "conv_1x7": _conv((1, 7)),
    "conv_2x3_valid": _conv((2, 3), padding="valid"),
    "conv_2x2": _conv(2),
    "conv_1x1_stride_2": _conv(1, strides=2),
    "conv_3x3_stride_2": _conv(3, strides=2),
    "conv_3x3_stride_2_valid": _conv(3, strides=2, padding="valid"),
    "conv_dilated": _conv(3, dilation=2),
    "conv_dilated_valid": _conv((2, 3), dilation=2, padding="valid"),
    "conv_groups_2": _conv(3, groups=2, filters=6, use_bias=True),
    "conv_groups_4": _conv(3, groups=4),
    "conv_groups_4_wide": _conv(3, groups=4, filters=8, strides=2),
    "conv_groups_dilated": _conv(3, groups=2, dilation=2),
    "depthwise_3x3_bias": _depthwise(3, use_bias=True),
    "depthwise_1x3_valid": _depthwise((1, 3), padding="valid"),
    "depthwise_multiplier_3_bias": _depthwise(3, multiplier=3, use_bias=True),
    "depthwise_multiplier_2_stride_2": _depthwise(5, multiplier=2, strides=2),
    "depthwise_multiplier_2_dilated": _depthwise(3, multiplier=2, dilation=2, padding="valid"),
    "depthwise_stride_2": _depthwise(3, strides=2),
    "depthwise_5x5_stride_2_valid": _depthwise(5, strides=2, padding="valid"),
    "depthwise_dilated": _depthwise(3, dilation=2),
    "dense_on_maps": lambda b, x: b.dense("op", x, 5),
    "dense_on_vectors": lambda b, x: b.reshape("op_map", b.dense("op", b.flatten("op_flatten", x), 8), (2, 2, 2)),
    **{f"activation_{kind}": _plain("activation", kind) for kind in ACTIVATIONS},
    **_POOLS,
    "global_avg_pool": _global_pool,
    "pad_zeros": _plain("pad", (1, 0, 2, 1)),
    "pad_value": _plain("pad", (1, 0, 2, 1), 1.5),
    "pad_minus_inf": lambda b, x: b.max_pool("op_pool", b.pad("op", x, (1, 1, 1, 1), -np.inf), 3, strides=2),
    "crop": _plain("crop", (1, 0, 2, 1)),
    "subsample_2": _plain("subsample", 2),
    "subsample_3": _plain("subsample", 3),
    "slice_channels": _plain("slice_channels", 3),
    "flatten": lambda b, x: b.reshape("op_map", b.flatten("op", x), (4, 7, 6)),
    "identity": _plain("identity"),
    "concat": _concat,
    "add_one": lambda b, x: b.add("op", [x]),
    "add_many": lambda b, x: b.add("op", [x, b.zero("none", x), b.activation("relu", x), b.identity("skip", x)]),
    "multiply_gate": _squeeze_and_excite,
    "multiply_self": _reads_twice,
    "zero_branch": _dead_branch,
    "zero_map": _zero_map,
    "bn": _norm(),
    "bn_without_scale": _norm(scale=False),
    "bn_without_center": _norm(center=False),
    "bn_bare": _norm(scale=False, center=False),
    "bn_without_moving": _norm(moving=False),
    "bn_bare_without_moving": _norm(scale=False, center=False, moving=False),
    "bn_of_vectors": _vector_norm,
    "cell": _cell,
}
_FOR_KERAS: dict[str, tuple[Body, Body]] = {
    "conv_dilated_stride_2": (_conv(3, strides=2, dilation=2), _dilated_by_hand(False, "same")),
    "conv_dilated_stride_2_valid": (
        _conv(3, strides=2, dilation=2, padding="valid"),
        _dilated_by_hand(False, "valid"),
    ),
    "conv_groups_dilated_stride_2": (
        _conv(3, strides=2, dilation=2, groups=2),
        _dilated_by_hand(False, "same", groups=2),
    ),
    "depthwise_dilated_stride_2": (_depthwise(3, strides=2, dilation=2), _dilated_by_hand(True, "same")),
    "depthwise_multiplier_2_dilated_stride_2": (
        _depthwise(3, strides=2, dilation=2, multiplier=2),
        _dilated_by_hand(True, "same", multiplier=2),
    ),
    # Keras' own drops values in training.
    "dropout": (_plain("dropout", 0.5), _plain("identity")),
    "depthwise_dilated_stride_2_valid": (
        _depthwise(3, strides=2, dilation=2, padding="valid"),
        _dilated_by_hand(True, "valid"),
    ),
}
CASES = {name: Case(name, body) for name, body in _BODIES.items()} | {
    name: Case(name, *bodies) for name, bodies in _FOR_KERAS.items()
}

# Further sizes of what other cases cover.
SLOW = frozenset(
    [
        "conv_2x2",
        "conv_1x1_stride_2",
        "conv_dilated_valid",
        "conv_groups_4",
        "conv_dilated_stride_2_valid",
        "depthwise_1x3_valid",
        "depthwise_dilated_stride_2_valid",
        "depthwise_multiplier_2_dilated",
        "max_pool_2_2_same",
        "avg_pool_2_1_same",
        "avg_pool_2_2_same",
        "subsample_3",
        "add_one",
        "bn_bare_without_moving",
    ]
)
