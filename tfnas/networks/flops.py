"""FLOPs of layer graphs for one image: of a forward pass, and of the gradients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tfnas.networks.graph import WEIGHT_OPS

if TYPE_CHECKING:
    from tfnas.networks.graph import Graph, Node

# As FLOPs are mostly counted; `Graph.flops` counts a multiply-add once.
PER_MULTIPLY_ADD = 2


def forward_flops(graph: Graph) -> tuple[int, int]:
    """(FLOPs of convolutions and dense layers, FLOPs of all other layers) of a forward pass of one image.

    Others: batch normalisation at inference is a scale and a shift, two for each output; an activation one; pooling one
    for each entry of its window; a sum one for each term but the first. Padding, slicing and joining are free.
    """
    others = sum(_other_flops(graph, node) for node in graph.nodes)
    return PER_MULTIPLY_ADD * graph.flops(), others


def multiply_adds(graph: Graph) -> int:
    """Multiply-adds of convolutions and dense layers for one image, biases aside: the MACs of mobile networks."""
    return sum(_multiply_adds(node) for node in graph.weight_nodes())


def gradient_flops(graph: Graph) -> int:
    """FLOPs of the gradients of convolutions and dense layers for one image, without the forward pass.

    Each such layer costs its forward FLOPs once for its weights' gradient and once more for its input's. Layers that no
    layer with weights comes before, such as the stem, need no input gradient. A training step is this plus a forward
    pass.
    """
    weighted: set[str] = set()  # layers with weights, and all that read them
    total = 0
    for node in graph.nodes:
        after = any(source in weighted for source in node.inputs)
        if after or node.params:
            weighted.add(node.name)
        if node.op in WEIGHT_OPS:
            total += _multiply_adds(node) * (2 if after else 1)
            total += math.prod(node.shape) if "bias" in dict(node.params) else 0
    return PER_MULTIPLY_ADD * total


def _multiply_adds(node: Node) -> int:
    return math.prod(node.shape[:-1]) * math.prod(dict(node.params)["kernel"])


def _other_flops(graph: Graph, node: Node) -> int:
    size = math.prod(node.shape)
    if node.op in WEIGHT_OPS:
        return 0
    if node.op == "batch_norm":
        return 2 * size
    if node.op in ("activation", "multiply"):
        return size
    if node.op in ("max_pool", "avg_pool"):
        return size * node["size"] ** 2
    if node.op == "global_avg_pool":
        return math.prod(graph.by_name[node.inputs[0]].shape)
    return size * (len(node.inputs) - 1) if node.op == "add" else 0
