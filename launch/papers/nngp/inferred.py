"""Inference scores, as the figures of Park et al. 2020 need them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from launch.flags.inference import Inference
from launch.flags.reproduction import EMBEDDED_NETWORK, Reproduction
from launch.jobs.base import Job
from launch.jobs.inference import InferenceJob
from launch.papers.base import Experiment
from launch.papers.nngp.metrics import PUBLISHED_MOMENTUM

# At --scale=small, of the paper's networks and of those on digits.
_SMALL = {"n_train": (100,), "n_val": (500,), "ensemble": (1, 2)}
_DIGITS_VAL = (200,)


@dataclasses.dataclass(frozen=True)
class Inferred:
    """Inference with each kernel and each share of BN's initial moving statistics.

    Attributes:
        kernels: what is inferred with.
        momenta: shares of the initial moving statistics that BN keeps.
        n_train, n_val, ensemble: the paper's numbers of training images, validation images and initialisations.
    """

    kernels: tuple[str, ...] = ("nngp",)
    momenta: tuple[float, ...] = (PUBLISHED_MOMENTUM,)
    n_train: tuple[int, ...] = (100, 500, 2000, 8000)
    n_val: tuple[int, ...] = (500, 2000, 5000, 10_000)
    ensemble: tuple[int, ...] = (1, 2, 4, 8, 16, 32)

    def of(self, experiment: Experiment, request: Reproduction, space: str, datasets: Sequence[str]) -> list[Job]:
        """The jobs; the paper moves BN statistics with 250 images, but with 100 where 100 train, which is another."""
        sizes = {name: getattr(self, name) for name in _SMALL} | (_SMALL if request.scale == "small" else {})
        network: dict[str, Any] = {}
        if not request.table:
            sizes |= {"n_train": _SMALL["n_train"], "n_val": _DIGITS_VAL}
            network = EMBEDDED_NETWORK
        n_train = sizes.pop("n_train")
        parts = [part for part in ([n for n in n_train if n <= 100], [n for n in n_train if n > 100]) if part]
        return [
            InferenceJob(
                Inference(
                    space=space,
                    dataset=datasets[0],
                    data_dir=request.data_dir,
                    n_train=tuple(part),
                    kernel=kernel,
                    bn_momentum=momentum,
                    seed=request.seed,
                    **sizes,
                    **network,
                )
            )
            for kernel in self.kernels
            for momentum in self.momenta
            for part in parts
        ]
