"""The flags that say how architectures are trained."""

from __future__ import annotations

import dataclasses

from launch import app
from launch.flags.networks import MOST_REPEATS, Networks, check_least, check_most
from tfnas import training

_RECIPE = training.Recipe()


@dataclasses.dataclass(frozen=True)
class Training(Networks):
    """What is trained, on what, and how."""

    train_split: str = app.flag("train", "split to train on, in the notation of TFDS: train[:400] is its first 400")
    val_split: str = app.flag("", "split for val_accuracy, e.g. train[400:] (none by default)")
    test_split: str = app.flag("", "split for test_accuracy (the data set's own by default)")
    repeats: int = app.flag(1, "independent trainings of each architecture")
    epochs: int = app.flag(_RECIPE.epochs, "passes over the training split")
    batch_size: int = app.flag(_RECIPE.batch_size, "images a step; what fills no batch is dropped")
    learning_rate: float = app.flag(_RECIPE.learning_rate, "at the start")
    schedule: str = app.flag(_RECIPE.schedule, "of the learning rate", choices=training.SCHEDULES)
    momentum: float = app.flag(_RECIPE.momentum, "of Nesterov's method")
    weight_decay: float = app.flag(_RECIPE.weight_decay, "L2, on every trainable parameter")
    label_smoothing: float = app.flag(_RECIPE.label_smoothing, "share of the target spread over all classes")
    flip: bool = app.flag(_RECIPE.flip, "mirror training images at random")
    crop: int = app.flag(_RECIPE.crop, "pixels of padding for random crops; 0 is no crop")

    def check(self) -> None:
        """Everything that can be known to be wrong before the first training.

        Raises:
            InputError: for any of it.
        """
        check_least(self, repeats=1)
        check_most(self, repeats=MOST_REPEATS)
        self.recipe()
        super().check()
        sizes = [self.split_size(split) for split in self.splits() if split]
        training.check_size(sizes[0], self.recipe())

    def recipe(self) -> training.Recipe:
        """The part that the trainer needs to know."""
        names = [field.name for field in dataclasses.fields(training.Recipe)]
        return training.Recipe(**{name: getattr(self, name) for name in names})

    def splits(self) -> tuple[str, str, str]:
        """Splits for training, validation ("" for none) and test."""
        from tfnas import data

        return self.train_split, self.val_split, self.test_split or data.info(self.dataset).splits[1]

    def measures(self) -> list[str]:
        """Names of the accuracies recorded."""
        return ["test_accuracy", "train_accuracy"] + ["val_accuracy"] * bool(self.val_split)
