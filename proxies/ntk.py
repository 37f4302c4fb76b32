"""Scores of the neural tangent kernel at initialisation (Mok et al., CVPR 2022; TE-NAS; KNAS).

The kernel is Theta_ij = <g_i, g_j> with g_i the gradient of the sum of the logits of image i (`sum_logits`), or the
same summed over single logits (`trace`).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from proxies.base import proxy

if TYPE_CHECKING:
    from proxies.passes import Passes

_SINGULAR = 1e-12
# All are of one kernel, and of as many images of the batch as it takes.
_ntk_proxy = functools.partial(
    proxy, consumes="example gradients", options=("ntk_logits", "ntk_params"), batch_option="ntk_batch_size"
)


@_ntk_proxy("fnorm", bn="batch", summary="Frobenius norm of the tangent kernel")
def fnorm(passes: Passes) -> float:
    """||Theta||_F."""
    kernel = passes.ntk()
    largest = np.abs(kernel).max()
    return largest * np.linalg.norm(kernel / largest) if 0 < largest < np.inf else largest


@_ntk_proxy(
    "ntk_mean",
    bn="batch",
    summary="mean entry of the tangent kernel (KNAS)",
)
def ntk_mean(passes: Passes) -> float:
    """Mean over all N^2 entries of Theta."""
    return passes.ntk().mean()


@_ntk_proxy(
    "ncn",
    bn="inference",
    summary="negative condition number of the tangent kernel",
    least_images=2,
)
def ncn(passes: Passes) -> float:
    """-lambda_max / lambda_min.

    Mok et al. evaluate it with moving statistics, TE-NAS' code with those of the batch (`bn="batch"`). Deviation: -inf
    for kernels that are singular to 1e-12, whose smallest eigenvalue is round-off and may be negative, which makes
    degenerate networks look best.
    """
    return -condition_number(passes.ntk())


def condition_number(kernel: np.ndarray) -> float:
    """lambda_max / lambda_min of a symmetric matrix [N, N]; inf if singular, NaN if not finite."""
    if not np.isfinite(kernel).all():
        return np.nan
    values = np.linalg.eigvalsh(kernel)
    return np.inf if values[0] <= _SINGULAR * values[-1] else float(values[-1] / values[0])


@_ntk_proxy(
    "lga",
    bn="inference",
    summary="label-gradient alignment of the tangent kernel",
    least_images=2,
)
def lga(passes: Passes) -> float:
    """Pearson correlation of the entries of Theta with L, L_ij = 1 where labels agree and -1 elsewhere.

    Mok et al., equation 12, with their norm read as Frobenius. 0 where Theta or L is constant; no score where Theta is
    not finite, as of Gaussian weights in float32.
    """
    kernel = passes.ntk()
    return label_gradient_alignment(kernel, passes.labels[: len(kernel)])


def label_gradient_alignment(kernel: np.ndarray, labels: np.ndarray) -> float:
    """Alignment of a tangent kernel [N, N] with labels [N]; NaN if the kernel is not finite."""
    if not np.isfinite(kernel).all():
        return np.nan
    same = np.where(labels[:, None] == labels[None, :], 1.0, -1.0)
    kernel = kernel / (np.abs(kernel).max() or 1.0)  # squares might overflow or vanish
    kernel, same = kernel - kernel.mean(), same - same.mean()
    scale = np.linalg.norm(kernel) * np.linalg.norm(same)
    return float(np.sum(kernel * same) / scale) if scale > 0 else 0.0
