"""Search spaces against numbers of the published implementations."""

import functools
import hashlib
import json
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import spaces
from spaces.nasbench201 import space as nasbench201
from tests import float32, golden
from tests.conftest import shared_path
from tests.engine_cases import keras_model as float64_model
from tests.golden import steps
from tfnas.networks import keras_model

_TOPOLOGY = spaces.get("nasbench201")
_SIZE = spaces.get("nasbench201_size")


def _load(path):
    file = shared_path() / "golden" / path
    return json.loads(file.read_text()) if file.exists() else {}


_NATS = _load("spaces/nb201_nats.json")
_STEPS = {}
_PARAM_NAMES = {}
for _name, _case in _load("spaces/nb201_numeric.json").items():
    (_PARAM_NAMES if "names_and_torch_shapes" in _case else _STEPS)[_name] = _case


def _sha(strings):
    return hashlib.sha256("\n".join(map(str, strings)).encode()).hexdigest()


def test_golden_files_are_present(shared):
    assert _NATS["archs"]
    assert _NATS["size_space"]
    assert _STEPS
    assert _PARAM_NAMES
    assert golden.case_names()
    assert golden.native_names()


class TestCounts:
    def test_every_index_and_string(self, shared):
        lines = (shared / "golden/spaces/nb201_index_order.txt").read_text().split()
        assert len(lines) == _TOPOLOGY.size
        for index, (line, arch) in enumerate(zip(lines, _TOPOLOGY.enumerate(), strict=True)):
            assert arch.ops == tuple(nasbench201.OPS[int(digit)] for digit in line)
            assert _TOPOLOGY.parse(str(arch)) == arch
            assert _TOPOLOGY.index(arch) == index

    def test_published_counts(self, shared):
        counts = _load("spaces/nb201_counts.json")
        cells = list(_TOPOLOGY.enumerate())
        assert len(cells) == counts["all"]
        assert [str(cell) for cell in cells[: len(counts["first5"])]] == counts["first5"]
        assert _sha(cells) == counts["sha256_of_newline_joined_meta_archs"]
        assert sum(map(nasbench201.is_valid, cells)) == counts["check_valid_true"]
        for zero in (True, False, None):
            classes = {nasbench201.unique_string(cell, zero) for cell in cells}
            assert len(classes) == counts[f"unique_consider_zero_{zero}"]

    def test_published_counts_of_sizes(self, shared):
        counts = _load("spaces/nb201_counts.json")
        sizes = list(_SIZE.enumerate())
        assert len(sizes) == counts["sss_total"]
        assert [str(size) for size in sizes[:3]] == counts["sss_first3"]
        assert str(sizes[-1]) == counts["sss_last"]
        assert _sha(sizes) == counts["sss_sha256"]


def _check_size_of_network(graph, expected):
    assert graph.count_params() == expected["params"]
    assert graph.flops() == round(expected["flops_M"] * 1e6)


@pytest.mark.parametrize("case", _NATS.get("archs", []), ids=lambda case: case["name"])
def test_topology_facts(case):
    arch = _TOPOLOGY.parse(case["arch"])
    assert _TOPOLOGY.index(arch) == case["index"]
    assert _TOPOLOGY.at(case["index"]) == arch
    assert nasbench201.is_valid(arch) == case["valid_path"]
    assert nasbench201.unique_string(arch) == case["unique_str_zero"]
    assert nasbench201.unique_string(arch, consider_zero=False) == case["unique_str_nozero"]
    for expected in case["datasets"].values():
        side = expected["resolution"]
        graph = _TOPOLOGY.layer_graph(arch, classes=expected["classes"], input_shape=(side, side, 3))
        _check_size_of_network(graph, expected)


@pytest.mark.parametrize("case", _NATS.get("size_space", []), ids=lambda case: case["channels"])
def test_size_facts(case):
    heads = {name: (data["classes"], data["resolution"]) for name, data in _NATS["archs"][0]["datasets"].items()}
    arch = _SIZE.parse(case["channels"])
    assert _SIZE.index(arch) == case["index"]
    assert _SIZE.at(case["index"]) == arch
    for name, expected in case["datasets"].items():
        classes, side = heads[name]
        _check_size_of_network(_SIZE.layer_graph(arch, classes=classes, input_shape=(side, side, 3)), expected)


