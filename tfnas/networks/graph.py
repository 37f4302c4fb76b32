"""Layer graphs: what a network computes, in plain Python.

A :class:`Graph` lists the layers of one classifier in topological order with their exact constants and shapes. Search
spaces emit graphs, `tfnas.networks.keras_model` turns a graph into a `keras.Model` and back, and `tfnas.engine` runs a
graph directly, without paying for Keras objects. Nothing here imports TensorFlow.

Conventions: activations are NHWC and shapes leave the batch dimension out; kernels are HWIO, depthwise kernels
[kh, kw, C, multiplier], dense kernels [in, out]. Node names are dotted paths ("cells.0.layers.1.op.1"); a prefix of a
path names a block, whose output is that of its last node, or a list of blocks ("cells").
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

Shape = tuple[int, ...]

# Layers whose kernels the pruning literature calls "weights".
WEIGHT_OPS = frozenset({"conv", "depthwise_conv", "dense"})


@dataclasses.dataclass(frozen=True)
class Node:
    """One layer.

    Attributes:
        name: dotted path, unique in its graph.
        op: kind of layer; the methods of `tfnas.networks.builder.GraphBuilder` list all kinds with attributes.
        inputs: names of the nodes read.
        attrs: (key, value) pairs, hashable; `node["key"]` reads one.
        shape: output shape without the batch dimension.
        params: (name, shape) of each parameter, trainable or not, e.g. ("kernel", (3, 3, 16, 16)).
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    attrs: tuple[tuple[str, Any], ...]
    shape: Shape
    params: tuple[tuple[str, Shape], ...] = ()

    def __getitem__(self, key: str) -> Any:
        return dict(self.attrs)[key]

    def param_keys(self) -> list[str]:
        """Keys of this node's arrays in a weights dictionary: "<node>.<param>"."""
        return [f"{self.name}.{param}" for param, _ in self.params]


@dataclasses.dataclass(frozen=True)
class Graph:
    """A classifier as a tuple of nodes in topological order.

    Attributes:
        nodes: all layers; the first is the only input.
        output: name of the node that gives the logits.
        features: name of the node that gives the penultimate pooled vector [N, d], or "" if there is none.
    """

    nodes: tuple[Node, ...]
    output: str
    features: str = ""

    @functools.cached_property
    def by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @functools.cached_property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """For each node, the names of the nodes that read it (once per read)."""
        out: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for source in node.inputs:
                out[source].append(node.name)
        return {name: tuple(readers) for name, readers in out.items()}

    @property
    def input_shape(self) -> Shape:
        return self.nodes[0].shape

    @property
    def num_classes(self) -> int:
        return self.by_name[self.output].shape[-1]

    def weight_nodes(self) -> list[Node]:
        """Convolutions and dense layers, in topological order."""
        return [node for node in self.nodes if node.op in WEIGHT_OPS]

    def count_params(self) -> int:
        """Number of trainable parameters."""
        return sum(
            math.prod(shape) for node in self.nodes for param, shape in node.params if not param.startswith("moving_")
        )

    def flops(self) -> int:
        """Multiply-adds of convolutions and dense layers for one image, one more per output for a bias.

        This is the counter of NAS-Bench-201 (no BN, pooling or addition); the tables print it in units of 1e6.
        """
        return sum(_node_flops(node) for node in self.nodes)


def _node_flops(node: Node) -> int:
    if node.op not in WEIGHT_OPS:
        return 0
    kernel = dict(node.params)["kernel"]
    positions = math.prod(node.shape[:-1])
    # A depthwise kernel [kh, kw, C, multiplier] and a (grouped) kernel [kh, kw, C_in/groups, C_out] both do one
    # multiply-add per kernel entry and position.
    macs = positions * math.prod(kernel)
    return macs + (positions * node.shape[-1] if "bias" in dict(node.params) else 0)
