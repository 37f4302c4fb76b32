"""Learning rates: what each step of an epoch is trained with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tfnas.training.recipes import Recipe

SCHEDULES = ("cosine_epoch", "cosine_step", "constant", "staircase")


def rates(recipe: Recipe, epoch: int, steps: int) -> np.ndarray:
    """Learning rate of each step of an epoch (counted from 0) of so many steps: [steps] float64.

    In the first w epochs of a warm-up the rate of step s, counted from 0, is s / (w steps) times the first rate, as in
    the code of MnasNet: the first step changes no weight. Then follows what the schedule has at that time.
    """
    within = np.arange(steps) / steps
    time = epoch + within
    match recipe.schedule:
        case "constant":
            factor = np.ones(steps)
        case "cosine_epoch":
            factor = 0.5 * (1 + np.cos(math.pi * np.full(steps, float(epoch)) / recipe.epochs))
        case "cosine_step":
            factor = 0.5 * (1 + np.cos(math.pi * time / recipe.epochs))
        case "staircase":
            # Whole steps of 2.4 epochs are no whole numbers of steps: round-off must not put one off.
            factor = recipe.decay_rate ** np.floor(time / recipe.decay_epochs + 1e-9)
    if recipe.warmup_epochs:
        factor = np.where(time < recipe.warmup_epochs, time / recipe.warmup_epochs, factor)
    return recipe.learning_rate * factor
