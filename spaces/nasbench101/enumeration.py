"""The cells of NAS-Bench-101 as numbers: all of them at once, one of each isomorphism class.

A code stands for a labelled graph without vertices to prune: (V * 2**21 + edges) * 3**5 + labels. Bit x + y (y - 1) / 2
of `edges` is the edge from vertex x to y; `labels` reads the interior vertices as base-3 digits, the first one most
significant. The benchmark goes through the graphs in this order and keeps the first of each class, so the smallest
code of a class is the graph that the published files hold.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import pathlib

import numpy as np

from tfnas import paths

MAX_VERTICES = 7
MAX_EDGES = 9
LABELS = 3
_EDGE_SETS = 1 << MAX_VERTICES * (MAX_VERTICES - 1) // 2
_LABELINGS = LABELS ** (MAX_VERTICES - 2)

# Of the codes as little-endian numbers of 32 bits. No other content of a cache file is believed, whoever wrote it.
_SHA256 = "7c8cdfc2cfed727d53ad4649b560819c18dec6b22de9ca90d0f07ff799b11f87"

_INPUT, _OUTPUT = LABELS, LABELS + 1
_SELF, _BEFORE, _AFTER, _START = np.array(
    [0x2545F4914F6CDD1D, 0x9E3779B97F4A7C15, 0xD1342543DE82EF95, 0xA0761D6478BD642F], np.uint64
)
_GRAPHS_AT_ONCE = 64  # 64 graphs with 243 labelings and 7 vertices are 0.9 MB, which stays in a processor's cache


def encode(vertices: int, edges: int, labels: int) -> int:
    """The code of a labelled graph."""
    return (vertices * _EDGE_SETS + edges) * _LABELINGS + labels


def decode(code: int) -> tuple[int, int, int]:
    """(vertices, edges, labels) of a code."""
    graph, labels = divmod(code, _LABELINGS)
    return *divmod(graph, _EDGE_SETS), labels


def decode_all(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As :func:`decode`, of many codes [N] int64."""
    graphs, labels = np.divmod(codes, _LABELINGS)
    return *np.divmod(graphs, _EDGE_SETS), labels


