"""Inference with kernels as proxies of an ensemble of untrained networks (Park et al. 2020); see `proxies.nngp`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from proxies.base import proxy

if TYPE_CHECKING:
    from proxies.nngp import Ensemble

_inference_proxy = functools.partial(
    proxy,
    consumes="ensemble",
    bn="inference",
    options=("n_train", "n_val", "ensemble", "regularizers"),
    modes=("inference",),
)


@_inference_proxy("nngp", summary="validation accuracy of inference with the NNGP kernel")
def nngp(ensemble: Ensemble) -> float:
    """Validation accuracy of ridge regression on the second moments of untrained features, best regulariser."""
    return ensemble.accuracy("nngp")


@_inference_proxy("ntk", summary="validation accuracy of inference with the tangent kernel")
def ntk(ensemble: Ensemble) -> float:
    """Validation accuracy of ridge regression on the tangent kernel of all parameters, best regulariser."""
    return ensemble.accuracy("ntk")
