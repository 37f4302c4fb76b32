r"""Train architectures for a few epochs and record how accurate they become.

Examples:
    python -m launch.train --num_archs=4 --epochs=2 --width=16 --depth=1 \
        --crop=0 --output=output/train
    python -m launch.train --archs=nasbench201_digits --repeats=2 \
        --table_out=table.parquet --output=output/train_digits
    python -m launch.train --num_archs=4 --recipe=lga --batch_size=256 \
        --measured_epochs=1,3,5 --output=output/train_lga

Records hold test_accuracy, train_accuracy (over the last epoch) and, with
--val_split, val_accuracy, in percent; with --measured_epochs the same after
epochs before the last, as test_accuracy_epoch3. The same command started again
goes on where it was stopped, also in the middle of a training that has taken
--checkpoint_seconds; --shard and --workers split the work. --table_out writes
the means over repeats, with parameters, FLOPs and seconds, as a table that
launch.correlate reads.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from launch import app
from launch.flags.architectures import Architectures
from launch.flags.execution import Execution
from launch.flags.networks import check_least
from launch.flags.training import Training, check_alone
from launch.jobs import base, summary, trained_table
from launch.jobs.training import TrainJob
from tfnas.errors import InputError


@dataclasses.dataclass(frozen=True)
class Config(Training, Architectures, Execution):
    """What is trained, on what, and how."""

    table_out: str = app.path_flag("", "also write the means over repeats as a table (.parquet)", writes="file")
    provenance: str = app.flag("", "where the table says that its numbers come from")
    checkpoint_seconds: float = app.flag(600.0, "between two states that a training keeps to go on from (0: none)")

    def check(self) -> None:
        """Everything that can be known to be wrong before the first training.

        Raises:
            InputError: for any of it.
        """
        Execution.check(self)
        check_least(self, checkpoint_seconds=0)
        check_alone(self)
        if self.table_out and not self.table_out.endswith(".parquet"):
            raise InputError(f"--table_out is a .parquet file. Received: {self.table_out!r}")
        self.choose(self.search_space(), self.seed)
        self.start_tensorflow()
        Training.check(self)


def run(config: Config) -> int:
    """Trains what the config asks for and is not in the records yet; writes the table."""
    architectures = config.choose(config.search_space(), config.seed)
    summary.warn_of_shared(config)
    settings = base.narrow(config, Training)
    job = TrainJob(settings, config.output if config.checkpoint_seconds else "", config.checkpoint_seconds)
    base.run(job, architectures, config)
    frame = job.results(architectures, config.output)
    means = frame[frame.status == "ok"].groupby("proxy").score.agg(["count", "mean", "min", "max"])
    if len(means):
        print(means.to_string(float_format="{:.2f}".format))
    code = summary.tell(frame, config.output)
    if config.table_out:
        trained_table.write(
            settings, architectures, frame, config.table_out, config=config, provenance=config.provenance
        )
    return code


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
