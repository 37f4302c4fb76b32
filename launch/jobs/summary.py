"""What launchers say when a job is done: how much is there, what failed, what is missing, and what to do next."""

from __future__ import annotations

import collections
import shlex
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

import proxies
from launch.app import FAILED
from launch.flags.training import ACCURACIES
from launch.jobs.after import parse_after
from tfnas import tables
from tfnas.errors import InputError
from tfnas.runs.records import FAILURES

if TYPE_CHECKING:
    import pandas as pd

    from launch.flags.inference import Inference
    from launch.flags.training import Training


def tell(frame: pd.DataFrame, folder: str) -> int:
    """Prints a line of totals and lines for skipped files, failures and missing records.

    Args:
        frame: of `Job.results`.
        folder: where the records are.

    Returns:
        Exit code: 1 where all scores that were asked for failed (sizes, which cost nothing, aside), else 0.
    """
    for line in frame.attrs["skipped"]:
        print(f"skipped {line}", file=sys.stderr)
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(collections.Counter(frame.status).items()))
    pace = f"; {seconds(frame).mean():.2f} s a network" if len(frame) else ""
    print(
        f"{len(frame)} records ({statuses or 'none'}) of {frame.arch.nunique()} architectures and "
        f"{frame.proxy.nunique()} proxies in {folder}{pace}"
    )
    for line in failures(frame):
        print(line)
    if same := indifferent(frame):
        print(f"  {', '.join(same)}: the same score for all networks, which says nothing about them")
    failed = frame.status.isin(FAILURES)
    if failed.any():
        print(f"  {failed.sum()} failed; the same command with --retry computes them again")
    if missing := frame.attrs["asked"] - len(frame):
        print(f"  {missing} of {frame.attrs['asked']} records are missing: other shards, or runs that were stopped")
    scores = ~frame.proxy.isin(proxies.SIZES)
    return FAILED if len(frame) and failed[scores if scores.any() else slice(None)].all() else 0


def seconds(frame: pd.DataFrame) -> pd.Series:
    """Of each network and repeat what its records took together.

    What is measured of one training has the seconds of all of it so far: of these the most count, once.
    """
    trainings = {*proxies.names("training"), *proxies.names("stages"), *ACCURACIES}
    of_training = [parse_after(name.partition("_epoch")[0])[0] in trainings for name in frame.proxy]
    of = frame.assign(work=frame.index.where(~np.array(of_training, bool), -1))
    return of.groupby(["arch", "repeat", "work"]).seconds.max().groupby(["arch", "repeat"]).sum()


def of_shared(settings: Inference | Training) -> list[str]:
    """A line for each split with images that networks learn from as well."""
    return [
        f"--train_split={settings.train_split} and --{flag} share {count} images; accuracies are not those of images "
        "held out"
        for flag, count in settings.shared_images().items()
    ]


def warn_of_shared(settings: Inference | Training) -> None:
    """Warns on stderr where images that networks learn from also tell how accurate they are."""
    for line in of_shared(settings):
        print(f"warning: {line}", file=sys.stderr)


def failures(frame: pd.DataFrame) -> Iterable[str]:
    """A line for each of the most frequent kinds of records without a score."""
    bad = frame[frame.status != "ok"]
    kinds = collections.Counter(zip(bad.proxy, bad.status, bad.message, strict=True))
    for (proxy, status, message), count in kinds.most_common(5):
        yield f"  {proxy}: {count} {status}" + (f" ({message})" if message else "")


def indifferent(frame: pd.DataFrame) -> list[str]:
    """Proxies with one and the same score for all of three networks or more."""
    scored = frame[(frame.status == "ok") & ~frame.proxy.isin(proxies.SIZES)]
    found = scored.groupby("proxy", sort=False).agg({"arch": "nunique", "score": "nunique"})
    return found.index[(found.arch >= 3) & (found.score == 1)].tolist()


def next_step(frame: pd.DataFrame, scores: str, table: str = "") -> str:
    """What to do with the scores: the command that compares them with known accuracies, or how to get these.

    Args:
        frame: of `Job.results`.
        scores: folder of the records.
        table: that may have the accuracies; embedded ones of the same data set are looked at after it.
    """
    for name in filter(None, (table, *tables.embedded_names())):
        if _knows(name, frame, embedded=name != table):
            command = ["python", "-m", "launch.correlate", f"--scores={scores}", f"--table={name}"]
            return "next: " + shlex.join([*command, f"--output={scores}/evidence"])
    return (
        "next: python -m launch.correlate --help tells how to compare scores with accuracies; import a table of them "
        "with launch.prepare, or measure them with launch.train --table_out"
    )


def _knows(name: str, frame: pd.DataFrame, *, embedded: bool) -> bool:
    """Whether a table has an accuracy of all architectures; an embedded one, of their data set."""
    from tfnas import evidence

    try:
        if embedded and tables.read(name).facts.get("dataset") not in set(frame.dataset):
            return False
        return not frame.empty and set(frame.arch) <= set(evidence.load_truth(name).index)
    except InputError:
        return False
