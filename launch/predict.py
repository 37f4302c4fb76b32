r"""Find good architectures by a predictor that learns from a few.

Examples:
    python -m launch.predict --table=nasbench201_digits --n_train=60 \
        --top_k=10 --repeats=4 --epochs=100 \
        --output=output/predict
    python -m launch.predict --table=nasbench101.parquet --threshold=91 \
        --n_train=172 --top_k=100 --repeats=16 --predictors=gcn,forest \
        --model=output/predictor.keras --output=output/predict101

Of the networks of a table, --n_train are drawn and learned from, all are
predicted, and the --top_k of them are validated: the best by --target is
reported with its --test_target, over --repeats draws, beside random search with
as many networks. The predictor of the first repeat is written to --model, and
scores architectures as --proxies=predictor:FILE of launch.score. Writes
repeats.csv, predictions.parquet (of the first repeat), cross_validation.csv and
plots; the same command started again goes on where it was stopped.

With --latency, networks of a space with published latencies are drawn within
--window as well, and the soft Pareto front of their predictions is written to
front.csv.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from launch import app
from launch.flags.networks import check_least, check_most
from launch.flags.predictors import AUTO, GCN, Predictors
from launch.jobs import prediction
from launch.jobs.base import narrow
from tfnas.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from launch.jobs.prediction import Known
    from tfnas.predictor.model import Predictor
    from tfnas.predictor.settings import Settings

_MOST = 1_000_000


@dataclasses.dataclass(frozen=True)
class Config(Predictors):
    """What is learned from, what predicts, and what is looked for."""

    table: str = app.path_flag(None, "known accuracies: name of an embedded table, or a CSV or Parquet file")
    output: str = app.path_flag(None, "folder for the results", writes="folder")
    target: str = app.flag("", "column to learn from and to validate by; may stay open if only one can be meant")
    test_target: str = app.flag("", "column to report of what is found (that of --target by default)")
    space: str = app.flag("", "search space of the table (the one that has its architectures by default)")
    n_train: int = app.flag(172, "networks to learn from")
    top_k: int = app.flag(100, "networks to validate, those with the best predictions")
    repeats: int = app.flag(10, "draws of the networks to learn from")
    splits: int = app.flag(10, "random splits of the cross-validation, a third held out (0: none)")
    seed: int = app.flag(0, "of draws, splits and weights")
    scores: str = app.path_flag("", "training-free scores as further features: a folder of records, or a file")
    proxies: tuple[str, ...] = app.flag((), "of --scores take these only")
    model: str = app.path_flag("", "write the gcn of the first repeat here, a file .keras", writes="file")
    latency: str = app.path_flag("", "latencies of layers, to draw networks by: the published table, or a linear model")
    window: tuple[float, ...] = app.flag((75.0, 85.0), "ms that networks are drawn within")
    candidates: int = app.flag(112_000, "networks to draw within --window")
    behind: int = app.flag(6, "the soft front keeps what beats the worst of so many that are just faster")

    def check(self) -> None:
        """Everything that can be known to be wrong before the first predictor.

        Raises:
            InputError: for any of it.
        """
        Predictors.check(self)
        check_least(self, n_train=1, top_k=1, repeats=1, splits=0, candidates=1, behind=1)
        check_most(self, repeats=_MOST, splits=1000, candidates=_MOST, behind=_MOST)
        if len(self.window) != 2 or not self.window[0] < self.window[1]:
            received = ",".join(map(str, self.window))
            raise InputError(f"--window takes a lower and an upper bound in ms. Received: {received}")
        if self.model:
            if not self.model.endswith(".keras"):
                raise InputError(f"--model is a file .keras. Received: {self.model}")
            if self.scores:
                raise InputError("A predictor that needs scores is not written. Received: both --model and --scores")
        if (self.model or self.latency) and GCN not in self.names():
            raise InputError(
                "--model and --latency need the gcn among --predictors. Received: " + ",".join(self.predictors)
            )
        if self.proxies and not self.scores:
            raise InputError("--proxies needs --scores. Received: none")
        known = self.known()
        if self.latency:
            if self.scores:
                raise InputError("What is drawn has no scores. Received: both --latency and --scores")
            known.space.latencies(self.latency)
        prediction.draw(known, self.n_train, 0, self.seed)
        if self.top_k > len(known.archs):
            raise InputError(
                f"The table has fewer networks. Received: --top_k={self.top_k}. Allowed: 1 to {len(known.archs)}"
            )
        if self.splits and self.n_train < 3:
            raise InputError(f"Cross-validation needs --n_train of 3 or more, or --splits=0. Received: {self.n_train}")
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
            found = prediction.read_table(self.table, self.target, self.test_target, self.space)
            if self.scores:
                found = prediction.with_scores(found, self.scores, self.proxies)
            self.__dict__["_known"] = found
        return found

    def digest(self) -> str:
        """Of all that changes a repeat."""
        known = self.known()
        data = [*known.archs, known.accuracies.tobytes().hex(), known.tests.tobytes().hex()]
        data += [known.graphs.extras.tobytes().hex()]
        fields = dataclasses.asdict(narrow(self, Predictors)) | {"n_train": self.n_train, "top_k": self.top_k}
        del fields["predictors"]
        parts = [repr(sorted(fields.items())), str(self.seed), *data]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def run(config: Config) -> None:
    """Learns, predicts, validates, and says what was found."""
    known = config.known()
    settings = _with_width(config, known)
    print(
        f"{len(known.archs)} networks of {known.space.name}, {known.target}: {config.n_train} to learn from, "
        f"{config.top_k} to validate, {config.repeats} repeats",
        flush=True,
    )
    if config.splits:
        _cross_validate(config, known, settings)
    found = _repeats(config, known, settings)
    _report(config, known, found)
    if config.model or config.latency:
        _use_first(config, known, settings)


def _with_width(config: Config, known: Known) -> Settings:
    """The settings of the gcn; the width of the first repeat's networks, where it is to be chosen."""
    settings = narrow(config, Predictors).settings()
    if config.width != AUTO or GCN not in config.names():
        return settings
    from tfnas.predictor import choosing

    rows = prediction.draw(known, config.n_train, 0, config.seed)
    chosen, table = choosing.choose_width(settings, known.graphs.take(rows), known.accuracies[rows], seed=config.seed)
    _write(config, "widths.csv", table)
    print(f"width {chosen.width}, 1.5 times the parameters of the one with the least error of held-out networks")
    return chosen


