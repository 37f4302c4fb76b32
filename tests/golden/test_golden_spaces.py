"""Search spaces against numbers of the published implementations."""

import contextlib
import hashlib
import json
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import spaces
from spaces.nasbench201 import space as nasbench201
from tests.conftest import shared_path
from tfnas.networks import keras_model

# Kind of a tensor in the golden files and our name for it.
_OURS = {
    "conv_kernel": "kernel",
    "conv_bias": "bias",
    "dense_kernel": "kernel",
    "dense_bias": "bias",
    "bn_gamma": "gamma",
    "bn_beta": "beta",
    "bn_moving_mean": "moving_mean",
    "bn_moving_variance": "moving_variance",
}
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
_MANIFEST = _load("proxies/manifest.json")
_ZCNAS = _load("proxies/expected_zcnas_native.json")


def _sha(strings):
    return hashlib.sha256("\n".join(map(str, strings)).encode()).hexdigest()


def test_golden_files_are_present(shared):
    assert _NATS["archs"]
    assert _NATS["size_space"]
    assert _STEPS
    assert _PARAM_NAMES
    assert _MANIFEST
    assert _ZCNAS


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


def _given_weights(shared, tensors, file):
    arrays = np.load(shared / "golden/proxies" / file)
    return {
        f"{tensor['torch_name'].rpartition('.')[0]}.{_OURS[tensor['kind']]}": arrays[tensor["key"]]
        for tensor in tensors
    }


def _assert_close(received, expected, tolerance):
    scale = max(np.max(np.abs(expected)), 1e-30)
    np.testing.assert_allclose(received, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", _MANIFEST)
def test_outputs_of_given_weights(shared, name):
    case = _MANIFEST[name]
    graph = _TOPOLOGY.layer_graph(
        _TOPOLOGY.parse(case["arch"]), width=case["C"], depth=case["N"], classes=case["num_classes"]
    )
    model = keras_model.to_keras(graph, _given_weights(shared, case["tensors"], case["weights"]))
    both = keras.Model(model.input, [model.get_layer(graph.features).output, model.output])
    x = np.load(shared / "golden/proxies/inputs.npz")["x"]
    expected = np.load(shared / f"golden/proxies/arrays_{name}.npz")
    # The moving statistics change in the training pass, so it comes last.
    for mode, training in (("eval", False), ("train", True)):
        features, logits = both(x, training=training)
        _assert_close(features, expected[f"features_{mode}_f64"], 1e-5)
        _assert_close(logits, expected[f"logits_{mode}_f64"], 1e-5)


@pytest.mark.parametrize("name", _ZCNAS)
def test_outputs_of_given_weights_zcnas(shared, name):
    case = _ZCNAS[name]
    graph = _TOPOLOGY.layer_graph(_TOPOLOGY.parse(case["arch"]), flavour="zcnas")
    model = keras_model.to_keras(graph, _given_weights(shared, case["tensors"], f"weights_zcnas_{name}.npz"))
    x = np.load(shared / "golden/proxies/inputs.npz")["x"]
    _assert_close(model(x, training=True), np.array(case["float64"]["logits_train"]), 1e-5)


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


@pytest.fixture(params=_STEPS)
def step(request):
    """A network with golden numbers of one training step: (case, graph, model, images)."""
    case = _STEPS[request.param]
    graph = _TOPOLOGY.layer_graph(_TOPOLOGY.parse(case["arch"]))
    images = np.random.RandomState(0).standard_normal((4, 32, 32, 3))
    return case, graph, keras_model.to_keras(graph, _named_weights(graph)), images.astype(np.float32)


def test_logits_of_named_weights(step):
    case, graph, model, images = step
    variances = {node.name: model.get_layer(node.name).moving_variance.numpy() for node in _norms(graph)}
    np.testing.assert_allclose(model(images, training=True), case["train_mode_logits"], rtol=0, atol=1e-4)

    for node in _norms(graph):  # PyTorch keeps the unbiased variance, Keras the biased one
        count = 4 * np.prod(node.shape[:-1])
        moving = model.get_layer(node.name).moving_variance
        kept = node["momentum"] * variances[node.name]
        moving.assign(kept + (moving.numpy() - kept) * count / (count - 1))
    expected = np.array(case["eval_mode_logits_after_that_one_forward"])
    _assert_close(model(images, training=False), expected, 1e-4)


def test_gradients_of_named_weights(step):
    """The golden numbers are float32, and a ReLU that flips moves those of deep networks by a percent.

    So they may be off by what float32 costs the same network here, which is 1e-6 where nothing flips.
    """
    case, graph, model, images = step
    loss, received = _gradient_norms(model, graph, images, case["grad_l2"])
    with _dtype_policy("float64"):
        exact_model = keras_model.to_keras(graph, _named_weights(graph))
        _, exact = _gradient_norms(exact_model, graph, images.astype(np.float64), case["grad_l2"])
    noise = max(abs(received[name] - exact[name]) / (exact[name] + 1e-6) for name in exact)
    assert noise < 0.02
    expected = {**case["grad_l2"], "input": case["input_grad_l2"]}
    assert loss == pytest.approx(case["loss_labels_0123"], rel=1e-5)
    assert received == pytest.approx(expected, rel=1e-5 + 2 * noise, abs=1e-7)


def _gradient_norms(model, graph, images, torch_names):
    images = tf.constant(images)
    variables = {name: _variable(model, graph, name) for name in torch_names}
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = model(images, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits([0, 1, 2, 3], logits))
    gradients = tape.gradient(loss, {**variables, "input": images}, unconnected_gradients="zero")
    return float(loss), {name: float(tf.norm(gradient)) for name, gradient in gradients.items()}


@contextlib.contextmanager
def _dtype_policy(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


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


def _norms(graph):
    return [node for node in graph.nodes if node.op == "batch_norm"]


def _variable(model, graph, torch_name):
    name = torch_name.removesuffix(".weight")
    layer = model.get_layer(name)
    return layer.gamma if graph.by_name[name].op == "batch_norm" else layer.kernel
