"""The ProxylessNAS space against the published networks and latencies, and the logits of the reference code."""

import functools
import json
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import spaces
from spaces.mobile.proxylessnas import latency, published, strings
from tests.conftest import needed, shared_path
from tests.engine_cases import keras_model as float64_model
from tfnas.networks import keras_model

SPACE = spaces.get("proxylessnas")


def _load(name):
    file = shared_path() / "golden" / "spaces" / name
    return json.loads(file.read_text()) if file.exists() else {}


_NETWORKS = _load("proxyless.json")
_FLAVOURS = {"search_widths_24_40_80_96_192_320": "search", "mobile_widths_32_40_80_96_192_320": "mobile"}
_ARCHIVE = {
    "mobilenet_v2": "3,3,6,6 3,3,3,6 3,3,3,3 3,3,3,6 3,3,3,6 3",
    "mnasnet_b1": "0,0,0,6 1,1,1,6 4,4,4,6 3,3,6,6 4,4,4,4 3",
    "proxyless_mobile": "1,0,6,6 2,0,1,1 5,1,1,1 4,1,1,1 5,5,2,2 5",
}


def _of_ops(ops, first="k3e1"):
    blocks = np.split(np.array(ops), np.cumsum(strings.LAYERS)[:-1])
    return SPACE.parse("|".join([first, *map(":".join, blocks)]))


def test_golden_files_are_present(shared):
    assert _NETWORKS["official"]
    assert _NETWORKS["constructed"]
    assert _load("proxyless_numeric.json")


@pytest.mark.parametrize("name", _NETWORKS.get("official", {}))
def test_golden_released_networks(name):
    case = _NETWORKS["official"][name]
    arch = published.named(name)
    graph = SPACE.layer_graph(arch, flavour=published.FLAVOURS[name])
    assert graph.count_params() == case["params"]
    assert graph.flops() - 1000 == case["macs_conv_fc"]  # the biases of the classifier
    assert [op.partition("_")[0] for op in case["ops"]] == [f"k{arch.first}e1", *arch.ops]


@pytest.mark.parametrize("name", _NETWORKS.get("constructed", {}))
def test_golden_sizes(name):
    case = _NETWORKS["constructed"][name]
    graph = SPACE.layer_graph(_of_ops(case["ops"]), flavour=_FLAVOURS[name.partition("|")[2]])
    assert graph.count_params() == case["params"]
    assert graph.flops() - 1000 == case["macs_conv_fc"]


@pytest.mark.parametrize("name", _ARCHIVE)
def test_golden_archive(name):
    """The archive of TuNAS, which counts 0 k3e3, 1 k5e3, 2 k7e3, 3 k3e6, 4 k5e6, 5 k7e6, 6 skip."""
    ops = ("k3e3", "k5e3", "k7e3", "k3e6", "k5e6", "k7e6", "skip")
    blocks = [[ops[int(code)] for code in block.split(",")] for block in _ARCHIVE[name].split()]
    assert str(published.named(name)) == "|".join(["k3e1", *map(":".join, blocks)])


def test_golden_latencies_of_the_table(shared):
    times = latency.read(needed(shared / "data/tables/latency_luts_proxyless_ofa.csv"))
    known = {name: case for name, case in _NETWORKS["constructed"].items() if case["lut_latency_ms"] is not None}
    assert known
    found = times.of([_of_ops(case["ops"]) for case in known.values()])
    np.testing.assert_allclose(found, [case["lut_latency_ms"] for case in known.values()], rtol=1e-12)


def test_golden_latencies_of_the_model(shared):
    path = needed(shared / "golden/spaces/tunas_proxylessnas_latency_model.json")
    times, checks = latency.read(path), json.loads(path.read_text())["checks"]
    for name, check in checks.items():
        assert times.of([_of_indices(check["indices"])])[0] == pytest.approx(check["cost_ms"], rel=1e-6), name
    assert _of_indices(checks["proxylessnas_mobile"]["indices"]) == published.named("proxyless_mobile")


