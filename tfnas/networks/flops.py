"""What scores cost in FLOPs: inference with a kernel, training, one gradient step.

Source: Park et al., "Towards NNGP-guided Neural Architecture Search" (arXiv 2011.06006), equations (4), (5) and, in its
supplement, (S1), (S2), (S4). F is the FLOPs of a network for one image, a multiply-add counted as two. All sizes are
counts and all results FLOPs, both for one network; `PFLOP` is the paper's unit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tfnas.networks.graph import WEIGHT_OPS

if TYPE_CHECKING:
    from tfnas.networks.graph import Graph, Node

PFLOP = 1e15
# The paper's F counts a multiply-add as two; `Graph.flops` counts it once.
PER_MULTIPLY_ADD = 2


def kernel_flops(flops: float, n_train: int, n_val: int, ensemble: int, features: int = 512) -> float:
    """Kernel evaluation, (S1): n_ensemble (F N + 2 d N_train N) with N = N_train + N_val.

    Args:
        flops: F, of the network for one image.
        n_train: images of the training part.
        n_val: images of the validation part.
        ensemble: number of initialisations.
        features: d, length of the penultimate vector.
    """
    images = n_train + n_val
    return ensemble * (flops * images + 2 * features * n_train * images)


def inference_flops(n_train: int, n_val: int, regularizers: int = 20, classes: int = 10) -> float:
    """Cholesky solve and prediction for r regularisers, (S2): r (N_train^3 / 3 + 2 L N_train^2 + 2 L N_train N_val).

    The second term is printed with a further L, which neither a triangular solve for L columns nor (S3) has; it is
    left out here.
    """
    return regularizers * (n_train**3 / 3 + 2 * classes * n_train * (n_train + n_val))


def nngp_flops(
    flops: float,
    n_train: int,
    n_val: int,
    ensemble: int,
    *,
    features: int = 512,
    regularizers: int = 20,
    classes: int = 10,
    verbatim: bool = True,
) -> float:
    """All of an NNGP score, (4): n_ensemble F N + r N_train^3 / 3 + 2 (d n_ensemble + 2 L r) N_train N.

    Args:
        flops: F, of the network for one image.
        n_train: images of the training part.
        n_val: images of the validation part; N is the sum of both.
        ensemble: number of initialisations.
        features: d, length of the penultimate vector.
        regularizers: r, how many are tried.
        classes: L.
        verbatim: as printed. The printed sum counts the solve's term in L twice; without `verbatim` it is (S1) + (S2),
            which has L r where (4) has 2 L r. On NAS-Bench-101 the two differ by less than 0.2 %.
    """
    consistent = kernel_flops(flops, n_train, n_val, ensemble, features) + inference_flops(
        n_train, n_val, regularizers, classes
    )
    return consistent + (2 * classes * regularizers * n_train * (n_train + n_val) if verbatim else 0)


def training_flops(
    flops: float, epochs: float, n_train: int = 40_000, n_val: int = 10_000, *, step: float = 2.0
) -> float:
    """Training and one validation, (5): E G N_train + F N_val with G = 2 F.

    Args:
        flops: F, of the network for one image.
        epochs: E.
        n_train: images in the whole training set.
        n_val: images in the whole validation set.
        step: G / F, FLOPs of a training step for one image in units of F.
    """
    return epochs * step * flops * n_train + flops * n_val


def forward_flops(graph: Graph) -> tuple[int, int]:
    """(FLOPs of convolutions and dense layers, FLOPs of all other layers) of a forward pass of one image.

    Others: batch normalisation at inference is a scale and a shift, two for each output; an activation one; pooling one
    for each entry of its window; a sum one for each term but the first. Padding, slicing and joining are free.
    """
    others = sum(_other_flops(graph, node) for node in graph.nodes)
    return PER_MULTIPLY_ADD * graph.flops(), others


def gradient_flops(graph: Graph) -> int:
    """FLOPs of the gradients of convolutions and dense layers for one image, without the forward pass: the paper's G.

    Each such layer costs its forward FLOPs once for its weights' gradient and once more for its input's. Layers that no
    layer with weights comes before, such as the stem, need no input gradient. A training step is this plus a forward
    pass, three F in all; the paper charges two.
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
