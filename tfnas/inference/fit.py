"""Ridge regression, factorised once for any regulariser: features or a kernel in, predictions out.

Symbols and source as in `tfnas.inference.ridge`. With D = M d < n_train the eigendecomposition is that of the second
moment S = sum Z^T Z / (M d) [D, D], for K_vt (K_tt + c I)^-1 Y = Z_v (S + c I)^-1 Z_t^T Y / (M d) ("feature space");
otherwise that of K_tt ("sample space"). K_vt is never formed from features: predictions are Z_v times weights [D, C].
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfnas.inference import REGULARIZERS, checks

MEMORY_BUDGET = 2 << 30

# Eigenvalues below this share of the largest are rounding. Those of Gram matrices of known rank stayed below 2 eps at
# order 200 and 6 eps at 2500; cutting far above that loses directions that count where the regulariser is small.
ROUNDING = 16 * np.finfo(np.float64).eps
# Bytes of a block of rows; larger ones gain nothing.
_BLOCK = 64 << 20


def targets(labels: Sequence[int], classes: int) -> np.ndarray:
    """One-hot minus 1/C: [n, C] from labels [n] in 0 .. C - 1.

    Raises:
        InputError: labels that are no such integers.
    """
    return np.eye(classes)[checks.labels(labels, classes)] - 1 / classes


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
        return self.values.min() + self.unit * np.asarray(regularizers) > ROUNDING * np.abs(self.values).max()

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
    """Fits finite features, M arrays [n, d], of examples with labels [n]; see `ridge.from_features`."""
    from scipy.linalg import blas

    train = checks.members(train, "train")
    rows, width = len(train[0]), sum(member.shape[1] for member in train)
    y = targets(checks.labels(labels, classes, rows), classes)
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
    """Fits a finite kernel [n, n] of examples with labels [n]; see `ridge.from_kernels`."""
    order = len(k_tt)
    y = targets(checks.labels(labels, classes, order), classes)
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
    null = np.abs(values) <= ROUNDING * np.abs(values).max()
    values[null] = 0.0
    right = blas.dgemm(1.0, vectors, right, trans_a=True)
    right[null] = 0.0

    def solve(shifts: np.ndarray) -> np.ndarray:
        scaled = right[:, None, :] / (values[:, None] + shifts)[:, :, None]
        return blas.dgemm(1.0, vectors, scaled.reshape(len(right), -1))

    return values, solve


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
        raise MemoryError(
            f"{rows} training examples of {width} features, with an eigendecomposition of order {order}: "
            f"{needed} bytes needed, {budget} left (--memory_mb)"
        )
    return int(budget - fixed) // 2


def _solution_bytes(order: int, width: int, classes: int) -> int:
    """Held at once while one regulariser is solved for."""
    return 8 * (4 * order + 2 * width) * classes
