"""ZiCo (Li et al., ICLR 2023): mean over standard deviation of gradients across batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from proxies.base import proxy
from tfnas.errors import InputError

if TYPE_CHECKING:
    from proxies.passes import Passes


@proxy(
    "zico",
    consumes="gradients",
    bn="batch",
    summary="mean over deviation of gradients across two batches",
    batches=2,
)
def zico(passes: Passes) -> float:
    """Sum over layers of log sum_k mean |g_k| / std g_k, over two batches (population deviation, zeros left out).

    The second batch is that given to `evaluate`; without one the halves of the batch are the two.
    """
    if passes.second is None:
        half = len(passes.labels) // 2
        if not half:
            raise InputError("ZiCo needs two batches. Received: one image")
        halves = [(passes.images[:half], passes.labels[:half]), (passes.images[half:], passes.labels[half:])]
        gradients = [_gradients(passes, *batch) for batch in halves]
    else:
        gradients = [passes.kernel_gradients(), _gradients(passes, *passes.second)]
    return zico_score(gradients)


def _gradients(passes: Passes, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    from proxies.passes import cross_entropy_gradient

    network = passes.network
    run = network.forward(images, passes.bn)
    logits = run.values[passes.graph.output].numpy()
    found = network.gradients(run, cross_entropy_gradient(logits, np.asarray(labels)) / len(labels)).params
    return passes.all_kernels(found)


def zico_score(gradients: list[dict[str, np.ndarray]]) -> float:
    """Score from the kernel gradients of two or more batches; NaN if one of them is not finite."""
    total = 0.0
    for key in gradients[0]:
        batches = np.stack([gradient[key].ravel() for gradient in gradients]).astype(np.float64)
        if not np.isfinite(batches).all():
            return np.nan
        deviation, mean = batches.std(axis=0), np.abs(batches).mean(axis=0)
        ratio = np.sum(mean[deviation > 0] / deviation[deviation > 0])
        if ratio > 0:
            total += float(np.log(ratio))
    return total
