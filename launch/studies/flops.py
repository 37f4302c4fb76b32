"""Parameters and FLOPs of many networks: figure S2 of Park et al. 2020."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launch.studies import figures, metrics
from launch.studies.metrics import Metric, Settings
from spaces.nasbench101 import network as nasbench101_network
from tfnas.networks import flops as cost
from tfnas.progress import Progress

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from spaces.base import Architecture, NetworkConfig, Space
    from spaces.nasbench101.space import Cell

COLUMNS = ("params", "forward", "others", "gradient")
SMALL = 10e6
# The paper counts 297,000 networks below 10 million parameters. The benchmark has 312,343 of them, of which 297,198
# have more than a million, and it is these whose mean FLOPs are those of the paper.
LEAST = 1e6


def fig_s2(_: None, table: pd.DataFrame, settings: Settings) -> tuple[pd.DataFrame, Figure]:
    """Mean FLOPs of a forward pass and of the gradients, of all networks and of those below 10 million parameters."""
    import spaces

    sizes = network_sizes(settings.space, table.index, settings.network)
    total, known = sizes["forward"] + sizes["others"], settings.expected
    small, cluster = sizes["params"] < SMALL, sizes["params"].between(LEAST, SMALL, inclusive="left")
    whole = settings.space == "nasbench101" and len(sizes) == spaces.get("nasbench101").size
    papers = {"mean": known["mean_F_gflops"], "small": known["mean_F_lt10M"], "ratio": known["G_over_F"]}
    papers["count"] = known["n_lt10M"] if whole else math.nan
    if settings.space != "nasbench101":
        papers = dict.fromkeys(papers, math.nan)
    ratio = sizes["gradient"] / sizes["forward"]
    rows = [
        _mean("F, all layers", "GFLOP", total, 1e9, papers["mean"]),
        _mean("F, convolutions and dense layers", "GFLOP", sizes["forward"], 1e9),
        _mean("F, all layers, below 10M parameters", "GFLOP", total[small], 1e9, papers["small"]),
        _mean("F, all layers, 1M to 10M parameters", "GFLOP", total[cluster], 1e9),
        _count("networks below 10M parameters", small, papers["count"]),
        _count("networks of 1M to 10M parameters", cluster),
        _mean("G, gradients", "GFLOP", sizes["gradient"], 1e9),
        _mean("G / F, gradients alone", "ratio", ratio, paper=papers["ratio"]),
        _mean("G / F, with the forward pass", "ratio", ratio + 1),
    ]
    notes = (
        ["the paper's numbers for networks below 10M parameters are those of networks of 1M to 10M"] if whole else []
    )
    return metrics.frame(rows, notes), _figure(sizes)


def _mean(name: str, measure: str, values: pd.Series, unit: float = 1.0, paper: float = math.nan) -> dict[str, Any]:
    metric = Metric(name, values.to_numpy() / unit)
    mean = float(metric.values.mean()) if len(values) else math.nan
    return metrics.row(metric, f"mean {measure}", mean, n=len(values), paper=paper)


def _count(name: str, chosen: pd.Series, paper: float = math.nan) -> dict[str, Any]:
    return metrics.row(Metric(name, chosen.to_numpy()), "networks", int(chosen.sum()), n=len(chosen), paper=paper)


def _figure(sizes: pd.DataFrame) -> Figure:
    figure, (left, right) = figures.panels(2)
    left.hist(sizes["forward"] / 1e9, bins=60, color="#0072B2")
    left.set_xlabel("F: GFLOP of a forward pass", fontsize=8)
    left.set_ylabel("networks", fontsize=8)
    drawn = sizes.sample(min(len(sizes), 3000), random_state=0)
    right.plot(drawn["forward"] / 1e9, drawn["gradient"] / 1e9, ".", markersize=2, color="#0072B2", label="networks")
    ends = np.array([drawn["forward"].min(), drawn["forward"].max()]) / 1e9
    right.plot(ends, 2 * ends, color="#777777", linewidth=1, label="G = 2 F")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("F", fontsize=8)
    right.set_ylabel("G: GFLOP of the gradients", fontsize=8)
    right.legend(fontsize=7, frameon=False)
    return figure


def network_sizes(space_name: str, archs: Sequence[str], network: Mapping[str, Any]) -> pd.DataFrame:
    """Parameters, and FLOPs for one image as in `tfnas.networks.flops`, by architecture.

    Returns:
        Columns params, forward (convolutions and dense layers), others, gradient. Those of NAS-Bench-101 come from
        sums over vertices, 5 microseconds each; of other spaces from the layers of each network.
    """
    import pandas as pd

    import spaces

    space = spaces.get(space_name)
    config = space.config(**network)
    rows = []
    with Progress("FLOPs of networks", len(archs)) as bar:
        for arch in map(space.parse, archs):
            rows.append(cell_sizes(arch, config) if space_name == "nasbench101" else _graph_sizes(space, arch, config))
            bar.advance()
    return pd.DataFrame(rows, index=pd.Index(archs, name="arch"), columns=list(COLUMNS), dtype=np.int64)


def _graph_sizes(space: Space, arch: Architecture, config: NetworkConfig) -> tuple[int, ...]:
    graph = space.layer_graph(arch, **dataclasses.asdict(config))
    return graph.count_params(), *cost.forward_flops(graph), cost.gradient_flops(graph)


def cell_sizes(cell: Cell, config: NetworkConfig) -> tuple[int, int, int, int]:
    """The same four numbers of a network of NAS-Bench-101 as its layers give, without building them.

    All is a sum over vertices, of which each has channels that the labels do not change.
    """
    cell = cell.pruned
    base, vertices = _parts(cell.matrix, config)
    total = list(base)
    for vertex, op in zip(vertices, cell.ops[1:-1], strict=True):
        for i, value in enumerate(vertex[nasbench101_network.OPS.index(op)]):
            total[i] += value
    return tuple(total)


@functools.lru_cache(maxsize=8192)
def _parts(matrix: nasbench101_network.Matrix, config: NetworkConfig) -> tuple[tuple, tuple]:
    """(what all labels share, for each interior vertex what each label adds), each four numbers."""
    height, width, channels = config.input_shape
    last = len(matrix) - 1
    base = np.zeros(4, np.int64)
    added = np.zeros((max(0, last - 1), len(nasbench101_network.OPS), 4), np.int64)
    base += _convolution(height * width, channels, config.width, 3, first=True)
    inputs = outputs = config.width
    for stack in range(config.stages):
        if stack:
            height, width, outputs = -(-height // 2), -(-width // 2), outputs * 2
            base[2] += 4 * height * width * inputs
        positions = height * width
        each = nasbench101_network.vertex_channels(inputs, outputs, matrix)
        for v in range(1, last):
            terms = sum(matrix[u][v] for u in range(v))
            base[2] += config.depth * positions * each[v] * (terms - 1)
            added[v - 1, 0] += config.depth * _convolution(positions, each[v], each[v], 3)
            added[v - 1, 1] += config.depth * _convolution(positions, each[v], each[v], 1)
            added[v - 1, 2, 2] += config.depth * 9 * positions * each[v]
        joins = matrix[0][last] and any(matrix[v][last] for v in range(1, last))
        base[2] += config.depth * positions * outputs * bool(joins)
        for module in range(config.depth):
            into = inputs if module == 0 else outputs
            for v in range(1, last + 1):
                if matrix[0][v]:
                    base += _convolution(positions, into, outputs if v == last else each[v], 1)
        inputs = outputs
    base[2] += height * width * outputs
    classifier = outputs * config.classes
    base += (classifier + config.classes, 2 * (classifier + config.classes), 0, 4 * classifier + 2 * config.classes)
    return tuple(base.tolist()), tuple(tuple(tuple(label) for label in vertex) for vertex in added.tolist())


def _convolution(positions: int, inputs: int, outputs: int, size: int, *, first: bool = False) -> np.ndarray:
    """Parameters, FLOPs, FLOPs of BN and ReLU, FLOPs of the gradients of a convolution with both behind it."""
    weights = size * size * inputs * outputs
    flops = cost.PER_MULTIPLY_ADD * positions * weights
    return np.array([weights + 2 * outputs, flops, 3 * positions * outputs, flops if first else 2 * flops])
