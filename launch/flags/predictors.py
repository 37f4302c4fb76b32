"""The flags that say what predicts accuracies, and how it learns."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from launch import app
from launch.flags.networks import check_least, check_most
from tfnas.errors import InputError, unknown
from tfnas.predictor import settings as forms
from tfnas.predictor.baselines import NAMES
from tfnas.predictor.graphs import NORMS

if TYPE_CHECKING:
    from tfnas.predictor.settings import Settings

GCN, AUTO = "gcn", "auto"
PREDICTORS = (GCN, *NAMES)
_MOST_EPOCHS, _MOST_WIDTH = 1_000_000, 4096


@dataclasses.dataclass(frozen=True)
class Predictors:
    """What predicts, and how it learns."""

    predictors: tuple[str, ...] = app.flag((GCN,), f"what is compared: {', '.join(PREDICTORS)}")
    form: str = app.flag(
        "paper",
        "of the gcn: as published for cells or for layered spaces (chain), or as the reference reimplementation",
        choices=tuple(forms.FLAVOURS),
    )
    width: str = app.flag("", "channels of the gcn, or auto: by cross-validation, as published (the form's by default)")
    norm: str = app.flag("", f"normalisation of the gcn: {', '.join(NORMS)} (the form's by default)")
    epochs: int = app.flag(0, "of the gcn (0: the form's, 300)")
    learning_rate: float = app.flag(0.0, "of the gcn at first (0: the form's, 1e-4)")
    threshold: float = app.flag(0.0, "percent of accuracy that a first stage tells good networks by (0: one stage)")
    accuracy_range: tuple[float, ...] = app.flag((10.0, 100.0), "least and largest accuracy of the gcn, percent")

    def check(self) -> None:
        """Raises InputError for what no predictor can be made of."""
        check_least(self, epochs=0)
        check_most(self, epochs=_MOST_EPOCHS)
        self.names()
        if not 0 <= self.threshold < 100:
            raise InputError(f"--threshold is 0 or more and below 100 percent. Received: {self.threshold:g}")
        if len(self.accuracy_range) != 2:
            given = ",".join(map(str, self.accuracy_range))
            raise InputError(f"--accuracy_range takes the least and the largest accuracy. Received: {given}")
        self.settings()

    def names(self) -> list[str]:
        """What is compared, without repetitions.

        Raises:
            InputError: nothing, or an unknown one.
        """
        found = list(dict.fromkeys(self.predictors))
        if not found:
            raise InputError(f"--predictors is empty. Allowed: {', '.join(PREDICTORS)}")
        for name in found:
            if name not in PREDICTORS:
                raise unknown("predictor (--predictors)", name, PREDICTORS)
        return found

    def settings(self) -> Settings:
        """Of the gcn; its width that of the form where it is chosen later.

        Raises:
            InputError: a value that no predictor has.
        """
        low, high = (value / 100 for value in self.accuracy_range)
        given = {"norm": self.norm, "epochs": self.epochs, "learning_rate": self.learning_rate, "width": self._width()}
        given = {name: value for name, value in given.items() if value}
        return dataclasses.replace(forms.FLAVOURS[self.form], low=low, high=high, **given)

    def _width(self) -> int:
        if self.width in ("", AUTO):
            return 0
        if not (self.width.isascii() and self.width.isdecimal() and 1 <= int(self.width[:9]) <= _MOST_WIDTH):
            raise InputError(f"--width is auto or a number from 1 to {_MOST_WIDTH}. Received: {self.width!r}")
        return int(self.width[:9])

    def cut(self) -> float | None:
        """The threshold as a fraction; None where there is one stage."""
        return self.threshold / 100 or None
