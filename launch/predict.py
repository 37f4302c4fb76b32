r"""Find good architectures by a predictor that learns from a few.

Examples:
    python -m launch.predict --table=nasbench201_digits --n_train=60 \
        --top_k=10 --repeats=4 --epochs=100 \
        --output=output/predict
    python -m launch.predict --table=nasbench101.parquet --threshold=91 \
        --n_train=172 --top_k=100 --repeats=16 --predictors=gcn,forest \
        --model=output/predictor.keras --output=output/predict101
    python -m launch.predict --table=nb201.csv --target=cifar10_test_200 \
        --scores=scores.csv --compare=no_scores --n_train=43,86,172 \
        --repeats=20 --splits=0 --output=output/hybrid

Of the networks of a table, --n_train are drawn and learned from, all are
predicted, and the --top_k of the others are validated: the best of these by
--target is reported with its --test_target, over --repeats draws, beside random
search with as many networks. Several --n_train, and what --compare leaves out,
are compared in one table. The predictor of the first repeat is written to
--model, and scores architectures as --proxies=predictor:FILE of launch.score.
Writes repeats.csv, quality.csv, predictions.parquet (of the first repeat),
cross_validation.csv and plots; the same command started again goes on where it
was stopped. Of another command with the same --output the rows of repeats.csv
stay, and its other files are replaced or removed.

With --whole_space, every architecture of the space that the table lacks is
predicted as well, and written to whole_space.csv, the best first. With
--latency, networks of a space with published latencies are drawn within
--window, and the soft Pareto front of their predictions is written to
front.csv.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launch import app
from launch.flags.architectures import MOST
from launch.flags.learning import Front, Learning, check_gcn
from launch.flags.predictors import AUTO, GCN, Predictors
from launch.jobs import knowledge, prediction, telling
from launch.jobs.base import narrow
from launch.jobs.search_files import SearchFiles
from launch.jobs.searches import Searches
from launch.jobs.variants import variants
from launch.values import pairs
from tfnas.errors import InputError

if TYPE_CHECKING:
    from launch.jobs.knowledge import Known


@dataclasses.dataclass(frozen=True)
class Config(Learning, Front):
    """What is learned from, what predicts, and what is looked for."""

    output: str = app.path_flag(None, "folder for the results", writes="folder")
    model: str = app.path_flag("", "write the gcn of the first repeat here, a file .keras", writes="file")
    whole_space: bool = app.flag(False, "predict every architecture of the space that the table lacks as well")

    def check(self) -> None:
        """Everything that can be known to be wrong before the first predictor.

        Raises:
            InputError: for any of it.
        """
        Learning.check(self)
        Front.check(self)
        if self.model and not self.model.endswith(".keras"):
            raise InputError(f"--model is a file .keras. Received: {self.model}")
        if self.model and self.scores:
            raise InputError("A predictor that needs scores is not written. Received: both --model and --scores")
        check_gcn(self, "model", "latency", "whole_space")
        for flag in ("latency", "whole_space"):
            if getattr(self, flag) and self.scores:
                raise InputError(f"What the table lacks has no scores. Received: both --{flag} and --scores")
        known = self.known()
        if self.latency:
            known.space.latencies(self.latency)
        if self.whole_space and known.space.size > MOST:
            raise InputError(
                f"--whole_space is for spaces of up to {MOST} architectures. Received: {known.space.name}, which has "
                f"{known.space.size}"
            )
        for n_train in self.n_train:
            prediction.draw(known, n_train, 0, self.seed)
            if self.threshold and GCN in self.names():
                prediction.check_sides(known, n_train, self.repeats, self.splits, self.seed, self.threshold / 100)
        if self.top_k > len(known.archs):
            raise InputError(
                f"The table has fewer networks. Received: --top_k={self.top_k}. Allowed: 1 to {len(known.archs)}"
            )
        self.check_range(known)

    def check_range(self, known: Known) -> None:
        """Raises InputError for accuracies that the gcn cannot tell."""
        settings = narrow(self, Predictors).settings()
        if GCN in self.names() and len(outside := settings.outside(known.accuracies)):
            raise InputError(
                f"{len(outside)} of {len(known.accuracies)} accuracies lie outside --accuracy_range. "
                f"Received: {100 * outside[0]:.6g}. Allowed: {100 * settings.low:g} to {100 * settings.high:g} percent"
            )

    def known(self) -> Known:
        """The table, read once: checking flags and running both ask."""
        found = self.__dict__.get("_known")
        if found is None:
            found = knowledge.read_table(self.table, self.target, self.test_target, self.space)
            if self.scores:
                found = knowledge.with_scores(found, self.scores, self.proxies, pairs("where", self.where))
            self.__dict__["_known"] = found
        return found


def run(config: Config) -> None:
    """Learns, predicts, validates, and says what was found."""
    known = config.known()
    searches = Searches(narrow(config, Learning), known, SearchFiles(config.output))
    numbers = ", ".join(map(str, config.sizes()))
    searches.files.clear(
        {
            "quality.png": len(config.sizes()) > 1,
            "cross_validation.csv": config.splits > 0,
            "widths.csv": config.width == AUTO and GCN in config.names(),
            "front.csv": bool(config.latency),
            "front.png": bool(config.latency),
            "whole_space.csv": config.whole_space,
        }
    )
    print(
        f"{len(known.archs)} networks of {known.space.name}, {known.target}: {numbers} to learn from, "
        f"{config.top_k} to validate, {config.repeats} repeats",
        flush=True,
    )
    if known.left_out:
        print(f"left out, as they lack a score: {known.left_out} networks")
    if config.splits:
        telling.cross_validation(searches.cross_validate(), config.output)
    found = searches.repeats()
    telling.results(searches, found)
    if config.model or config.latency or config.whole_space:
        _use_first(config, searches)


def _use_first(config: Config, searches: Searches) -> None:
    """Writes the gcn of the first repeat, what it predicts of the whole space, the front that it predicts."""
    from etils import epath

    from tfnas.evidence import plots as saving
    from tfnas.predictor import model, plots

    known, n_train = searches.known, config.n_train[0]
    variant = next(one for one in variants(searches.asked, known) if one.predictor == GCN)
    first = prediction.train(searches.settings(variant), known, n_train, [0], config.seed, searches.cut(variant))
    if config.model:
        model.save(first, config.model)
        print(f"written: {config.model}; python -m launch.score --proxies=predictor:{config.model} scores by it")
    if config.whole_space:
        others = prediction.of_the_others(known, first)
        searches.files.write("whole_space.csv", others)
        best = "".join(f"\n  {row.predicted:.2f}  {row.arch}" for row in others.head(3).itertuples())
        print(
            f"{len(others)} networks that the table lacks, written to {config.output}/whole_space.csv; the best:{best}"
        )
    if config.latency:
        front = prediction.front_within(
            known,
            first,
            known.space.latencies(config.latency),
            count=config.candidates,
            window=config.window,
            behind=config.behind,
            seed=config.seed,
        )
        searches.files.write("front.csv", front)
        figure = plots.front(front.latency.to_numpy(), front.predicted.to_numpy())
        saving.save(figure, epath.Path(config.output) / "front.png")
        print(f"soft front: {len(front)} of {config.candidates} networks, written to {config.output}/front.csv")


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
