"""The passes through one network that its proxies share.

Each pass runs when the first proxy asks for it and is kept for the others, so ten proxies do not cost ten times one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from proxies.options import Options
from tfnas import memory
from tfnas.engine import Forward, Gradients, Network, SignSums, block_slices, hessian_product
from tfnas.networks import weights as initial_weights
from tfnas.networks.graph import Graph

Tensor = Any


class Passes:
    """One network, one batch, and everything computed from them so far.

    Args:
        graph: the classifier.
        weights: its arrays.
        images: [N, H, W, C] float.
        labels: [N] int.
        options: settings.
        extras: what the proxies asked for need collected ("codes", "fisher", "hessian").
        second: a second batch (images, labels), for ZiCo.
        thin: network keywords -> the graph of the same architecture, as narrow as its space allows and with these
            changed, for proxies published on a small network.
    """

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, np.ndarray],
        images: np.ndarray,
        labels: np.ndarray,
        options: Options,
        extras: frozenset[str] = frozenset(),
        second: tuple[np.ndarray, np.ndarray] | None = None,
        thin: Callable[..., Graph] | None = None,
    ) -> None:
        self.graph = graph
        self.weights = weights
        self.images = np.asarray(images, options.dtype)
        self.labels = np.asarray(labels, np.int64)
        self.options = options
        self.extras = extras
        self.second = second
        self.thin = thin
        self.bn = ""  # of the proxy being computed
        self._memory: dict[object, Any] = {}

    # Networks ------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def network(self) -> Network:
        return Network(self.graph, self.weights, dtype=self.options.dtype, jit=self.options.jit)

    def kernel_keys(self) -> list[str]:
        """Keys of convolution and dense kernels, in topological order."""
        return [f"{node.name}.kernel" for node in self.graph.weight_nodes()]

    def own_weights(self, scheme: str, *labels: object) -> Mapping[str, np.ndarray]:
        """Weights of a proxy's prescribed initialisation, or those given where the options say so."""
        if not self.options.prescribed_init:
            return self.weights
        return initial_weights.initialize(self.graph, scheme, self.rng("weights", *labels).integers(2**62))

    def rng(self, *labels: object) -> np.random.Generator:
        """Random numbers that depend on the seed and the purpose alone."""
        from tfnas.seeds import derive_seed

        return np.random.default_rng(derive_seed(self.options.seed, *labels))

    def noise(self, count: int, *labels: object, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Standard normal images [count, H, W, C]."""
        return self.rng("noise", *labels).standard_normal((count, *(shape or self.graph.input_shape)))

    # Passes --------------------------------------------------------------------------------------------------------

    def forward(self) -> Forward:
        """The batch through the network in the BN mode of the proxy being computed."""
        return self.remember(
            ("forward", self.bn), lambda: self.network.forward(self.images, self.bn, codes="codes" in self.extras)
        )

    def logits(self) -> np.ndarray:
        return self.forward().values[self.graph.output].numpy()

    def loss_gradients(self) -> Gradients:
        """Gradients of the mean cross-entropy by all kernels, and what the other proxies asked for take of the pass."""
        return self.remember(
            ("loss_gradients", self.bn),
            lambda: self.network.gradients(
                self.forward(),
                cross_entropy_gradient(self.logits(), self.labels) / len(self.labels),
                fisher="fisher" in self.extras,
                keep="hessian" in self.extras,
            ),
        )

    def kernel_gradients(self) -> dict[str, np.ndarray]:
        """Gradient of the mean cross-entropy by kernel key; zeros where no path leads."""
        return self.remember(("kernel_gradients", self.bn), lambda: self.all_kernels(self.loss_gradients().params))

    def weight_hessian_gradient(self) -> dict[str, float]:
        """Per kernel key w' (H g), for the Hessian H and gradient g of the mean cross-entropy by all kernels w."""
        probabilities = tf.nn.softmax(self.forward().values[self.graph.output])

        def curvature(u: Tensor) -> Tensor:
            pu = probabilities * u
            return (pu - probabilities * tf.reduce_sum(pu, -1, keepdims=True)) / len(self.labels)

        gradients = self.loss_gradients()
        found = hessian_product(self.network, self.forward(), gradients, gradients.params, curvature, dot=True)
        return {key: float(found[key]) if key in found else 0.0 for key in self.kernel_keys()}

    def image_jacobian(self) -> np.ndarray:
        """Gradient of the sum of all logits by each image, flattened: [N, H * W * C]."""

        def compute() -> np.ndarray:
            run = self.forward()
            ones = tf.ones_like(run.values[self.graph.output])
            return self.network.input_gradients(run, ones).numpy().reshape(len(self.labels), -1)

        return self.remember(("image_jacobian", self.bn), compute)

    def sign_sums(self) -> dict[str, np.ndarray]:
        """Per weight of all kernels the sum over examples of the sign of its loss gradient, by chain."""
        return self.remember(("sign_sums", self.bn), self._sign_sums)

    def _sign_sums(self) -> dict[str, np.ndarray]:
        footprint, count = self.network.footprint, len(self.labels)
        each = footprint.examples(SignSums(), count)
        wanted = min(self.options.block_size or count, count)
        block = memory.block(wanted, 2 * footprint.parameters, each, "loss gradients of single images")
        totals: dict[str, np.ndarray] = {}
        for part in block_slices(count, block):
            for name, value in self._sign_sums_of(part).items():
                totals[name] = totals[name] + value.numpy() if name in totals else value.numpy()
        return totals

    def _sign_sums_of(self, part: slice) -> dict[str, Tensor]:
        run = self.network.forward(self.images[part], self.bn, dead_branches=False)
        cotangent = cross_entropy_gradient(run.values[self.graph.output].numpy(), self.labels[part])
        return self.network.example_gradients(run, cotangent, SignSums())

    def ntk(self) -> np.ndarray:
        """Tangent kernel [n, n] (float64) under the options, in the BN mode of the proxy being computed."""
        from tfnas.engine import tangent_kernel

        options = self.options
        return self.remember(
            ("ntk", self.bn),
            lambda: tangent_kernel(
                self.network,
                self.images[: options.ntk_batch_size or None],
                self.bn,
                kernel=options.ntk_logits,
                params=options.ntk_params,
                block=options.block_size,
            ),
        )

    def all_kernels(self, found: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        """Gradients by kernel key as arrays; zeros for kernels that no path leads to."""
        return {
            key: found[key].numpy() if key in found else np.zeros_like(self.weights[key]) for key in self.kernel_keys()
        }

    def remember(self, key: object, compute: Callable[[], Any]) -> Any:
        """The result of `compute`, computed once for this key."""
        if key not in self._memory:
            self._memory[key] = compute()
        return self._memory[key]


def cross_entropy_gradient(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Gradient by the logits [N, C] of each example's own softmax cross-entropy."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    gradient = shifted / shifted.sum(axis=1, keepdims=True)
    gradient[np.arange(len(labels)), labels] -= 1
    return gradient
