"""Rules that end a training before its last epoch. Each looks at all epochs so far and gives its reason, or ""."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from tfnas.errors import InputError, unknown
from tfnas.training.epochs import Epoch

# (epochs so far, at least one) -> why it ends, "" where it goes on.
Rule = Callable[[Sequence[Epoch]], str]

MEASURES = ("train_accuracy", "test_accuracy")


def _check_measure(measure: str) -> None:
    if measure not in MEASURES:
        raise unknown("measure of a stopping rule", measure, MEASURES)


@dataclasses.dataclass(frozen=True)
class Threshold:
    """Ends once the best accuracy of an epoch so far reaches a value, as stage 1 of FEAR (Dey et al. 2021).

    Attributes:
        value: a fraction.
        measure: field of `Epoch`.
    """

    value: float
    measure: str = "train_accuracy"

    def __post_init__(self) -> None:
        _check_measure(self.measure)
        if not 0 < self.value <= 1:
            raise InputError(f"An accuracy to stop at lies in (0, 1]. Received: {self.value}")

    def __call__(self, epochs: Sequence[Epoch]) -> str:
        # One by one: the largest of numbers among which is a NaN may be the NaN.
        reached = any(getattr(epoch, self.measure) >= self.value for epoch in epochs)
        return f"{self.measure} has reached {self.value:g}" if reached else ""


@dataclasses.dataclass(frozen=True)
class TimeLimit:
    """Ends after the first epoch with which the training has taken so many seconds (testing does not count)."""

    seconds: float

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise InputError(f"Seconds to stop after are finite and above 0. Received: {self.seconds}")

    def __call__(self, epochs: Sequence[Epoch]) -> str:
        return f"{self.seconds:g} seconds are over" if sum(epoch.seconds for epoch in epochs) >= self.seconds else ""


@dataclasses.dataclass(frozen=True)
class Plateau:
    """Ends when the best accuracy so far is so many epochs old.

    Attributes:
        patience: epochs without a better one.
        least: by which a better one has to be better; a fraction.
        measure: field of `Epoch`.
    """

    patience: int
    least: float = 0.0
    measure: str = "train_accuracy"

    def __post_init__(self) -> None:
        _check_measure(self.measure)
        if self.patience < 1 or not 0 <= self.least < 1:
            raise InputError(
                "A plateau has a patience of 1 epoch or more and a least progress in [0, 1). "
                f"Received: patience={self.patience}, least={self.least}"
            )

    def __call__(self, epochs: Sequence[Epoch]) -> str:
        best, age = -math.inf, 0
        for epoch in epochs:
            age += 1
            if (value := getattr(epoch, self.measure)) > best + self.least:
                best, age = value, 0
        return f"{self.measure} is no better than {self.patience} epochs ago" if age >= self.patience else ""


def reason(rules: Sequence[Rule], epochs: Sequence[Epoch]) -> str:
    """Why the first rule that does ends a training; "" where none does."""
    return next(filter(None, (rule(epochs) for rule in rules)), "")
