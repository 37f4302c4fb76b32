"""What the experiments of Dey et al. 2021 compute of each network: FEAR, short trainings, scores without training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from launch.flags.reproduction import EMBEDDED_DATASET, EMBEDDED_IMAGES, EMBEDDED_NETWORK, Reproduction
from launch.flags.scoring import Scoring
from launch.flags.trained import STAGE_1, Trained
from launch.jobs.after import AfterJob
from launch.jobs.base import Job
from launch.jobs.fear import FearJob
from launch.jobs.scores import ScoreJob
from launch.papers.base import Experiment
from tfnas.errors import InputError

# Training accuracies that end stage 1: appendix A.3 of the paper; of the labels made by networks, its code.
THRESHOLDS = {
    "cifar10": 0.6,
    "cifar100": 0.3,
    "imagenet16-120": 0.2,
    "synthetic_cifar10": 0.15,
    # A stand-in: a shallow network learns all of them.
    EMBEDDED_DATASET: 0.6,
}
# The zero-cost scores of the paper; synflow_bn is synflow with all BN layers left in.
ZERO_COST = ("synflow", "jacob_cov", "snip", "fisher", "grasp", "grad_norm")
ALL_BN = ("stem", "cells", "lastact")


@dataclasses.dataclass(frozen=True)
class Setting:
    """How networks are trained at a scale.

    Attributes:
        epochs, batches: of short trainings: all combinations; the cosine ends with the training.
        searched: epochs and batch of the short training that random search ranks by.
        flags: of all trainings.
        stages: of FEAR.
        network: of the networks.
    """

    epochs: tuple[int, ...]
    batches: tuple[int, ...]
    searched: tuple[int, int]
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stages: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    network: Mapping[str, Any] = dataclasses.field(default_factory=dict)


PAPER = Setting((1, 2, 4, 6, 8, 10, 20, 30), (256, 512, 1024, 2048), (50, 256))
# Few images: what counts is the number of steps, and there are too few of them to learn from images that move. One cell
# a stage: stage 2 trains the last, where the paper trains four of the five.
SMALL = Setting(
    (1, 2, 4, 8),
    (32, 64),
    (8, 32),
    flags={"train_split": "train[:2000]", "crop": 0},
    stages={"epochs": 30, "train_batch_size": 32, "fear_batch_size": 32, "fear_epochs": 2, "fear_cells": 1},
    network={"depth": 1},
)
DIGITS = dataclasses.replace(SMALL, epochs=(1, 2, 4), searched=(4, 32), flags=EMBEDDED_IMAGES, network=EMBEDDED_NETWORK)


def setting(request: Reproduction, dataset: str) -> Setting:
    """What a request asks for on a data set: of the digits, which are few, one setting at any scale."""
    if dataset == EMBEDDED_DATASET:
        return DIGITS
    return SMALL if request.scale == "small" else PAPER


@dataclasses.dataclass(frozen=True)
class Trainings:
    """Scores of untrained networks, FEAR and short trainings of the same networks on the same images.

    Attributes:
        fear: whether FEAR is.
        short: short trainings: "all" combinations of epochs and batches, "searched" for the one of random search, "".
        zero_cost: scores of untrained networks.
        synflow_bn: whether synflow is also computed with all BN layers left in.
    """

    fear: bool = False
    short: str = ""
    zero_cost: tuple[str, ...] = ()
    synflow_bn: bool = False

    def of(self, experiment: Experiment, request: Reproduction, space: str, datasets: Sequence[str]) -> list[Job]:
        """For each data set its jobs, cheap ones first.

        Raises:
            InputError: FEAR on a data set of which no threshold is known.
        """
        return [job for dataset in datasets for job in self._of(request, space, dataset)]

    def _of(self, request: Reproduction, space: str, dataset: str) -> list[Job]:
        chosen = setting(request, dataset)
        common = {"space": space, "dataset": dataset, "data_dir": request.data_dir, "seed": request.seed}
        common |= dict(chosen.network)
        training = {"recipe": STAGE_1, **chosen.flags, **common}
        found: list[Job] = []
        if self.zero_cost:
            found.append(ScoreJob(Scoring(proxies=self.zero_cost, **common)))
        if self.synflow_bn:
            found.append(ScoreJob(Scoring(proxies=("synflow",), synflow_kept_bn=ALL_BN, **common)))
        if self.fear:
            threshold = _threshold(dataset)
            found.append(FearJob(Trained(proxies=("fear",), fear_threshold=threshold, **training | chosen.stages)))
        combinations = [(epochs, batch) for batch in chosen.batches for epochs in chosen.epochs]
        for epochs, batch in {"": [], "searched": [chosen.searched], "all": combinations}[self.short]:
            length = {"after_epochs": (epochs,), "epochs": epochs, "train_batch_size": batch}
            found.append(AfterJob(Trained(proxies=("shortreg",), **length, **training)))
        return found


def _threshold(dataset: str) -> float:
    if dataset not in THRESHOLDS:
        raise InputError(
            f"No threshold of FEAR is known for {dataset}. Known: {', '.join(THRESHOLDS)}. "
            "python -m launch.score --proxies=fear finds one; --scores takes its records"
        )
    return THRESHOLDS[dataset]
