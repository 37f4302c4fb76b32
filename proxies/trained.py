"""Scores of trainings, short or in the stages of FEAR; all others are of networks, trained or not.

Their functions are given what was trained: the epochs of one training, or what FEAR found of a network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxies.base import proxy

if TYPE_CHECKING:
    from tfnas.training import Epoch, FearScore

_STAGE_1 = ("recipe", "fear_threshold", "fear_seconds")


@proxy(
    "shortreg",
    consumes="training",
    bn="batch",
    summary="training accuracy of the last of a few epochs",
    options=("recipe", "after_epochs"),
    modes=("batch",),
)
def shortreg(epochs: Sequence[Epoch]) -> float:
    """Training accuracy over the last epoch, a fraction ("shortreg" of Dey et al. 2021); NaN if the loss is not finite.

    There the horizon of the cosine is as long as the training; here it is that of the recipe.
    """
    last = epochs[-1]
    return last.train_accuracy if math.isfinite(last.train_loss) else math.nan


@proxy(
    "time_to_threshold",
    consumes="training in stages",
    bn="batch",
    summary="negative seconds of training until an accuracy is reached",
    options=_STAGE_1,
    modes=("batch",),
)
def time_to_threshold(found: FearScore) -> float:
    """Minus the seconds that stage 1 of FEAR takes (Dey et al. 2021, figure 2); NaN where it ends before.

    A time: the one score that is not the same on every machine.
    """
    return -found.seconds[0] if found.reached else math.nan


@proxy(
    "fear",
    consumes="training in stages",
    bn="batch",
    summary="training accuracy of the last cells on what was learnt until an accuracy was reached",
    options=(*_STAGE_1, "fear_cells", "fear_epochs", "fear_batch_size"),
    modes=("batch",),
)
def fear(found: FearScore) -> float:
    """Training accuracy over the last epoch of stage 2 of FEAR, a fraction (Dey et al. 2021); NaN without stage 2."""
    return found.accuracy
