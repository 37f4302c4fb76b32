"""Score untrained networks by the validation accuracy of inference with their kernel (NNGP or NTK).

Examples:
    python -m launch.nngp --num_archs=16 --output=output/nngp
    python -m launch.nngp --space=nasbench101 --dataset=cifar10 --data_dir=~/tensorflow_datasets --num_archs=100
        --n_train=100,500 --n_val=500,2000 --ensemble=1,2,4 --output=output/nngp

Every combination of --n_train, --n_val and --ensemble becomes a record named nngp_<n_train>_<n_val>_<ensemble>; the
networks run once, on the largest sets, and all smaller ones are parts of them. The same command started again goes on
where it was stopped.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launch import app
from launch.architectures import choose, in_shard, parse_shard
from launch.networks import Networks
from tfnas import devices
from tfnas.errors import InputError
from tfnas.progress import Progress
from tfnas.runs import records

if TYPE_CHECKING:
    import pandas as pd

    from spaces.base import NetworkConfig

# numpy.logspace(-7, 2, 20), the range of the paper.
REGULARIZERS = tuple(f"{10 ** (-7 + 9 * i / 19):.6g}" for i in range(20))
KERNELS = ("nngp", "ntk")


@dataclasses.dataclass(frozen=True)
class Config(Networks):
    """Which architectures, on how much data, with which kernel."""

    train_split: str = app.flag("train[:80%]", "split of the training images, in the notation of TFDS")
    val_split: str = app.flag("train[80%:]", "split of the validation images")
    n_train: tuple[str, ...] = app.flag(("100",), "numbers of training images, balanced over classes")
    n_val: tuple[str, ...] = app.flag(("500",), "numbers of validation images, balanced over classes")
    ensemble: tuple[str, ...] = app.flag(("1",), "numbers of independent initialisations")
    regularizers: tuple[str, ...] = app.flag(REGULARIZERS, "relative to the mean eigenvalue of the kernel")
    kernel: str = app.flag("nngp", "kernel: of the features, or tangent kernel of all parameters", choices=KERNELS)
    bn_momentum: float | None = app.flag(
        None, "share of the initial moving statistics kept when one batch moves them (the space's own by default)"
    )
    bn_batch: int = app.flag(0, "images in that batch (0: 250, or 100 where 100 images train)")
    batch_size: int = app.flag(50, "images that run at once on each device; changes no score")
    strategy: str = app.flag("cpu", "how devices share the images", choices=devices.NAMES)
    dtype: str = app.flag("float32", "of features and gradients; kernels are float64", choices=("float32", "float64"))
    memory_mb: int = app.flag(2048, "memory that kernels and their factors may take")
    kernels: str = app.flag("", "folder where features or kernels are kept and looked for first")
    retry: bool = app.flag(False, "compute again what ended in oom or error")

    def check(self) -> None:
        """Everything that can be known to be wrong before the first network.

        Raises:
            InputError: for any of it.
        """
        for name in ("n_train", "n_val", "ensemble"):
            self.counts(name)
        for name, least in (("bn_batch", 0), ("batch_size", 1), ("memory_mb", 1)):
            if getattr(self, name) < least:
                raise InputError(f"--{name} must be at least {least}. Received: {getattr(self, name)}")
        if self.bn_momentum is not None and not 0 <= self.bn_momentum <= 1:
            raise InputError(f"--bn_momentum must lie in [0, 1]. Received: {self.bn_momentum}")
        self.regularizer_values()
        if self.kernel == "ntk" and self.strategy != "cpu":
            raise InputError(
                f"--kernel=ntk runs on one device. Received: --strategy={self.strategy}. Allowed: cpu; "
                "--shard=i/n spreads the architectures over processes"
            )
        super().check()
        from tfnas import data

        app.start_tensorflow()
        for split, count in ((self.train_split, self.largest_train()), (self.val_split, max(self.counts("n_val")))):
            available = data.split_size(self.dataset, split, data_dir=self.data_dir or None)
            if count > available:
                raise InputError(f"{self.dataset}/{split} has {available} examples. Received: {count}")

    def counts(self, name: str) -> list[int]:
        """Values of a flag that lists numbers, ascending."""
        texts = getattr(self, name)
        if not texts or not all(text.strip().isdecimal() and int(text) for text in texts):
            raise InputError(
                f"--{name} takes whole numbers from 1 on, separated by commas. Received: {','.join(texts)!r}"
            )
        return sorted({int(text) for text in texts})

    def regularizer_values(self) -> list[float]:
        """Values of --regularizers."""
        try:
            values = [float(text) for text in self.regularizers]
        except ValueError:
            values = []
        if not values or not all(0 < value < float("inf") for value in values):
            raise InputError(f"--regularizers takes positive numbers. Received: {','.join(self.regularizers)!r}")
        return values

    def largest_train(self) -> int:
        """Images needed of the training split, those that move the BN statistics included."""
        return max(*self.counts("n_train"), self.calibration())

    def calibration(self) -> int:
        """Images that move the BN statistics: the paper's 250, or 100 where no more than 100 train."""
        return self.bn_batch or (100 if max(self.counts("n_train")) <= 100 else 250)

    def network(self) -> NetworkConfig:
        """As for every launcher, with --bn_momentum."""
        return super().network(bn_momentum=self.bn_momentum)


