"""What is made of accuracies, latencies and scores of the same networks: a ranking by reward, and what scores tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from launch.flags.latency import THROUGHPUT, Latency, Reward
from launch.jobs import evidence as jobs
from tfnas.errors import InputError
from tfnas.latency import rewards

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 1000
# What scores are compared with: columns of the ranking.
TRUTHS = ("accuracy", "reward")


@dataclasses.dataclass(frozen=True)
class Accuracies:
    """How good networks are.

    Attributes:
        values: by architecture; fractions where they are accuracies.
        name: where they come from.
        proxy: the score that they are, "" where they are none.
    """

    values: pd.Series
    name: str
    proxy: str = ""


def from_records(frame: pd.DataFrame, name: str) -> pd.Series:
    """Scores of one name by architecture, averaged over repeats; those that failed are left out.

    Args:
        frame: of `Job.results`.
        name: of the record, "test_accuracy".
    """
    found = frame[(frame.proxy == name) & (frame.status == "ok")]
    return found.groupby("arch").score.mean()


def from_table(path: str, column: str) -> tuple[pd.Series, str]:
    """Accuracies of a table by architecture, as fractions, and the name of their column.

    Raises:
        InputError: as `evidence.load_truth`: the column is not clear, or mixes percent and fractions.
    """
    from tfnas import evidence
    from tfnas.evidence.units import FRACTION, PERCENT

    frame = evidence.load_truth(path, target=column)
    name, unit = frame.attrs["target"], frame.attrs["unit"]
    values = frame[name].astype(float).dropna()
    return (rewards.fractions(values, unit, name) if unit in (PERCENT, FRACTION) else values), name


def check_joined(values: pd.Series, archs: Sequence[str], space: str, path: str) -> None:
    """Refuses values of a table that would be joined with nothing because they are keyed in another form.

    Args:
        values: by architecture as the table writes it.
        archs: in the form of their space.
        space: its name.
        path: of the table, for the message.

    Raises:
        InputError: some of `archs` have no value, and rows hold none of the space in its own form.
    """
    from spaces import importers

    if set(archs) - set(values.index) and (wrong := importers.strays(list(values.index), space)):
        raise InputError(f"{path}: {wrong}")


def latencies_of_table(path: str, settings: Latency) -> pd.Series:
    """Milliseconds for one image by architecture, of a column of latencies or of images a second.

    Raises:
        InputError: no such column, no numbers in it, or an architecture has several.
    """
    import numpy as np
    import pandas as pd

    from tfnas import tables

    column = settings.column
    frame = tables.load(path, columns=[column]).dropna().drop_duplicates()
    if not pd.api.types.is_numeric_dtype(frame[column]):
        raise InputError(f"{column} of {path} has no numbers. Received: {frame[column].iloc[0]!r}")
    values = frame.set_index("arch")[column].astype(float)
    if values.index.has_duplicates:
        first = values.index[values.index.duplicated()][0]
        raise InputError(f"{path} has several values of {column} for {first!r}")
    if (wrong := values[~((values > 0) & np.isfinite(values))]).size:
        raise InputError(
            f"{column} of {path} must be finite and above 0. Received: {wrong.iloc[0]:g} for {wrong.index[0]!r}"
        )
    return 1000 / values if settings.latency.startswith(THROUGHPUT) else values


def rank(archs: Sequence[str], accuracy: pd.Series, latency: pd.Series, settings: Reward) -> pd.DataFrame:
    """Networks by reward, best first; ties in the order given.

    Args:
        archs: those to rank, without what has no accuracy or latency.
        accuracy: by architecture.
        latency: by architecture, in the unit of the target.
        settings: how both become a reward.

    Returns:
        Columns reward, accuracy, latency, front (no other network beats it in both), indexed by architecture.

    Raises:
        InputError: as `rewards.reward`.
    """
    import pandas as pd

    index = pd.Index(archs, name="arch")
    frame = pd.DataFrame({"accuracy": accuracy.reindex(index), "latency": latency.reindex(index)}).dropna()
    values = frame.accuracy.to_numpy(), frame.latency.to_numpy()
    frame.insert(0, "reward", rewards.reward(*values, settings.target, form=settings.reward, w=settings.w))
    frame["front"] = rewards.front(*values)
    return frame.sort_values("reward", ascending=False, kind="stable")


def write(ranking: pd.DataFrame, accuracies: Accuracies, settings: Reward, unit: str, folder: str) -> None:
    """Writes ranking.csv and front.png.

    Args:
        ranking: of `rank`.
        accuracies: what was ranked.
        settings: how.
        unit: of the latencies.
        folder: for both.
    """
    from etils import epath

    from tfnas import files
    from tfnas.evidence import plots
    from tfnas.latency import plots as latency_plots

    output = epath.Path(folder)
    files.write_atomic(output / "ranking.csv", ranking.to_csv(float_format="%.8g").encode())
    labels = {"accuracy_label": accuracies.name, "latency_label": f"latency ({unit})"}
    figure = latency_plots.front(ranking, target=settings.target, k=settings.top_k, **labels)
    plots.save(figure, output / "front.png")


def show(ranking: pd.DataFrame, accuracies: Accuracies, settings: Reward, unit: str) -> None:
    """Prints the top k and the Pareto front, then the architectures of their numbers."""
    from tfnas.evidence import report

    console = report.console()
    numbered = ranking.assign(place=range(1, len(ranking) + 1))
    best = numbered.head(settings.top_k)
    front = numbered[numbered.front].sort_values("latency")
    console.print(f"{len(ranking)} networks, reward {settings.reward} with w = {settings.w:g}: {accuracies.name}")
    target = f"target {settings.target:.6g} {unit}"
    console.print(_table(f"top {len(best)} by reward, {target}; * on the Pareto front", best, unit))
    console.print(_table(f"Pareto front, {len(front)} of {len(ranking)} networks, fastest first", front, unit))
    for row in numbered[(numbered.place <= settings.top_k) | numbered.front].itertuples():
        console.print(f"{row.place}: {row.Index}", soft_wrap=True, markup=False)


def _table(title: str, rows: pd.DataFrame, unit: str) -> object:
    from tfnas.evidence.report import Column, Folding

    cells = [f"{place}{'*' * front}" for place, front in zip(rows.place, rows.front, strict=True)]
    columns = [Column("place", cells)]
    for heading, values, digits in (
        ("reward", rows.reward, 5),
        ("accuracy", rows.accuracy, 5),
        (f"latency ({unit})", rows.latency, 6),
    ):
        columns.append(Column(heading, [f"{value:.{digits}g}" for value in values]))
    return Folding(title, columns, file="ranking.csv")


def compare(
    ranking: pd.DataFrame, scores: pd.DataFrame, accuracies: Accuracies, settings: Reward, *, seed: int
) -> dict[str, jobs.Evidence]:
    """How well scores rank networks by accuracy and by reward; a score that is the accuracy, by reward alone.

    Args:
        ranking: of `rank`.
        scores: long frame of records.
        accuracies: what was ranked.
        settings: of the reward.
        seed: of the resamples.

    Returns:
        Evidence by name of `TRUTHS`.
    """
    found = {}
    for truth in TRUTHS:
        table = ranking[list(TRUTHS)]
        table.attrs = {"target": truth}
        told = scores[scores.proxy != accuracies.proxy] if truth == "accuracy" else scores
        found[truth] = jobs.compare(told, table, k=settings.top_k, resamples=RESAMPLES, seed=seed)
    return found


def show_correlations(found: Mapping[str, jobs.Evidence]) -> None:
    """Prints Kendall's and Pearson's correlation of every score with accuracy and reward, and what was left out."""
    from tfnas.evidence import report

    console = report.console()
    by_reward = found["reward"].summary
    columns = [report.Column("score", by_reward.proxy.tolist(), is_text=True)]
    columns.append(report.Column("n", [str(n) for n in by_reward.n]))
    for truth, evidence in found.items():
        values = evidence.summary.set_index("proxy").reindex(by_reward.proxy)
        for name, heading in (("kendall", "tau"), ("pearson", "r")):
            columns.append(report.Column(f"{heading}, {truth}", [report.number(value) for value in values[name]]))
    title = "Kendall tau-b and Pearson r of scores with accuracy and reward (intervals: correlations.csv)"
    console.print(report.Folding(title, columns, file="correlations.csv"))
    for line in report.left_out(by_reward):
        console.print(line)
