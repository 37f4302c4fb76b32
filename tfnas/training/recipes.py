"""How to train: the settings of a training run, checked, and those of publications by name."""

from __future__ import annotations

import dataclasses
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnas import errors
from tfnas.training import schedules

if TYPE_CHECKING:
    from tfnas.networks.graph import Graph

OPTIMIZERS = ("sgd", "rmsprop")
DECAYED = ("all", "not_bn")
# Fields of the first version, which are in the keys of all records.
_FIRST = (
    "epochs",
    "batch_size",
    "learning_rate",
    "schedule",
    "momentum",
    "weight_decay",
    "label_smoothing",
    "flip",
    "crop",
)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train. The defaults are the 12-epoch recipe of NAS-Bench-201 (specification: its hyper-opts/12E.config).

    Attributes:
        epochs: passes over the training images; the horizon of cosines.
        batch_size: images per step.
        learning_rate: at the start, or at the end of the warm-up.
        schedule: "cosine_epoch" falls to 0 along a cosine once per epoch, "cosine_step" every step; "staircase" takes
            `decay_rate` times the rate every `decay_epochs` epochs; or "constant".
        momentum: of the optimiser; 0 is none.
        weight_decay: times a parameter is added to its gradient (L2): after the gradients are clipped, before momentum.
        label_smoothing: share of the target that is spread over all classes.
        flip: mirror each training image with probability 1/2.
        crop: pad training images by so many pixels on each side, then cut the original size at a random place; 0 is
            no crop.
        optimizer: "sgd" as PyTorch has it, or "rmsprop" as TensorFlow 1 (see `tfnas.training.optimizers`).
        nesterov: of SGD, whether its momentum is Nesterov's.
        rms_decay, rms_epsilon: of RMSprop, the share of the mean square that stays and what is added to it.
        decayed: parameters that decay: "all", or "not_bn", which leaves out gamma and beta of BN.
        clip_norm: largest norm of the gradient of all parameters together; 0 does not clip.
        warmup_epochs: in which the rate rises linearly from 0.
        decay_rate, decay_epochs: of the staircase.
        cutout: side in pixels of a square at a random place that is set to the mean of the data; 0 cuts nothing.
        ema: largest share of the moving average of weights and moving statistics that a step keeps; measured is then
            the average. Step n, counted from 0, keeps min(ema, (1 + n) / (10 + n)), as in TensorFlow 1. 0: none.
        unbiased_variance: whether moving variances take the unbiased variance of batches, as in PyTorch; Keras takes
            the biased one.
        dropout: rate of all dropout layers in the place of their own; None leaves the network's.
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
    optimizer: str = "sgd"
    nesterov: bool = True
    rms_decay: float = 0.9
    rms_epsilon: float = 1e-3
    decayed: str = "all"
    clip_norm: float = 0.0
    warmup_epochs: float = 0.0
    decay_rate: float = 0.97
    decay_epochs: float = 2.4
    cutout: int = 0
    ema: float = 0.0
    unbiased_variance: bool = False
    dropout: float | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("schedule", schedules.SCHEDULES), ("optimizer", OPTIMIZERS), ("decayed", DECAYED)):
            if getattr(self, name) not in allowed:
                raise errors.unknown(name, getattr(self, name), allowed)
        self._check("1 or more", lambda value: value >= 1, "epochs", "batch_size")
        self._check("0 or more", lambda value: value >= 0, "crop", "cutout")
        self._check("finite and above 0", lambda value: 0 < value < math.inf, "learning_rate", "rms_epsilon")
        self._check("finite and above 0", lambda value: 0 < value < math.inf, "decay_rate", "decay_epochs")
        self._check("finite and 0 or more", lambda value: 0 <= value < math.inf, "weight_decay", "clip_norm")
        self._check("finite and 0 or more", lambda value: 0 <= value < math.inf, "warmup_epochs")
        self._check("in [0, 1)", lambda value: 0 <= value < 1, "momentum", "label_smoothing", "rms_decay", "ema")
        self._check("in [0, 1)", lambda value: value is None or 0 <= value < 1, "dropout")

    def _check(self, allowed: str, holds: Any, *names: str) -> None:
        for name in names:
            if not holds(value := getattr(self, name)):
                raise errors.InputError(
                    f"{name} of a recipe is out of range. Received: {name}={value}. Allowed: {allowed}"
                )

    def rates(self, epoch: int, steps: int) -> np.ndarray:
        """Learning rate of each step of an epoch (counted from 0): [steps] float64."""
        return self.learning_rate * schedules.factors(
            self.schedule,
            epoch,
            steps,
            epochs=self.epochs,
            warmup_epochs=self.warmup_epochs,
            decay_rate=self.decay_rate,
            decay_epochs=self.decay_epochs,
        )

    def options(self) -> dict[str, Any]:
        """Settings as records have them in their keys: those of the first version, and what is not as it was there.

        Settings of another optimiser or schedule than its own change nothing and are left out.
        """
        standard, found = Recipe(), {}
        for field in dataclasses.fields(self):
            value, idle = getattr(self, field.name), field.name in self._idle()
            if field.name in _FIRST or (value != getattr(standard, field.name) and not idle):
                found[field.name] = value
        return found

    def _idle(self) -> tuple[str, ...]:
        """Settings that nothing looks at."""
        idle = () if self.schedule == "staircase" else ("decay_rate", "decay_epochs")
        return (*idle, *(("rms_decay", "rms_epsilon") if self.optimizer == "sgd" else ("nesterov",)))


