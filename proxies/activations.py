"""Scores of ReLU activation patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from proxies.base import proxy
from tfnas.networks.activations import RECTIFIERS

if TYPE_CHECKING:
    from proxies.passes import Passes
    from tfnas.engine import Forward
    from tfnas.networks.graph import Graph

_SWAP_BATCH = 16
_REGION_IMAGES = 1000
_REGION_SHAPE = (4, 4)


@proxy(
    "naswot", consumes="activations", bn="batch", summary="log-determinant of the ReLU code kernel", extras=("codes",)
)
def naswot(passes: Passes) -> float:
    """Log |det K|, K_ij the number of ReLU units that agree on images i and j (Mellor et al., ICML 2021).

    Units of ReLU6 count too, on where they are above 0; the reference sees those of ReLU alone. -inf where two images
    share all codes, of which the decomposition would give the logarithm of its round-off. No score of activations that
    are not finite: such units would all be off.
    """
    run = passes.forward()
    codes = run.codes
    if codes is None or not _is_finite(run, passes.graph):
        return np.nan
    if np.sum(codes == codes.max()) > len(codes):
        return -np.inf
    return np.linalg.slogdet(codes)[1]


@proxy(
    "linear_regions",
    consumes="activations",
    bn="batch",
    summary="number of linear regions that images fall in",
    modes=("batch",),
    own_weights=True,
)
def linear_regions(passes: Passes) -> float:
    """Number of distinct codes of all ReLU units together, over images of noise (TE-NAS, Chen et al., ICLR 2021).

    1,000 images of noise. Where the architecture can be rebuilt, on a network of depth 1 as narrow as its space allows,
    with 4x4 images: a wide network tells all images apart and the count says nothing. Deviation: the reference cuts the
    network down to one stage without stem, on 3x3 images.
    """
    from tfnas.engine import Network
    from tfnas.networks import weights

    if passes.thin is not None:
        graph = passes.thin(depth=1, input_shape=(*_REGION_SHAPE, passes.graph.input_shape[-1]))
        arrays = weights.initialize(graph, "kaiming_normal", passes.rng("regions").integers(2**62))
    else:
        graph, arrays = passes.graph, passes.weights
    images = passes.noise(_REGION_IMAGES, "regions", shape=graph.input_shape)
    run = Network(graph, arrays, dtype=passes.options.dtype).forward(images, "batch", keep=False, codes=True)
    return count_regions(run.codes) if run.codes is not None and _is_finite(run, graph) else np.nan


def count_regions(codes: np.ndarray) -> float:
    """Number of distinct codes, from the counts of agreeing units [N, N]: sum_i 1 / #{j with the code of i}."""
    return float(np.sum(1 / np.sum(codes == codes.max(), axis=1)))


@proxy(
    "swap",
    consumes="activations",
    bn="batch",
    summary="number of distinct sample-wise activation patterns",
    options=("prescribed_init", "noise_repeats"),
    modes=("batch",),
    least_images=2,
)
def swap(passes: Passes) -> float:
    """Number of distinct patterns of units over a batch of 16 (SWAP-NAS, Peng et al., ICLR 2024), without regulariser.

    A unit's pattern tells on which images it is on; units of maps only. Averaged over `options.noise_repeats` draws of
    N(0, 1) weights where the prescribed initialisation is asked for; otherwise the given weights once. At most 2^16.
    """
    repeats = passes.options.noise_repeats if passes.options.prescribed_init else 1
    return float(
        np.mean(
            [
                count_patterns(passes, passes.own_weights("gaussian", "swap", i), passes.images[:_SWAP_BATCH])
                for i in range(repeats)
            ]
        )
    )


def count_patterns(passes: Passes, weights: dict[str, np.ndarray], images: np.ndarray) -> float:
    """Distinct on/off patterns over the images (at most 64, of any size) among all units of ReLU maps.

    NaN where the network's outputs are not finite.
    """
    from tfnas.engine import Network
    from tfnas.networks.builder import with_input_shape

    graph = with_input_shape(passes.graph, images.shape[1:])
    bits = np.left_shift(np.uint64(1), np.arange(len(images), dtype=np.uint64))
    patterns: list[np.ndarray] = []
    relus = {
        node.name
        for node in graph.nodes
        if node.op == "activation" and node["kind"] in RECTIFIERS and len(node.shape) == 3
    }

    def note(name: str, value: object) -> None:
        if name in relus:
            on = (value.numpy() > 0).reshape(len(images), -1)
            patterns.append(np.unique(np.where(on, bits[:, None], np.uint64(0)).sum(axis=0, dtype=np.uint64)))

    network = Network(graph, weights, fuse=False, dtype=passes.options.dtype)
    run = network.forward(images, "batch", keep=False, observer=note)
    if not _is_finite(run, graph):
        return np.nan
    return len(np.unique(np.concatenate(patterns))) if patterns else 0


def _is_finite(run: Forward, graph: Graph) -> bool:
    """Whether the outputs of a pass are; units of activations that are not would all be off."""
    return bool(np.isfinite(run.values[graph.output].numpy()).all())
