"""Kernel ridge regression with many regularisers at once: the inference half of NNGP.

Source: Park et al. 2020 (arXiv 2011.06006), Algorithm 1. The kernel of M ensemble members with features Z_m [n, d] is
K = sum_m Z_m Z_m^T / (M d). With lambda = trace(K_tt) / n_train and a relative regulariser eps, the predictions for
validation examples are K_vt (K_tt + eps lambda I)^-1 Y, where Y [n_train, C] is one-hot minus 1/C; the class is their
argmax (ties: the lowest), and the score is the best validation accuracy over the regularisers. Tangent kernels come in
by `from_kernels`. Everything is float64 but the features, which are cast block by block.

Cost: one eigendecomposition of order m serves every regulariser. With D = M d < n_train it is that of the second
moment S = sum Z^T Z / (M d) [D, D], for K_vt (K_tt + c I)^-1 Y = Z_v (S + c I)^-1 Z_t^T Y / (M d) ("feature space");
otherwise that of K_tt ("sample space"). K_vt is never formed from features: predictions are Z_v times weights [D, C].

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
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfnas.errors import InputError

REGULARIZERS = tuple(np.logspace(-7.0, 2.0, 20).tolist())
MEMORY_BUDGET = 2 << 30

# Eigenvalues below this share of the largest are rounding. Those of Gram matrices of known rank stayed below 2 eps at
# order 200 and 6 eps at 2500; cutting far above that loses directions that count where the regulariser is small.
_ROUNDING = 16 * np.finfo(np.float64).eps
# Bytes of a block of rows; larger ones gain nothing.
_BLOCK = 64 << 20


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
        method: "feature space", "sample space" or "cholesky"; empty where nothing was solved.
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


def targets(labels: Sequence[int], classes: int) -> np.ndarray:
    """One-hot minus 1/C: [n, C] from labels [n] in 0 .. C - 1.

    Raises:
        InputError: labels that are no such integers.
    """
    return np.eye(classes)[_labels(labels, classes)] - 1 / classes


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
        InputError: shapes, labels or regularisers that make no sense; a memory budget that is too small.
    """
    regularizers = _regularizers(regularizers)
    train, val = _members(train, "train"), _members(val, "val")
    if (len(train), train[0].shape[1]) != (len(val), val[0].shape[1]):
        raise InputError(
            "train and val must have as many members of as many features. "
            f"Received: {len(train)} x {train[0].shape[1]} and {len(val)} x {val[0].shape[1]}"
        )
    val_labels = _labels(val_labels, classes, len(val[0]))
    if not _finite(*train, *val):
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
        InputError: as `from_features`.
    """
    regularizers = _regularizers(regularizers)
    k_tt, k_vt = _kernels(k_tt, k_vt)
    val_labels = _labels(val_labels, classes, len(k_vt))
    if not _finite(k_tt, k_vt):
        return _failed(regularizers, "nan", "kernels hold NaN or infinity")
    fit = fit_kernel(k_tt, train_labels, classes, memory_budget=memory_budget)
    return _evaluate(fit, [k_vt], val_labels, regularizers)


# Cholesky: the paper's way --------------------------------------------------------------------------------------------


def cholesky_sweep(
    k_tt: np.ndarray,
    k_vt: np.ndarray,
    train_labels: Sequence[int],
    val_labels: Sequence[int],
    classes: int,
    regularizers: Sequence[float] = REGULARIZERS,
) -> Sweep:
    """As `from_kernels` by one Cholesky decomposition a regulariser, the paper's procedure: a plain reference."""
    regularizers = _regularizers(regularizers)
    k_tt, k_vt = _kernels(k_tt, k_vt)
    train_labels = _labels(train_labels, classes, len(k_tt))
    val_labels = _labels(val_labels, classes, len(k_vt))
    if not _finite(k_tt, k_vt):
        return _failed(regularizers, "nan", "kernels hold NaN or infinity")
    predictions = cholesky_predictions(k_tt, k_vt, targets(train_labels, classes), regularizers)
    solved = ~np.isnan(predictions).any((1, 2))
    accuracies = np.where(solved, (predictions.argmax(-1) == val_labels).mean(-1), math.nan)
    values = np.zeros(1) if solved.all() else np.linalg.eigvalsh(k_tt)
    return Sweep(regularizers, accuracies, *_verdict(values, solved), "cholesky")


def cholesky_predictions(
    k_tt: np.ndarray, k_vt: np.ndarray, y: np.ndarray, regularizers: Sequence[float] = REGULARIZERS
) -> np.ndarray:
    """K_vt (K_tt + eps lambda I)^-1 Y for each eps, [r, n_val, C]; NaN where the matrix has no Cholesky factor."""
    from scipy import linalg

    k_tt, k_vt = np.asarray(k_tt, np.float64), np.asarray(k_vt, np.float64)
    unit = np.trace(k_tt) / len(k_tt)
    predictions = np.full((len(regularizers), len(k_vt), y.shape[1]), math.nan)
    for i, eps in enumerate(regularizers):
        try:
            factor = linalg.cho_factor(k_tt + eps * unit * np.eye(len(k_tt)), lower=True)
        except linalg.LinAlgError:
            continue
        predictions[i] = k_vt @ linalg.cho_solve(factor, y)
    return predictions


