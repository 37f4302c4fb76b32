"""AZ-NAS (Lee and Ham, CVPR 2024): expressivity, progressivity and trainability of the blocks of a network.

The fourth score, complexity, is `flops`; the aggregate `aznas` combines the ranks of all four. Images are noise in
the shape of the batch, BN uses the batch's statistics, weights are Kaiming-normal where the prescribed initialisation
is asked for. Blocks are what lies between single maps that every path crosses.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from proxies.base import proxy
from tfnas.errors import InputError

if TYPE_CHECKING:
    from proxies.passes import Passes

_EPSILON = 1e-8
_SINGULAR_EPSILON = 1e-6
_PRESCRIBED = {"options": ("prescribed_init",), "modes": ("batch",)}


@proxy("aznas_expressivity", consumes="activations", bn="batch", summary="entropy of feature spectra", **_PRESCRIBED)
def expressivity(passes: Passes) -> float:
    """Sum over blocks of the entropy of the normalised spectrum of the features' covariance."""
    return _worst_if_nan(np.sum(_analysis(passes)[0]))


@proxy(
    "aznas_progressivity",
    consumes="activations",
    bn="batch",
    summary="smallest growth of expressivity",
    **_PRESCRIBED,
)
def progressivity(passes: Passes) -> float:
    """Smallest growth of that entropy from one block to the next."""
    return _worst_if_nan(np.min(np.diff(_analysis(passes)[0])))


@proxy("aznas_trainability", consumes="gradients", bn="batch", summary="how well blocks carry gradients", **_PRESCRIBED)
def trainability(passes: Passes) -> float:
    """Mean over blocks of 2 - s - 1 / (s + 1e-6), s the largest singular value of E[g_in g_out'].

    g_out is a random sign cotangent of the block's output, g_in what arrives at its input. -inf for a block that passes
    every cotangent on unchanged.
    """
    return float(np.mean(_analysis(passes)[1]))


def _worst_if_nan(value: float) -> float:
    """The spectrum of constant features has no entropy: such a network is the worst, as in the released code."""
    return -np.inf if np.isnan(value) else float(value)


def _analysis(passes: Passes) -> tuple[list[float], list[float]]:
    noise = passes.noise(len(passes.labels), "aznas") if passes.options.prescribed_init else passes.images
    return passes.remember("aznas", lambda: analyse(passes, noise))


def analyse(passes: Passes, images: np.ndarray) -> tuple[list[float], list[float]]:
    """Entropy of each block's features, in order; trainability of each block after the first, last block first.

    Cotangent t, of the t-th block from the last, is 2 * RandomState(seed + t).randint(0, 2, shape) - 1.
    """
    from tfnas.engine import Network, block_outputs

    network = Network(passes.graph, passes.own_weights("kaiming_normal", "aznas"), dtype=passes.options.dtype)
    blocks = block_outputs(passes.graph)
    if len(blocks) < 2:
        raise InputError(f"AZ-NAS needs a network of two blocks or more. Received: {len(blocks)}")
    features: dict[str, np.ndarray] = {}

    def note(name: str, value: Any) -> None:
        if name in blocks:
            features[name] = value.numpy()

    run = network.forward(images, "batch", observer=note)
    entropies = [_entropy(features[name]) for name in blocks]
    scores = []
    for t, (before, after) in enumerate(reversed(list(itertools.pairwise(blocks)))):
        signs = np.random.RandomState((passes.options.seed + t) % 2**32).randint(0, 2, features[after].shape)
        g_out = (2 * signs - 1).astype(passes.options.dtype)
        g_in = network.input_gradients(run, g_out, start=after, stop=before).numpy()
        scores.append(_trainability(g_in, g_out))
    return entropies, scores


def _entropy(features: np.ndarray) -> float:
    rows = features.reshape(-1, features.shape[-1]).astype(np.float64)
    if not np.isfinite(rows).all():
        return np.nan
    rows = rows - rows.mean(axis=0)
    spectrum = np.linalg.eigvalsh(rows.T @ rows / len(rows))
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = spectrum / spectrum.sum()
    return float(-np.sum(shares * np.log(shares + _EPSILON)))


def _trainability(g_in: np.ndarray, g_out: np.ndarray) -> float:
    if not np.isfinite(g_in).all():
        return np.nan
    if g_in.shape == g_out.shape and np.array_equal(g_in, g_out):
        return -np.inf
    stride = -(-g_in.shape[1] // g_out.shape[1])
    if stride > 1:  # a pixel of the output against the pixels of the input that it covers
        n, h, w, c = g_in.shape
        # Of odd maps the last output covers what lies outside as well, where there is no gradient.
        missing = [stride * to - of for to, of in zip(g_out.shape[1:3], (h, w), strict=True)]
        g_in = np.pad(g_in, ((0, 0), *((0, more) for more in missing), (0, 0)))
        n, h, w, c = g_in.shape
        g_in = g_in.reshape(n, h // stride, stride, w // stride, stride, c).transpose(0, 1, 3, 5, 2, 4)
    channels = g_out.shape[-1]
    g_out = g_out.reshape(-1, channels).astype(np.float64)
    g_in = g_in.reshape(len(g_out), -1).astype(np.float64)
    s = np.linalg.norm(g_in.T @ g_out / len(g_out), ord=2)
    return float(2 - s - 1 / (s + _SINGULAR_EPSILON))
