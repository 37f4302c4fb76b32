"""Trainings of architectures as a table of known accuracies."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfnas import environment
from tfnas.errors import InputError
from tfnas.evidence import statistics

if TYPE_CHECKING:
    import pandas as pd

    from launch.flags.training import Training

_PROVENANCE = "trained by tfnas (launch.train)"


def write(
    settings: Training, architectures: Sequence[str], frame: pd.DataFrame, path: str, *, config: Any, provenance: str
) -> None:
    """Writes one row per architecture: mean accuracies over repeats, those of each repeat, params, flops, seconds.

    The mean test accuracy is the column "accuracy", which is what launch.correlate ranks by unless told otherwise.

    Args:
        settings: of the trainings.
        architectures: all of the table.
        frame: their records.
        path: of the table.
        config: the launcher's, which the table keeps.
        provenance: where the numbers come from, "" for this launcher.

    Raises:
        InputError: trainings are missing (other shards) or diverged.
    """
    import pandas as pd

    from tfnas import tables

    wanted = len(architectures) * settings.repeats * len(settings.measures())
    if (ok := int((frame.status == "ok").sum())) < wanted:
        raise InputError(f"--table_out needs all trainings. Received: {ok} of {wanted} records; run the other shards")
    rows = []
    for arch in architectures:
        graph, mine = settings.layer_graph(arch), frame[frame.arch == arch]
        row: dict[str, Any] = {"arch": arch}
        for name in settings.measures():
            scores = mine[mine.proxy == name].sort_values("repeat").score
            row["accuracy" if name == "test_accuracy" else name] = scores.mean()
            row |= {f"{name}_{repeat}": value for repeat, value in enumerate(scores)}
        seconds = mine.groupby("repeat").seconds.first()
        rows.append(row | {"params": graph.count_params(), "flops": graph.flops(), "train_seconds": seconds.mean()})
    values = pd.DataFrame(rows)
    units = {column: "percent" for column in values if "accuracy" in column}
    units |= {"params": "count", "flops": "multiply-adds", "train_seconds": "seconds"}
    table = tables.Table(values, units, provenance or _PROVENANCE, settings.space, _facts(settings, config, frame))
    tables.write(table, path)
    print(f"wrote {path}: {len(values)} architectures")


def _facts(settings: Training, config: Any, frame: pd.DataFrame) -> dict[str, str]:
    """What a reader of the table needs to judge it, or to make it again."""
    facts = {
        "dataset": settings.dataset,
        "command": shlex.join(["python", "-m", "launch.train", *sys.argv[1:]]),
        "config": json.dumps(dataclasses.asdict(config), sort_keys=True),
        "recipe": json.dumps(dataclasses.asdict(settings.to_recipe()), sort_keys=True),
        "hardware": "; ".join(sorted(set(frame.device))),
        "cores": str(environment.usable_cores()),
        "date": datetime.date.today().isoformat(),
    }
    facts |= {name: "; ".join(sorted(set(frame[name]))) for name in frame if name.endswith("_version")}
    scores = frame[frame.proxy == "test_accuracy"].pivot(index="arch", columns="repeat", values="score")
    if settings.repeats > 1:
        # No score can be expected to rank much better than the trainings rank each other.
        pairs = itertools.combinations(range(settings.repeats), 2)
        taus = [statistics.kendall(scores[i], scores[j]) for i, j in pairs]
        facts["kendall_between_repeats"] = f"{sum(taus) / len(taus):.3f}"
    return facts
