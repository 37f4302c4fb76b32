"""Names of the variables of published checkpoints, on made-up arrays."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

import spaces
from spaces.mobile.mnas import checkpoint, published
from tfnas.errors import InputError

SPACE = spaces.get("mnas")
LAYERS = {"conv": "conv2d", "depthwise_conv": "depthwise_conv2d", "batch_norm": "batch_normalization", "dense": "dense"}
GRAPH = SPACE.layer_graph(published.named("a1", 0.1), classes=3)


def invented(graph, in_graph=True, norm="batch_normalization", prefix="mnasnet-a1/"):
    """{key of a weight: name of its variable} as TensorFlow 1 would name them.

    Convolutions and the dense layer are Keras layers, numbered over the graph in the order in which they are made,
    blocks before stem and head (`in_graph`), or by scope; BN layers are numbered by scope.
    """
    made = sorted(graph.nodes, key=lambda node: not node.name.startswith("blocks"))  # stable
    counts, names = {}, {}
    for node in made:
        if node.params:
            part, *path = node.name.split(".")
            scope = f"mnas_blocks_{path[0]}" if part == "blocks" else f"mnas_{part}"
            scope += "/se" if "se" in path else ""
            kind = LAYERS[node.op]
            key = kind if in_graph and node.op != "batch_norm" else (scope, kind)
            number = counts[key] = counts.get(key, -1) + 1
            kind = norm if node.op == "batch_norm" else kind
            scope = scope if node.op == "batch_norm" else f"mnas_net_model/{scope}"
            for param, _ in node.params:
                name = "depthwise_kernel" if (node.op, param) == ("depthwise_conv", "kernel") else param
                names[f"{node.name}.{param}"] = f"{prefix}{scope}/{kind}{f'_{number}' * bool(number)}/{name}"
    return names


def arrays_of(graph, names, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {f"{node.name}.{param}": shape for node in graph.nodes for param, shape in node.params}
    return {name: rng.standard_normal(shapes[key]).astype(np.float32) for key, name in names.items()}


@pytest.mark.parametrize("in_graph", [True, False])
@pytest.mark.parametrize("norm", ["batch_normalization", "tpu_batch_normalization"])
@pytest.mark.parametrize("name", ["a1", "b1", "small", "d1"])
def test_every_weight_has_its_variable(name, in_graph, norm):
    graph = SPACE.layer_graph(published.named(name))
    names = invented(graph, in_graph, norm)
    others = ["global_step", "mnasnet-a1/mnas_stem/batch_normalization/gamma/RMSProp_1", "beta1_power"]
    found = checkpoint.variables(graph, [*reversed(names.values()), *others])
    assert found == names
    assert list(found) == [key for node in graph.nodes for key in node.param_keys()]


def test_golden_names(shared):
    """The names and shapes of the published code's own trainable variables, moving statistics aside."""
    for name, entry in json.loads((shared / "golden/spaces/mnasnet_numeric.json").read_text()).items():
        graph = SPACE.layer_graph(published.named(name))
        shapes = {variable: tuple(shape) for _, variable, shape in entry["trainable_in_creation_order"]}
        moving = [
            re.sub("gamma", param, variable)
            for variable in shapes
            if variable.endswith("gamma:0")
            for param in ("moving_mean", "moving_variance")
        ]
        found = checkpoint.variables(graph, [*shapes, *moving])
        expected = {f"{node.name}.{param}": shape for node in graph.nodes for param, shape in node.params}
        assert found.keys() == expected.keys()
        places = {variable: place for place, variable in enumerate(shapes)}
        trainable = {key: variable for key, variable in found.items() if "moving" not in key}
        assert [places[variable] for variable in trainable.values()] == list(range(len(shapes)))
        assert all(shapes[variable] == expected[key] for key, variable in trainable.items())


class TestWeights:
    def test_arrays_are_those_of_the_names(self):
        names = invented(GRAPH)
        arrays = arrays_of(GRAPH, names)
        found = checkpoint.weights(GRAPH, arrays)
        for key, name in names.items():
            np.testing.assert_array_equal(found[key], arrays[name])

    def test_averages_go_first_where_they_are_wanted(self):
        names = invented(GRAPH)
        arrays = arrays_of(GRAPH, names)
        averaged = {
            f"{name}/ExponentialMovingAverage": value + 1 for name, value in arrays.items() if "moving" not in name
        }
        for wanted in (True, False):
            found = checkpoint.weights(GRAPH, arrays | averaged, averaged=wanted)
            for key, name in names.items():
                np.testing.assert_array_equal(found[key], arrays[name] + (wanted and "moving" not in key))

    def test_files(self, tmp_path):
        names = invented(GRAPH)
        arrays = arrays_of(GRAPH, names) | {"global_step": np.int64(3)}
        path = str(tmp_path / "model.ckpt")
        tf.raw_ops.SaveV2(
            prefix=path, tensor_names=list(arrays), shape_and_slices=[""] * len(arrays), tensors=[*arrays.values()]
        )
        found = checkpoint.read(path, GRAPH)
        assert found.keys() == names.keys()
        for key, name in names.items():
            np.testing.assert_array_equal(found[key], arrays[name])
        with pytest.raises(InputError, match=r"No checkpoint of TensorFlow\. Received: .*other"):
            checkpoint.read(tmp_path / "other", GRAPH)


class TestContradictions:
    """What is not the checkpoint of the network is said in a line."""

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda a: {k: v for k, v in a.items() if "/se/" not in k},
                "Received: 0 layers conv2d in mnas_blocks_[0-9]+/se. Allowed: 2",
            ),
            (
                lambda a: {k: v for k, v in a.items() if "mnas_blocks_15" not in k},
                "Received: 0 layers .* in mnas_blocks_15",
            ),
            (
                lambda a: a | {"x/mnas_blocks_99/conv2d/kernel": 0},
                "Received: 1 layers conv2d in mnas_blocks_99. Allowed: 0",
            ),
            (lambda a: {k: v for k, v in a.items() if not k.endswith("moving_mean")}, "lacks the moving_mean"),
            (lambda a: a | {k.replace("mnasnet-a1", "copy"): v for k, v in a.items()}, "several networks"),
            (lambda a: {k: v[..., :1] for k, v in a.items()}, r"The shape of .*Received: .*Allowed: "),
            (lambda a: {}, "Received: 0 layers"),
        ],
    )
    def test_contradictions(self, change, message):
        arrays = change(arrays_of(GRAPH, invented(GRAPH)))
        with pytest.raises(InputError, match=message) as error:
            checkpoint.weights(GRAPH, arrays)
        assert "\n" not in str(error.value)
