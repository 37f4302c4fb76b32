r"""Score architectures with proxies, before training or after a little of it.

Examples:
    python -m launch.score --num_archs=32 --output=output/scores
    python -m launch.score --archs=nasbench201_digits --output=output/digits
    python -m launch.score --dataset=cifar10 --data_dir=~/tensorflow_datasets \
        --proxies=gradsign,synflow,naswot --num_archs=300 --workers=2 \
        --output=output/cifar10
    python -m launch.score --num_archs=32 --proxies=lga,gradsign --recipe=lga \
        --after_epochs=0,1,3 --train_batch_size=256 --output=output/after
    python -m launch.score --num_archs=32 --proxies=fear --fear_threshold=0.6 \
        --crop=0 --fear_batch_size=256 --output=output/fear

The same command started again goes on where it was stopped, and other proxies,
seeds or architectures may be added to the same folder. A score depends on the
settings, the seed and the architecture alone: not on the order, the shard, the
workers or what else is scored. Parameters and FLOPs are always scored too; both
cost nothing. The proxies nngp and ntk are inference with kernels; launch.nngp
has all of their flags. With --after_epochs each network is trained once and
scored on its way, as gradsign_after3; the scores shortreg, fear and
time_to_threshold are of trainings themselves. docs/training.md tells more.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

import proxies
from launch import app
from launch.flags.architectures import Architectures
from launch.flags.execution import Execution
from launch.flags.inference import Sizes
from launch.flags.trained import Trained
from launch.jobs import asked, base, summary, thresholds
from tfnas import tables
from tfnas.errors import InputError


@dataclasses.dataclass(frozen=True)
class Config(Trained, Sizes, Architectures, Execution):
    """What is scored, with what, on what."""

    def check(self) -> None:
        """Everything that can be known to be wrong before the first score.

        Raises:
            InputError: for any of it.
        """
        Execution.check(self)
        self.names()
        if self.repeats > 1 and (inferred := self.names("ensemble")):
            raise InputError(
                f"--repeats draws weights anew for scores of one network; for {', '.join(inferred)}, of an ensemble, "
                f"give --ensemble, or another --seed. Received: --repeats={self.repeats}"
            )
        archs = self.choose(self.search_space(), self.seed)
        self.start_tensorflow()
        self.check_training()
        thresholds.check(self)
        for job in jobs(self):
            job.settings.check()
        self.check_prefixes("synflow_kept_bn", self.synflow_kept_bn, "batch_norm", archs)


def jobs(config: Config) -> list[base.Job]:
    """What the config asks for."""
    return asked.jobs(base.narrow(config, Trained), base.narrow(config, Sizes), config.output)


def run(config: Config) -> int:
    """Scores what the config asks for and says where the records are."""
    architectures = config.choose(config.search_space(), config.seed)
    if blind := base.narrow(config, Trained).blind():
        needed = max(proxies.get(name).least_images for name in blind)
        print(
            f"warning: {', '.join(blind)} cannot tell networks apart by so few images of --batch_size or "
            f"--ntk_batch_size; they need {needed} at least",
            file=sys.stderr,
        )
    config = thresholds.filled(config, config.output, config.threads)
    codes = []
    for job in jobs(config):
        base.run(job, architectures, config)
        frame = job.results(architectures, config.output)
        codes.append(summary.tell(frame, config.output))
    table = config.archs if config.archs and tables.is_table(config.archs) else ""
    print(summary.next_step(frame, config.output, table))
    return min(codes)


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
