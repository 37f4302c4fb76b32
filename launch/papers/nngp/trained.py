"""Short training, latency and inference of the same networks, as figure 7 of Park et al. 2020 needs them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from launch.flags.inference import Inference
from launch.flags.latency import Latency
from launch.flags.reproduction import EMBEDDED_DATASET, Reproduction
from launch.flags.training import Training
from launch.jobs.base import Job
from launch.jobs.inference import InferenceJob
from launch.jobs.latency import LatencyJob
from launch.jobs.training import TrainJob
from launch.papers.base import Experiment
from launch.papers.nngp.metrics import PUBLISHED_MOMENTUM
from tfnas.errors import InputError


@dataclasses.dataclass(frozen=True)
class Setting:
    """On what, and how long.

    Attributes:
        dataset: where none is asked for.
        share: of the training split, in percent or as a number of images, that trains.
        held_out: whether what is left of the split validates; otherwise the images that train do.
        short: epochs of every network.
        full: epochs of the networks that are selected.
        sizes: of inference: (labels, or 0 for all; numbers of training images; number of validation images).
        batch_size, weight_decay, crop: of training; MnasNet decays weights by 1e-5.
    """

    dataset: str
    share: str
    short: int
    full: int
    sizes: tuple[tuple[int, tuple[int, ...], int], ...]
    batch_size: int = 256
    weight_decay: float = 1e-5
    crop: int = 4
    held_out: bool = True

    @property
    def splits(self) -> dict[str, str]:
        """Flags of training and of inference."""
        train = f"train[:{self.share}]"
        return {"train_split": train, "val_split": f"train[{self.share}:]" if self.held_out else train}


# A tenth of ImageNet's training split has 50,000 images that are balanced, its last 50,000 are not.
PAPER = Setting("imagenet2012", "90%", 5, 400, ((0, (8000,), 50_000), (100, (1000, 8000), 5000)))
# Few images: what counts is the number of steps, and there are too few of them to learn from images that move.
SMALL = Setting("cifar100", "35%", 15, 15, ((20, (500,), 1000),), batch_size=64, crop=0)
# Any 800 photographs, which may be of as many classes. Then none can be held out, for labels are drawn that both splits
# have, and records, notes and a warning say so: this tries the path from images to the figure, not how anything ranks.
PHOTOGRAPHS = Setting("imagenet2012", "800", 1, 1, ((100, (100,), 100),), batch_size=64, held_out=False)
DIGITS = Setting(EMBEDDED_DATASET, "50%", 5, 5, ((0, (100,), 200),), batch_size=64)


def setting(request: Reproduction, datasets: Sequence[str]) -> Setting:
    """What a request asks for; the digits stand in at --scale=small where CIFAR-100 is not at hand."""
    from tfnas import data

    if request.scale != "small":
        return dataclasses.replace(PAPER, dataset=datasets[0] if datasets else PAPER.dataset)
    if not datasets:
        try:
            data.split_size(SMALL.dataset, "train", data_dir=request.data_dir or None)
        except InputError:
            return DIGITS
        return SMALL
    of_kind = DIGITS if datasets[0] == DIGITS.dataset else SMALL
    if datasets[0].partition("/")[0] == PHOTOGRAPHS.dataset:
        of_kind = PHOTOGRAPHS
    return dataclasses.replace(of_kind, dataset=datasets[0])


@dataclasses.dataclass(frozen=True)
class Trained:
    """Training: short of every network, or full of a selection.

    Attributes:
        full: which of both.
    """

    full: bool = False

    def of(self, experiment: Experiment, request: Reproduction, space: str, datasets: Sequence[str]) -> list[Job]:
        """The one job."""
        chosen = setting(request, datasets)
        epochs = chosen.full if self.full else chosen.short
        common = _common(request, space, chosen)
        how = {name: getattr(chosen, name) for name in ("batch_size", "weight_decay", "crop")}
        return [TrainJob(Training(epochs=epochs, **how, **chosen.splits, **common))]


@dataclasses.dataclass(frozen=True)
class Compared:
    """Everything by which networks are selected: short training, multiply-adds and inference.

    Attributes:
        ensemble: initialisations of inference.
        momentum: share of the initial moving statistics that BN keeps.
    """

    ensemble: int = 4
    momentum: float = PUBLISHED_MOMENTUM

    def of(self, experiment: Experiment, request: Reproduction, space: str, datasets: Sequence[str]) -> list[Job]:
        """Cheap ones first, so that a folder that was left early has most of it."""
        chosen = setting(request, datasets)
        common = _common(request, space, chosen)
        inferences = [
            InferenceJob(
                Inference(
                    labels=labels,
                    n_train=n_train,
                    n_val=(n_val,),
                    ensemble=(self.ensemble,),
                    bn_momentum=self.momentum,
                    **chosen.splits,
                    **common,
                )
            )
            for labels, n_train, n_val in chosen.sizes
        ]
        trainings = Trained().of(experiment, request, space, datasets)
        return [LatencyJob(Latency(**common), ""), *inferences, *trainings]


def _common(request: Reproduction, space: str, chosen: Setting) -> dict[str, Any]:
    return {"space": space, "dataset": chosen.dataset, "data_dir": request.data_dir, "seed": request.seed}
