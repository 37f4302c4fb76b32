"""Learning rates: what each step of an epoch is trained with."""

from __future__ import annotations

import math

import numpy as np

SCHEDULES = ("cosine_epoch", "cosine_step", "constant", "staircase")


def factors(
    schedule: str,
    epoch: int,
    steps: int,
    *,
    epochs: int,
    warmup_epochs: float,
    decay_rate: float,
    decay_epochs: float,
) -> np.ndarray:
    """What multiplies the first learning rate in each step of an epoch (counted from 0): [steps] float64.

    Arguments are those of `Recipe`. In the first w epochs of a warm-up the rate of step s, counted from 0, is
    s / (w steps) times the first rate, as in the code of MnasNet: the first step changes no weight. Then follows what
    the schedule has at that time.
    """
    time = epoch + np.arange(steps) / steps
    match schedule:
        case "constant":
            factor = np.ones(steps)
        case "cosine_epoch":
            factor = 0.5 * (1 + np.cos(math.pi * np.full(steps, float(epoch)) / epochs))
        case "cosine_step":
            factor = 0.5 * (1 + np.cos(math.pi * time / epochs))
        case "staircase":
            # Whole steps of 2.4 epochs are no whole numbers of steps: round-off must not put one off.
            factor = decay_rate ** np.floor(time / decay_epochs + 1e-9)
    if warmup_epochs:
        factor = np.where(time < warmup_epochs, time / warmup_epochs, factor)
    return factor
