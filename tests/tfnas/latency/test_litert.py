"""LiteRT: the converted network is the network, and how its time is taken."""

import collections
import sys

import numpy as np
import pytest

import spaces
from tfnas.errors import InputError
from tfnas.latency import litert, operations
from tfnas.networks import keras_model, weights
from tfnas.networks.builder import GraphBuilder

NETWORKS = {"nasbench201": (8, 1, 8), "nasbench101": (8, 1, 16), "mnas": (8, 1, 32)}


@pytest.fixture
def needs_litert():
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")


def network(name, seed=0, image=0):
    space, (width, depth, size) = spaces.get(name), NETWORKS[name]
    arch = space.sample_distinct(np.random.default_rng(seed), 1)[0]
    return space.layer_graph(arch, width=width, depth=depth, input_shape=(image or size, image or size, 3), classes=5)


def with_statistics(graph):
    """Weights whose moving statistics are not those of the start, so that leaving them out shows."""
    rng = np.random.default_rng(1)
    arrays = weights.initialize(graph, "torch", 0)
    return {
        key: rng.uniform(0.5, 1.5, value.shape).astype("f4") if "bn" in key or "moving" in key else value
        for key, value in arrays.items()
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_the_converted_network_computes_the_same(name, needs_litert):
    graph = network(name)
    model = keras_model.to_keras(graph, with_statistics(graph))
    image = np.random.default_rng(2).normal(size=graph.input_shape).astype("f4")
    expected = model(image[None], training=False).numpy()[0]
    found = litert.predict(litert.convert(model), image)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_operation_can_be_measured_alone_and_is_one(name, needs_litert):
    graph = network(name)
    alone = {operations.signature(graph, node): node for node in operations.timed(graph)}
    for node in alone.values():
        found = litert.interpreter(litert.convert(keras_model.layer_alone(graph, node)))
        found.invoke()
        assert tuple(found.get_output_details()[0]["shape"]) == (1, *node.shape)
        assert [tuple(detail["shape"][1:]) for detail in found.get_input_details()] == [
            graph.by_name[source].shape for source in node.inputs
        ]


# What operations become; a sum of n terms is n - 1 of them.
BECOMES = {"conv": "CONV_2D", "depthwise_conv": "DEPTHWISE_CONV_2D", "dense": "FULLY_CONNECTED", "multiply": "MUL"}
BECOMES |= {"global_avg_pool": "MEAN", "max_pool": "MAX_POOL_2D", "avg_pool": "AVERAGE_POOL_2D", "add": "ADD"}
BECOMES |= {"concat": "CONCATENATION", "slice_channels": "STRIDED_SLICE", "pad": "PAD", "zero": "MUL"}
KINDS = {"relu": "RELU", "sigmoid": "LOGISTIC"}


def expected_operations(graph):
    """Operators of the converted network by kind, from what `operations` says."""
    found = collections.Counter()
    for node in operations.timed(graph):
        if node.op == "batch_norm":  # with nothing before it that has weights
            found += {"MUL": 1, "ADD": 1}
        elif node.op == "activation":
            found[KINDS[node["kind"]]] += 1
        else:
            found[BECOMES[node.op]] += len(node.inputs) - 1 if node.op == "add" else 1
    return found


def converted_operations(content):
    """Operators of a FlatBuffer by kind, read with LiteRT's own description of the format."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    model = schema.Model.GetRootAs(content, 0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    kinds = [names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes]
    graph = model.Subgraphs(0)
    return collections.Counter(kinds[graph.Operators(i).OpcodeIndex()] for i in range(graph.OperatorsLength()))


def of_converted(graph):
    return converted_operations(litert.convert(keras_model.to_keras(graph, with_statistics(graph))))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", ["nasbench101", "mnas"])
def test_operations_are_those_of_the_converted_network(name, seed, needs_litert):
    graph = network(name, seed, image=64)  # maps of one pixel are not averaged
    assert of_converted(graph) == expected_operations(graph)


@pytest.mark.parametrize(
    "arch",
    [
        # ReLUs of one sum, which is read by nothing else or by a pool too
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|avg_pool_3x3~1|nor_conv_3x3~2|",
        # equal pools and equal products by zero; ReLUs of a tensor and of another name of it
        "|skip_connect~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|",
        "|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_1x1~0|nor_conv_1x1~1|none~2|",
        "|nor_conv_1x1~0|+|nor_conv_1x1~0|none~1|+|none~0|none~1|none~2|",
    ],
)
def test_what_is_computed_alike_is_one_operation_of_the_converted_network(arch, needs_litert):
    space = spaces.get("nasbench201")
    graph = space.layer_graph(space.parse(arch), width=4, depth=1, input_shape=(16, 16, 3), classes=5)
    assert of_converted(graph) == expected_operations(graph)


# What stands between two convolutions, with a ReLU behind it.
BETWEEN = {
    "zero": lambda b, x: b.zero("op", x),
    "multiply": lambda b, x: b.multiply("op", x, b.conv("gate", x, 4, 1)),
    "avg_pool": lambda b, x: b.avg_pool("op", x, 3, strides=1, padding="same"),
    "max_pool": lambda b, x: b.max_pool("op", x, 3, strides=1, padding="same"),
    "concat": lambda b, x: b.concat("op", [x, b.conv("more", x, 4, 1)]),
    "identity": lambda b, x: b.identity("op", x),
    "pad": lambda b, x: b.pad("op", x, (1, 1, 1, 1)),
}


@pytest.mark.parametrize("op", BETWEEN)
def test_what_takes_a_relu_into_itself_is_what_the_converter_fuses(op, needs_litert):
    b = GraphBuilder((8, 8, 4))
    x = b.activation("relu", BETWEEN[op](b, b.conv("before", "input", 4, 3)))
    x = b.global_avg_pool("mean", b.conv("after", x, 4, 3))
    graph = b.finish(b.dense("dense", x, 5))
    assert of_converted(graph) == expected_operations(graph)


class Clock:
    """Stands in for the clock and for the interpreter: each run takes the next of the times given, in ms."""

    def __init__(self, monkeypatch, times):
        self.times, self.now, self.runs = iter(times), 0, 0
        monkeypatch.setattr(litert, "interpreter", lambda content: self)
        monkeypatch.setattr(litert.time, "perf_counter_ns", lambda: self.now)

    def invoke(self):
        self.runs += 1
        self.now += round(1e6 * next(self.times))


def test_median_and_spread_are_of_the_runs_after_the_warm_up(monkeypatch):
    clock = Clock(monkeypatch, [50, 70, 9.9, 10, 10.1, 10.2, 10.3])
    timing = litert.measure(b"", repeats=5, warm_up=2)
    assert (timing.median, timing.repeats, timing.rounds, timing.busy) == (10.1, 5, 1, False)
    assert timing.spread == pytest.approx((10.2 - 10) / 10.1)
    assert timing.fastest == 9.9
    assert clock.runs == 7


def test_a_busy_machine_is_tried_again_and_noticed(monkeypatch):
    noisy = [10, 20, 30, 40]
    timing = litert.measure(b"", repeats=4, warm_up=0) if Clock(monkeypatch, noisy * 3) else None
    assert timing.busy
    assert timing.rounds == litert.ROUNDS
    clock = Clock(monkeypatch, [*noisy, 5, 5, 5, 5, *noisy])
    timing = litert.measure(b"", repeats=4, warm_up=0)
    assert (timing.median, timing.spread, timing.rounds, timing.busy) == (5, 0, 2, False)
    assert clock.runs == 8


def test_of_busy_rounds_the_quietest_counts(monkeypatch):
    Clock(monkeypatch, [10, 20, 30, 40, 10, 12, 14, 16, 1, 2, 9, 10])
    timing = litert.measure(b"", repeats=4, warm_up=0)
    assert (timing.median, timing.rounds) == (13, 3)


def test_it_runs_a_real_network(needs_litert):
    graph = network("nasbench201")
    content = litert.convert(keras_model.to_keras(graph, weights.initialize(graph, "torch", 0)))
    timing = litert.measure(content, repeats=3, warm_up=1)
    assert timing.median >= timing.fastest > 0
    assert timing.repeats == 3


def test_without_litert_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.delitem(sys.modules, "ai_edge_litert.interpreter", raising=False)
    with pytest.raises(InputError) as error:
        litert.require()
    assert "pip install ai-edge-litert" in str(error.value)
    assert "\n" not in str(error.value)
