"""Kernel ridge regression with many regularisers at once: the inference half of NNGP.

Source: Park et al. 2020 (arXiv 2011.06006), Algorithm 1. The kernel of M ensemble members with features Z_m [n, d] is
K = sum_m Z_m Z_m^T / (M d). With lambda = trace(K_tt) / n_train and a relative regulariser eps, the predictions for
validation examples are K_vt (K_tt + eps lambda I)^-1 Y, where Y [n_train, C] is one-hot minus 1/C; the class is their
argmax (ties: the lowest), and the score is the best validation accuracy over the regularisers. Tangent kernels come in
by `from_kernels`. Everything is float64 but the features, which are cast block by block.

Cost: one eigendecomposition of order min(M d, n_train) serves every regulariser; see `tfnas.inference.fit`.

Accuracy: directions in which the kernel is zero but for rounding contribute exactly 0, where a Cholesky solve adds
rounding divided by eps. Against extended precision (n_train 150 and 400, random, ReLU, decaying, duplicated and
rank-deficient features, eps = 1e-7) predictions of order 1 are off by at most 1e-8 (1e-11 typically, 1e-14 for
well-conditioned features), those of Cholesky solves by 1e-7 where the kernel is rank-deficient; both errors fall as
1 / eps. The 1e-8 are reached where a low-rank matrix was rounded to float32: that rounding is below the resolution of
a float64 Gram matrix.

Deviations: where no regulariser gives a positive definite matrix the accuracy is NaN and the status says why (the
paper's notebook returns 0.0); failed regularisers are left out, as in the notebook.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tfnas.errors import InputError
from tfnas.inference import REGULARIZERS, checks
from tfnas.inference.fit import MEMORY_BUDGET, ROUNDING, Fit, fit_features, fit_kernel


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Validation accuracy for each regulariser.

    Attributes:
        regularizers: [r], relative to trace(K_tt) / n_train.
        accuracies: [r], fractions; NaN where K_tt + eps lambda I is not positive definite.
        status: "ok" (at least one regulariser works), "nan" (features or kernels are not finite), "indefinite" (no
            regulariser works and K_tt has a negative eigenvalue) or "singular" (none works and it has none, as for a
            kernel of zeros).
        message: what went wrong, empty where nothing did.
        method: "feature space" or "sample space"; empty where nothing was solved.
    """

    regularizers: np.ndarray
    accuracies: np.ndarray
    status: str
    message: str = ""
    method: str = ""

    @property
    def accuracy(self) -> float:
        """The NNGP score: the best accuracy; NaN unless the status is "ok"."""
        return float(np.nanmax(self.accuracies)) if self.status == "ok" else math.nan

    @property
    def regularizer(self) -> float:
        """The first regulariser of that accuracy; NaN unless the status is "ok"."""
        return float(self.regularizers[np.nanargmax(self.accuracies)]) if self.status == "ok" else math.nan


def from_features(
    train: Sequence[np.ndarray],
    val: Sequence[np.ndarray],
    train_labels: Sequence[int],
    val_labels: Sequence[int],
    classes: int,
    regularizers: Sequence[float] = REGULARIZERS,
    *,
    memory_budget: int = MEMORY_BUDGET,
) -> Sweep:
    """The sweep from the features of an ensemble.

    Args:
        train: M arrays [n_train, d], one a member.
        val: M arrays [n_val, d].
        train_labels: [n_train].
        val_labels: [n_val].
        classes: C.
        regularizers: [r], positive, relative to trace(K_tt) / n_train.
        memory_budget: bytes that may be held besides the features; the decomposition takes 24 min(M d, n_train)^2.

    Raises:
        InputError: shapes, labels or regularisers that make no sense.
        MemoryError: the memory budget is too small.
    """
    regularizers = checks.regularizers(regularizers)
    train, val = checks.members(train, "train"), checks.members(val, "val")
    if (len(train), train[0].shape[1]) != (len(val), val[0].shape[1]):
        raise InputError(
            "train and val must have as many members of as many features. "
            f"Received: {len(train)} x {train[0].shape[1]} and {len(val)} x {val[0].shape[1]}"
        )
    val_labels = checks.labels(val_labels, classes, len(val[0]))
    if not checks.finite(*train, *val):
        return _failed(regularizers, "nan", "features hold NaN or infinity")
    fit = fit_features(train, train_labels, classes, memory_budget=memory_budget)
    return _evaluate(fit, val, val_labels, regularizers)


def from_kernels(
    k_tt: np.ndarray,
    k_vt: np.ndarray,
    train_labels: Sequence[int],
    val_labels: Sequence[int],
    classes: int,
    regularizers: Sequence[float] = REGULARIZERS,
    *,
    memory_budget: int = MEMORY_BUDGET,
) -> Sweep:
    """The sweep from kernels: saved ones, or tangent kernels.

    Args:
        k_tt: [n_train, n_train], symmetric; only its lower triangle is used. Where it is singular, K_vt is taken to
            vanish on its null space, as it does for every positive semidefinite kernel.
        k_vt: [n_val, n_train].
        train_labels: [n_train].
        val_labels: [n_val].
        classes: C.
        regularizers: as in `from_features`.
        memory_budget: bytes that may be held besides the kernels; the decomposition takes 24 n_train^2.

    Raises:
        InputError, MemoryError: as `from_features`.
    """
    regularizers = checks.regularizers(regularizers)
    k_tt, k_vt = checks.kernels(k_tt, k_vt)
    val_labels = checks.labels(val_labels, classes, len(k_vt))
    if not checks.finite(k_tt, k_vt):
        return _failed(regularizers, "nan", "kernels hold NaN or infinity")
    fit = fit_kernel(k_tt, train_labels, classes, memory_budget=memory_budget)
    return _evaluate(fit, [k_vt], val_labels, regularizers)


def _evaluate(fit: Fit, rows: Sequence[np.ndarray], labels: np.ndarray, regularizers: np.ndarray) -> Sweep:
    hits = np.zeros(len(regularizers))
    for chosen, at, piece in fit.pieces(rows, regularizers):
        hits[chosen] += (piece.argmax(-1) == labels[at, None]).sum(0)
    solved = fit.solvable(regularizers)
    accuracies = np.where(solved, hits / len(labels), math.nan)
    return Sweep(regularizers, accuracies, *_verdict(fit.values, solved), fit.method)


def _verdict(values: np.ndarray, solved: np.ndarray) -> tuple[str, str]:
    """Status and message, from eigenvalues of K_tt."""
    if solved.all():
        return "ok", ""
    low, high = values.min(), np.abs(values).max()
    spectrum = f"smallest eigenvalue of K_tt {low:.3g}, largest magnitude {high:.3g}"
    if solved.any():
        return "ok", f"{(~solved).sum()} of {len(solved)} regularisers left it not positive definite: {spectrum}"
    return "indefinite" if low < -ROUNDING * high else "singular", f"no regulariser works: {spectrum}"


def _failed(regularizers: np.ndarray, status: str, message: str) -> Sweep:
    return Sweep(regularizers, np.full(len(regularizers), math.nan), status, message)