def _by_keras(graph, weights, x, dtype):
    """Features and logits in both modes by the Keras model, as `golden.outputs`."""
    model = {"float32": keras_model.to_keras, "float64": float64_model}[dtype](graph, weights)
    both = keras.Model(model.input, [model.get_layer(graph.features).output, model.output])
    found = {}
    # The moving statistics change in the training pass, so it comes last.
    for mode, training in (("eval", False), ("train", True)):
        found[f"features_{mode}"], found[f"logits_{mode}"] = both(tf.constant(x, dtype), training=training)
    return found


def _check_outputs(case, dtype, expected):
    """Keras outputs against the expected ones: exact in float64, in float32 within what float32 costs."""
    x = golden.inputs()["x"]
    received = _by_keras(case.graph, case.weights, x, dtype)
    if dtype == "float64":
        allowed = {key: 1e-9 * float32.largest(value) for key, value in expected.items()}
    else:
        compute = lambda weights, x: golden.outputs(case.graph, weights, x, "float64")  # noqa: E731
        allowed = float32.allowed(float32.spread(compute, case.weights, x), expected)
    float32.check({key: received[key] for key in expected}, expected, allowed)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", golden.case_names())
def test_outputs_of_given_weights(name, dtype):
    case = golden.load(name)
    keys = [f"{what}_{mode}" for what in ("features", "logits") for mode in golden.BN]
    _check_outputs(case, dtype, {key: case.arrays[f"{key}_f64"] for key in keys})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", golden.native_names())
def test_outputs_of_given_weights_zcnas(name, dtype):
    case = golden.load_native(name)
    _check_outputs(case, dtype, {"logits_train": np.array(case.expected["float64"]["logits_train"])})


def _torch_param(node, param):
    if param == "kernel":
        return f"{node.name}.weight"
    return f"{node.name}.{'weight' if param == 'gamma' else 'bias'}"


def _named_weights(graph):
    """The weights that the golden files derive from the names of the tensors."""
    weights = {}
    for node in graph.nodes:
        for param, shape in node.params:
            name = _torch_param(node, param)
            rng = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
            if param.startswith("moving_"):
                value = np.full(shape, param == "moving_variance")
            elif len(shape) == 4:
                value = rng.standard_normal([shape[3], shape[2], *shape[:2]]) * np.sqrt(2 / np.prod(shape[:3]))
                value = value.transpose(2, 3, 1, 0)
            elif len(shape) == 2:
                value = rng.standard_normal(shape[::-1]).T * np.sqrt(1 / shape[0])
            else:
                value = 0.1 * rng.standard_normal(shape) + (param == "gamma")
            weights[f"{node.name}.{param}"] = value.astype(np.float32)
    return weights


@functools.cache
def _step(name):
    """(graph, weights, golden results of one training step, their spread)."""
    case = _STEPS[name]
    graph = _TOPOLOGY.layer_graph(_TOPOLOGY.parse(case["arch"]))
    weights = _named_weights(graph)
    ours = {_torch_param(node, param): f"{node.name}.{param}" for node in graph.nodes for param, _ in node.params}
    expected = {
        "logits": np.array(case["train_mode_logits"]),
        "loss": case["loss_labels_0123"],
        "input": case["input_grad_l2"],
        "eval": np.array(case["eval_mode_logits_after_that_one_forward"]),
        **{ours[name]: norm for name, norm in case["grad_l2"].items()},
    }

    def compute(weights, images):
        return steps.by_engine(graph, weights, images, "float64")

    return graph, weights, expected, float32.spread(compute, weights, steps.images())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("route", [steps.by_engine, steps.by_keras])
@pytest.mark.parametrize("name", _STEPS)
def test_step_of_named_weights(name, route, dtype):
    """The golden numbers are float32, so float64 is held to what float32 costs too."""
    graph, weights, expected, spread = _step(name)
    received = route(graph, weights, steps.images(), dtype)
    received = {key: received[key] for key in expected}
    float32.check(received, expected, steps.allowed(spread, expected))


@pytest.mark.parametrize("name", _PARAM_NAMES)
def test_names_and_shapes_of_parameters(name):
    case = _PARAM_NAMES[name]
    graph = _TOPOLOGY.layer_graph(_TOPOLOGY.parse(case["arch"]))
    trainable = {
        _torch_param(node, param): _torch_shape(shape)
        for node in graph.nodes
        for param, shape in node.params
        if not param.startswith("moving_")
    }
    assert trainable == {name: tuple(shape) for name, shape in case["names_and_torch_shapes"]}


def _torch_shape(shape):
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]
