"""MeCo (Jiang et al., NeurIPS 2023): smallest eigenvalue of the channel correlations, one random image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from proxies.base import proxy
from tfnas.errors import InputError

if TYPE_CHECKING:
    from proxies.passes import Passes
    from tfnas.networks.graph import Graph

_IMAGE = (64, 64)
# Path components that only hold blocks and are never run themselves.
_LISTS = frozenset({"cells", "layers", "options", "stack_cell1", "stack_cell2", "stack_cell3"})
# Nodes that stand for no module of the reference networks.
_NO_MODULE = frozenset(
    {"add", "concat", "pad", "crop", "subsample", "slice_channels", "multiply", "flatten", "reshape", "input"}
)


@proxy(
    "meco", consumes="activations", bn="batch", summary="smallest eigenvalues of channel correlations", modes=("batch",)
)
def meco(passes: Passes) -> float:
    """Sum over modules of the smallest eigenvalue of the correlation of the channels' maps, for one 64x64 noise image.

    As in the released code every block counts besides its layers, so nested ones count repeatedly; a block is a prefix
    of node names and its output that of its last node. Undefined correlations are taken as 0.
    """
    return meco_score(passes, passes.noise(1, "meco", shape=(*_IMAGE, passes.graph.input_shape[-1])))


def meco_score(passes: Passes, images: np.ndarray) -> float:
    """MeCo of the first of the images [1, H, W, C]."""
    return sum(_modules(passes, images).values())


def _modules(passes: Passes, images: np.ndarray) -> dict[str, float]:
    from tfnas.engine import Network
    from tfnas.networks.builder import with_input_shape

    graph = with_input_shape(passes.graph, images.shape[1:])
    if any(graph.by_name[node.name].params != node.params for node in passes.graph.nodes):
        raise InputError(f"MeCo needs a network whose weights fit images of any size, here {images.shape[1:]}")
    outputs = module_outputs(graph)
    asked = set(outputs.values())
    values: dict[str, float] = {}

    def observe(name: str, value: Any) -> None:
        if name in asked:
            values[name] = _smallest_eigenvalue(value.numpy()[0])

    network = Network(graph, passes.weights, fuse=False, dtype=passes.options.dtype)
    network.forward(images, "batch", keep=False, observer=observe)
    return {module: values[node] for module, node in outputs.items()}


def module_outputs(graph: Graph) -> dict[str, str]:
    """For each module, leaf or block, the node that gives its output."""
    outputs: dict[str, str] = {}
    for node in graph.nodes:
        parts = node.name.split(".")
        for end in range(1, len(parts)):
            if parts[end - 1] not in _LISTS:
                outputs[".".join(parts[:end])] = node.name
        if node.op not in _NO_MODULE:
            outputs[node.name] = node.name
    return outputs


def _smallest_eigenvalue(output: np.ndarray) -> float:
    channels = output.reshape(-1, output.shape[-1]).T.astype(np.float64)
    count, places = channels.shape
    if not np.isfinite(channels).all():
        return np.nan
    # Centred maps of fewer places than channels are dependent: what the decomposition gives then is round-off about 0.
    if count >= places or count < 2:
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.nan_to_num(np.corrcoef(channels), nan=0.0)
    return float(np.linalg.eigvalsh(correlation)[0])
