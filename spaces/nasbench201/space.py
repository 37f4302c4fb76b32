"""NAS-Bench-201: all cells of three nodes whose six edges each carry one of five operations.

Source: Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search" (ICLR 2020),
and "NATS-Bench" (TPAMI 2021), where it is the topology search space. Every one of the 15,625 strings

    |op~0|+|op~0|op~1|+|op~0|op~1|op~2|

is an architecture. The part j of the string lists the edges into node j, from node 0 (the cell's input) on.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from spaces.base import Architecture, NetworkConfig, Sizes, Space
from spaces.nasbench201 import network
from tfnas.errors import InputError
from tfnas.networks import flops
from tfnas.networks.graph import Graph
from tfnas.predictor.graphs import Graphs

if TYPE_CHECKING:
    import networkx

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = network.EDGES
_NODES = (1, 2, 3)
_EXAMPLE = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"


@dataclasses.dataclass(frozen=True)
class Cell(Architecture):
    """A cell: the operation of each edge, in the order of `EDGES`."""

    ops: tuple[str, ...]

    def __str__(self) -> str:
        return "+".join(
            "|" + "".join(f"{self.ops[edge]}~{EDGES[edge][0]}|" for edge in edges_into(node)) for node in _NODES
        )


class NASBench201(Space[Cell]):
    """The topology search space."""

    name = "nasbench201"
    published = NetworkConfig(
        width=16,
        depth=5,
        classes=10,
        input_shape=(32, 32, 3),
        bn_momentum=0.9,
        bn_epsilon=1e-5,
        flavour="tiny",
    )
    flavours = network.FLAVOURS
    size = len(OPS) ** len(EDGES)
    operations = ("input", *OPS, "output")

    def sample(self, rng: np.random.Generator) -> Cell:
        return Cell(tuple(OPS[i] for i in rng.integers(len(OPS), size=len(EDGES))))

    def parse(self, text: str) -> Cell:
        parts = text.strip().split("+")
        if len(parts) != len(_NODES):
            raise _bad_string(text, f"{len(parts)} nodes joined by '+' instead of {len(_NODES)}")
        ops: list[str] = []
        for node, part in zip(_NODES, parts, strict=True):
            if len(part) < 2 or not (part.startswith("|") and part.endswith("|")):
                raise _bad_string(text, f"node {node} is not enclosed in '|'")
            edges = part[1:-1].split("|")
            if len(edges) != node:
                raise _bad_string(text, f"node {node} has {len(edges)} edges instead of {node}")
            for source, edge in enumerate(edges):
                op, _, end = edge.partition("~")
                if op not in OPS:
                    raise _bad_string(text, f"{op!r} is none of {', '.join(OPS)}")
                if end != str(source):
                    raise _bad_string(text, f"edge {source} of node {node} must end with '~{source}'")
                ops.append(op)
        return Cell(tuple(ops))

    def mutate(self, arch: Cell, rng: np.random.Generator) -> Cell:
        """One edge gets another operation: uniform over nodes, then the node's edges, then the four operations.

        Edges are therefore not equally likely: 1/3 for the only edge of node 1, 1/9 for each edge of node 3. This is
        the rule of the benchmark's regularised evolution.
        """
        edge = int(rng.choice(edges_into(int(rng.choice(_NODES)))))
        others = [op for op in OPS if op != arch.ops[edge]]
        return _replace(arch, edge, others[rng.integers(len(others))])

    def neighbors(self, arch: Cell) -> list[Cell]:
        return [_replace(arch, edge, op) for edge in range(len(EDGES)) for op in OPS if op != arch.ops[edge]]

    def canonical(self, arch: Cell) -> str:
        """The benchmark's string for isomorphic cells; 6,466 different ones."""
        return unique_string(arch)

    def graph(self, arch: Cell) -> networkx.DiGraph:
        """Operations on nodes: 0 is the input, 1 to 6 the edges of the cell in the order of `EDGES`, 7 the output."""
        import networkx

        last = len(EDGES) + 1
        out = networkx.DiGraph(arch=str(arch))
        for node, op in enumerate(("input", *arch.ops, "output")):
            out.add_node(node, op=op)
        for node, (source, target) in enumerate(EDGES, start=1):
            if source == 0:
                out.add_edge(0, node)
            if target == _NODES[-1]:
                out.add_edge(node, last)
            out.add_edges_from((node, reader + 1) for reader, (start, _) in enumerate(EDGES) if start == target)
        return out

    def encode(self, arch: Cell) -> np.ndarray:
        """One-hot operations, edge after edge: [30]."""
        rows = [OPS.index(op) for op in arch.ops]
        return np.eye(len(OPS), dtype=np.float32)[rows].ravel()

    def residual_connections(self, arch: Cell) -> int:
        """Skip connections."""
        return arch.ops.count("skip_connect")

    def features(self, archs: Sequence[Cell | str]) -> Graphs:
        """The nodes of `graph`, one-hot over input, the five operations, output: [N, 8, 7]."""
        codes = np.array([[OPS.index(op) for op in arch.ops] for arch in self.parsed(archs)], np.uint8)
        return _features(codes.reshape(-1, len(EDGES)))

    def features_of_all(self) -> Graphs:
        places = len(OPS) ** np.arange(len(EDGES))[::-1]
        return _features(_order()[:, None] // places % len(OPS))

    def enumerate(self) -> Iterator[Cell]:
        return (self.at(index) for index in range(self.size))

    def at(self, index: int) -> Cell:
        """The architecture with an index of the benchmark.

        Raises:
            InputError: the index is out of range.
        """
        if not 0 <= index < self.size:
            raise InputError(f"An index of {self.name} lies in [0, {self.size}). Received: {index}")
        code = int(_order()[index])
        digits = [code // len(OPS) ** place % len(OPS) for place in reversed(range(len(EDGES)))]
        return Cell(tuple(OPS[digit] for digit in digits))

    def index(self, arch: Cell) -> int:
        """The benchmark's index of an architecture."""
        return int(_positions()[functools.reduce(lambda code, op: code * len(OPS) + OPS.index(op), arch.ops, 0)])

    def _network(self, arch: Cell, config: NetworkConfig) -> Graph:
        return network.topology_graph(arch.ops, config)

    def _sizes(self, arch: Cell, config: NetworkConfig) -> Sizes:
        # All edges of a cell have the same shapes: only how often each operation is there counts, 210 cases.
        return _sizes_of(tuple(sorted(arch.ops)), config)


def edges_into(node: int) -> list[int]:
    """Positions in `EDGES` of the edges that end in a node."""
    return [edge for edge, (_, target) in enumerate(EDGES) if target == node]


def is_valid(arch: Cell) -> bool:
    """Whether the output depends on the input: some path without `none` connects them. True for 15,284 cells."""
    alive = {0}
    for op, (source, target) in zip(arch.ops, EDGES, strict=True):
        if op != "none" and source in alive:
            alive.add(target)
    return _NODES[-1] in alive


def unique_string(arch: Cell, consider_zero: bool | None = True) -> str:
    """The benchmark's string for isomorphic cells.

    Skips vanish and the terms of a node are sorted. Dead terms stay as '#' in sums, so that some cells with the same
    network keep different strings; this is the published rule and gives the published number of 6,466 classes.

    Args:
        arch: the cell.
        consider_zero: True: an edge is zero if its operation is `none` or its source is a lone zero (6,466 classes).
            False: `none` is an operation like others (12,751 classes). None: the plain string (15,625).
    """
    if consider_zero is None:
        return str(arch)
    states = ["0"]
    for node in _NODES:
        terms = []
        for edge in edges_into(node):
            source, op = states[EDGES[edge][0]], arch.ops[edge]
            if consider_zero and (op == "none" or source == "#"):
                terms.append("#")
            elif op == "skip_connect":
                terms.append(source)
            else:
                terms.append(f"({source})@{op}")
        states.append("+".join(sorted(terms)))
    return states[-1]


def _features(codes: np.ndarray) -> Graphs:
    """Of operations as indices in `OPS`: [N, 6]."""
    nodes = np.zeros((len(codes), len(EDGES) + 2, len(OPS) + 2), np.uint8)
    nodes[:, 0, 0] = nodes[:, -1, -1] = 1
    nodes[:, 1:-1, 1:-1] = np.eye(len(OPS), dtype=np.uint8)[codes]
    edges = np.zeros((len(EDGES) + 2,) * 2, bool)
    for node, (source, target) in enumerate(EDGES, start=1):
        edges[0, node] = source == 0
        edges[node, -1] = target == _NODES[-1]
        edges[node, 1:-1] = [start == target for start, _ in EDGES]
    count = len(codes)
    return Graphs(nodes, np.broadcast_to(edges, (count, *edges.shape)), np.full(count, len(edges), np.int32))


def _replace(arch: Cell, edge: int, op: str) -> Cell:
    return Cell((*arch.ops[:edge], op, *arch.ops[edge + 1 :]))


def _bad_string(text: str, problem: str) -> InputError:
    return InputError(f"No NAS-Bench-201 architecture: {problem}. Received: {text!r}. Allowed: strings like {_EXAMPLE}")


@functools.lru_cache(maxsize=10_000)
def _sizes_of(ops: tuple[str, ...], config: NetworkConfig) -> Sizes:
    graph = network.topology_graph(ops, config)
    return Sizes(graph.count_params(), *flops.forward_flops(graph), flops.gradient_flops(graph))


@functools.cache
def _order() -> np.ndarray:
    """The code of each index: six base-5 digits, the operations of the edges, first edge most significant.

    The benchmark shuffled its architectures once; the order is data and cannot be computed.
    """
    with importlib.resources.files("spaces").joinpath("nasbench201/order.npy").open("rb") as file:
        return np.load(file, allow_pickle=False)


@functools.cache
def _positions() -> np.ndarray:
    """The index of each code."""
    return np.argsort(_order())
