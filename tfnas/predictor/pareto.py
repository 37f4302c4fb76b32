"""The soft front of accuracy and latency (Wen et al. 2020, section 4.2)."""

from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np

from tfnas.errors import InputError, unknown

# Which networks a network is compared with: the last that were chosen, or the last of all.
PREVIOUS = ("chosen", "all")


def soft_front(
    accuracy: Sequence[float], latency: Sequence[float], behind: int = 6, *, previous: str = "chosen"
) -> np.ndarray:
    """Networks that are predicted better than the worst of J that are just faster: rows, fastest first.

    Predictions err, so more than the strict front deserves a look. The paper speaks of the previous J models. Read as
    the last J that were chosen, the front is the strict one made J networks thick, and of 112,000 networks a hundred or
    two are left; the paper has 137. Read as the last J of all networks, noise alone lets 6 of 7 pass.

    The fastest is always chosen, and of equal latencies the first row comes first. Chosen J = 1 is the strict front.

    Args:
        accuracy: predictions [N], higher is better.
        latency: [N].
        behind: J of the paper.
        previous: one of `PREVIOUS`.

    Raises:
        InputError: `behind` below 1, other lengths, a value that is no finite number, or another `previous`.
    """
    accuracy, latency = np.asarray(accuracy, np.float64), np.asarray(latency, np.float64)
    if behind < 1:
        raise InputError(f"The soft front looks at 1 network or more. Received: {behind}")
    if previous not in PREVIOUS:
        raise unknown("reading of the soft front", previous, PREVIOUS)
    if accuracy.shape != latency.shape or accuracy.ndim != 1:
        raise InputError(f"Accuracies and latencies of N networks. Received: {accuracy.shape}, {latency.shape}")
    if not (np.isfinite(accuracy).all() and np.isfinite(latency).all()):
        raise InputError("Accuracies and latencies must be finite. Received: one that is not")
    order = np.argsort(latency, kind="stable")
    last: collections.deque[float] = collections.deque(maxlen=behind)
    worst, found = -np.inf, []
    for row, value in zip(order.tolist(), accuracy[order].tolist(), strict=True):
        better = value > worst
        if better:
            found.append(row)
        if better or previous == "all":
            last.append(value)
            worst = min(last)
    return np.array(found, int)
