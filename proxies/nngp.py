"""Inference with the kernel of a network's Gaussian process, estimated from finite networks (NNGP), or with its
empirical tangent kernel (NTK).

Source: Park et al., "Towards NNGP-guided Neural Architecture Search" (arXiv 2011.06006), Algorithm 1. For each member
of an ensemble: fresh weights, one forward pass in training mode that moves the BN statistics, features in front of the
classifier at inference. The kernel is the mean over members of the features' second moments; the score is the best
validation accuracy of its ridge regression over a range of regularisers.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from proxies.options import Options, calibration_size
from tfnas.data.lazy import Images, joined
from tfnas.engine import Network, ntk
from tfnas.errors import InputError
from tfnas.inference import features, ridge
from tfnas.networks import weights
from tfnas.networks.graph import Graph
from tfnas.seeds import derive_seed

_NTK_BLOCK = 100


@dataclasses.dataclass(frozen=True)
class Data:
    """Images and labels of an inference; any prefix of either part is a smaller part of its own.

    Attributes:
        train, val: images [N, H, W, C], arrays or `tfnas.data.lazy.Images`.
        train_labels, val_labels: [N] int.
        classes: number of classes.
    """

    train: np.ndarray | Images
    train_labels: np.ndarray
    val: np.ndarray | Images
    val_labels: np.ndarray
    classes: int


@dataclasses.dataclass(frozen=True)
class Member:
    """What one member of an ensemble gives.

    Attributes:
        kernel: "nngp": `train` [n_train, d] and `val` [n_val, d] are features, whose products are its kernel; "ntk":
            they are the kernel itself, [n_train, n_train] and [n_val, n_train].
        train, val: the arrays.
    """

    kernel: str
    train: np.ndarray
    val: np.ndarray


def member_weights(graph: Graph, init: str, seed: int, batch: np.ndarray, **options: Any) -> dict[str, np.ndarray]:
    """Fresh weights whose moving statistics one batch [N, H, W, C] has moved; options as in `features.calibrate`."""
    return features.calibrate(graph, weights.initialize(graph, init, seed), batch, **options)


def nngp_member(
    graph: Graph, arrays: Mapping[str, np.ndarray], data: Data, *, block_size: int = 0, **options: Any
) -> Member:
    """Features of all images.

    Args:
        graph: the network.
        arrays: its weights, with the moving statistics on which BN runs.
        data: the images.
        block_size: images that run at once (0: the usual number); memory grows with it, features do not change.
        **options: as in `features.extract`.
    """
    options |= {"batch_size": block_size} if block_size else {}
    both = features.extract(graph, arrays, joined(data.train, data.val), **options)
    count = len(data.train)
    return Member("nngp", both[:count], both[count:])


def ntk_member(
    graph: Graph,
    arrays: Mapping[str, np.ndarray],
    data: Data,
    *,
    block_size: int = 0,
    dtype: str = "float32",
    strategy: Any = None,
) -> Member:
    """Tangent kernel of all parameters, summed over logits and divided by their number.

    Args:
        graph: the network.
        arrays: its weights, with the moving statistics on which BN runs.
        data: the images.
        block_size: validation images at once (0: 100); memory grows with it, the kernel does not change.
        dtype: of the gradients; sums over layers are float64.
        strategy: not used: tangent kernels run on one device.
    """
    network = Network(graph, arrays, dtype=dtype)
    block = block_size or _NTK_BLOCK
    train, val = ntk.train_val_kernels(network, data.train, data.val, "inference", kernel="trace", block=block)
    return Member("ntk", train / graph.num_classes, val / graph.num_classes)


# By the name of the kernel: what makes a member of its ensemble, all called alike.
MEMBERS: dict[str, Callable[..., Member]] = {"nngp": nngp_member, "ntk": ntk_member}


def infer(
    members: Sequence[Member], data: Data, n_train: int, n_val: int, regularizers: Sequence[float], **options: Any
) -> ridge.Sweep:
    """Validation accuracies of an ensemble for all regularisers, on the first images of either part.

    Args:
        members: the ensemble, all of one kernel.
        data: what the members were computed on.
        n_train: how many training images to take.
        n_val: how many validation images.
        regularizers: relative to the mean eigenvalue of the training kernel.
        **options: as in `ridge.from_features`.
    """
    labels = data.train_labels[:n_train], data.val_labels[:n_val]
    if members[0].kernel == "nngp":
        train, val = [m.train[:n_train] for m in members], [m.val[:n_val] for m in members]
        return ridge.from_features(train, val, *labels, data.classes, regularizers, **options)
    train = sum(m.train[:n_train, :n_train] for m in members) / len(members)
    val = sum(m.val[:n_val, :n_train] for m in members) / len(members)
    return ridge.from_kernels(train, val, *labels, data.classes, regularizers, **options)


class Ensemble:
    """Untrained networks and inference with their kernels: what proxies that consume an ensemble are given.

    Args:
        member: kernel ("nngp" or "ntk"), index of the member -> the member; called again for members seen before.
        data: what the members are computed on; a part of them counts.
        options: `n_train`, `n_val`, `ensemble` and `regularizers` count.
        **solver: as in `ridge.from_features`.
    """

    def __init__(self, member: Callable[[str, int], Member], data: Data, options: Options, **solver: Any) -> None:
        self.member, self.data, self.options, self.solver = member, data, options, solver
        self.sweeps: dict[str, ridge.Sweep] = {}

    def members(self, kernel: str) -> list[Member]:
        """All of them, with one kernel."""
        return [self.member(kernel, index) for index in range(self.options.ensemble)]

    def sweep(self, kernel: str) -> ridge.Sweep:
        """Validation accuracies for all regularisers with one kernel; kept in `sweeps`."""
        if kernel not in self.sweeps:
            options, members = self.options, self.members(kernel)
            sizes = options.n_train, options.n_val
            self.sweeps[kernel] = infer(members, self.data, *sizes, options.regularizers, **self.solver)
        return self.sweeps[kernel]

    def accuracy(self, kernel: str) -> float:
        """The best of them; NaN where no kernel can be solved."""
        return self.sweep(kernel).accuracy


def ensemble_of_batch(graph: Graph, images: np.ndarray, labels: np.ndarray, options: Options) -> Ensemble:
    """The ensemble of one classifier on one batch.

    Args:
        graph: the classifier.
        images: [N, H, W, C]; the first `options.n_train` train, the next `options.n_val` validate.
        labels: [N] int.
        options: settings; members draw weights by `options.init` and `options.seed`.

    Raises:
        InputError: fewer images than both parts need.
    """
    n_train, n_val = options.n_train, options.n_val
    if len(labels) < n_train + n_val:
        raise InputError(
            f"Inference needs n_train + n_val images. Received: {len(labels)}. Needed: {n_train} + {n_val}"
        )
    images, labels = np.asarray(images, options.dtype), np.asarray(labels, np.int64)
    val = slice(n_train, n_train + n_val)
    data = Data(images[:n_train], labels[:n_train], images[val], labels[val], graph.num_classes)
    batch = data.train[: calibration_size(n_train)]

    @functools.cache
    def member(kernel: str, index: int) -> Member:
        seed = derive_seed(options.seed, "member", index)
        arrays = member_weights(graph, options.init, seed, batch, dtype=options.dtype)
        return MEMBERS[kernel](graph, arrays, data, block_size=options.block_size, dtype=options.dtype)

    return Ensemble(member, data, options)


def member_seed(base_seed: int, space: str, arch: str, member: int) -> int:
    """Seed of a member's weights, whatever else is computed."""
    return derive_seed(base_seed, space, arch, member)
