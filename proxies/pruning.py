"""Saliencies from network pruning, summed over convolution and dense kernels (Abdelfattah et al., ICLR 2021).

Source of definitions and constants: zero-cost-nas. The loss is the mean cross-entropy of one batch, BN uses the batch's
statistics. grad_norm, plain, snip and fisher share one backward pass; grasp adds the tangent of it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from proxies.base import proxy

if TYPE_CHECKING:
    from proxies.passes import Passes
    from tfnas.networks.graph import Graph


def _sum(values: object) -> float:
    return float(sum(np.sum(value, dtype=np.float64) for value in values))


@proxy("grad_norm", consumes="gradients", bn="batch", summary="sum over layers of the Euclidean norm of the gradient")
def grad_norm(passes: Passes) -> float:
    """sum_l ||g_l||, the sum of the layers' norms (not the norm of all of them)."""
    # Squares of float32 overflow long before their root does.
    return _sum(np.linalg.norm(gradient.ravel().astype(np.float64)) for gradient in passes.kernel_gradients().values())


@proxy("plain", consumes="gradients", bn="batch", summary="sum of weight times gradient, signed")
def plain(passes: Passes) -> float:
    """sum_k w_k g_k."""
    return _sum(passes.weights[key] * gradient for key, gradient in passes.kernel_gradients().items())


@proxy("snip", consumes="gradients", bn="batch", summary="sum of |weight times gradient|")
def snip(passes: Passes) -> float:
    """sum_k |w_k g_k| (Lee et al., ICLR 2019); the multiplicative mask of the paper gives the same derivative."""
    return _sum(np.abs(passes.weights[key] * gradient) for key, gradient in passes.kernel_gradients().items())


@proxy(
    "grasp",
    consumes="second order",
    bn="batch",
    summary="-sum of weight times (Hessian times gradient)",
    extras=("hessian",),
)
def grasp(passes: Passes) -> float:
    """-sum_k w_k (H g)_k with H and g over all kernels.

    Sign as in zero-cost-nas, where larger is better; Wang et al. (ICLR 2020) prune by the opposite sign.
    """
    return -_sum(passes.weight_hessian_gradient().values())


@proxy("fisher", consumes="gradients", bn="batch", summary="Fisher saliency of channels", extras=("fisher",))
def fisher(passes: Passes) -> float:
    """Squared product of channel outputs and their gradients, averaged over examples, weighted by fan-in."""
    return _sum(value.numpy() for value in passes.loss_gradients().fisher.values())


@proxy("l2_norm", consumes="nothing", summary="sum over layers of the Euclidean norm of the weights")
def l2_norm(passes: Passes) -> float:
    """sum_l ||W_l||."""
    return _sum(np.linalg.norm(passes.weights[key].ravel()) for key in passes.kernel_keys())


@proxy(
    "synflow",
    consumes="gradients",
    summary="synaptic flow: all ones through |weights|, BN removed",
    options=("synflow_kept_bn",),
)
def synflow(passes: Passes) -> float:
    """sum_k |w_k dR/dw_k|, R the sum of the logits of one image of ones through the absolute weights, without BN.

    Tanaka et al. (NeurIPS 2020) as in zero-cost-nas. Always float64: deep networks exceed float32. Layers whose names
    start with an entry of `options.synflow_kept_bn` keep their BN.
    """
    return _sum(_flow(passes, _without_batch_norm(passes.graph, passes.options.synflow_kept_bn)).values())


@proxy("synflow_bn", consumes="gradients", bn="batch", summary="synaptic flow with BN left in", modes=("batch",))
def synflow_bn(passes: Passes) -> float:
    """Synaptic flow with BN on the statistics of the single image of ones."""
    return _sum(_flow(passes, passes.graph).values())


def _flow(passes: Passes, graph: Graph) -> dict[str, float]:
    """Synaptic flow through each kernel, by key."""
    from tfnas.engine import Network

    weights = {key: np.abs(value) for key, value in passes.weights.items()}
    network = Network(graph, weights, dtype="float64", jit=passes.options.jit)
    run = network.forward(np.ones((1, *graph.input_shape)), "batch")
    gradients = network.gradients(run, np.ones((1, graph.num_classes))).params
    return {
        key: float(np.sum(np.abs(weights[key] * gradients[key].numpy()))) if key in gradients else 0.0
        for key in passes.kernel_keys()
    }


def _without_batch_norm(graph: Graph, kept: tuple[str, ...]) -> Graph:
    nodes = tuple(
        dataclasses.replace(node, op="identity", attrs=(), params=())
        if node.op == "batch_norm" and not (kept and node.name.startswith(kept))
        else node
        for node in graph.nodes
    )
    return dataclasses.replace(graph, nodes=nodes)