def _of_indices(indices):
    """The decisions of TuNAS: three, then kernel, expansion and skip of each layer, and one more for each block."""
    rest, blocks = list(indices), []
    assert rest[:3] == [0, 0, 0]
    del rest[:3]
    for count in strings.LAYERS:
        layers = [rest[3 * layer : 3 * layer + 3] for layer in range(count)]
        blocks.append(["skip" if skip else f"k{(3, 5, 7)[k]}e{(3, 6)[e]}" for k, e, skip in layers])
        del rest[: 3 * count + 1]
    return SPACE.parse("|".join(["k3e1", *map(":".join, blocks)]))


@functools.cache
def _numeric():
    case = _load("proxyless_numeric.json")
    graph = SPACE.layer_graph(published.named("proxyless_mobile"), input_shape=(64, 64, 3))
    return case, graph


def _torch_shape(node, param, shape):
    if param == "kernel" and node.op == "depthwise_conv":
        return [shape[2], 1, *shape[:2]]
    if param == "kernel" and len(shape) == 4:
        return [shape[3], shape[2], *shape[:2]]
    return list(shape[::-1])


def _weights(graph):
    """The weights that the golden file derives from the names of the tensors."""
    arrays = {}
    for node in graph.nodes:
        for param, shape in node.params:
            key = f"{node.name}.{param}"
            if param.startswith("moving_"):
                arrays[key] = np.full(shape, float(param == "moving_variance"), np.float32)
                continue
            name = published.checkpoint_name(key)
            rng = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
            theirs = _torch_shape(node, param, shape)
            value = rng.standard_normal(theirs)
            if len(theirs) == 4:
                value = value * np.sqrt(2 / np.prod(theirs[1:]))
                axes = (2, 3, 0, 1) if node.op == "depthwise_conv" else (2, 3, 1, 0)
                value = value.transpose(axes)
            elif len(theirs) == 2:
                value = (value * np.sqrt(1 / theirs[1])).T
            else:
                value = 0.1 * value + (param == "gamma")
            arrays[key] = value.astype(np.float32)
    return arrays


def test_golden_names_of_parameters():
    case, graph = _numeric()
    found = [
        [published.checkpoint_name(f"{node.name}.{param}"), _torch_shape(node, param, shape)]
        for node in graph.nodes
        for param, shape in node.params
        if not param.startswith("moving_")
    ]
    assert sorted(found) == sorted(case["param_names"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_golden_logits(dtype):
    """Those of the reference code are float32, printed to five digits."""
    case, graph = _numeric()
    model = {"float32": keras_model.to_keras, "float64": float64_model}[dtype](graph, _weights(graph))
    layers = [layer for layer in range(22) if any(n.name.startswith(f"blocks.{layer}.") for n in graph.nodes)]
    last = [[n.name for n in graph.nodes if n.name.startswith(f"blocks.{layer}.")][-1] for layer in layers]
    both = keras.Model(model.input, [*(model.get_layer(name).output for name in last), model.output])
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    x = np.random.RandomState(0).standard_normal((4, 64, 64, 3))
    *maps, logits = (np.array(y) for y in both(tf.constant(x, dtype), training=True))
    by_layer = dict(zip(layers, maps, strict=True))
    for layer, (_, mean, norm) in enumerate(case["block_outputs_shapeNCHW_mean_l2"]):
        y = by_layer[max(known for known in layers if known <= layer)]
        assert y.mean() == pytest.approx(mean, abs=1e-4)
        assert np.linalg.norm(y) == pytest.approx(norm, rel=1e-4)
    np.testing.assert_allclose(logits[:, :10], case["logits_first10"], atol=5e-4)
    assert np.linalg.norm(logits) == pytest.approx(case["logits_l2"], rel=1e-4)
