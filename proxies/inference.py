"""Inference with kernels as proxies of an ensemble of untrained networks (Park et al. 2020); see `proxies.nngp`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxies.base import proxy

if TYPE_CHECKING:
    from proxies.nngp import Ensemble

_SIZES = ("n_train", "n_val", "ensemble", "regularizers")


@proxy(
    "nngp",
    consumes="ensemble",
    bn="inference",
    summary="validation accuracy of inference with the NNGP kernel",
    options=_SIZES,
    modes=("inference",),
)
def nngp(ensemble: Ensemble) -> float:
    """Validation accuracy of ridge regression on the second moments of untrained features, best regulariser."""
    return ensemble.accuracy("nngp")


@proxy(
    "ntk",
    consumes="ensemble",
    bn="inference",
    summary="validation accuracy of inference with the tangent kernel",
    options=_SIZES,
    modes=("inference",),
)
def ntk(ensemble: Ensemble) -> float:
    """Validation accuracy of ridge regression on the tangent kernel of all parameters, best regulariser."""
    return ensemble.accuracy("ntk")
