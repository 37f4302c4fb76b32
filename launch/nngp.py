r"""Score untrained networks by inference with their kernel (NNGP or NTK).

Examples:
    python -m launch.nngp --num_archs=16 --n_val=200 --output=output/nngp
    python -m launch.nngp --space=nasbench101 --dataset=cifar10 \
        --data_dir=~/tensorflow_datasets --num_archs=100 --n_train=100,500 \
        --n_val=500,2000 --ensemble=1,2,4 --output=output/nngp_cifar10

The score is the validation accuracy. Every combination of --n_train, --n_val
and --ensemble becomes a record named nngp_<n_train>_<n_val>_<ensemble>; the
networks run once, on the largest sets, and all smaller ones are parts of them.
--labels=L takes images of L labels drawn with the seed (of ImageNet, say).
The same command started again goes on where it was stopped.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import proxies
from launch import app
from launch.flags.architectures import Architectures
from launch.flags.execution import Execution
from launch.flags.inference import Inference
from launch.jobs import base, summary
from launch.jobs.inference import InferenceJob
from tfnas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Config(Inference, Architectures, Execution):
    """Which architectures, on how much data, with which kernel."""

    def check(self) -> None:
        """Everything that can be known to be wrong before the first network.

        Raises:
            InputError: for any of it.
        """
        Execution.check(self)
        if self.strategy != "cpu" and self.processes() > 1:
            raise InputError(
                f"Workers are for one device each. Received: --workers={self.workers} with --strategy={self.strategy}. "
                "Allowed: --workers=1"
            )
        self.choose(self.search_space(), self.seed)
        self.start_tensorflow()
        Inference.check(self)


def run(config: Config) -> int:
    """Computes what the config asks for and says where the records are."""
    architectures = config.choose(config.search_space(), config.seed)
    if told := config.warning():
        print(f"warning: {told}", file=sys.stderr)
    job = InferenceJob(base.narrow(config, Inference))
    base.run(job, architectures, config)
    frame = job.results(architectures, config.output)
    _print(frame)
    code = summary.tell(frame, config.output)
    print(summary.next_step(frame, config.output))
    return code


def _print(frame: pd.DataFrame) -> None:
    """Accuracies over the architectures for each combination of sizes."""
    from rich.table import Table

    from tfnas.evidence import report

    printed = Table(title=f"validation accuracy over {frame.arch.nunique()} architectures", title_justify="left")
    first, *others = ("kernel, n_train, n_val, ensemble", "ok", "lowest", "mean", "highest", "seconds")
    printed.add_column(first)
    for heading in others:
        printed.add_column(heading, justify="right")
    for name, group in frame[~frame.proxy.isin(proxies.SIZES)].groupby("proxy", sort=False):
        scores = group.score[group.status == "ok"]
        numbers = [report.number(value) for value in (scores.min(), scores.mean(), scores.max(), group.seconds.mean())]
        printed.add_row(name, str(len(scores)), *numbers)
    report.console().print(printed)


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
