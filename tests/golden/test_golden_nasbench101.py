"""NAS-Bench-101 against numbers of the published implementation and the published tables."""

import functools
import json
import zlib

import numpy as np
import pandas as pd
import pytest

import spaces
from spaces.nasbench101 import cells as nasbench101
from spaces.nasbench101 import enumeration as nasbench101_enumeration
from spaces.nasbench101 import network as nasbench101_network
from tests import float32, nasbench101_plain
from tests.conftest import needed, shared_path
from tests.golden import steps

_SPACE = spaces.get("nasbench101")


def _load(name):
    file = shared_path() / "golden/spaces" / name
    return json.loads(file.read_text()) if file.exists() else {}


_SPECS = _load("nb101.json").get("specs", [])
_NUMERIC = [spec for spec in _SPECS if "train_mode_logits" in spec]


@pytest.fixture(scope="module")
def table(shared):
    """All cells of the benchmark with their hashes and parameters."""
    return pd.read_parquet(needed(shared / "data/tables/nb101_all_test108.parquet"))


def _rows(table, count):
    chosen = table.sample(count, random_state=0)
    return zip(chosen.num_vertices, chosen.adj_bits, chosen.op_labels, chosen.hash, chosen.params, strict=True)


def test_golden_files_are_present(shared):
    assert _SPECS
    assert _NUMERIC
    assert _load("nb101_counts.json")


@pytest.mark.parametrize("spec", _SPECS, ids=lambda spec: spec["name"])
def test_facts(spec):
    cell = _SPACE.cell(spec["matrix"], spec["ops"])
    assert [list(row) for row in cell.matrix] == spec["matrix"]
    assert [list(row) for row in cell.pruned.matrix] == spec["pruned_matrix"]
    assert list(cell.pruned.ops) == spec["pruned_ops"]
    assert _SPACE.canonical(cell) == spec["hash"]
    assert _SPACE.canonical(_SPACE.at(_SPACE.index(cell))) == spec["hash"]
    graph = _SPACE.layer_graph(cell)
    assert graph.count_params() == spec["trainable_params"]
    # The published count has no additions of the dense layer's bias.
    assert graph.flops() - graph.num_classes == spec["conv_dense_macs"]
    tensors = [shape for node in graph.nodes for name, shape in node.params if not name.startswith("moving")]
    assert len(tensors) == spec["n_trainable_tensors"]


@pytest.mark.parametrize("spec", _SPECS, ids=lambda spec: spec["name"])
def test_channels(spec):
    cell = _SPACE.cell(spec["matrix"], spec["ops"]).pruned
    for channels in spec["vertex_channels"].values():
        assert nasbench101_network.vertex_channels(channels[0], channels[-1], cell.matrix) == channels


class TestEnumeration:
    def test_counts(self, shared):
        counts = _load("nb101_counts.json")
        labelled = unique = 0
        vertices = [len(cell.ops) for cell in _SPACE.enumerate()]
        for count, expected in counts.items():
            labelled += len(nasbench101_enumeration.full_graphs(int(count))) * 3 ** (int(count) - 2)
            unique += vertices.count(int(count))
            assert (unique, labelled) == (expected["cumulative_unique"], expected["cumulative_labelled"])
        assert unique == _SPACE.size == len(vertices)

    def test_cells_are_those_of_the_table(self, table):
        labels = [int(text or "0", 3) for text in table.op_labels]
        codes = nasbench101_enumeration.encode(
            table.num_vertices.to_numpy(np.int64), table.adj_bits.to_numpy(np.int64), np.array(labels)
        )
        assert np.array_equal(np.sort(codes), nasbench101_enumeration.codes())

    def test_index(self, table):
        for vertices, bits, labels, *_ in _rows(table, 1000):
            cell = nasbench101.from_bits(vertices, bits, labels)
            assert nasbench101.to_bits(cell) == (vertices, bits, labels)
            assert _SPACE.at(_SPACE.index(cell)) == cell == _SPACE.parse(str(cell))

    @pytest.mark.slow
    def test_hashes_are_those_of_the_table(self, table):
        assert {_SPACE.canonical(cell) for cell in _SPACE.enumerate()} == set(table.hash)


