"""The variables of published MnasNet checkpoints, and the layers that they belong to.

Source: the variable scopes of tensorflow/tpu, models/official/mnasnet, mnasnet_model.py. Checkpoints of TensorFlow 1
hold

    mnasnet-a1/mnas_net_model/mnas_blocks_3/conv2d_5/kernel
    mnasnet-a1/mnas_blocks_3/batch_normalization_1/gamma
    mnasnet-a1/mnas_net_model/mnas_blocks_3/se/conv2d_6/bias

and the like: what is in front of `mnas_stem`, `mnas_blocks_{layer}` and `mnas_head` does not matter, nor do the numbers
behind `conv2d` and its kin, which count layers of a kind in the whole graph or in the scope: their order in a scope is
that in which the layers were made, so expanding before projecting. A variable with `/ExponentialMovingAverage` behind
its name is the average of one; those of optimizers are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfnas.errors import InputError

if TYPE_CHECKING:
    from etils import epath

    from tfnas.networks.graph import Graph, Node

AVERAGE = "/ExponentialMovingAverage"
_VARIABLE = re.compile(
    r"(?:.*/)?mnas_(?P<scope>stem|head|blocks_[0-9]+)/(?P<se>se/)?"
    r"(?:tpu_|sync_)?(?P<kind>conv2d|depthwise_conv2d|batch_normalization|dense)(?:_(?P<number>[0-9]+))?/"
    rf"(?P<param>kernel|depthwise_kernel|bias|gamma|beta|moving_mean|moving_variance)(?P<average>{AVERAGE})?(?::0)?"
)
_KINDS = {
    "conv": "conv2d",
    "depthwise_conv": "depthwise_conv2d",
    "batch_norm": "batch_normalization",
    "dense": "dense",
}

# Scope, whether in squeeze-and-excitation, kind: layers that only their order tells apart.
_Place = tuple[str, bool, str]


def variables(graph: Graph, names: Iterable[str], *, averaged: bool = True) -> dict[str, str]:
    """Where the weights of a network are in a checkpoint.

    Args:
        graph: network of an architecture without regular convolutions, which the published code has not.
        names: of the variables of the checkpoint.
        averaged: take the averages of variables where there are any, as the published evaluation does.

    Returns:
        The name of a variable for each weight "<node>.<param>" of the graph, in the graph's order.

    Raises:
        InputError: the checkpoint has more or fewer layers at some place than the network, or lacks a variable of one.
    """
    found = _found(names, averaged)
    nodes: dict[_Place, list[Node]] = {}
    for node in graph.nodes:
        if node.params:
            nodes.setdefault(_place(node), []).append(node)
    for place in sorted(nodes.keys() | found.keys()):
        if len(found.get(place, ())) != len(nodes.get(place, ())):
            raise InputError(
                f"The checkpoint is not of this network. Received: {len(found.get(place, ()))} {_named(place)}. "
                f"Allowed: {len(nodes.get(place, ()))}"
            )
    wanted = {}
    for place, members in nodes.items():
        for node, (_, params) in zip(members, sorted(found[place].items()), strict=True):
            for param, _ in node.params:
                if param not in params:
                    raise InputError(
                        f"The checkpoint lacks the {param} of one of its {_named(place)}, for {node.name}. "
                        f"Received: {', '.join(sorted(params.values()))}"
                    )
                wanted[f"{node.name}.{param}"] = params[param]
    return {key: wanted[key] for node in graph.nodes for key in node.param_keys()}


def weights(graph: Graph, arrays: Mapping[str, np.ndarray], *, averaged: bool = True) -> dict[str, np.ndarray]:
    """The weights of a network, keyed "<node>.<param>", from the variables of a checkpoint by name.

    Raises:
        InputError: as `variables`, or a variable of another shape.
    """
    found = {}
    shapes = {f"{node.name}.{param}": shape for node in graph.nodes for param, shape in node.params}
    for key, name in variables(graph, arrays, averaged=averaged).items():
        if np.shape(arrays[name]) != shapes[key]:
            raise InputError(
                f"The shape of {name}, for {key}. Received: {np.shape(arrays[name])}. Allowed: {shapes[key]}"
            )
        found[key] = np.asarray(arrays[name], np.float32)
    return found


def read(path: epath.PathLike, graph: Graph, *, averaged: bool = True) -> dict[str, np.ndarray]:
    """The weights of a network from a checkpoint of TensorFlow, as `weights`.

    Args:
        path: of the checkpoint, without the .index and .data at the end of its files; or the folder of the newest.
        graph: as in `variables`.
        averaged: as in `variables`.

    Raises:
        InputError: as `weights`, or no checkpoint is there.
    """
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(path))
    except (ValueError, tf.errors.OpError) as error:
        raise InputError(f"No checkpoint of TensorFlow. Received: {path}") from error
    names = variables(graph, reader.get_variable_to_shape_map(), averaged=averaged)
    return weights(graph, {name: reader.get_tensor(name) for name in names.values()}, averaged=averaged)


def _found(names: Iterable[str], averaged: bool) -> dict[_Place, dict[int, dict[str, str]]]:
    """Names of variables by place, number of the layer and parameter."""
    found: dict[_Place, dict[int, dict[str, str]]] = {}
    for name in sorted(names, key=lambda name: AVERAGE in name):  # an average takes the place of what it is of
        match = _VARIABLE.fullmatch(name)
        if match and (averaged or not match["average"]):
            place = (match["scope"], bool(match["se"]), match["kind"])
            params = found.setdefault(place, {}).setdefault(int(match["number"] or 0), {})
            param = match["param"].removeprefix("depthwise_")
            if param in params and (AVERAGE in params[param]) == bool(match["average"]):
                raise InputError(f"The checkpoint has several networks. Received: {params[param]} and {name}")
            params[param] = name
    return found


def _place(node: Node) -> _Place:
    part, *path = node.name.split(".")
    scope = f"blocks_{path[0]}" if part == "blocks" else part
    return scope, "se" in path, _KINDS[node.op]


def _named(place: _Place) -> str:
    scope, squeezing, kind = place
    return f"layers {kind} in mnas_{scope}{'/se' if squeezing else ''}"
