"""The soft front of accuracy and latency (Wen et al. 2020, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfnas.errors import InputError


def soft_front(accuracy: Sequence[float], latency: Sequence[float], behind: int = 6) -> np.ndarray:
    """Networks that are predicted better than the worst of the `behind` that are just faster: rows, fastest first.

    Predictions err, so more than the strict front deserves a look. Those before a network in the order of latency are
    asked whether they are chosen themselves or not, and the fastest is always chosen; of equal latencies the first row
    comes first. With `behind` 1 a network has to beat its predecessor, not all before it: no strict front, for which
    there is `tfnas.latency.rewards.front`.

    Args:
        accuracy: predictions [N], higher is better.
        latency: [N].
        behind: J of the paper.

    Raises:
        InputError: `behind` below 1, other lengths, or a value that is no finite number.
    """
    accuracy, latency = np.asarray(accuracy, np.float64), np.asarray(latency, np.float64)
    if behind < 1:
        raise InputError(f"The soft front looks at 1 network or more. Received: {behind}")
    if accuracy.shape != latency.shape or accuracy.ndim != 1:
        raise InputError(f"Accuracies and latencies of N networks. Received: {accuracy.shape}, {latency.shape}")
    if not (np.isfinite(accuracy).all() and np.isfinite(latency).all()):
        raise InputError("Accuracies and latencies must be finite. Received: one that is not")
    order = np.argsort(latency, kind="stable")
    ranked = accuracy[order]
    worst = np.full(len(ranked), -np.inf)
    padded = np.concatenate([np.full(behind, np.inf), ranked])
    if len(ranked) > 1:
        worst[1:] = np.lib.stride_tricks.sliding_window_view(padded, behind)[1 : len(ranked)].min(axis=1)
    return order[ranked > worst]