def digits(labels: int, count: int) -> list[int]:
    """Labels of `count` interior vertices."""
    return [labels // LABELS**place % LABELS for place in reversed(range(count))]


@functools.cache
def codes() -> np.ndarray:
    """The smallest code of each class, ascending: [423,624] uint32, read-only.

    The first call of a process reads a file of 1.7 MB, or computes the codes in about a second and writes that file.
    It lies in the folder of the environment variable TFNAS_CACHE ($XDG_CACHE_HOME/tfnas or ~/.cache/tfnas by default).
    A file that cannot be read or holds anything else is computed anew, and one that cannot be written is done without.
    """
    file = paths.cache(f"nasbench101_{_SHA256[:8]}.bin")
    data = _read(file)
    if data is None:
        data = compute().astype("<u4").tobytes()
        _write(file, data)
    return np.frombuffer(data, "<u4")


def position(code: int) -> int | None:
    """Where a code stands in :func:`codes`; None if it is not the smallest of its class."""
    place = int(np.searchsorted(codes(), np.uint32(code)))
    return place if place < len(codes()) and codes()[place] == code else None


def smallest(code: int) -> int:
    """The smallest code of the graphs isomorphic to that of a code."""
    count, edges, labels = decode(code)
    pairs = [pair for i, pair in enumerate(_pairs(count)) if edges >> i & 1]
    orders = _orders(count)
    sources, targets = (orders[:, list(ends)] for ends in zip(*pairs, strict=True))
    forward = (sources < targets).all(1)
    sources, targets, orders = sources[forward], targets[forward], orders[forward]
    moved_edges = (1 << sources + targets * (targets - 1) // 2).sum(1)
    moved_labels = (digits(labels, count - 2) * LABELS ** (count - 2 - orders[:, 1:-1])).sum(1)
    return int(encode(count, moved_edges, moved_labels).min())


def compute() -> np.ndarray:
    """The smallest code of each class, ascending: [423,624] uint32."""
    return np.concatenate([_classes(count) for count in range(2, MAX_VERTICES + 1)])


def _classes(count: int) -> np.ndarray:
    edges = full_graphs(count)
    labelings = np.arange(LABELS ** (count - 2))
    labels = np.empty((count, len(labelings)), np.uint64)
    labels[0], labels[-1] = _INPUT, _OUTPUT
    for v in range(1, count - 1):
        labels[v] = labelings // LABELS ** (count - 2 - v) % LABELS
    matrices = np.zeros((len(edges), count, count), np.uint64)
    for i, (x, y) in enumerate(_pairs(count)):
        matrices[:, x, y] = edges >> i & 1
    blocks = range(0, len(edges), _GRAPHS_AT_ONCE)
    fingerprints = np.concatenate([_fingerprints(matrices[i : i + _GRAPHS_AT_ONCE], labels) for i in blocks])
    # np.unique gives the first place of each value, which is the smallest code.
    first = np.sort(np.unique(fingerprints, return_index=True)[1])
    return encode(count, edges[first // len(labelings)], first % len(labelings)).astype(np.uint32)


def full_graphs(count: int) -> np.ndarray:
    """Edges of all graphs with `count` vertices, at most 9 edges and nothing to prune, ascending: [G] int64.

    Nothing is pruned if every vertex but the first has a predecessor and every one but the last a successor.
    """
    pairs = _pairs(count)
    sizes = np.zeros(1, np.uint8)
    for _ in pairs:
        sizes = np.concatenate([sizes, sizes + 1])
    found = np.flatnonzero(sizes <= MAX_EDGES)
    for v in range(count - 1):
        leaving = sum(1 << i for i, (x, _) in enumerate(pairs) if x == v)
        entering = sum(1 << i for i, (_, y) in enumerate(pairs) if y == v + 1)
        found = found[(found & leaving != 0) & (found & entering != 0)]
    return found


def _fingerprints(matrices: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Numbers that are equal for isomorphic graphs: the benchmark's hash with 64-bit integers in place of MD5.

    Vertices start with their degrees and label and V times take in the numbers of their predecessors and successors.
    Classes would merge if two of 1.3 million numbers collided (1 to 20 million); the published counts say that none do.

    Args:
        matrices: [G, V, V] of 0 and 1.
        labels: [V, L].

    Returns:
        [G L], labelings innermost.
    """
    count = matrices.shape[1]
    degrees = matrices.sum(2) * np.uint64(8) + matrices.sum(1)
    state = _mix(_START + degrees[:, :, None] + labels * np.uint64(64))
    weights = _SELF * np.eye(count, dtype=np.uint64) + _BEFORE * matrices.transpose(0, 2, 1) + _AFTER * matrices
    for _ in range(count):
        # Integers have no BLAS: a loop over vertices is faster than matmul.
        state = _mix(sum(weights[:, :, u, None] * state[:, None, u] for u in range(count)))
    return state.sum(1).ravel()


def _mix(values: np.ndarray) -> np.ndarray:
    """Scatters 64-bit numbers, one to one (the finaliser of SplitMix64, Steele et al. 2014)."""
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return values ^ values >> np.uint64(31)


def _pairs(count: int) -> list[tuple[int, int]]:
    """(source, target) of each bit of `edges`."""
    return [(x, y) for y in range(count) for x in range(y)]


@functools.cache
def _orders(count: int) -> np.ndarray:
    """New places of the vertices in every order that keeps input and output: [(V - 2)!, V]."""
    return np.array([(0, *order, count - 1) for order in itertools.permutations(range(1, count - 1))])


def _read(file: str) -> bytes | None:
    try:
        data = pathlib.Path(file).read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == _SHA256 else None


def _write(file: str, data: bytes) -> None:
    from tfnas import files

    # A user without a home keeps the "~".
    if not file.startswith("~"):
        with contextlib.suppress(OSError):
            files.write_atomic(file, data)
