"""What ridge regression accepts, turned into arrays; anything else is an InputError."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfnas.errors import InputError


def regularizers(values: Sequence[float]) -> np.ndarray:
    """Positive numbers [r]."""
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not values.size or not np.all((values > 0) & (values < np.inf)):
        raise InputError(f"regularizers must be one or more positive numbers. Received: {values.tolist()}")
    return values


def labels(labels: Sequence[int], classes: int, count: int | None = None) -> np.ndarray:
    """Integers [n] in 0 .. C - 1."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or (count is not None and len(labels) != count):
        raise InputError(
            f"labels must be a vector of {'' if count is None else f'{count} '}integers. "
            f"Received: {labels.dtype} of shape {labels.shape}"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise InputError(f"labels must be 0 to {classes - 1}. Received: {labels.min()} to {labels.max()}")
    return labels


def members(members: Sequence[np.ndarray], name: str) -> list[np.ndarray]:
    """Arrays [n, d] of one shape."""
    members = [np.asarray(member) for member in members]
    shapes = {member.shape for member in members}
    if len(shapes) != 1 or members[0].ndim != 2 or not members[0].size:
        raise InputError(f"{name} must be arrays [n, d] of one shape. Received: {sorted(shapes)}")
    return members


def kernels(k_tt: np.ndarray, k_vt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """K_tt [n, n] and K_vt [m, n]."""
    k_tt, k_vt = np.asarray(k_tt), np.asarray(k_vt)
    if k_tt.ndim != 2 or k_vt.ndim != 2 or not k_vt.size or not len(k_tt) == k_tt.shape[1] == k_vt.shape[1]:
        raise InputError(f"k_tt must be [n, n] and k_vt [m, n]. Received: {k_tt.shape} and {k_vt.shape}")
    return k_tt, k_vt


def finite(*arrays: np.ndarray) -> bool:
    """Whether no array holds NaN or infinity."""
    # Extremes carry NaN along, and need no array of booleans.
    return all(math.isfinite(array.min()) and math.isfinite(array.max()) for array in arrays)