# One eigendecomposition for every regulariser -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Fit:
    """Ridge regression on one training set, factorised for any regulariser; made by `fit_features` or `fit_kernel`.

    Attributes:
        unit: lambda = trace(K_tt) / n_train.
        values: eigenvalues of K_tt: [n_train], or [D + 1] in feature space, where a 0 stands for all the others. What
            is below rounding is exactly 0.
        classes: C.
        width: length of the weights: D, or n_train for a kernel.
        method: "feature space" or "sample space".
        spare: bytes for the weights, and as many for a block of rows.
    """

    unit: float
    values: np.ndarray
    classes: int
    width: int
    method: str
    spare: int
    _solve: Callable[[np.ndarray], np.ndarray] = dataclasses.field(repr=False)

    def solvable(self, regularizers: Sequence[float]) -> np.ndarray:
        """Whether K_tt + eps lambda I is positive definite beyond rounding, [r].

        Where it is singular to rounding a Cholesky decomposition may fail or return noise; this is False.
        """
        return self.values.min() + self.unit * np.asarray(regularizers) > _ROUNDING * np.abs(self.values).max()

    def predict(self, rows: Sequence[np.ndarray], regularizers: Sequence[float] = REGULARIZERS) -> np.ndarray:
        """Predictions [r, n, C] for M arrays of features [n, d], or for one of K_vt [n, n_train]; NaN if not solvable.

        The result is held whole, whatever the memory budget.
        """
        predictions = np.full((len(regularizers), len(rows[0]), self.classes), math.nan)
        for chosen, at, piece in self.pieces(rows, regularizers):
            predictions[chosen, at] = piece.transpose(1, 0, 2)
        return predictions

    def pieces(
        self, rows: Sequence[np.ndarray], regularizers: Sequence[float]
    ) -> Iterator[tuple[np.ndarray, slice, np.ndarray]]:
        """What is solvable, within the budget: indices of regularisers [g], rows [b], their predictions [b, g, C]."""
        regularizers = np.asarray(regularizers)
        solvable = np.flatnonzero(self.solvable(regularizers))
        group = self.spare // _solution_bytes(len(self.values), self.width, self.classes)
        for first in range(0, len(solvable), group):
            chosen = solvable[first : first + group]
            weights = self._solve(self.unit * regularizers[chosen])
            for at, block in _row_blocks(rows, self.spare, 2 * weights.shape[1]):
                yield chosen, at, (block @ weights).reshape(len(block), len(chosen), self.classes)


def fit_features(
    train: Sequence[np.ndarray], labels: Sequence[int], classes: int, *, memory_budget: int = MEMORY_BUDGET
) -> Fit:
    """Fits finite features, M arrays [n, d], of examples with labels [n]; see `from_features`."""
    from scipy.linalg import blas

    train = _members(train, "train")
    rows, width = len(train[0]), sum(member.shape[1] for member in train)
    y = targets(_labels(labels, classes, rows), classes)
    order = min(rows, width)
    spare = _spare(order, rows, width, classes, memory_budget)

    def project(right: np.ndarray) -> np.ndarray:
        """Z^T right / (M d): [D, k] of [n, k]."""
        out = np.zeros((width, right.shape[1]))
        for at, block in _row_blocks(train, spare):
            out += block.T @ right[at]
        out /= width
        return out

    gram = np.zeros((order, order), order="F")  # its lower triangle
    if width < rows:
        for _, block in _row_blocks(train, spare):
            gram = blas.dsyrk(1 / width, block.T, beta=1.0, c=gram, lower=1, overwrite_c=1)
    else:
        for block in _column_blocks(train, spare):
            gram = blas.dsyrk(1 / width, block.T, beta=1.0, c=gram, lower=1, overwrite_c=1, trans=1)
    unit = float(np.trace(gram)) / rows
    if width < rows:
        values, solve = _factorise(gram, project(y))
        return Fit(unit, np.append(values, 0.0), classes, width, "feature space", spare, solve)
    values, solve = _factorise(gram, y)
    return Fit(unit, values, classes, width, "sample space", spare, lambda shifts: project(solve(shifts)))


def fit_kernel(k_tt: np.ndarray, labels: Sequence[int], classes: int, *, memory_budget: int = MEMORY_BUDGET) -> Fit:
    """Fits a finite kernel [n, n] of examples with labels [n]; see `from_kernels`."""
    order = len(k_tt)
    y = targets(_labels(labels, classes, order), classes)
    spare = _spare(order, order, order, classes, memory_budget)
    unit = float(np.trace(k_tt, dtype=np.float64)) / order
    values, solve = _factorise(np.array(k_tt, np.float64, order="F"), y)
    return Fit(unit, values, classes, order, "sample space", spare, solve)


