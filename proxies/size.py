"""Size of a network: the baselines that every proxy must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxies.base import proxy

if TYPE_CHECKING:
    from proxies.passes import Passes


@proxy("params", consumes="nothing", summary="number of trainable parameters", own_weights=True)
def params(passes: Passes) -> float:
    """Number of trainable parameters."""
    return passes.graph.count_params()


@proxy(
    "flops",
    consumes="nothing",
    summary="multiply-adds of convolutions and dense layers for one image",
    own_weights=True,
)
def flops(passes: Passes) -> float:
    """Multiply-adds of convolutions and dense layers, biases counted, for one image."""
    return passes.graph.flops()


# Every score has to beat them, and they cost nothing: launchers always record them too.
SIZES = ("params", "flops")
