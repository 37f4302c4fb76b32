"""Architectures as arrays, all that a predictor knows of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfnas.errors import InputError, unknown

if TYPE_CHECKING:
    import networkx

# How the adjacency matrix is normalised; see `normalised`.
NORMS = ("row", "reference", "sym")


@dataclasses.dataclass(frozen=True)
class Graphs:
    """N directed graphs of at most V nodes; a graph of fewer nodes has its own first and zeros behind them.

    Attributes:
        nodes: what each node is, one-hot or any numbers, of any type: [N, V, F].
        edges: whether there is an edge from row to column: [N, V, V] bool.
        counts: nodes of each graph: [N].
        extras: what else is known of each architecture, such as scores: [N, E], E = 0 by default.
    """

    nodes: np.ndarray
    edges: np.ndarray
    counts: np.ndarray
    extras: np.ndarray = dataclasses.field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        count = len(self.counts)
        if self.extras is None:
            object.__setattr__(self, "extras", np.zeros((count, 0), np.float32))
        most = self.nodes.shape[1] if self.nodes.ndim == 3 else 0
        if (
            self.nodes.ndim != 3
            or len(self.nodes) != count
            or self.edges.shape != (count, most, most)
            or self.extras.ndim != 2
            or len(self.extras) != count
        ):
            raise InputError(
                "Graphs are nodes [N, V, F], edges [N, V, V], counts [N] and extras [N, E]. Received: "
                f"{self.nodes.shape}, {self.edges.shape}, {np.shape(self.counts)}, {self.extras.shape}"
            )

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def features(self) -> int:
        """F, numbers that tell a node."""
        return self.nodes.shape[-1]

    def take(self, rows: np.ndarray | slice) -> Graphs:
        """Some of the graphs."""
        return Graphs(self.nodes[rows], self.edges[rows], self.counts[rows], self.extras[rows])

    def with_extras(self, extras: np.ndarray) -> Graphs:
        """The graphs with what else is known of them, [N, E]."""
        return dataclasses.replace(self, extras=np.asarray(extras, np.float32))


def of_graphs(graphs: Sequence[networkx.DiGraph], operations: Sequence[str]) -> Graphs:
    """Graphs of networkx, their nodes in their order, with the attribute `op` of each one-hot over `operations`."""
    counts = np.array([len(graph) for graph in graphs], np.int32)
    most = int(counts.max(initial=1))
    nodes = np.zeros((len(graphs), most, len(operations)), np.uint8)
    edges = np.zeros((len(graphs), most, most), bool)
    for row, graph in enumerate(graphs):
        places = {node: place for place, node in enumerate(graph)}
        for node, op in graph.nodes(data="op"):
            nodes[row, places[node], operations.index(op)] = 1
        for source, target in graph.edges:
            edges[row, places[source], places[target]] = True
    return Graphs(nodes, edges, counts)


def of_chains(nodes: Sequence[np.ndarray]) -> Graphs:
    """Chains whose nodes are [V_n, F] each."""
    counts = np.array([len(chain) for chain in nodes], np.int32)
    most = int(counts.max(initial=1))
    width = nodes[0].shape[1] if len(nodes) else 0
    padded = np.zeros((len(nodes), most, width), np.float32)
    for row, chain in zip(padded, nodes, strict=True):
        row[: len(chain)] = chain
    edges = np.zeros((len(nodes), most, most), bool)
    places = np.arange(most - 1)
    edges[:, places, places + 1] = places + 1 < counts[:, None]
    return Graphs(padded, edges, counts)


def equal_chains(nodes: np.ndarray) -> Graphs:
    """Chains of equally many nodes [N, V, F]."""
    count, most, _ = nodes.shape
    edges = np.broadcast_to(np.eye(most, k=1, dtype=bool), (count, most, most))
    return Graphs(nodes, edges, np.full(count, most, np.int32))


def normalised(edges: np.ndarray, norm: str) -> tuple[np.ndarray, np.ndarray]:
    """What nodes take from those they have edges to, and from those that have edges to them: [N, V, V] float32 each.

    With A the adjacency matrix and a loop at each node:
        row: the rows of A + I, and those of A^T + I, each over their sum, the number of neighbours;
        reference: as the published reimplementation (ultmaster/neuralpredictor.pytorch) has it: the rows of A + I over
            their sum, and the rows of the transpose of that over theirs;
        sym: D^-1/2 (A + I) D'^-1/2 with D, D' the sums over rows and columns, and its transpose.

    The paper says "normalised by node degree".

    Raises:
        InputError: another `norm`.
    """
    ahead = edges.astype(np.float32) + np.eye(edges.shape[-1], dtype=np.float32)
    if norm == "row":
        return _rows(ahead), _rows(ahead.transpose(0, 2, 1))
    if norm == "reference":
        ahead = _rows(ahead)
        return ahead, _rows(ahead.transpose(0, 2, 1))
    if norm == "sym":
        ahead = ahead / np.sqrt(ahead.sum(2, keepdims=True) * ahead.sum(1, keepdims=True))
        return ahead, np.ascontiguousarray(ahead.transpose(0, 2, 1))
    raise unknown("normalisation", norm, NORMS)


def _rows(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values / values.sum(2, keepdims=True))
