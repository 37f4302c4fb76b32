"""Train architectures for a few epochs and record how accurate they become.

Examples:
    python -m launch.train --num_archs=4 --epochs=2 --width=16 --depth=1 --nocrop --output=output/train
    python -m launch.train --archs=nasbench201_digits --repeats=2 --table_out=table.parquet --output=output/train

Records hold test_accuracy, train_accuracy (over the last epoch) and, with --val_split, val_accuracy, in percent. The
same command started again goes on where it was stopped; --shard splits the work. --table_out writes the means over
repeats, with parameters, FLOPs and seconds, as a table that launch.correlate reads.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import math
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from launch import app
from launch.architectures import choose, in_shard, parse_shard
from launch.networks import Networks
from tfnas import environment, seeds, training
from tfnas.errors import InputError
from tfnas.evidence import statistics
from tfnas.progress import Progress
from tfnas.runs import records

if TYPE_CHECKING:
    import pandas as pd

    from tfnas.networks.graph import Graph

_RECIPE = training.Recipe()
_PROVENANCE = "trained by tfnas (launch.train)"


@dataclasses.dataclass(frozen=True)
class Config(Networks):
    """What is trained, on what, and how."""

    train_split: str = app.flag("train", "split to train on, in the notation of TFDS: train[:400] is its first 400")
    val_split: str = app.flag("", "split for val_accuracy, e.g. train[400:] (none by default)")
    test_split: str = app.flag("", "split for test_accuracy (the data set's own by default)")
    repeats: int = app.flag(1, "independent trainings of each architecture")
    epochs: int = app.flag(_RECIPE.epochs, "passes over the training split")
    batch_size: int = app.flag(_RECIPE.batch_size, "images a step; what fills no batch is dropped")
    learning_rate: float = app.flag(_RECIPE.learning_rate, "at the start")
    schedule: str = app.flag(_RECIPE.schedule, "of the learning rate", choices=training.SCHEDULES)
    momentum: float = app.flag(_RECIPE.momentum, "of Nesterov's method")
    weight_decay: float = app.flag(_RECIPE.weight_decay, "L2, on every trainable parameter")
    label_smoothing: float = app.flag(_RECIPE.label_smoothing, "share of the target spread over all classes")
    flip: bool = app.flag(_RECIPE.flip, "mirror training images at random")
    crop: int = app.flag(_RECIPE.crop, "pixels of padding for random crops; 0 is no crop")
    table_out: str = app.flag("", "also write the means over repeats as a table (.parquet)")
    provenance: str = app.flag("", "where the table says that its numbers come from")

    def check(self) -> None:
        """Everything that can be known to be wrong before the first training.

        Raises:
            InputError: for any of it.
        """
        from tfnas import data

        if self.repeats < 1:
            raise InputError(f"--repeats must be at least 1. Received: {self.repeats}")
        if self.table_out and not self.table_out.endswith(".parquet"):
            raise InputError(f"--table_out is a .parquet file. Received: {self.table_out!r}")
        self.recipe()
        super().check()
        app.start_tensorflow()
        sizes = [data.split_size(self.dataset, s, data_dir=self.data_dir or None) for s in self.splits() if s]
        training.check_size(sizes[0], self.recipe())

    def recipe(self) -> training.Recipe:
        names = [field.name for field in dataclasses.fields(training.Recipe)]
        return training.Recipe(**{name: getattr(self, name) for name in names})

    def splits(self) -> tuple[str, str, str]:
        """Splits for training, validation ("" for none) and test."""
        from tfnas import data

        return self.train_split, self.val_split, self.test_split or data.info(self.dataset).splits[1]

    def measures(self) -> list[str]:
        """Names of the accuracies recorded."""
        return ["test_accuracy", "train_accuracy"] + ["val_accuracy"] * bool(self.val_split)


def run(config: Config) -> None:
    """Trains what the config asks for and is not in the records yet; writes the table."""
    architectures = choose(config)
    train(config, architectures)
    frame = results(config, architectures)
    for line in frame.attrs["skipped"]:
        print(f"skipped {line}", file=sys.stderr)
    means = frame[frame.status == "ok"].groupby("proxy").score.agg(["count", "mean", "min", "max"])
    print(means.to_string(float_format="{:.2f}".format))
    print(f"{frame.arch.nunique()} architectures in {config.output}")
    if config.table_out:
        write_table(config, architectures, frame)


def train(config: Config, architectures: Sequence[str]) -> None:
    """Trains architectures of this shard into `config.output`, leaving out what is there already."""
    index, count = parse_shard(config.shard)
    shard = [arch for arch in architectures if in_shard(arch, index, count)]
    known = records.done(config.output)
    jobs = {
        arch: [r for r in range(config.repeats) if not {x.key for x in _records(config, arch, r)} <= known]
        for arch in shard
    }
    left = sum(map(len, jobs.values()))
    if left == 0:
        return
    total = len(shard) * config.repeats
    splits = _load(config)
    with (
        records.Writer(config.output, f"{index}of{count}") as writer,
        Progress("trainings", total, done=total - left) as bar,
    ):
        for arch, repeats in jobs.items():
            for record in _train_one(config, arch, repeats, splits) if repeats else ():
                writer.add(record)
                bar.advance()


def _train_one(
    config: Config, arch: str, repeats: list[int], splits: dict[str, training.Arrays]
) -> Iterator[list[records.Record]]:
    """The records of each repeat. The network is built and traced once; a repeat starts from weights of its own."""
    import keras

    from tfnas import data
    from tfnas.networks import keras_model, weights

    graph = _graph(config, arch)
    model = trainer = None
    versions = {f"{name}_version": environment.version(name) for name in ("tfnas", "tensorflow", "keras")}
    for repeat in repeats:
        # As in NAS-Bench-201, all architectures are trained with the same seeds: the same order of images and the same
        # stream of initial weights, so that chance divides them less. Scores take seeds of their own.
        seed = seeds.derive_seed(config.seed, "train", repeat)
        initial = weights.initialize(graph, config.scheme(), seed)
        if trainer is None:
            model = keras_model.to_keras(graph, initial)
            trainer = training.Trainer(model, config.recipe(), black=data.info(config.dataset).black)
        training.assign(model, initial)
        epochs = list(trainer.run(splits["train"], seed=seed))
        found = {"train_accuracy": epochs[-1].train_accuracy}
        found |= {f"{name}_accuracy": trainer.evaluate(splits[name]) for name in ("test", "val") if name in splits}
        seconds = sum(epoch.seconds for epoch in epochs)
        finite = math.isfinite(epochs[-1].train_loss)
        yield [
            dataclasses.replace(
                record,
                score=100 * found[record.proxy] if finite else math.nan,
                status="ok" if finite else "nan",
                message="" if finite else "the training diverged",
                seconds=seconds,
                device=environment.device(),
                **versions,
            )
            for record in _records(config, arch, repeat)
        ]
    # Keras keeps every layer's symbolic tensors until told otherwise.
    keras.backend.clear_session()


def results(config: Config, architectures: Sequence[str]) -> pd.DataFrame:
    """The records in `config.output` that this config asks for, and no others."""
    keys = {
        record.key
        for arch in architectures
        for repeat in range(config.repeats)
        for record in _records(config, arch, repeat)
    }
    frame = records.read(config.output)
    wanted = [key in keys for key in frame[list(records.KEY)].itertuples(index=False, name=None)]
    return frame[wanted].reset_index(drop=True)


def write_table(config: Config, architectures: Sequence[str], frame: pd.DataFrame) -> None:
    """Writes one row per architecture: mean accuracies over repeats, those of each repeat, params, flops, seconds.

    The mean test accuracy is the column "accuracy", which is what launch.correlate ranks by unless told otherwise.

    Raises:
        InputError: trainings are missing (other shards) or diverged.
    """
    import pandas as pd

    from tfnas import tables

    wanted = len(architectures) * config.repeats * len(config.measures())
    if (ok := int((frame.status == "ok").sum())) < wanted:
        raise InputError(f"--table_out needs all trainings. Received: {ok} of {wanted} records; run the other shards")
    rows = []
    for arch in architectures:
        graph, mine = _graph(config, arch), frame[frame.arch == arch]
        row: dict[str, Any] = {"arch": arch}
        for name in config.measures():
            scores = mine[mine.proxy == name].sort_values("repeat").score
            row["accuracy" if name == "test_accuracy" else name] = scores.mean()
            row |= {f"{name}_{repeat}": value for repeat, value in enumerate(scores)}
        seconds = mine.groupby("repeat").seconds.first()
        rows.append(row | {"params": graph.count_params(), "flops": graph.flops(), "train_seconds": seconds.mean()})
    values = pd.DataFrame(rows)
    units = {column: "percent" for column in values if "accuracy" in column}
    units |= {"params": "count", "flops": "multiply-adds", "train_seconds": "seconds"}
    table = tables.Table(values, units, config.provenance or _PROVENANCE, config.space, _facts(config, frame))
    tables.write(table, config.table_out)
    print(f"wrote {config.table_out}: {len(values)} architectures")


def _facts(config: Config, frame: pd.DataFrame) -> dict[str, str]:
    """What a reader of the table needs to judge it, or to make it again."""
    facts = {
        "dataset": config.dataset,
        "command": shlex.join(["python", "-m", "launch.train", *sys.argv[1:]]),
        "config": json.dumps(dataclasses.asdict(config), sort_keys=True),
        "recipe": json.dumps(dataclasses.asdict(config.recipe()), sort_keys=True),
        "hardware": "; ".join(sorted(set(frame.device))),
        "cores": str(environment.usable_cores()),
        "date": datetime.date.today().isoformat(),
    }
    facts |= {name: "; ".join(sorted(set(frame[name]))) for name in frame if name.endswith("_version")}
    scores = frame[frame.proxy == "test_accuracy"].pivot(index="arch", columns="repeat", values="score")
    if config.repeats > 1:
        # No score can be expected to rank much better than the trainings rank each other.
        pairs = itertools.combinations(range(config.repeats), 2)
        taus = [statistics.kendall(scores[i], scores[j]) for i, j in pairs]
        facts["kendall_between_repeats"] = f"{sum(taus) / len(taus):.3f}"
    return facts


def _records(config: Config, arch: str, repeat: int) -> list[records.Record]:
    """The records of a training that is still to come: all of their key, none of their values."""
    network = config.network()
    train_split, val_split, test_split = config.splits()
    options = dataclasses.asdict(config.recipe())
    options |= {"train_split": train_split, "classes": network.classes, "input_shape": network.input_shape}
    read = {"train_accuracy": train_split, "val_accuracy": val_split, "test_accuracy": test_split}
    return [
        records.Record(
            space=config.space,
            arch=arch,
            dataset=config.dataset,
            proxy=name,
            score=math.nan,
            seed=config.seed,
            repeat=repeat,
            init=config.scheme(),
            bn="batch",
            batch_size=config.batch_size,
            width=network.width,
            depth=network.depth,
            flavour=network.flavour,
            options=records.dump_options(options | {"split": read[name]}),
        )
        for name in config.measures()
    ]


def _graph(config: Config, arch: str) -> Graph:
    import spaces

    space = spaces.get(config.space)
    return space.layer_graph(space.parse(arch), **dataclasses.asdict(config.network()))


def _load(config: Config) -> dict[str, training.Arrays]:
    from tfnas import data

    splits = zip(("train", "val", "test"), config.splits(), strict=True)
    folder = config.data_dir or None
    return {name: data.load(config.dataset, split, data_dir=folder) for name, split in splits if split}


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
