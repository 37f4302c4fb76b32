"""GradSign (Zhang and Jia, ICLR 2022, equation 4.2 and algorithm 1).

Each example goes through the network alone, so BN normalises it by its own statistics (mode `example`); the score
counts on how many examples the loss gradients of a weight agree in sign, over all convolution and dense kernels.
Cost: one forward and one backward pass with per-example kernel gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from proxies.base import proxy

if TYPE_CHECKING:
    from proxies.passes import Passes


@proxy(
    "gradsign",
    consumes="example gradients",
    bn="example",
    summary="sum over weights of |sum of gradient signs|",
    modes=("example", "inference"),
)
def gradsign(passes: Passes) -> float:
    """sum_k |sum_i sign(d loss_i / d w_k)|: the paper's form."""
    return float(sum(np.abs(sums).sum(dtype=np.float64) for sums in passes.sign_sums().values()))


@proxy(
    "gradsign_mean",
    consumes="example gradients",
    bn="example",
    summary="GradSign averaged over the weights",
    modes=("example", "inference"),
)
def gradsign_mean(passes: Passes) -> float:
    """GradSign divided by the number of kernel weights: the variant of the released correlation script."""
    return gradsign(passes) / sum(passes.weights[key].size for key in passes.kernel_keys())
