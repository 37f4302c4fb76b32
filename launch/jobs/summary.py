"""What launchers say when a job is done: how much is there, what failed, what is missing, and what to do next."""

from __future__ import annotations

import collections
import shlex
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import proxies
from launch.app import FAILED
from tfnas.runs.records import FAILURES

if TYPE_CHECKING:
    import pandas as pd


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
    networks = frame.groupby(["arch", "repeat"]).seconds.sum()
    pace = f"; {networks.mean():.2f} s a network" if len(networks) else ""
    print(
        f"{len(frame)} records ({statuses or 'none'}) of {frame.arch.nunique()} architectures and "
        f"{frame.proxy.nunique()} proxies in {folder}{pace}"
    )
    for line in failures(frame):
        print(line)
    failed = frame.status.isin(FAILURES)
    if failed.any():
        print(f"  {failed.sum()} failed; the same command with --retry computes them again")
    if missing := frame.attrs["asked"] - len(frame):
        print(f"  {missing} of {frame.attrs['asked']} records are missing: other shards, or runs that were stopped")
    scores = ~frame.proxy.isin(proxies.SIZES)
    return FAILED if len(frame) and failed[scores if scores.any() else slice(None)].all() else 0


def failures(frame: pd.DataFrame) -> Iterable[str]:
    """A line for each of the most frequent kinds of records without a score."""
    bad = frame[frame.status != "ok"]
    kinds = collections.Counter(zip(bad.proxy, bad.status, bad.message, strict=True))
    for (proxy, status, message), count in kinds.most_common(5):
        yield f"  {proxy}: {count} {status}" + (f" ({message})" if message else "")


def next_step(scores: str, table: str = "TABLE") -> str:
    """The command that compares scores with known accuracies."""
    paths = f"--scores={shlex.quote(scores)} --table={shlex.quote(table)} --output={shlex.quote(f'{scores}/evidence')}"
    return f"next: python -m launch.correlate {paths}"
