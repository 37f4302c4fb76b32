"""The flags that say how architectures are trained."""

from __future__ import annotations

import dataclasses
from typing import Any

from launch import app
from launch.flags.architectures import sample_architectures
from launch.flags.networks import MOST_REPEATS, Networks, check_least, check_most
from tfnas import training
from tfnas.errors import InputError

STRATEGIES = ("cpu", "mirrored")
ACCURACIES = ("test_accuracy", "train_accuracy", "val_accuracy")
STOP_MEASURES = ("train_accuracy", "val_accuracy")


@dataclasses.dataclass(frozen=True)
class Steps:
    """A recipe by name, and flags in the place of its values; the batch size, whose flag has several names, aside."""

    recipe: str = app.flag("nasbench201", "published recipe, of which flags change parts", choices=training.RECIPES)
    epochs: int | None = app.flag(None, "passes over the training split (12, or the recipe's)")
    learning_rate: float | None = app.flag(None, "at the start, or after the warm-up (the recipe's)")
    schedule: str | None = app.flag(None, "of the learning rate (the recipe's)", choices=training.SCHEDULES)
    decay_rate: float | None = app.flag(None, "factor of a step of --schedule=staircase (the recipe's)")
    decay_epochs: float | None = app.flag(None, "length of a step of --schedule=staircase (the recipe's)")
    warmup_epochs: float | None = app.flag(None, "in which the rate rises linearly from 0 (the recipe's)")
    optimizer: str | None = app.flag(
        None, "SGD as PyTorch's or RMSprop as TensorFlow 1's (the recipe's)", choices=training.OPTIMIZERS
    )
    momentum: float | None = app.flag(None, "of the optimiser; 0 is none (the recipe's)")
    nesterov: bool | None = app.flag(None, "whether the momentum of SGD is Nesterov's (the recipe's)")
    rms_decay: float | None = app.flag(None, "share of RMSprop's mean square that stays (the recipe's)")
    rms_epsilon: float | None = app.flag(None, "added to RMSprop's mean square (the recipe's)")
    weight_decay: float | None = app.flag(None, "L2, added to gradients (the recipe's)")
    decayed: str | None = app.flag(None, "which parameters decay (the recipe's)", choices=training.DECAYED)
    clip_norm: float | None = app.flag(None, "largest norm of the gradient; 0 does not clip (the recipe's)")
    label_smoothing: float | None = app.flag(None, "share of the target spread over all classes (the recipe's)")
    ema: float | None = app.flag(None, "share of the weights' moving average that a step keeps; 0: none (the recipe's)")
    unbiased_variance: bool | None = app.flag(
        None, "whether moving variances take the unbiased variance, as PyTorch (the recipe's)"
    )
    dropout: float | None = app.flag(None, "rate of all dropout layers (the recipe's, or the network's)")
    flip: bool | None = app.flag(None, "mirror training images at random (the recipe's)")
    crop: int | None = app.flag(None, "pixels of padding for random crops; 0 is no crop (the recipe's)")
    cutout: int | None = app.flag(None, "side of the square cut out of training images; 0: none (the recipe's)")

    def changed(self, name: str, **values: Any) -> training.Recipe:
        """The recipe of a name with what flags change.

        Args:
            name: in `training.RECIPES`.
            **values: in the place of the flags of these names; None leaves what the recipe has.

        Raises:
            InputError: a value is out of range.
        """
        fields = [field.name for field in dataclasses.fields(training.Recipe)]
        given = {field: getattr(self, field) for field in fields if field not in values} | values
        return dataclasses.replace(
            training.named(name), **{field: value for field, value in given.items() if value is not None}
        )


def check_dropout(settings: Networks, recipe: training.Recipe) -> None:
    """Refuses a rate for dropout layers where networks of the space have none: all or none of them have one.

    Raises:
        InputError: they have none.
    """
    if recipe.dropout is not None:
        training.check_dropout(settings.layer_graph(*sample_architectures(settings.search_space(), 1, 0)), recipe)


@dataclasses.dataclass(frozen=True)
class Recipes(Steps):
    """A recipe by name, and flags in the place of all its values."""

    batch_size: int | None = app.flag(None, "images a step; what fills no batch is dropped (the recipe's)")

    def to_recipe(self) -> training.Recipe:
        """The recipe with what flags change.

        Raises:
            InputError: a value is out of range.
        """
        return self.changed(self.recipe)