def run(config: Config) -> None:
    """Computes what the config asks for and says where the records are."""
    architectures = choose(config)
    compute(config, architectures)
    summarize(config, architectures)


def summarize(config: Config, architectures: Sequence[str]) -> None:
    """Prints accuracies over the architectures for each combination of sizes, and what to do next."""
    from rich.table import Table

    from launch.inference import SIZES
    from tfnas.evidence import report

    frame = results(config, architectures)
    for line in frame.attrs["skipped"]:
        print(f"skipped {line}", file=sys.stderr)
    printed = Table(title=f"validation accuracy over {frame.arch.nunique()} architectures", title_justify="left")
    for heading in ("kernel, n_train, n_val, ensemble", "ok", "lowest", "mean", "highest", "seconds"):
        printed.add_column(heading, justify="right" if heading != "kernel, n_train, n_val, ensemble" else "left")
    for name, group in frame[~frame.proxy.isin(SIZES)].groupby("proxy", sort=False):
        scores = group.score[group.status == "ok"]
        numbers = [report.number(value) for value in (scores.min(), scores.mean(), scores.max(), group.seconds.mean())]
        printed.add_row(name, str(len(scores)), *numbers)
    report.console().print(printed)
    for (name, status, message), group in frame[frame.status != "ok"].groupby(["proxy", "status", "message"]):
        print(f"  {name}: {len(group)} {status} ({message})")
    print(f"next: python -m launch.correlate --scores={config.output} --table=TABLE --output={config.output}/evidence")


def results(config: Config, architectures: Sequence[str]) -> pd.DataFrame:
    """The records in `config.output` that this config asks for of these architectures, and no others."""
    from launch.inference import blank_records

    keys = {dataclasses.replace(b, arch=arch).key for arch in architectures for b in blank_records(config)}
    frame = records.read(config.output)
    wanted = [key in keys for key in frame[list(records.KEY)].itertuples(index=False, name=None)]
    return frame[wanted].reset_index(drop=True)


def compute(config: Config, architectures: Sequence[str]) -> None:
    """Records of architectures into `config.output`, leaving out what is there already."""
    from launch.inference import Inference, blank_records

    index, count = parse_shard(config.shard)
    blanks = blank_records(config)
    known = records.done(config.output, retry=config.retry)
    jobs = [arch for arch in architectures if in_shard(arch, index, count)]
    todo = [arch for arch in jobs if any(dataclasses.replace(b, arch=arch).key not in known for b in blanks)]
    if known:
        print(f"{config.output}: {len(known)} records found; {len(jobs) - len(todo)} of {len(jobs)} networks are done")
    if not todo:
        return
    inference = Inference(config, blanks)
    with (
        records.Writer(config.output, f"{index}of{count}", every=1) as writer,
        Progress("networks", len(jobs), done=len(jobs) - len(todo)) as bar,
    ):
        for arch in todo:
            found = inference(arch)
            if devices.is_first(inference.strategy):
                writer.add(record for record in found if record.key not in known)
            bar.advance()


def combinations(config: Config) -> list[tuple[int, int, int]]:
    """(n_train, n_val, ensemble) of all records."""
    return list(itertools.product(*(config.counts(name) for name in ("n_train", "n_val", "ensemble"))))


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
