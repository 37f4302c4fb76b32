"""Inference with the kernel of a network's Gaussian process, estimated from finite networks (NNGP), or with its
empirical tangent kernel (NTK).

Source: Park et al., "Towards NNGP-guided Neural Architecture Search" (arXiv 2011.06006), Algorithm 1. For each member
of an ensemble: fresh weights, one forward pass in training mode that moves the BN statistics, features in front of the
classifier at inference. The kernel is the mean over members of the features' second moments; the score is the best
validation accuracy of its ridge regression over a range of regularisers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfnas.engine import Network, ntk
from tfnas.inference import features, ridge
from tfnas.networks import weights
from tfnas.networks.graph import Graph
from tfnas.seeds import derive_seed

KERNELS = ("nngp", "ntk")


@dataclasses.dataclass(frozen=True)
class Data:
    """Images and labels of an inference; any prefix of either part is a smaller part of its own.

    Attributes:
        train, val: images [N, H, W, C].
        train_labels, val_labels: [N] int.
        classes: number of classes.
    """

    train: np.ndarray
    train_labels: np.ndarray
    val: np.ndarray
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


def nngp_member(graph: Graph, arrays: Mapping[str, np.ndarray], data: Data, **options: Any) -> Member:
    """Features of all images; options as in `features.extract`."""
    both = features.extract(graph, arrays, np.concatenate([data.train, data.val]), **options)
    count = len(data.train)
    return Member("nngp", both[:count], both[count:])


def ntk_member(
    graph: Graph, arrays: Mapping[str, np.ndarray], data: Data, *, dtype: str = "float32", block: int = 100
) -> Member:
    """Tangent kernel of all parameters, summed over logits and divided by their number.

    Args:
        graph: the network.
        arrays: its weights, with the moving statistics on which BN runs.
        data: the images.
        dtype: of the gradients; sums over layers are float64.
        block: validation images at once; memory grows with it, the kernel does not change.
    """
    network = Network(graph, arrays, dtype=dtype)
    train, val = ntk.train_val_kernels(network, data.train, data.val, "inference", kernel="trace", block=block)
    return Member("ntk", train / graph.num_classes, val / graph.num_classes)


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


def member_seed(base_seed: int, space: str, arch: str, member: int) -> int:
    """Seed of a member's weights, whatever else is computed."""
    return derive_seed(base_seed, space, arch, member)