RECIPES = MappingProxyType(
    {
        # Dong and Yang 2020, the 12-epoch recipe; their longest has 200 epochs.
        "nasbench201": Recipe(),
        # Ying et al. 2019 (config.py): 0.2 is 0.1 for each of two shards. Budgets are 4, 12, 36 and 108 epochs.
        "nasbench101": Recipe(
            epochs=108,
            learning_rate=0.2,
            schedule="cosine_step",
            weight_decay=1e-4,
            optimizer="rmsprop",
            rms_epsilon=1.0,
        ),
        # Mok et al. 2022, section 5: after 1, 3, 5 or 10 epochs. Schedule and augmentation are not told.
        "lga": Recipe(
            epochs=10, batch_size=1024, learning_rate=0.025, schedule="constant", weight_decay=3e-4, nesterov=False
        ),
        # Dey et al. 2021: until the training accuracy reaches a threshold, then the last cells anew.
        "fear_stage1": Recipe(epochs=200, clip_norm=5.0),
        "fear_stage2": Recipe(epochs=5, batch_size=1024, clip_norm=5.0),
        # Tan et al. 2019 (mnasnet_main.py, for 350 epochs), here the 5 epochs of their search. The rate is 0.016 for
        # every 256 images; the warm-up lasts 5 epochs.
        "mnas": Recipe(
            epochs=5,
            batch_size=1024,
            learning_rate=0.064,
            schedule="staircase",
            weight_decay=1e-5,
            label_smoothing=0.1,
            crop=0,
            optimizer="rmsprop",
            decayed="not_bn",
            warmup_epochs=5.0,
            ema=0.9999,
        ),
    }
)


def named(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        InputError: an unknown name.
    """
    if name not in RECIPES:
        raise errors.unknown("recipe", name, RECIPES)
    return RECIPES[name]


def check_size(size: int, recipe: Recipe) -> None:
    """Raises InputError if `size` training images do not fill one batch."""
    if size < recipe.batch_size:
        raise errors.InputError(
            f"Fewer training images than one batch. Received: {size} images, batch_size={recipe.batch_size}"
        )


def check_dropout(graph: Graph, recipe: Recipe) -> None:
    """Raises InputError if a recipe has a rate for dropout layers and the network has none."""
    if recipe.dropout is not None and all(node.op != "dropout" for node in graph.nodes):
        raise errors.InputError(
            "dropout of a recipe is the rate of the network's dropout layers, of which it has none. Received: "
            f"dropout={recipe.dropout}. Allowed: none given"
        )
