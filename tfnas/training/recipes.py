"""How to train: the settings of a training run, checked, with their learning rates."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tfnas import errors

SCHEDULES = ("cosine_epoch", "cosine_step", "constant")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train. The defaults are the 12-epoch recipe of NAS-Bench-201 (specification: its hyper-opts/12E.config).

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step.
        learning_rate: at the start.
        schedule: "cosine_epoch" falls to 0 along a cosine once per epoch, "cosine_step" every step; or "constant".
        momentum: of Nesterov's method; 0 is plain SGD.
        weight_decay: added to the gradient of every trainable parameter, those of BN included.
        label_smoothing: share of the target that is spread over all classes.
        flip: mirror each training image with probability 1/2.
        crop: pad training images by so many pixels on each side, then cut the original size at a random place; 0 is
            no crop.
    """

    epochs: int = 12
    batch_size: int = 256
    learning_rate: float = 0.1
    schedule: str = "cosine_epoch"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    flip: bool = True
    crop: int = 4

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise errors.unknown("schedule", self.schedule, SCHEDULES)
        if self.epochs < 1 or self.batch_size < 1 or self.crop < 0:
            raise errors.InputError(
                "A recipe needs epochs and batch_size of 1 or more and a crop of 0 or more. "
                f"Received: epochs={self.epochs}, batch_size={self.batch_size}, crop={self.crop}"
            )
        if not (0 < self.learning_rate < math.inf and 0 <= self.weight_decay < math.inf):
            raise errors.InputError(
                "A recipe needs a finite learning_rate above 0 and a finite weight_decay of 0 or more. "
                f"Received: learning_rate={self.learning_rate}, weight_decay={self.weight_decay}"
            )
        if not (0 <= self.momentum < 1 and 0 <= self.label_smoothing < 1):
            raise errors.InputError(
                "momentum and label_smoothing must lie in [0, 1). "
                f"Received: momentum={self.momentum}, label_smoothing={self.label_smoothing}"
            )

    def rates(self, epoch: int, steps: int) -> np.ndarray:
        """Learning rate of each step of an epoch (counted from 0): [steps] float32."""
        if self.schedule == "constant":
            return np.full(steps, self.learning_rate, np.float32)
        within = np.arange(steps) / steps if self.schedule == "cosine_step" else np.zeros(steps)
        rates = self.learning_rate * 0.5 * (1 + np.cos(math.pi * (epoch + within) / self.epochs))
        return rates.astype(np.float32)


def check_size(size: int, recipe: Recipe) -> None:
    """Raises InputError if `size` training images do not fill one batch."""
    if size < recipe.batch_size:
        raise errors.InputError(
            f"Fewer training images than one batch. Received: {size} images, batch_size={recipe.batch_size}"
        )
