"""The flags that say how architectures are judged by inference with their kernel."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, ClassVar

import proxies
from launch import app
from launch.flags.networks import Networks, check_least
from proxies.options import DTYPES
from tfnas import devices
from tfnas.errors import InputError

if TYPE_CHECKING:
    from spaces.base import NetworkConfig


@dataclasses.dataclass(frozen=True)
class Sizes:
    """On how much data, with how many networks."""

    n_train: tuple[int, ...] = app.flag((100,), "numbers of training images of inference, balanced over classes")
    n_val: tuple[int, ...] = app.flag((500,), "numbers of validation images of inference, balanced over classes")
    ensemble: tuple[int, ...] = app.flag((1,), "numbers of independent initialisations whose kernels are averaged")
    labels: int = app.flag(0, "labels of inference, drawn with --seed; the networks have as many classes (0: all)")

    def check(self) -> None:
        """Raises InputError for anything but lists of positive numbers and two labels or more."""
        if self.labels < 0 or self.labels == 1:
            raise InputError(f"--labels must be at least 2, or 0 for all. Received: {self.labels}")
        for name in ("n_train", "n_val", "ensemble"):
            if not self.counts(name) or min(self.counts(name)) < 1:
                received = ",".join(map(str, getattr(self, name)))
                raise InputError(f"--{name} takes whole numbers from 1 on, separated by commas. Received: {received!r}")

    def counts(self, name: str) -> list[int]:
        """Values of a flag that lists numbers, ascending."""
        return sorted(set(getattr(self, name)))

    def combinations(self) -> list[tuple[int, int, int]]:
        """(n_train, n_val, ensemble) of all records."""
        return list(itertools.product(*(self.counts(name) for name in ("n_train", "n_val", "ensemble"))))


@dataclasses.dataclass(frozen=True)
class Inference(Sizes, Networks):
    """With which kernel, on how much data, how solved."""

    renamed: ClassVar[dict[str, str]] = {"batch_size": "block_size"}

    train_split: str = app.flag("train[:80%]", "split of the training images, in the notation of TFDS")
    val_split: str = app.flag("train[80%:]", "split of the validation images")
    regularizers: tuple[float, ...] = app.flag(
        proxies.Options.regularizers, "relative to the mean eigenvalue of the kernel"
    )
    kernel: str = app.flag(
        "nngp", "kernel: of the features, or tangent kernel of all parameters", choices=proxies.names("ensemble")
    )
    bn_momentum: float | None = app.flag(
        None, "share of the initial moving statistics kept when one batch moves them (the space's own by default)"
    )
    bn_batch: int = app.flag(0, "images in that batch (0: 250, or 100 where 100 images train)")
    block_size: int = app.flag(50, "images that run at once on each device, at most; changes no score")
    strategy: str = app.flag("cpu", "how devices share the images", choices=devices.NAMES)
    dtype: str = app.flag("float32", "of features and gradients; kernels are float64", choices=DTYPES)
    kernels: str = app.path_flag("", "folder where features or kernels are kept and looked for first", writes="folder")

    def check(self) -> None:
        """Everything that can be known to be wrong before the first network.

        Raises:
            InputError: for any of it.
        """
        Sizes.check(self)
        check_least(self, bn_batch=0, block_size=1)
        if self.bn_momentum is not None and not 0 <= self.bn_momentum <= 1:
            raise InputError(f"--bn_momentum must lie in [0, 1]. Received: {self.bn_momentum}")
        if not self.regularizers or not all(0 < value < float("inf") for value in self.regularizers):
            received = ",".join(f"{value:g}" for value in self.regularizers)
            raise InputError(f"--regularizers takes positive numbers. Received: {received!r}")
        if self.kernel == "ntk" and self.strategy != "cpu":
            raise InputError(
                f"--kernel=ntk runs on one device. Received: --strategy={self.strategy}. Allowed: cpu; "
                "--shard=i/n and --workers=N spread the architectures over processes"
            )
        Networks.check(self)
        chosen = self.chosen_labels()
        for split, count in ((self.train_split, self.largest_train()), (self.val_split, max(self.n_val))):
            available = self.split_size(split, chosen)
            if count > available:
                of = f" of the {len(chosen)} labels drawn" if chosen else ""
                raise InputError(f"{self.dataset}/{split} has {available} examples{of}. Received: {count}")

    def chosen_labels(self) -> tuple[int, ...]:
        """The labels drawn, which have examples in both splits; () for all."""
        from tfnas import data

        splits, folder = (self.train_split, self.val_split), self.data_dir or None
        return data.draw_labels(self.dataset, self.labels, self.seed, splits, data_dir=folder) if self.labels else ()

    def shared_images(self) -> int:
        """Number of images that are in both splits; 0 where accuracies are those of images held out."""
        from tfnas import data

        return data.overlap(self.dataset, self.train_split, self.val_split, data_dir=self.data_dir or None)

    def warning(self) -> str:
        """What to say of images that are in both splits; "" where there are none."""
        if not (shared := self.shared_images()):
            return ""
        return (
            f"--train_split={self.train_split} and --val_split={self.val_split} share {shared} images; "
            "accuracies are not those of images held out"
        )

    def largest_train(self) -> int:
        """Images needed of the training split, those that move the BN statistics included."""
        return max(*self.n_train, self.calibration())

    def calibration(self) -> int:
        """Images that move the BN statistics: the paper's 250, or 100 where no more than 100 train."""
        return self.bn_batch or proxies.calibration_size(max(self.n_train))

    def network(self, **settings: object) -> NetworkConfig:
        """As for every launcher, with --bn_momentum and --labels."""
        if self.labels:
            settings["classes"] = self.labels
        return super().network(bn_momentum=self.bn_momentum, **settings)