def _cross_validate(config: Config, known: Known, settings: Settings) -> None:
    import pandas as pd

    rows = prediction.draw(known, config.n_train, 0, config.seed)
    frames = []
    for name in config.names():
        cut = narrow(config, Predictors).cut() if name == GCN else None
        frame = prediction.cross_validation(name, settings, known, rows, config.splits, config.seed, cut)
        mean, spread = frame[["mse", "tau", "r2"]].mean(), frame[["mse", "tau", "r2"]].std(ddof=0)
        told = ", ".join(f"{key} {mean[key]:.3f} +- {spread[key]:.3f}" for key in mean.index)
        print(f"cross-validation of {name}: {told}", flush=True)
        frames.append(frame)
    _write(config, "cross_validation.csv", pd.concat(frames, ignore_index=True))


def _repeats(config: Config, known: Known, settings: Settings) -> pd.DataFrame:
    """A row for each repeat and predictor; what a file has already is not computed anew."""
    import json

    import pandas as pd
    from etils import epath

    path, digest = epath.Path(config.output) / "repeats.csv", config.digest()
    rows: list[dict[str, Any]] = []
    if path.exists():
        rows = pd.read_csv(path, dtype={"settings": str}).to_dict("records")
    done = {(row["predictor"], row["repeat"]) for row in rows if row["settings"] == digest}
    for name in (*config.names(), prediction.RANDOM):
        left = [repeat for repeat in range(config.repeats) if (name, repeat) not in done]
        for row in _searches(name, config, known, settings, left):
            row["picks"] = json.dumps([int(pick) for pick in row["picks"]])
            rows.append({"predictor": name, "settings": digest, **row})
            _write(config, "repeats.csv", pd.DataFrame(rows))
    frame = pd.DataFrame(rows)
    asked = (*config.names(), prediction.RANDOM)
    frame = frame[(frame.settings == digest) & (frame["repeat"] < config.repeats) & frame.predictor.isin(asked)]
    return frame.assign(picks=[json.loads(text) for text in frame.picks])