@dataclasses.dataclass(frozen=True)
class Training(Recipes, Networks):
    """What is trained, on what, and how."""

    train_split: str = app.flag("train", "split to train on, in the notation of TFDS: train[:400] is its first 400")
    val_split: str = app.flag(
        "", "split for val_accuracy (none by default), e.g. train[400:] with --train_split=train[:400]"
    )
    test_split: str = app.flag("", "split for test_accuracy (the data set's own by default)")
    repeats: int = app.flag(1, "independent trainings of each architecture")
    measured_epochs: tuple[int, ...] = app.flag((), "epochs after which accuracies are recorded too, e.g. 1,3,5")
    train_last: int = app.flag(0, "train the last cells and what follows alone, all else frozen (0: everything)")
    stop_accuracy: float = app.flag(0.0, "end once the best accuracy of an epoch reaches this fraction (0: never)")
    stop_seconds: float = app.flag(0.0, "end after the epoch with which training has taken so long (0: never)")
    stop_patience: int = app.flag(0, "end after so many epochs without a better accuracy (0: never)")
    stop_on: str = app.flag("train_accuracy", "accuracy that ends trainings early", choices=STOP_MEASURES)
    precision: str = app.flag("float32", "of training; bfloat16 is of products alone", choices=training.PRECISIONS)
    jit: bool = app.flag(False, "compile with XLA")
    strategy: str = app.flag("cpu", "whether the devices of this machine share each batch", choices=STRATEGIES)
    synchronized_bn: bool = app.flag(True, "devices of --strategy=mirrored share the statistics of BN")

    def check(self) -> None:
        """Everything that can be known to be wrong before the first training.

        Raises:
            InputError: for any of it.
        """
        check_least(self, repeats=1, train_last=0, stop_patience=0, stop_seconds=0, stop_accuracy=0)
        check_most(self, repeats=MOST_REPEATS)
        recipe = self.to_recipe()
        self.rules()
        if odd := [epoch for epoch in self.measured_epochs if not 0 < epoch < recipe.epochs]:
            raise InputError(
                f"--measured_epochs lie before the last, which is always measured. Received: {odd[0]}. "
                f"Allowed: 1 to {recipe.epochs - 1}"
            )
        if self.stop_on == "val_accuracy" and not self.val_split:
            raise InputError("--stop_on=val_accuracy needs --val_split. Received: none")
        if self.jit and self.strategy != "cpu":
            raise InputError(f"--jit compiles for one device. Received: --strategy={self.strategy}. Allowed: cpu")
        super().check()
        check_dropout(self, recipe)
        sizes = {split: self.split_size(split) for split in self.splits() if split}
        if empty := [split for split, size in sizes.items() if not size]:
            raise InputError(f"A split needs an image at least. Received: {empty[0]}, which is empty")
        training.check_size(self.split_size(self.train_split), recipe)

    def rules(self) -> list[training.Rule]:
        """What ends a training early.

        Raises:
            InputError: a value is out of range.
        """
        measure = "train_accuracy" if self.stop_on == "train_accuracy" else "test_accuracy"
        found: list[training.Rule] = []
        if self.stop_accuracy:
            found.append(training.Threshold(self.stop_accuracy, measure))
        if self.stop_seconds:
            found.append(training.TimeLimit(self.stop_seconds))
        if self.stop_patience:
            found.append(training.Plateau(self.stop_patience, measure=measure))
        return found

    def options(self) -> dict[str, Any]:
        """Settings of training as keys of records have them: those that records always had, and what was not there."""
        found = self.to_recipe().options()
        standard = {"train_last": 0, "stop_accuracy": 0, "stop_seconds": 0, "stop_patience": 0, "precision": "float32"}
        found |= {name: getattr(self, name) for name, value in standard.items() if getattr(self, name) != value}
        if self.stop_accuracy or self.stop_patience:
            # What is held out decides then when all accuracies are measured.
            found |= {"stop_on": self.stop_on, "stop_split": self.val_split} if self.stop_on != "train_accuracy" else {}
        if self.strategy != "cpu" and not self.synchronized_bn:
            found["synchronized_bn"] = False
        return found

    def splits(self) -> tuple[str, str, str]:
        """Splits for training, validation ("" for none) and test."""
        from tfnas import data

        return self.train_split, self.val_split, self.test_split or data.info(self.dataset).splits[1]

    def shared_images(self) -> dict[str, int]:
        """As `Networks.shared` of the training images; empty where accuracies are those of images held out."""
        train, *others = self.splits()
        return self.shared(train, dict(zip(("val_split", "test_split"), others, strict=True)))

    def measures(self) -> list[str]:
        """Names of the accuracies recorded, those after the last epoch first."""
        names = [name for name in ACCURACIES if self.val_split or name != "val_accuracy"]
        return names + [after(name, epoch) for epoch in dict.fromkeys(self.measured_epochs) for name in names]


def after(name: str, epoch: int) -> str:
    """Name of an accuracy after an epoch before the last."""
    return f"{name}_epoch{epoch}"


def check_alone(config: Any) -> None:
    """Refuses workers beside a strategy, of a launcher that has both.

    Raises:
        InputError: more than one process.
    """
    if config.strategy != "cpu" and config.processes() > 1:
        raise InputError(
            f"Workers are for one device each. Received: --workers={config.workers} with "
            f"--strategy={config.strategy}. Allowed: --workers=1"
        )
