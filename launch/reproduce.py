r"""Reproduce a table or figure of the papers, printed beside their numbers.

Examples:
    python -m launch.reproduce --list
    python -m launch.reproduce --experiment=gs_table5_2 \
        --output=output/gs_table5_2
    python -m launch.reproduce --experiment=gs_table5_2 --scale=paper \
        --table=nb201_accuracy.parquet --data_dir=~/tensorflow_datasets \
        --workers=2 --output=output/gs_table5_2_paper
    python -m launch.reproduce --experiment=nngp_fig1 \
        --table=nasbench101.parquet --scores=output/nngp_cifar10 \
        --output=output/nngp_fig1

Without --table, the networks and accuracies on the UCI digits that come with
tfnas stand in for the benchmark: the whole path runs in minutes, but these are
other numbers than the paper's. Records are resumed like those of launch.score;
with --scores=FOLDER, records that are there already are taken and nothing is
computed; --scores=atlas:NAME are those that come with a clone.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from launch import app
from launch.flags.execution import Workers
from launch.flags.reproduction import Reproduction
from launch.jobs import base
from launch.papers import registry
from launch.papers import run as runner
from tfnas.errors import InputError


@dataclasses.dataclass(frozen=True)
class Config(Reproduction, Workers):
    """Which experiment, how large, on which data."""

    experiment: str = app.flag("", "identifier, as in --list")
    list: bool = app.flag(False, "print all experiments of the papers and which are available")
    output: str | None = app.path_flag(None, "folder for records and results", writes="folder")

    def check(self) -> None:
        """Raises InputError for anything that can be known to be wrong at once."""
        if self.list:
            return
        if not self.experiment or not self.output:
            raise InputError("Give --experiment=ID and --output=FOLDER, or --list")
        Workers.check(self)
        runner.check(base.narrow(self, Reproduction), registry.get(self.experiment))


def run(config: Config) -> None:
    """Makes the experiment and writes results.csv, its figure and recipe.json; or lists all."""
    if config.list:
        print("\n".join(registry.describe()))
        return
    experiment = registry.get(config.experiment)
    runner.run(base.narrow(config, Reproduction), experiment, config.output, base.narrow(config, Workers))


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
