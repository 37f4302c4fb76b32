"""Cuts a layer graph into chains: the units that the engine compiles and caches.

A chain is a run of layers in which every layer feeds only the next one, holding at most one layer with a kernel (for
example ReLU-pad-convolution-BN). What it computes depends on its :class:`Layer` signatures alone, so networks of one
search space share nearly all of their chains and a process traces each chain once.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

from tfnas.networks.activations import RECTIFIERS
from tfnas.networks.graph import WEIGHT_OPS, Graph, Node, Shape


@dataclasses.dataclass(frozen=True)
class Layer:
    """A node without its name: equal layers compute the same function.

    Attributes:
        op, attrs, shape, params: as in :class:`tfnas.networks.graph.Node`.
        input_shapes: shapes of what the layer reads.
    """

    op: str
    attrs: tuple[tuple[str, Any], ...]
    shape: Shape
    params: tuple[tuple[str, Shape], ...]
    input_shapes: tuple[Shape, ...]

    def __getitem__(self, key: str) -> Any:
        return dict(self.attrs)[key]

    @property
    def has_kernel(self) -> bool:
        return self.op in WEIGHT_OPS

    @property
    def is_relu(self) -> bool:
        return self.op == "activation" and self["kind"] in RECTIFIERS


Layers = tuple[Layer, ...]


@dataclasses.dataclass(frozen=True)
class Chain:
    """Consecutive nodes run as one kernel; only the first may read several values."""

    nodes: tuple[Node, ...]
    layers: Layers

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.nodes[0].inputs

    @property
    def output(self) -> str:
        return self.nodes[-1].name

    @functools.cached_property
    def is_alias(self) -> bool:
        """Whether it is an alias: these are chains of their own, which no kernel runs."""
        return self.layers[0].op in ALIASES

    @functools.cached_property
    def is_linear(self) -> bool:
        """Whether derivatives need none of the chain's inputs."""
        return all(layer.op in LINEAR_OPS for layer in self.layers)

    @functools.cached_property
    def kernel_node(self) -> str:
        """Name of the layer with a kernel, "" if there is none."""
        return next((node.name for node in self.nodes if node.op in WEIGHT_OPS), "")

    @functools.cached_property
    def has_later_relu(self) -> bool:
        """Whether a ReLU reads another layer of the chain."""
        return any(layer.is_relu for layer in self.layers[1:])

    @functools.cached_property
    def params(self) -> frozenset[str]:
        """Names of the parameters that its layers have."""
        return frozenset(name for layer in self.layers for name, _ in layer.params)


# Layers that hand values on and compute nothing of their own; `tfnas.engine.walk` knows how.
ALIASES = frozenset({"add", "dropout", "identity", "zero"})
# Layers without parameters that are linear in their inputs (`pad` is affine).
LINEAR_OPS = ALIASES | {
    "avg_pool",
    "concat",
    "crop",
    "flatten",
    "global_avg_pool",
    "pad",
    "reshape",
    "slice_channels",
    "subsample",
}


@functools.lru_cache(maxsize=256)
def make_chains(graph: Graph, fuse: bool = True) -> tuple[Chain, ...]:
    """Chains of a graph in an order in which they can run; the input node is in none.

    Args:
        graph: the network.
        fuse: False makes one chain of every node, so that every node's output is seen.
    """
    chains: list[list[Node]] = []
    chain_ending_at: dict[str, list[Node]] = {}
    for node in graph.nodes[1:]:
        previous = chain_ending_at.get(node.inputs[0]) if len(node.inputs) == 1 else None
        if fuse and previous is not None and _continues(previous, node, graph):
            del chain_ending_at[previous[-1].name]
            previous.append(node)
        else:
            previous = [node]
            chains.append(previous)
        chain_ending_at[node.name] = previous
    shapes = {node.name: node.shape for node in graph.nodes}
    return tuple(
        Chain(
            tuple(nodes),
            tuple(
                Layer(node.op, node.attrs, node.shape, node.params, tuple(shapes[name] for name in node.inputs))
                for node in nodes
            ),
        )
        for nodes in chains
    )


def _continues(chain: list[Node], node: Node, graph: Graph) -> bool:
    """Whether `node` joins the chain whose last node it reads."""
    last = chain[-1]
    if len(graph.consumers[last.name]) != 1 or last.name in (graph.output, graph.features):
        return False
    # Aliases are not computed at all, and an add has many kinds of successors.
    if {last.op, node.op} & ALIASES:
        return False
    ops = [member.op for member in chain]
    has_kernel = any(op in WEIGHT_OPS for op in ops)
    if node.op in WEIGHT_OPS:
        return not has_kernel
    # Cut ReLU-conv-BN | ReLU-conv-BN rather than before the second convolution: the parts are chains met elsewhere. The
    # last map of a plain network is the output of a block.
    cut = node.op in ("pad", "global_avg_pool", "flatten") or (node.op == "activation" and ops[0] == "activation")
    return not (has_kernel and cut)


@functools.lru_cache(maxsize=256)
def live_nodes(graph: Graph) -> frozenset[str]:
    """Nodes from which the output can be reached without crossing a `zero` layer: all others get zero gradients."""
    live = {graph.output}
    for node in reversed(graph.nodes):
        if node.name in live and node.op != "zero":
            live.update(node.inputs)
    return frozenset(live)


@functools.lru_cache(maxsize=256)
def loses_images(graph: Graph) -> bool:
    """Whether nothing of the images reaches the logits when each example is normalised by its own statistics.

    Of a map of one pixel, or a vector, BN then leaves its offset, whatever it reads.
    """
    reached = {graph.output}
    for node in reversed(graph.nodes):
        blind = node.op == "batch_norm" and node["moving"] and math.prod(node.shape[:-1]) == 1
        if node.name in reached and not blind:
            reached.update(node.inputs)
    return graph.nodes[0].name not in reached


@functools.lru_cache(maxsize=256)
def block_outputs(graph: Graph) -> tuple[str, ...]:
    """Names of the maps [H, W, C] between the blocks of a network, in order.

    These are the outputs of chains that every path from the images to the logits crosses: stem, cells and reductions
    of a cell-based network, single layers of a plain one.
    """
    position = {node.name: i for i, node in enumerate(graph.nodes)}
    furthest, cuts = 0, set()
    for i, node in enumerate(graph.nodes):
        if i and furthest <= i:  # no earlier node is read by a later one
            cuts.add(node.name)
        furthest = max([furthest, *(position[reader] for reader in graph.consumers[node.name])])
    return tuple(
        chain.output for chain in make_chains(graph) if chain.output in cuts and len(chain.nodes[-1].shape) == 3
    )
