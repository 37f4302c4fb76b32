"""What a table knows of networks: their accuracies, with training-free scores as further features."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfnas.errors import InputError
from tfnas.predictor.graphs import Graphs

if TYPE_CHECKING:
    from etils import epath

    from spaces.base import Space


@dataclasses.dataclass(frozen=True)
class Known:
    """What a table knows.

    Attributes:
        space: of its architectures.
        archs: their strings, in their order, so that what is drawn does not depend on that of the file: N.
        graphs: the same as arrays, with scores as extras if there are any.
        accuracies: to learn from and to validate by, fractions [N].
        tests: to report, fractions [N].
        target: name of the accuracies.
        left_out: networks of the table that lack a score.
    """

    space: Space
    archs: list[str]
    graphs: Graphs
    accuracies: np.ndarray
    tests: np.ndarray
    target: str
    left_out: int = 0

    def without_scores(self) -> Known:
        """The same networks, of which nothing but the architecture is known."""
        return dataclasses.replace(self, graphs=self.graphs.with_extras(np.zeros((len(self.archs), 0))))

    def flat(self, rows: np.ndarray | slice) -> np.ndarray:
        """Flat encodings with extras behind, for baselines: [n, d]."""
        places = np.arange(len(self.archs))[rows]
        codes = np.stack([self.space.encode(self.space.parse(self.archs[place])) for place in places])
        return np.hstack([codes, self.graphs.extras[places]])


def read_table(path: epath.PathLike, target: str, test_target: str, space_name: str) -> Known:
    """What a table knows; rows without an accuracy are left out.

    Args:
        path: file, or name of an embedded table.
        target: column of accuracies; "" where only one can be meant.
        test_target: column to report; "" for the same.
        space_name: of its architectures; "" for the one that the table names, or that has them all.

    Raises:
        InputError: no such table or column, no accuracies, several units, an architecture with several accuracies or of
            another space.
    """
    import spaces
    from tfnas import evidence
    from tfnas.evidence import units

    frame = evidence.load_truth(path, target=target)
    target = frame.attrs["target"]
    tested = test_target or target
    if tested != target:
        tests = evidence.load_truth(path, target=tested)[tested]
        if len(tests) == len(frame):
            frame = frame.assign(**{tested: tests})
    recorded = units.recorded(path)
    values = [units.percent(frame[name], recorded.get(name, ""), f"{name} of {path}") for name in (target, tested)]
    there = values[0].notna() & values[1].notna()
    values = [series[there].to_numpy(np.float64) / 100 for series in values]
    for series, name in zip(values, (target, tested), strict=True):
        outside = series[(series < 0) | (series > 1 + 1e-6)]
        if len(outside):
            raise InputError(
                f"{name} of {path} is no accuracy: {len(outside)} of {len(series)} values lie outside. "
                f"Received: {100 * outside[0]:.6g}. Allowed: 0 to 100 percent, or fractions"
            )
    archs = frame.index[there].astype(str).tolist()
    if not archs:
        raise InputError(f"{path} has no accuracies. Received: {target}, {tested}")
    space = spaces.get(space_name) if space_name else spaces.of_table(path, archs)
    order = sorted(range(len(archs)), key=archs.__getitem__)
    archs = [archs[row] for row in order]
    graphs = space.features(archs)
    return Known(space, archs, graphs, *(series[order] for series in values), target)


def with_scores(
    known: Known, places: str | Sequence[str], names: Sequence[str], where: Mapping[str, str] | None = None
) -> Known:
    """With training-free scores as features; architectures without all of them are left out.

    A score counts by its rank among these architectures, from 0 to 1, equal ones the mean of theirs: scores span many
    orders of magnitude, and all candidates have theirs before any network is trained. -inf and inf are the lowest and
    the highest rank.

    Args:
        known: of a table.
        places: one or several of those of `evidence.load_scores`: folders of records, atlas:NAME, files.
        names: of the proxies; all by default.
        where: values of settings that scores must have.

    Raises:
        InputError: as `evidence.load_scores`, or no architecture has all scores.
    """
    from tfnas import evidence

    averaged = evidence.average(evidence.load_scores(places, proxies=names, where=where))
    wide = averaged.pivot(index="arch", columns="proxy", values="score").reindex(known.archs)
    values = wide.to_numpy(np.float64)
    rows = np.flatnonzero(~np.isnan(values).any(axis=1))
    if not len(rows):
        raise InputError(f"No architecture of the table has all of the scores. Received: {', '.join(wide.columns)}")
    from scipy import stats

    ranks = (stats.rankdata(values[rows], axis=0) - 0.5) / len(rows)
    return dataclasses.replace(
        known,
        archs=[known.archs[row] for row in rows],
        graphs=known.graphs.take(rows).with_extras(ranks),
        accuracies=known.accuracies[rows],
        tests=known.tests[rows],
        left_out=len(known.archs) - len(rows),
    )