def _searches(
    name: str, config: Config, known: Known, settings: Settings, repeats: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """What repeats of one predictor find."""
    n_train, top_k, seed = config.n_train, config.top_k, config.seed
    cut = narrow(config, Predictors).cut()
    if name == prediction.RANDOM:
        for repeat in repeats:
            yield {"repeat": repeat, **prediction.random_search(known, n_train, top_k, repeat, seed)}
        return
    if name != GCN:
        codes = known.flat(slice(None)) if repeats else None
        for repeat in repeats:
            predicted = prediction.baseline(name, known, codes, n_train, repeat, seed)
            learned = prediction.draw(known, n_train, repeat, seed)
            yield {"repeat": repeat, **prediction.judged(known, predicted, learned, top_k)}
        return
    for start in range(0, len(repeats), prediction.TOGETHER):
        part = repeats[start : start + prediction.TOGETHER]
        predictor = prediction.train(settings, known, n_train, part, seed, cut)
        predicted = predictor.predict_graphs(known.graphs)
        for place, repeat in enumerate(part):
            learned = prediction.draw(known, n_train, repeat, seed)
            if not repeat:
                _write_predictions(config, known, predicted[:, place])
            yield {"repeat": repeat, **prediction.judged(known, predicted[:, place], learned, top_k, cut)}


def _write_predictions(config: Config, known: Known, predicted: np.ndarray) -> None:
    import io

    import pandas as pd
    from etils import epath

    from tfnas import files
    from tfnas.evidence import plots as saving
    from tfnas.predictor import plots

    buffer = io.BytesIO()
    pd.DataFrame({"arch": known.archs, "predicted": 100 * predicted}).to_parquet(buffer, index=False)
    files.write_atomic(epath.Path(config.output) / "predictions.parquet", buffer.getvalue())
    kept = predicted >= 0
    if kept.any():
        figure = plots.agreement(100 * predicted[kept], 100 * known.accuracies[kept], label=f"{known.target} (percent)")
        saving.save(figure, epath.Path(config.output) / "predictions.png")


def _report(config: Config, known: Known, found: pd.DataFrame) -> None:
    """Prints means over the repeats, and draws how they come about."""
    import numpy as np
    from etils import epath

    from tfnas.evidence import plots as saving
    from tfnas.predictor import plots

    best = prediction.oracle(known)
    for name, group in found.groupby("predictor", sort=False):
        told = [f"{key} {group[key].mean():.2f} +- {group[key].std(ddof=0):.2f}" for key in ("val", "test")]
        if "mse" in group and group["mse"].notna().any():
            told.append(f"mse {group['mse'].mean():.2f}, tau {group['tau'].mean():.3f} on networks not learned from")
        print(f"{name}: {', '.join(told)}")
    print(f"best by validation of all: val {best['val']:.2f}, test {best['test']:.2f}")
    lines = {
        name: 100 * known.tests[np.array([_stretched(picks, config.top_k) for picks in group.picks])]
        for name, group in found.groupby("predictor", sort=False)
    }
    figure = plots.curves(lines, n_train=config.n_train, best=best["test"], label="test accuracy (percent)")
    saving.save(figure, epath.Path(config.output) / "curves.png")
    print(f"written to {config.output}: repeats.csv, curves.png")


def _stretched(picks: list[int], count: int) -> list[int]:
    """Picks of fewer networks than asked for: the last one stays."""
    return (picks + picks[-1:] * count)[:count]


def _use_first(config: Config, known: Known, settings: Settings) -> None:
    """Writes the gcn of the first repeat, or the front that it predicts."""
    from etils import epath

    from tfnas.evidence import plots as saving
    from tfnas.predictor import model, plots

    first: Predictor = prediction.train(
        settings, known, config.n_train, [0], config.seed, narrow(config, Predictors).cut()
    )
    if config.model:
        model.save(first, config.model)
        print(f"written: {config.model}; python -m launch.score --proxies=predictor:{config.model} scores by it")
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
        _write(config, "front.csv", front)
        figure = plots.front(front.latency.to_numpy(), front.predicted.to_numpy())
        saving.save(figure, epath.Path(config.output) / "front.png")
        print(f"soft front: {len(front)} of {config.candidates} networks, written to {config.output}/front.csv")


def _write(config: Config, name: str, frame: pd.DataFrame) -> None:
    from etils import epath

    from tfnas import files

    files.write_atomic(epath.Path(config.output) / name, frame.to_csv(index=False).encode())


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
