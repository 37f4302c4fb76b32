"""The operations of a network that take time, as a converted network runs them.

A converter folds batch normalisation into the convolution before it and fuses the activation behind, and other layers
only name a tensor: those are no operations of their own. What is left has a signature, one text for all operations
that do the same on the same shapes:

    conv 224x224x3>112x112x32 k3x3 s2
    depthwise_conv 28x28x240>28x28x240 k5x5 s1
    add 28x28x40,28x28x40>28x28x40

These are the op, input>output and, where the op has them, kernel, strides, dilation (d2), groups (g2) and activation.
"""

from __future__ import annotations

import collections

from tfnas.networks.graph import WEIGHT_OPS, Graph, Node

FREE = frozenset({"input", "identity", "dropout", "flatten", "reshape"})
# What the kernel of an operation can still do to its output before it writes it.
_AFTER = {op: frozenset({"batch_norm", "activation"}) for op in WEIGHT_OPS}
_AFTER |= {"add": frozenset({"activation"}), "batch_norm": frozenset({"activation"})}
_FUSED = frozenset({"relu", "relu6"})


def count(graph: Graph) -> collections.Counter[str]:
    """How often each signature occurs in a network."""
    return collections.Counter(signature(graph, node) for node in timed(graph))


def timed(graph: Graph) -> list[Node]:
    """The nodes that are operations of their own, in topological order."""
    hosts: dict[str, frozenset[str]] = {}  # node -> kinds of nodes that may still be made part of its operation
    found = []
    for node in graph.nodes:
        alone = len(node.inputs) == 1 and len(graph.consumers[node.inputs[0]]) == 1
        folded = alone and node.op in hosts.get(node.inputs[0], ()) and _can_fold(node)
        trivial = node.op in FREE or (node.op in ("add", "concat") and len(node.inputs) == 1)
        if node.op in _AFTER and not trivial:
            hosts[node.name] = _AFTER[node.op]
        if not folded and not trivial:
            found.append(node)
    return found


def _can_fold(node: Node) -> bool:
    return node["moving"] if node.op == "batch_norm" else node["kind"] in _FUSED


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
