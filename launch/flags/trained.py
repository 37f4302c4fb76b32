"""The flags that say what proxies score after training, and with which training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

from absl import flags

import proxies
from launch import app, values
from launch.flags.networks import check_least
from launch.flags.scoring import Scoring
from launch.flags.training import Recipes, Steps, check_dropout
from tfnas import training
from tfnas.errors import InputError, unknown

SHORT, STAGE_1, STAGE_2 = "nasbench201", "fear_stage1", "fear_stage2"


@dataclasses.dataclass(frozen=True)
class Extent:
    """After how much training networks are scored, whatever the recipe."""

    after_epochs: tuple[int, ...] = app.flag(
        (0,), "epochs of training after which networks are scored, e.g. 0,1,3; scores after 3 are called NAME_after3"
    )
    fear_threshold: float = app.flag(
        0.0, "training accuracy that ends stage 1 of fear, a fraction (0: that of a shallow network on HoG features)"
    )
    fear_seconds: float = app.flag(0.0, "seconds of training after which stage 1 gives a network up (0: never)")
    fear_cells: int = app.flag(4, "last cells that stage 2 of fear trains, with all that follows them")
    fear_epochs: int | None = app.flag(None, f"epochs of stage 2 (those of {STAGE_2})")
    fear_batch_size: int | None = app.flag(None, f"images a step of stage 2 (those of {STAGE_2})")
    checkpoint_seconds: float = app.flag(600.0, "between two states that a training keeps to go on from (0: none)")


@dataclasses.dataclass(frozen=True)
class Trained(Steps, Extent, Scoring):
    """What is scored, after how much training, and how it is trained."""

    subjects: ClassVar[tuple[str, ...]] = ("network", "ensemble", "training", "stages")

    recipe: str | None = app.flag(
        None, f"published recipe, of which flags change parts ({SHORT}, or {STAGE_1})", choices=training.RECIPES
    )
    epochs: int | None = app.flag(None, "the most epochs, and the horizon of the learning rate (the recipe's)")
    train_batch_size: int | None = app.flag(None, "images a step of training (the recipe's)")
    train_split: str = app.flag("train", "split to train on")

    def check(self) -> None:
        """Everything that can be known to be wrong before the first network.

        Raises:
            InputError: for any of it.
        """
        super().check()
        self.check_training()

    def check_training(self) -> None:
        """The same of the flags of trainings alone, which are checked even where nothing is trained.

        Raises:
            InputError: for any of it.
        """
        check_least(self, fear_cells=1, checkpoint_seconds=0, fear_seconds=0)
        if not 0 <= self.fear_threshold <= 1:
            raise InputError(
                f"--fear_threshold is a fraction. Received: {self.fear_threshold}. Allowed: in (0, 1], or 0 to find it"
            )
        if not math.isfinite(self.fear_seconds):
            raise InputError(f"--fear_seconds is finite. Received: {self.fear_seconds}")
        epochs, short = self.times(), self.short()
        if epochs and epochs[-1] > short.epochs:
            raise InputError(
                f"--after_epochs go as far as the recipe. Received: {epochs[-1]}. Allowed: 0 to {short.epochs}"
            )
        check_dropout(self, short)
        available, stages = self.split_size(self.train_split), (self.stage(1), self.stage(2))
        for recipe in (*(short,) * bool(self.after()), *stages * bool(self.names("stages"))):
            training.check_size(available, recipe)

    @property
    def finds_threshold(self) -> bool:
        """Whether a threshold of fear is needed and not given."""
        return not self.fear_threshold and bool(self.names("stages"))

    def times(self) -> list[int]:
        """Epochs after which networks are scored, without 0, ascending.

        Raises:
            InputError: none, or a negative one.
        """
        if not self.after_epochs or min(self.after_epochs) < 0:
            received = ",".join(map(str, self.after_epochs))
            raise InputError(
                f"--after_epochs takes whole numbers from 0 on, separated by commas. Received: {received!r}"
            )
        return sorted(set(self.after_epochs) - {0})

    def untrained(self) -> list[str]:
        """Proxies of networks that are scored before training: all after 0 epochs, else what no training changes."""
        self.times()
        names = self.names()
        if 0 not in self.after_epochs:
            options = self.options()
            names = [name for name in names if proxies.get(name).ignores_training(options)]
        sizes_alone = self.after() or self.names("stages")
        return names or list(proxies.SIZES if sizes_alone else ())

    def after(self) -> list[str]:
        """Proxies that are scored after training for a number of epochs; none where nothing is trained.

        Raises:
            InputError: one that is of trainings is asked for, and no epochs.
        """
        short = self.names("training")
        if not self.times():
            if short:
                raise InputError(
                    f"{short[0]} is a score after training. Received: --proxies={short[0]} with --after_epochs=0. "
                    "Allowed: --after_epochs=1,3 or the like"
                )
            return []
        options = self.options()
        names = [name for name in self.names() if not proxies.get(name).ignores_training(options)]
        return names + (proxies.names("training") if names else short)

    def short(self) -> training.Recipe:
        """How networks are trained for scores after a number of epochs."""
        return self.changed(self.recipe or SHORT, batch_size=self.train_batch_size)

    def stage(self, number: int) -> training.Recipe:
        """How FEAR trains in stage 1 or 2: flags change parts of both, but for epochs and batch size of stage 2."""
        if number == 1:
            return self.changed(self.recipe or STAGE_1, batch_size=self.train_batch_size)
        return self.changed(STAGE_2, epochs=self.fear_epochs, batch_size=self.fear_batch_size)

    def stages(self) -> training.Fear:
        """Settings of FEAR.

        Raises:
            InputError: a value is out of range.
        """
        seconds = self.fear_seconds or math.inf
        return training.Fear(self.fear_threshold, self.fear_cells, self.stage(1), self.stage(2), seconds)


def recipe_of(flag: str, texts: Sequence[str]) -> dict[str, Any]:
    """The fields of `Trained` that a recipe told by one flag stands for: its name, then what is changed in it.

    Args:
        flag: whose value it is, for messages.
        texts: "lga", "crop=0", "batch_size=256"; without a name first, of the recipe that scores have by default.

    Raises:
        InputError: what no recipe has, or a value that cannot be read.
    """
    named = bool(texts) and "=" not in texts[0]
    changes = values.pairs(flag, texts[named:], "setting=value after a name")
    known = [field.name for field in dataclasses.fields(Recipes) if field.name != "recipe"]
    if odd := [name for name in changes if name not in known]:
        raise unknown(f"setting of a recipe (--{flag})", odd[0], known)
    given = [f"--recipe={name}" for name in texts[:named]] + [f"--{name}={value}" for name, value in changes.items()]
    try:
        read = app.parse(Recipes, given)
    except (InputError, flags.Error) as error:
        raise InputError(f"--{flag}: {error}") from None
    found = {name: getattr(read, name) for name in known} | {"recipe": read.recipe if named else None}
    return found | {"train_batch_size": found.pop("batch_size")}
