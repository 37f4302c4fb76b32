"""Searches that look accuracies up in a table: at random, and regularised evolution.

Source: Real et al. 2019 with the settings of Ying et al. 2019, which Wen et al. 2020 take over: a population of 50, the
best of 10 drawn from it has a child, the child replaces the oldest. Deviation: of a table that lacks most networks of
its space the child is the network nearest to the mutation that is not trained yet.
"""

from __future__ import annotations

import collections
import functools
from typing import TYPE_CHECKING

import numpy as np

from tfnas.progress import Progress

if TYPE_CHECKING:
    from spaces.base import Architecture, Space

POPULATION, TOURNAMENT = 50, 10


class Table:
    """Networks of a space that have an accuracy, found whichever way they are written.

    Args:
        space: of them.
        archs: their strings [N].
        keys: of isomorphic networks, by network, where the table has them; computed by default.
    """

    def __init__(self, space: Space, archs: list[str], keys: list[str] | None = None) -> None:
        self.space, self.archs = space, archs
        self._row: dict[str, int] = {}
        if keys is not None:
            self._row = {key: row for row, key in enumerate(keys)}
            return
        with Progress("networks of the table", len(archs)) as bar:
            for row, arch in enumerate(archs):
                self._row[self._key(space.parse(arch))] = row
                bar.advance()

    def _key(self, arch: Architecture) -> str:
        return self.space.canonical(arch) if self.space.merges_isomorphic else str(arch)

    def row(self, arch: Architecture) -> int | None:
        """The place of an architecture, or of one isomorphic to it."""
        return self._row.get(self._key(arch))

    def child(self, arch: Architecture, trained: np.ndarray, rng: np.random.Generator) -> tuple[int, Architecture]:
        """(row, architecture) of a mutation; where the table lacks it, of the nearest that is not trained yet.

        Nearest by the sum of the absolute differences of flat encodings, of equals by chance. Without the second
        condition two networks that are nearest to each other would be parent and child in turn for ever.

        Args:
            arch: the parent.
            trained: which networks are: bool [N].
            rng: of all chance.
        """
        mutation = self.space.mutate(arch, rng)
        row = self.row(mutation)
        if row is not None:
            return row, mutation
        distances = np.abs(self._codes - self.space.encode(mutation)).sum(axis=1)
        distances[trained & ~trained.all()] = np.inf
        row = int(rng.choice(np.flatnonzero(distances == distances.min())))
        return row, self.space.parse(self.archs[row])

    @functools.cached_property
    def _codes(self) -> np.ndarray:
        """Flat encodings of all networks: [N, d]."""
        return np.stack([self.space.encode(self.space.parse(arch)) for arch in self.archs])


def random_search(count: int, budget: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of networks in the order of their training, none twice: [budget]."""
    return rng.permutation(count)[:budget]


def regularised(
    table: Table,
    accuracies: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    *,
    population: int = POPULATION,
    tournament: int = TOURNAMENT,
) -> np.ndarray:
    """Rows of networks in the order of their training; one may come again, and counts again: [budget].

    Args:
        table: all networks.
        accuracies: what evolution sees [N].
        budget: networks that are trained.
        rng: of all chance.
        population: networks that live, at first drawn at random.
        tournament: of these, drawn without replacement, the best has the child.
    """
    rows = list(rng.permutation(len(accuracies))[: min(population, budget)])
    living = collections.deque((row, table.space.parse(table.archs[row])) for row in rows)
    trained = np.zeros(len(accuracies), bool)
    trained[rows] = True
    while len(rows) < budget:
        drawn = rng.permutation(len(living))[:tournament]
        parent = max((living[place] for place in drawn), key=lambda member: accuracies[member[0]])
        child = table.child(parent[1], trained, rng)
        rows.append(child[0])
        trained[child[0]] = True
        living.append(child)
        living.popleft()
    return np.array(rows)
