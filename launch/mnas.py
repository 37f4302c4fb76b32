r"""Rank architectures by accuracy and latency with the reward of MnasNet.

Examples:
    python -m launch.mnas --space=nasbench201 --num_archs=4 --width=8 \
        --depth=1 --epochs=1 --crop=0 --target=1e6 --proxies=synflow \
        --output=output/mnas
    python -m launch.mnas --space=nasbench201 --archs=nasbench201_digits \
        --accuracy=table --table=nasbench201_digits --width=16 --depth=1 \
        --target=1e6 --proxies=nngp,gradsign --n_val=200 --output=output/table
    python -m launch.mnas --num_archs=60 --accuracy=proxy --proxies=nngp \
        --n_val=200 --latency=litert --latency_size=224 --target=20 \
        --output=output/mnas_nngp

Accuracies are trained here (test_accuracy, or val_accuracy with --val_split),
stand in --table, or are the first of --proxies. With --after_epochs scores are
those on the way of a training of their own, as in launch.score. The reward of
accuracy a and latency l is a (T/l)^w for the target T. The top --top_k, the
Pareto front and how well every score of --proxies ranks by accuracy and by
reward are printed and written to report/ in the output folder. The same command
started again goes on where it was stopped.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import proxies
from launch import app
from launch.flags.architectures import Architectures
from launch.flags.execution import Execution
from launch.flags.inference import Sizes
from launch.flags.latency import LITERT, Latency, Reward
from launch.flags.networks import Networks
from launch.flags.trained import Extent, Trained, recipe_of
from launch.flags.training import Training, check_alone
from launch.jobs import asked, base, evidence, operations, rewards, summary, thresholds
from launch.jobs.base import Job, narrow
from launch.jobs.latency import LatencyJob
from launch.jobs.training import TrainJob
from tfnas.errors import InputError
from tfnas.tables import SUFFIXES

if TYPE_CHECKING:
    import pandas as pd

SOURCES = ("train", "table", "proxy")


@dataclasses.dataclass(frozen=True)
class Config(Reward, Training, Latency, Extent, Sizes, Architectures, Execution):
    """Which architectures, how good and how fast they are, and what that is worth."""

    space: str = app.flag("mnas", "search space")
    accuracy: str = app.flag(
        "train", "where accuracies come from: trained here, --table, the first of --proxies", choices=SOURCES
    )
    table: str = app.path_flag("", "known accuracies, and latencies of --latency=column:NAME: a file or embedded table")
    accuracy_column: str = app.flag("", "column of --table with the accuracies; may stay open if only one can be meant")
    proxies: tuple[str, ...] = app.flag((), "scores to compare with accuracy and reward; params and flops always are")
    score_batch_size: int = app.flag(64, "images in the batch of the proxies")
    score_recipe: tuple[str, ...] = app.flag(
        (), "recipe of the trainings before scores, not accuracies, and changes of it, e.g. lga,batch_size=256,crop=0"
    )
    operations_out: str = app.path_flag(
        "", "also measure every operation of the networks alone, as a file for --latency", writes="file"
    )

    def check(self) -> None:
        """Everything that can be known to be wrong before the first network.

        Raises:
            InputError: for any of it.
        """
        Execution.check(self)
        Reward.check(self)
        check_alone(self)
        if self.accuracy == "proxy" and not self.proxies:
            raise InputError("--accuracy=proxy takes the first of --proxies. Received: none")
        if self.accuracy == "proxy":
            self.accuracy_record()
        if self.needs_table and not self.table:
            needs = "--accuracy=table" if self.accuracy == "table" else f"--latency={self.latency}"
            raise InputError(f"{needs} needs --table. Received: none")
        self.architectures()
        self.start_tensorflow()
        latencies = narrow(self, Latency)
        latencies.check()
        if self.operations_out:
            if pathlib.PurePath(self.operations_out).suffix.lower() not in SUFFIXES:
                raise InputError(f"--operations_out is a {', '.join(SUFFIXES)} file. Received: {self.operations_out!r}")
            dataclasses.replace(latencies, latency=LITERT).check()
        scores = self.scores()
        scores.check_training()
        thresholds.check(scores)
        for job in (self.training(), *self.scoring(scores)):
            if job:
                job.settings.check()
        known = []
        if self.accuracy == "table":
            known.append(rewards.from_table(self.table, self.accuracy_column)[0])
        if latencies.kind == "column":
            known.append(rewards.latencies_of_table(self.table, latencies))
        for values in known:
            rewards.check_joined(values, self.architectures(), self.space, self.table)

    @property
    def needs_table(self) -> bool:
        """Whether accuracies or latencies stand in a table."""
        return self.accuracy == "table" or narrow(self, Latency).kind == "column"

    def architectures(self) -> list[str]:
        """As asked for; a number of architectures, of those of the table where one is needed."""
        among = self
        if self.needs_table and self.archs is None and not self.all:
            among = dataclasses.replace(self, archs=self.table)
        return among.choose(self.search_space(), self.seed)

    def training(self) -> Job | None:
        """What measures accuracies, if anything has to."""
        kept = self.output if self.checkpoint_seconds else "", self.checkpoint_seconds
        return TrainJob(narrow(self, Training), *kept) if self.accuracy == "train" else None

    def scores(self) -> Trained:
        """Which scores networks have, and after which training: on the images of --train_split, by --score_recipe."""
        shared = dataclasses.asdict(narrow(self, Networks)) | dataclasses.asdict(narrow(self, Extent))
        shared |= recipe_of("score_recipe", self.score_recipe) | {"train_split": self.train_split}
        return Trained(proxies=(*self.proxies, *proxies.SIZES), batch_size=self.score_batch_size, **shared)

    def scoring(self, scores: Trained) -> list[Job]:
        """What finds them."""
        return asked.jobs(scores, narrow(self, Sizes), self.output)

    def accuracy_record(self) -> str:
        """What records call the score that networks are ranked by: after most epochs, of many sizes the largest."""
        return asked.record_names(self.proxies[0], self.scores(), narrow(self, Sizes))[-1]


def run(config: Config) -> int:
    """Finds scores, accuracies and latencies, ranks, and says what is best."""
    import pandas as pd

    archs, codes, missing = config.architectures(), [], 0

    def records_of(job: Job) -> pd.DataFrame:
        nonlocal missing
        base.run(job, archs, config)
        frame = job.results(archs, config.output)
        for told in job.warnings(frame):
            print(f"warning: {told}", file=sys.stderr)
        codes.append(summary.tell(frame, config.output))
        missing += frame.attrs["asked"] - len(frame)
        return frame

    settings = narrow(config, Latency)
    if config.operations_out:
        operations.measure(settings, archs, config.operations_out)
    if settings.kind == "column":
        latencies = rewards.latencies_of_table(config.table, settings)
    else:
        job = LatencyJob(settings, config.output)
        latencies = rewards.from_records(records_of(job), job.name)
    asked_for = thresholds.filled(config.scores(), config.output, config.threads)
    scores = pd.concat([records_of(job) for job in config.scoring(asked_for)], ignore_index=True)
    # Parameters and FLOPs come with each job.
    scores = scores.drop_duplicates(["arch", "proxy", "repeat"])
    accuracies = _accuracies(config, scores, records_of)
    reward = narrow(config, Reward)
    ranking = rewards.rank(archs, accuracies.values, latencies, reward)
    if lacking := len(archs) - len(ranking):
        print(f"{lacking} of {len(archs)} networks lack an accuracy or a latency and are not ranked")
    if ranking.empty:
        return max(codes) if missing else app.FAILED
    report = f"{config.output}/report"
    rewards.write(ranking, accuracies, reward, settings.unit, report)
    rewards.show(ranking, accuracies, reward, settings.unit)
    found = rewards.compare(ranking, scores, accuracies, reward, seed=config.seed)
    for truth, told in found.items():
        evidence.write(told, f"{report}/{truth}")
    rewards.show_correlations(found)
    print(f"written to {report}: ranking.csv, front.png; correlations.csv and plots in {', '.join(found)}")
    return min(codes)


def _accuracies(config: Config, scores: pd.DataFrame, records_of: Callable[[Job], pd.DataFrame]) -> rewards.Accuracies:
    """What networks are ranked by."""
    if config.accuracy == "table":
        values, column = rewards.from_table(config.table, config.accuracy_column)
        return rewards.Accuracies(values, f"{column} of {config.table}")
    if job := config.training():
        summary.warn_of_shared(job.settings)
        name = "val_accuracy" if config.val_split else "test_accuracy"
        values = rewards.from_records(records_of(job), name) / 100
        return rewards.Accuracies(values, f"{name} after {config.to_recipe().epochs} epochs on {config.dataset}")
    name = config.accuracy_record()
    return rewards.Accuracies(rewards.from_records(scores, name), name, proxy=name)


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
