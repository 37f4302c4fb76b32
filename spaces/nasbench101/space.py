"""NAS-Bench-101: cells that are labelled directed acyclic graphs of at most 7 vertices and 9 edges.

Source: Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search" (ICML 2019), and the published
model_spec.py, graph_util.py and notebook. Vertex 0 is the cell's input, the last one its output; those between carry a
3x3 or 1x1 convolution or a 3x3 max-pool. A cell is written as its vertices from 1 on, each with those it reads:

    conv3x3~0|conv1x1~01|output~12

Vertices that no path from input to output crosses are pruned before anything is built or counted, and isomorphic cells
are one network: 423,624 in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spaces.base import NetworkConfig, Sizes, Space
from spaces.nasbench101 import cells, enumeration, network, sizes
from spaces.nasbench101.cells import OPS, Cell
from spaces.nasbench101.enumeration import MAX_EDGES, MAX_VERTICES
from tfnas.errors import InputError
from tfnas.networks.graph import Graph
from tfnas.predictor.graphs import Graphs

if TYPE_CHECKING:
    import networkx


class NASBench101(Space[Cell]):
    """The space of the 423,624 cells."""

    name = "nasbench101"
    published = NetworkConfig(
        width=128,
        depth=3,
        classes=10,
        input_shape=(32, 32, 3),
        bn_momentum=0.997,
        bn_epsilon=1e-5,
        flavour="nasbench",
        stages=3,
    )
    flavours = ("nasbench",)
    size = 423_624
    init = "tensorflow"
    any_stages = True
    min_width = MAX_EDGES // 2  # vertices that may share the output's channels: each costs two edges
    merges_isomorphic = True
    operations = ("input", cells.CONV1X1, cells.CONV3X3, cells.MAXPOOL3X3, "output")

    def sample(self, rng: np.random.Generator) -> Cell:
        """The benchmark's random_spec: fair bits and uniform labels on 7 vertices until the cell is valid.

        Not uniform over the cells of the benchmark: small ones, the plain projection above all, come too often.
        """
        while True:
            upper = np.triu(rng.integers(2, size=(MAX_VERTICES, MAX_VERTICES)), 1)
            interior = [OPS[i] for i in rng.integers(len(OPS), size=MAX_VERTICES - 2)]
            cell = cells.make_cell(upper, interior)
            if cell.is_valid:
                return cell

    def sample_uniform(self, rng: np.random.Generator) -> Cell:
        """One of the cells of `enumerate`, each with the same probability."""
        return self.at(int(rng.integers(self.size)))

    def parse(self, text: str) -> Cell:
        return cells.parse(text)

    def cell(self, matrix: Any, ops: Sequence[str]) -> Cell:
        """The cell of an adjacency matrix and labels, as :func:`cells.from_matrix` makes it."""
        return cells.from_matrix(matrix, ops)

    def mutate(self, arch: Cell, rng: np.random.Generator) -> Cell:
        """A child by the benchmark's evolution, mutation rate 1: on the cell as given, not as pruned.

        Each of the 21 possible edges of 7 vertices flips with probability 1/7, and each of the 5 labels becomes
        another one with probability 1/5, until the cell is valid. A child equal to its parent is possible. Cells of
        fewer vertices first get lone vertices with random labels before their output (the benchmark's own parents
        always have 7).
        """
        count = MAX_VERTICES
        lone = [OPS[i] for i in rng.integers(len(OPS), size=count - len(arch.ops))]
        parent = cells.with_lone_vertices(arch, lone)
        base = np.array(parent.matrix)
        while True:
            flips = np.triu(rng.random((count, count)) < 1 / count, 1)
            interior = list(parent.ops[1:-1])
            for i in np.flatnonzero(rng.random(count - 2) < 1 / (count - 2)):
                others = [op for op in OPS if op != interior[i]]
                interior[i] = others[rng.integers(len(others))]
            child = cells.make_cell(base ^ flips, interior)
            if child.is_valid:
                return child

    def neighbors(self, arch: Cell) -> list[Cell]:
        """Cells one label or one edge away from the cell as given, one of each isomorphism class, none of its own.

        The benchmark defines none; this is what local searches on it use. A change may cut vertices off or connect
        those that were; a cell that was given pruned has no neighbours of more vertices.
        """
        found = {self.canonical(arch): arch}
        base, interior = np.array(arch.matrix), list(arch.ops[1:-1])
        changed = []
        for i, old in enumerate(interior):
            changed += [cells.make_cell(base, [*interior[:i], op, *interior[i + 1 :]]) for op in OPS if op != old]
        for u, v in zip(*np.triu_indices(len(arch.ops), 1), strict=True):
            flipped = base.copy()
            flipped[u, v] ^= 1
            changed.append(cells.make_cell(flipped, interior))
        for cell in changed:
            if cell.is_valid:
                found.setdefault(self.canonical(cell), cell)
        return list(found.values())[1:]

    def canonical(self, arch: Cell) -> str:
        """The benchmark's hash of the pruned cell: equal for isomorphic cells."""
        return cells.canonical(arch)

    def graph(self, arch: Cell) -> networkx.DiGraph:
        """The pruned cell, a node for each vertex."""
        import networkx

        cell = arch.pruned
        out = networkx.DiGraph(arch=str(arch))
        for node, op in enumerate(cell.ops):
            out.add_node(node, op=op)
        out.add_edges_from(zip(*np.nonzero(cell.matrix), strict=True))
        return out

    def encode(self, arch: Cell) -> np.ndarray:
        """Edges of the pruned cell on 7 vertices (21 bits) and its labels one-hot (5 x 3): [36].

        The output is vertex 6 whatever the number of vertices; labels of absent vertices are all zero.
        """
        cell = arch.pruned
        places = [*range(len(cell.ops) - 1), MAX_VERTICES - 1]
        full = np.zeros((MAX_VERTICES, MAX_VERTICES), np.float32)
        full[np.ix_(places, places)] = cell.matrix
        labels = np.zeros((MAX_VERTICES - 2, len(OPS)), np.float32)
        for i, op in enumerate(cell.ops[1:-1]):
            labels[i, OPS.index(op)] = 1
        return np.concatenate([full[np.triu_indices(MAX_VERTICES, 1)], labels.ravel()])

    def features(self, archs: Sequence[Cell | str]) -> Graphs:
        """The vertices of the pruned cell, one-hot over input, conv1x1, conv3x3, maxpool3x3, output: [N, 7, 5]."""
        codes = [cells.to_code(arch) for arch in self.parsed(archs)]
        return _features(np.array(codes, np.int64))

    def features_of_all(self) -> Graphs:
        return _features(enumeration.codes().astype(np.int64))

    def residual_connections(self, arch: Cell) -> int:
        """Edges of the pruned cell that pass over a vertex: entries of its matrix beyond the first diagonal.

        Isomorphic cells may differ: it depends on the numbering of the vertices.
        """
        return sum(sum(row[v + 2 :]) for v, row in enumerate(arch.pruned.matrix))

    def enumerate(self) -> Iterator[Cell]:
        """One pruned cell of each isomorphism class, by index.

        It is the one that the benchmark's files hold: the first of its class in the order of vertices, then edges as
        the number `adj_bits` of :func:`cells.from_bits`, then labels, the last one changing fastest.
        """
        return map(cells.from_code, enumeration.codes().tolist())

    def at(self, index: int) -> Cell:
        """The cell of an index, its place in `enumerate`. The benchmark itself numbers none.

        Raises:
            InputError: the index is out of range.
        """
        if not 0 <= index < self.size:
            raise InputError(f"An index of {self.name} lies in [0, {self.size}). Received: {index}")
        return cells.from_code(int(enumeration.codes()[index]))

    def index(self, arch: Cell) -> int:
        """The index of the cell in `enumerate` that is isomorphic to a cell: one number for each class."""
        code = cells.to_code(arch)
        place = enumeration.position(code)
        return enumeration.position(enumeration.smallest(code)) if place is None else place

    def _network(self, arch: Cell, config: NetworkConfig) -> Graph:
        cell = arch.pruned
        return network.cell_graph(cell.matrix, cell.ops, config)

    def _sizes(self, arch: Cell, config: NetworkConfig) -> Sizes:
        return sizes.cell_sizes(arch, config)


# Of the labels 0, 1, 2, in the order in which the paper of Neural Predictor lists operations.
_PLACES = np.array([2, 1, 3])


def _features(codes: np.ndarray) -> Graphs:
    """Of cells as `enumeration` encodes them: [N]."""
    counts, edge_bits, labels = enumeration.decode_all(codes)
    rows = np.arange(len(codes))
    nodes = np.zeros((len(codes), MAX_VERTICES, len(OPS) + 2), np.uint8)
    nodes[:, 0, 0] = 1
    nodes[rows, counts - 1, -1] = 1
    for vertex in range(1, MAX_VERTICES - 1):
        there = vertex < counts - 1
        # The first vertex is the most significant digit of those that there are.
        digits = labels // enumeration.LABELS ** np.maximum(counts - 2 - vertex, 0) % enumeration.LABELS
        nodes[rows[there], vertex, _PLACES[digits[there]]] = 1
    edges = np.zeros((len(codes), MAX_VERTICES, MAX_VERTICES), bool)
    for target in range(MAX_VERTICES):
        for source in range(target):
            edges[:, source, target] = edge_bits >> source + target * (target - 1) // 2 & 1
    return Graphs(nodes, edges, counts.astype(np.int32))
