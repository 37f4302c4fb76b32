"""Scores of the input Jacobian: how differently a network treats the images of a batch.

Row i is the gradient of the sum of all logits of the batch by image i; BN uses the batch's statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from proxies.base import proxy

if TYPE_CHECKING:
    from proxies.passes import Passes

_JITTER = 1e-5
_MANY_CLASSES = 100


@proxy(
    "jacob_cov",
    consumes="gradients",
    bn="batch",
    summary="spectrum of the correlation of input Jacobians",
    least_images=2,
)
def jacob_cov(passes: Passes) -> float:
    """-sum [log(v + 1e-5) + 1 / (v + 1e-5)] over eigenvalues v of the rows' correlation matrix.

    Mellor et al. (2020, first version) as in zero-cost-nas. Deviation: symmetric solver and v clipped at 0, where the
    reference takes a general solver and round-off may make v negative. NaN where a row is constant.
    """
    correlation = _correlation(passes.image_jacobian())
    if not np.isfinite(correlation).all():
        return np.nan
    v = np.clip(np.linalg.eigvalsh(correlation), 0, None) + _JITTER
    return -np.sum(np.log(v) + 1 / v)


@proxy(
    "epe_nas",
    consumes="gradients",
    bn="batch",
    summary="correlation of input Jacobians within classes",
    least_images=2,
)
def epe_nas(passes: Passes) -> float:
    """EPE-NAS (Lopes et al., 2021).

    Per class E_c = sum log(|correlation| + 1e-5) over the pairs of its images; the score is sum_c |E_c| for up to 100
    classes, else the mean over classes of their summed differences |E_c - E_c'|, each E_c divided by the number of
    classes first. Deviation from the released code, which always assumes 10 classes: the network's number is used.
    """
    jacobian, labels = passes.image_jacobian(), passes.labels
    classes = passes.graph.num_classes
    scores = []
    for label in np.unique(labels):
        correlation = _correlation(jacobian[labels == label])
        scores.append(np.sum(np.log(np.abs(correlation) + _JITTER)))
    scores = np.array(scores)
    if classes <= _MANY_CLASSES:
        return np.abs(scores).sum()
    scores = scores / classes
    return np.abs(scores[:, None] - scores[None, :]).sum() / len(scores)


def _correlation(rows: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows, np.float64)
    if len(rows) == 1:  # a class of one image correlates with itself, whatever the image
        return np.ones((1, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.corrcoef(rows)
