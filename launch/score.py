"""Score architectures with training-free proxies.

Examples:
    python -m launch.score --num_archs=32 --output=output/scores
    python -m launch.score --dataset=cifar10 --data_dir=~/tensorflow_datasets --proxies=gradsign,synflow,naswot
        --num_archs=300 --workers=2 --output=output/cifar10

The same command started again goes on where it was stopped, and other proxies, seeds or architectures may be added to
the same folder. A score depends on the settings, the seed and the architecture alone: not on the order, the shard, the
workers or what else is scored. Parameters and FLOPs are always scored too; both cost nothing. The proxies nngp and ntk
are inference with kernels; launch.nngp has all of their flags.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from launch import app
from launch.flags.architectures import Architectures, is_table
from launch.flags.execution import Execution
from launch.flags.inference import Inference, Sizes
from launch.flags.networks import Networks
from launch.flags.scoring import Scoring
from launch.jobs import base, summary
from launch.jobs.inference import InferenceJob
from launch.jobs.scores import ScoreJob


@dataclasses.dataclass(frozen=True)
class Config(Scoring, Sizes, Architectures, Execution):
    """What is scored, with what, on what."""

    def check(self) -> None:
        """Everything that can be known to be wrong before the first score.

        Raises:
            InputError: for any of it.
        """
        Execution.check(self)
        self.names()
        self.choose(self.search_space(), self.seed)
        self.start_tensorflow()
        for job in jobs(self):
            job.settings.check()


def jobs(config: Config) -> list[base.Job]:
    """One job for each kind of subject that proxies asked for look at."""
    found: list[base.Job] = []
    if config.names():
        found.append(ScoreJob(base.narrow(config, Scoring)))
    shared = dataclasses.asdict(base.narrow(config, Networks)) | dataclasses.asdict(base.narrow(config, Sizes))
    shared["dtype"] = config.dtype
    return found + [InferenceJob(Inference(kernel=name, **shared)) for name in config.names("ensemble")]


def run(config: Config) -> int:
    """Scores what the config asks for and says where the records are."""
    architectures = config.choose(config.search_space(), config.seed)
    codes = []
    for job in jobs(config):
        base.run(job, architectures, config)
        codes.append(summary.tell(job.results(architectures, config.output), config.output))
    table = config.archs if config.archs and is_table(config.archs) else "TABLE"
    print(summary.next_step(config.output, table))
    return min(codes)


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