class TestTable:
    def test_hashes(self, table):
        for vertices, bits, labels, expected, _ in _rows(table, 5_000):
            assert _SPACE.canonical(nasbench101.from_bits(vertices, bits, labels)) == expected

    def test_parameters(self, table):
        for vertices, bits, labels, _, expected in _rows(table, 300):
            assert _SPACE.layer_graph(nasbench101.from_bits(vertices, bits, labels)).count_params() == expected

    @pytest.mark.slow
    def test_hashes_and_parameters_of_many(self, table):
        for vertices, bits, labels, expected_hash, expected_params in _rows(table, 20_000):
            cell = nasbench101.from_bits(vertices, bits, labels)
            assert _SPACE.canonical(cell) == expected_hash
            assert nasbench101_plain.parameters(cell) == expected_params
            assert _SPACE.layer_graph(cell).count_params() == expected_params


def _weights(graph):
    """The weights that the golden files derive from the names of the tensors."""
    weights = {}
    for node in graph.nodes:
        for param, shape in node.params:
            key = f"{node.name}.{param}"
            seed = zlib.crc32(f"{key.replace('.', '/')}:0".encode()) & 0x7FFFFFFF
            values = np.random.RandomState(seed).standard_normal(shape)
            if param.startswith("moving"):
                values = np.full(shape, param == "moving_variance")
            elif param == "kernel":
                values *= np.sqrt(2 / np.prod(shape[:-1]))
            else:
                values = 0.1 * values + (param == "gamma")
            weights[key] = values.astype(np.float32)
    return weights


@functools.cache
def _network(name):
    """(graph, weights, golden results, their spread) of a network of full size in training mode."""
    (spec,) = (spec for spec in _NUMERIC if spec["name"] == name)
    graph = _SPACE.layer_graph(_SPACE.cell(spec["matrix"], spec["ops"]))
    weights = _weights(graph)
    norms = zip(spec["trainable_tensors"], spec["grad_l2_norm_per_tensor"], strict=True)
    means = zip(_watched(graph), spec["mean_activation_after_stem_and_each_stack"], strict=True)
    expected = {
        "logits": np.array(spec["train_mode_logits"]),
        "loss": spec["loss_labels_0123"],
        **{_key(name): norm for (name, _), norm in norms},
        **{f"mean of {node}": mean for node, mean in means},
    }

    def compute(weights, images):
        return steps.by_engine(graph, weights, images, "float64", _watched(graph))

    return graph, weights, expected, float32.spread(compute, weights, steps.images(), draws=2)


def _key(tensor):
    return tensor.removesuffix(":0").replace("/", ".")


def _watched(graph):
    """The last nodes of stem and stacks."""
    blocks = ["stem", "stack0", "stack1", "stack2"]
    return [[node.name for node in graph.nodes if node.name.startswith(f"{block}.")][-1] for block in blocks]


@pytest.mark.parametrize("name", [spec["name"] for spec in _NUMERIC])
class TestNumbers:
    """Full-size networks with given weights, in training mode. The golden numbers are float32."""

    def test_names_and_shapes(self, name):
        (spec,) = (spec for spec in _NUMERIC if spec["name"] == name)
        graph = _SPACE.layer_graph(_SPACE.cell(spec["matrix"], spec["ops"]))
        tensors = {
            f"{node.name}.{param}": shape
            for node in graph.nodes
            for param, shape in node.params
            if not param.startswith("moving")
        }
        assert tensors == {_key(name): tuple(shape) for name, shape in spec["trainable_tensors"]}

    @pytest.mark.parametrize(
        ("route", "dtype"),
        [
            (steps.by_engine, "float64"),
            (steps.by_engine, "float32"),
            pytest.param(steps.by_keras, "float64", marks=pytest.mark.slow),
            (steps.by_keras, "float32"),
        ],
    )
    def test_step(self, name, route, dtype):
        graph, weights, expected, spread = _network(name)
        received = route(graph, weights, steps.images(), dtype, _watched(graph))
        received = {key: received[key] for key in expected}
        float32.check(received, expected, steps.allowed(spread, expected))
