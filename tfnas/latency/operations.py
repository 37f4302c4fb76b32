"""The operations of a network that take time, as a converted network runs them.

A converter folds batch normalisation into the convolution before it and fuses the activation behind, it computes once
what several layers without parameters compute alike, and other layers only name a tensor: those are no operations of
their own. What is left has a signature, one text for all operations that do the same on the same shapes:

    conv 224x224x3>112x112x32 k3x3 s2
    depthwise_conv 28x28x240>28x28x240 k5x5 s1
    add 28x28x40,28x28x40>28x28x40

These are the op, input>output and, where the op has them, kernel, strides, dilation (d2), groups (g2) and activation.
"""

from __future__ import annotations

import collections

from tfnas.networks.graph import WEIGHT_OPS, Graph, Node

# Version of what counts as an operation; records of sums over a table have it in their key.
VERSION = 2
# Layers that are the tensor that they read, under another name.
_NAMES = frozenset({"identity", "dropout"})
FREE = _NAMES | {"input", "flatten", "reshape"}
# What an operation can still do to its output before it writes it. Factors go into weights.
_AFTER = {op: frozenset({"batch_norm", "zero", "activation"}) for op in WEIGHT_OPS}
_AFTER |= dict.fromkeys(("add", "multiply", "zero", "batch_norm", "avg_pool", "max_pool"), frozenset({"activation"}))
_FUSED = frozenset({"relu", "relu6"})


def count(graph: Graph) -> collections.Counter[str]:
    """How often each signature occurs in a network."""
    return collections.Counter(signature(graph, node) for node in timed(graph))


def timed(graph: Graph) -> list[Node]:
    """The nodes that are operations of their own, in topological order."""
    tensors = _tensors(graph)
    nodes = [node for node in graph.nodes if tensors[node.name] == node.name]
    reads = collections.Counter(tensors[source] for node in nodes for source in node.inputs)
    hosts: dict[str, frozenset[str]] = {}  # node -> kinds of nodes that may still be made part of its operation
    found = []
    for node in nodes:
        source = tensors[node.inputs[0]] if len(node.inputs) == 1 else ""
        folded = reads[source] == 1 and node.op in hosts.get(source, ()) and _can_fold(node)
        if folded:
            hosts[node.name] = frozenset() if node.op == "activation" else hosts[source]
        elif node.op not in FREE:
            hosts[node.name] = _AFTER.get(node.op, frozenset())
            found.append(node)
    return found


def _tensors(graph: Graph) -> dict[str, str]:
    """For each node the first one whose output is the same tensor once the network is converted.

    A converter takes away what only names its input, and keeps one of several operations without parameters that do
    the same on the same tensors, such as the ReLUs in front of the convolutions that read one sum.
    """
    tensors: dict[str, str] = {}
    first: dict[tuple, str] = {}
    for node in graph.nodes:
        sources = tuple(tensors[source] for source in node.inputs)
        if node.op in _NAMES or (node.op in ("add", "concat") and len(sources) == 1):
            tensors[node.name] = sources[0]
        elif node.params or not sources:
            tensors[node.name] = node.name
        else:
            tensors[node.name] = first.setdefault((node.op, node.attrs, sources), node.name)
    return tensors


def _can_fold(node: Node) -> bool:
    if node.op == "activation":
        return node["kind"] in _FUSED
    return node.op == "zero" or node["moving"]


def signature(graph: Graph, node: Node) -> str:
    """The operation of a node, in words that are equal for operations which take equally long."""
    attrs = dict(node.attrs)
    inputs = ",".join(_shape(graph.by_name[source].shape) for source in node.inputs)
    words = [node.op, f"{inputs}>{_shape(node.shape)}"]
    if node.op in ("conv", "depthwise_conv"):
        words.append(f"k{_shape(dict(node.params)['kernel'][:2])}")
    if "size" in attrs:
        words.append(f"k{attrs['size']}x{attrs['size']}")
    if "strides" in attrs:
        words.append(f"s{attrs['strides']}")
    words += [f"{short}{attrs[key]}" for key, short in (("dilation", "d"), ("groups", "g")) if attrs.get(key, 1) != 1]
    if node.op == "activation":
        words.append(attrs["kind"])
    return " ".join(words)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
