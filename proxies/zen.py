"""Zen-score (Lin et al., ICCV 2021): how much a change of the input changes the features, BN's scaling put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from proxies.base import proxy
from tfnas.errors import InputError

if TYPE_CHECKING:
    from proxies.passes import Passes

_BATCH = 16
_MIX = 0.01


@proxy(
    "zen",
    consumes="activations",
    bn="batch",
    summary="log of the feature change under input noise",
    options=("prescribed_init", "noise_repeats"),
    modes=("batch",),
)
def zen(passes: Passes) -> float:
    """Log mean_n sum |F(x) - F(x + 0.01 x')| + sum over BN layers of log sqrt(mean_c running variance).

    x, x' are 16 images of noise, F the map before global pooling. Averaged over `options.noise_repeats` draws where the
    prescribed N(0, 1) weights are asked for, else the given weights once. As in the released code (the paper takes
    batch variances) the variance is the running one after both passes, unbiased updates included, and is not reset
    between repeats.
    """
    options = passes.options
    repeats = options.noise_repeats if options.prescribed_init else 1
    running = {}
    scores = []
    for i in range(repeats):
        weights = passes.own_weights("gaussian", "zen", i)
        images = passes.noise(_BATCH, "zen", i, 0)
        scores.append(zen_score(passes, weights, images, passes.noise(_BATCH, "zen", i, 1), running))
    return float(np.mean(scores))


def zen_score(
    passes: Passes,
    weights: dict[str, np.ndarray],
    images: np.ndarray,
    noise: np.ndarray,
    running: dict[str, np.ndarray],
) -> float:
    """One repeat; `running` holds the running variances by BN node and is updated."""
    from tfnas.engine import Network

    graph = passes.graph
    pooled = graph.by_name.get(graph.features)
    if pooled is None or pooled.op != "global_avg_pool":
        raise InputError(f"Zen needs a map before global average pooling. Received: features {graph.features!r}")
    network = Network(graph, weights, fuse=False, dtype=passes.options.dtype)
    features = []
    for batch in (images, images + _MIX * noise):
        run = network.forward(
            batch, "batch", observer=lambda name, value: features.append(value) if name == pooled.inputs[0] else None
        )
        for name, (_, variance) in run.statistics.items():
            node = graph.by_name[name]
            if not node["moving"]:
                continue
            count = len(batch) * np.prod(node.shape[:-1])
            unbiased = np.ravel(variance.numpy()) * count / (count - 1)
            old = running.get(name, weights[f"{name}.moving_variance"])
            running[name] = node["momentum"] * old + (1 - node["momentum"]) * unbiased
    change = np.abs(features[0].numpy() - features[1].numpy()).sum(axis=(1, 2, 3), dtype=np.float64).mean()
    with np.errstate(divide="ignore"):
        return float(np.log(change) + sum(np.log(np.sqrt(np.mean(value))) for value in running.values()))
