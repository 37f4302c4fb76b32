"""Accuracy weighed against latency: rewards, and the front that none of them leaves.

Accuracies are fractions here, as in the papers: only the absolute reward depends on it, as it adds to the accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tfnas.errors import InputError, unknown

if TYPE_CHECKING:  # pandas takes its time to import
    import pandas as pd

# Tan et al. 2019: twice the latency is worth 5% of the accuracy.
W = 0.07
# Of a reward: what is beyond can be neither drawn nor told apart.
_LARGEST = 1e100


def _mnas(accuracy: np.ndarray, ratio: np.ndarray, w: float) -> np.ndarray:
    return accuracy * ratio**-w


def _mnas_hard(accuracy: np.ndarray, ratio: np.ndarray, w: float) -> np.ndarray:
    return accuracy * np.minimum(ratio**-w, 1)


def _absolute(accuracy: np.ndarray, ratio: np.ndarray, w: float) -> np.ndarray:
    return accuracy - w * np.abs(ratio - 1)


_FORMS: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    "mnas": _mnas,
    "mnas_hard": _mnas_hard,
    "abs": _absolute,
}
FORMS = tuple(_FORMS)


def reward(accuracy: np.ndarray, latency: np.ndarray, target: float, *, form: str = "mnas", w: float = W) -> np.ndarray:
    """Rewards [N] of networks, the accuracy itself where the latency is the target.

    "mnas" is a (T / l)^w (Tan et al. 2019, section 3; Park et al. 2020, appendix C.2); "mnas_hard" is
    a min((T / l)^w, 1), which rewards no network for being faster than the target (with w = 1 the hard constraint of
    Tan et al.); "abs" is a - w |l / T - 1|. The last two are those of Bender et al. 2020 (TuNAS), whose beta is -w.

    Args:
        accuracy: [N], fractions, or any score; 0 or more for the forms that multiply.
        latency: [N], above 0.
        target: T, in the unit of the latencies.
        form: one of `FORMS`.
        w: how much latency weighs, 0 or more.

    Raises:
        InputError: an unknown form, a target, w or latency out of range, a negative score in a product, rewards beyond
            all bounds.
    """
    if form not in _FORMS:
        raise unknown("reward", form, FORMS)
    check(target, w)
    accuracy, latency = np.asarray(accuracy, np.float64), np.asarray(latency, np.float64)
    if len(wrong := latency[~(np.isfinite(latency) & (latency > 0))]):
        raise InputError(f"Latencies must be finite and above 0. Received: {wrong[0]:g}")
    if form != "abs" and len(wrong := accuracy[accuracy < 0]):
        raise InputError(
            f"The reward {form} multiplies, and a negative score would gain by being slow. Received: {wrong[0]:g}. "
            "Allowed: scores of 0 or more, or the reward abs"
        )
    with np.errstate(over="ignore"):
        found = _FORMS[form](accuracy, latency / target, w)
    if len(wrong := latency[np.abs(found) > _LARGEST]):
        raise InputError(
            f"No reward can weigh that. Received: a latency of {wrong[0]:g}, a target of {target:g}, w = {w:g}. "
            "Allowed: a target closer to the latencies, or a smaller w"
        )
    return found


def check(target: float, w: float = W) -> None:
    """Refuses a target or an exponent that no reward can have.

    Raises:
        InputError: the target is not above 0, or `w` below 0.
    """
    if not (np.isfinite(target) and target > 0):
        raise InputError(f"The target must be above 0. Received: {target:g}")
    if not (np.isfinite(w) and w >= 0):
        raise InputError(f"w, the weight of the latency, must be 0 or more. Received: {w:g}")


def fractions(accuracies: pd.Series, unit: str, name: str) -> pd.Series:
    """Accuracies as fractions.

    Args:
        accuracies: by architecture.
        unit: as recorded, or ""; see `tfnas.evidence.units.check`.
        name: of the accuracies, for messages.

    Raises:
        InputError: percent and fractions are mixed, or values contradict the unit.
    """
    from tfnas.evidence import units

    return units.percent(accuracies, unit, name) / 100


def front(accuracy: np.ndarray, latency: np.ndarray) -> np.ndarray:
    """Which networks no other beats: none is as accurate and as fast, and better in one of both. Boolean [N].

    Equal networks are on the front together.

    Args:
        accuracy: [N], higher is better.
        latency: [N], lower is better.
    """
    accuracy, latency = np.asarray(accuracy, np.float64), np.asarray(latency, np.float64)
    order = np.lexsort((-accuracy, latency))
    values, first = accuracy[order], latency[order]
    # Fastest first, of equally fast ones the most accurate: it has to beat all before it.
    best = np.concatenate([[-np.inf], np.maximum.accumulate(values)[:-1]]) if len(values) else values
    leads = values > best
    # Whoever equals the last leader in both is beaten by nobody else either.
    leader = np.maximum.accumulate(np.where(leads, np.arange(len(values)), 0)) if len(values) else np.zeros(0, int)
    out = np.zeros(len(values), bool)
    out[order] = leads | ((values == values[leader]) & (first == first[leader]))
    return out