def _factorise(matrix: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Eigenvalues [m] of a symmetric matrix, and a function from shifts [r] to (matrix + shift I)^-1 right, [m, r C].

    `matrix` [m, m] is read in its lower triangle and, in Fortran order, overwritten. What `right` [m, C] holds of its
    null space is dropped. About 24 m^2 bytes are held at once, `matrix` among them.
    """
    from scipy.linalg import blas, eigh

    # Products by SciPy's BLAS, too: NumPy has its own, whose threads would get in the way of the decomposition's.
    # Cheaper than twenty Cholesky solves at every order from 100 to 4000. Householder's tridiagonal form alone would do
    # and is cheaper still on one thread, but LAPACK then solves on one thread only.
    values, vectors = eigh(matrix, driver="evd", overwrite_a=True, check_finite=False)
    null = np.abs(values) <= _ROUNDING * np.abs(values).max()
    values[null] = 0.0
    right = blas.dgemm(1.0, vectors, right, trans_a=True)
    right[null] = 0.0

    def solve(shifts: np.ndarray) -> np.ndarray:
        scaled = right[:, None, :] / (values[:, None] + shifts)[:, :, None]
        return blas.dgemm(1.0, vectors, scaled.reshape(len(right), -1))

    return values, solve


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
    return "indefinite" if low < -_ROUNDING * high else "singular", f"no regulariser works: {spectrum}"


def _failed(regularizers: np.ndarray, status: str, message: str) -> Sweep:
    return Sweep(regularizers, np.full(len(regularizers), math.nan), status, message)


# Blocks and memory ----------------------------------------------------------------------------------------------------


def _row_blocks(members: Sequence[np.ndarray], memory: int, extra: int = 0) -> Iterator[tuple[slice, np.ndarray]]:
    """Where, and float64 rows [b, D] of the members side by side; each row needs `extra` more numbers."""
    # 16 bytes a number: the block before is let go only when the next one is there.
    step = max(1, min(memory, _BLOCK) // (16 * (sum(member.shape[1] for member in members) + extra)))
    for start in range(0, len(members[0]), step):
        at = slice(start, start + step)
        yield at, np.concatenate([member[at] for member in members], axis=1, dtype=np.float64)


def _column_blocks(members: Sequence[np.ndarray], memory: int) -> Iterator[np.ndarray]:
    """Float64 columns [n, b] of one member after the other."""
    step = max(1, min(memory, _BLOCK) // (16 * len(members[0])))
    for member in members:
        for start in range(0, member.shape[1], step):
            yield np.ascontiguousarray(member[:, start : start + step], np.float64)


def _spare(order: int, rows: int, width: int, classes: int, budget: int) -> int:
    """Half of the bytes that the decomposition and the targets leave: for solutions, and for blocks of rows."""
    fixed = 8 * (3 * order**2 + 4 * rows * classes)
    needed = fixed + 2 * _solution_bytes(order + 1, width, classes)
    if needed > budget:
        raise InputError(
            f"{rows} training examples of {width} features need a memory_budget of {needed} bytes or more, "
            f"for the eigendecomposition of order {order}. Received: {budget}"
        )
    return int(budget - fixed) // 2


def _solution_bytes(order: int, width: int, classes: int) -> int:
    """Held at once while one regulariser is solved for."""
    return 8 * (4 * order + 2 * width) * classes


# Checks ---------------------------------------------------------------------------------------------------------------


def _regularizers(values: Sequence[float]) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not values.size or not np.all((values > 0) & (values < np.inf)):
        raise InputError(f"regularizers must be one or more positive numbers. Received: {values.tolist()}")
    return values


def _labels(labels: Sequence[int], classes: int, count: int | None = None) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or (count is not None and len(labels) != count):
        raise InputError(
            f"labels must be a vector of {'' if count is None else f'{count} '}integers. "
            f"Received: {labels.dtype} of shape {labels.shape}"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise InputError(f"labels must be 0 to {classes - 1}. Received: {labels.min()} to {labels.max()}")
    return labels


def _members(members: Sequence[np.ndarray], name: str) -> list[np.ndarray]:
    members = [np.asarray(member) for member in members]
    shapes = {member.shape for member in members}
    if len(shapes) != 1 or members[0].ndim != 2 or not members[0].size:
        raise InputError(f"{name} must be arrays [n, d] of one shape. Received: {sorted(shapes)}")
    return members


def _kernels(k_tt: np.ndarray, k_vt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    k_tt, k_vt = np.asarray(k_tt), np.asarray(k_vt)
    if k_tt.ndim != 2 or k_vt.ndim != 2 or not k_vt.size or not len(k_tt) == k_tt.shape[1] == k_vt.shape[1]:
        raise InputError(f"k_tt must be [n, n] and k_vt [m, n]. Received: {k_tt.shape} and {k_vt.shape}")
    return k_tt, k_vt


def _finite(*arrays: np.ndarray) -> bool:
    # Extremes carry NaN along, and need no array of booleans.
    return all(math.isfinite(array.min()) and math.isfinite(array.max()) for array in arrays)
