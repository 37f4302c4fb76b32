"""Reads the golden cases of proxies: graphs with the saved weights, inputs and expected numbers."""

import dataclasses
import functools
import json
import pathlib

import numpy as np

import spaces
from tests.conftest import shared_path
from tfnas.engine import Network
from tfnas.networks.graph import Graph

# BN mode by the mode that golden names speak of.
BN = {"train": "batch", "eval": "inference"}
_PARAMS = {
    "conv_kernel": "kernel",
    "dense_kernel": "kernel",
    "dense_bias": "bias",
    "conv_bias": "bias",
    "bn_gamma": "gamma",
    "bn_beta": "beta",
    "bn_moving_mean": "moving_mean",
    "bn_moving_variance": "moving_variance",
}


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    graph: Graph
    weights: dict[str, np.ndarray]
    expected: dict[str, dict]
    arrays: dict[str, np.ndarray]

    def weight_keys(self) -> list[str]:
        return [f"{node.name}.kernel" for node in self.graph.weight_nodes()]


def folder() -> pathlib.Path:
    return shared_path() / "golden" / "proxies"


def read_json(name: str) -> dict:
    return json.loads((folder() / name).read_text())


def case_names() -> list[str]:
    """All cases of the manifest; none where the reference data are absent (the tests then skip)."""
    return list(read_json("manifest.json")) if folder().is_dir() else []


def native_names() -> list[str]:
    return list(read_json("expected_zcnas_native.json")) if folder().is_dir() else []


def _weights(tensors: list[dict], arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        f"{tensor['torch_name'].rpartition('.')[0]}.{_PARAMS[tensor['kind']]}": arrays[tensor["key"]]
        for tensor in tensors
    }


@functools.cache
def load(name: str) -> Case:
    entry = read_json("manifest.json")[name]
    space = spaces.get("nasbench201")
    graph = space.layer_graph(
        space.parse(entry["arch"]), width=entry["C"], depth=entry["N"], classes=entry["num_classes"]
    )
    with np.load(folder() / entry["weights"]) as arrays:
        weights = _weights(entry["tensors"], arrays)
    with np.load(folder() / f"arrays_{name}.npz") as arrays:
        arrays = dict(arrays)
    return Case(name, graph, weights, read_json("expected.json")[name], arrays)


@functools.cache
def load_native(name: str) -> Case:
    """A case of zero-cost-nas' own network."""
    entry = read_json("expected_zcnas_native.json")[name]
    space = spaces.get("nasbench201")
    graph = space.layer_graph(space.parse(entry["arch"]), flavour="zcnas")
    with np.load(folder() / f"weights_zcnas_{name}.npz") as arrays:
        return Case(name, graph, _weights(entry["tensors"], arrays), entry, {})


@functools.cache
def inputs() -> dict[str, np.ndarray]:
    with np.load(folder() / "inputs.npz") as arrays:
        return dict(arrays)


def images() -> dict[str, np.ndarray]:
    """The inputs that are no labels."""
    return {key: value for key, value in inputs().items() if value.dtype == np.float32}


def outputs(graph: Graph, weights: dict[str, np.ndarray], images: np.ndarray, dtype: str) -> dict[str, np.ndarray]:
    """Features [N, C] and logits [N, classes] in training ("train") and inference ("eval"), by golden name."""
    network = Network(graph, weights, dtype=dtype)
    found = {}
    for mode, bn in BN.items():
        values = network.forward(images, bn).values
        found[f"features_{mode}"] = values[graph.features].numpy()
        found[f"logits_{mode}"] = values[graph.output].numpy()
    return found
