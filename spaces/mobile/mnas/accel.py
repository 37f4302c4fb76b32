"""Networks and measurements of Accel-NASBench, and the importer of its table.

Source: Ahmad et al., "Accel-NASBench: Sustainable Benchmarking for Accelerator-Aware NAS" (DAC 2024). Its networks are
seven blocks of expansion, kernel, number of layers and squeeze-and-excitation in the channels and strides below,
trained on ImageNet by a shortened schedule. What the table does not tell, activation and residuals, is taken from
MnasNet: ReLU, and the identity where stride and channels let it pass. Numbers of parameters do not depend on either.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from spaces.importers import Importer, Options
from spaces.mobile.mnas.network import STEM
from spaces.mobile.mnas.space import Mnas
from spaces.mobile.mnas.strings import BLOCKS, Block, MnasNet
from tfnas import tables
from tfnas.errors import InputError
from tfnas.networks import flops
from tfnas.tables.units import OTHER

if TYPE_CHECKING:
    import pandas as pd
    from etils import epath

    from tfnas.networks.graph import Graph

WIDTHS = (16, 24, 40, 80, 112, 192, 320)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
SE_RATIO = 0.25
# Values of each of the four columns of a block, by the letters at the end of their names.
VALUES = {"e": (1, 4, 6), "k": (3, 5), "l": (1, 2, 3, 4), "se": (False, True)}
COLUMNS = tuple(f"block{index}_{letters}" for index in range(BLOCKS) for letters in VALUES)
PROVENANCE = "Accel-NASBench (Ahmad et al., DAC 2024), networks of the MnasNet space trained on ImageNet"
VERIFIED = 100  # networks whose parameters and MACs are computed again
# By the beginning of a column's name. MACs are those of `macs`.
_UNITS = {
    "val_top": "percent",
    "train_time": "seconds",
    "macs": f"{OTHER}millions",
    "params": f"{OTHER}millions",
    "latency_": f"{OTHER}ms",
    "throughput_": f"{OTHER}images/s",
}
_SPACE = Mnas()


def architecture(blocks: list[tuple[int, int, int, bool]]) -> MnasNet:
    """The architecture of seven blocks (expansion, kernel, layers, squeeze-and-excitation).

    Raises:
        InputError: another number of blocks, or a value that none has.
    """
    if len(blocks) != BLOCKS:
        raise InputError(f"A network of Accel-NASBench has {BLOCKS} blocks. Received: {len(blocks)}")
    for block in blocks:
        for (name, allowed), value in zip(VALUES.items(), block, strict=True):
            if value not in allowed:
                raise InputError(f"{name!r} of a block of Accel-NASBench. Received: {value}. Allowed: {allowed}")
    inputs = (STEM, *WIDTHS)
    return MnasNet(
        tuple(
            Block(int(layers), int(kernel), strides, int(expansion), source, target, SE_RATIO if se else 0.0)
            for (expansion, kernel, layers, se), source, target, strides in zip(
                blocks, inputs[:-1], WIDTHS, STRIDES, strict=True
            )
        )
    )


def macs(graph: Graph) -> int:
    """MACs as the table counts them: those of convolutions and dense layers, and what are none.

    Those are 4 for each output of a batch normalisation, and (height * width + 1) * channels for each map that is
    averaged, in squeeze-and-excitation and the head. `tfnas.networks.flops.multiply_adds` counts multiply-adds alone.
    """
    total = flops.multiply_adds(graph)
    for node in graph.nodes:
        if node.op == "batch_norm":
            total += 4 * math.prod(node.shape)
        elif node.op == "global_avg_pool":
            height, width, channels = graph.by_name[node.inputs[0]].shape
            total += (height * width + 1) * channels
    return total


def _import(path: epath.PathLike, options: Options) -> tables.Table:
    frame, _ = tables.read_any(path)
    tables.require(frame.columns, COLUMNS, path)
    frame = frame.assign(arch=_archs(frame)).drop(columns=list(COLUMNS))
    _verify(path, frame)
    values = frame.select_dtypes(["number", "bool"]).columns
    units = {name: unit for name in values for start, unit in _UNITS.items() if name.startswith(start)}
    provenance = f"{options.provenance}; {PROVENANCE}" if options.provenance else PROVENANCE
    facts = {"rows": str(len(frame))}
    if repeated := int(frame["arch"].duplicated().sum()):
        kinds = {name: "mean" if name in values else "first" for name in frame if name != "arch"}
        frame = frame.groupby("arch", sort=False, as_index=False).agg(kinds)
        facts["rows"] += f", {repeated} of which repeat an architecture: numbers are the means of its rows"
    table = tables.Table(frame, units, provenance, _SPACE.name, facts)
    return tables.take(table, options.columns or {name: name for name in values}, path)


def _archs(frame: pd.DataFrame) -> list[str]:
    rows = zip(*(frame[column].tolist() for column in COLUMNS), strict=True)
    return [_arch(row, values) for row, values in enumerate(rows)]


def _arch(row: int, values: tuple[Any, ...]) -> str:
    size = len(VALUES)
    try:
        return str(architecture([values[start : start + size] for start in range(0, len(values), size)]))
    except InputError as error:
        raise InputError(f"Row {row} (from 0): {error}") from error


def _verify(path: epath.PathLike, frame: pd.DataFrame) -> None:
    """Computes parameters and MACs of some networks, spread over the table, from their strings."""
    counters = {"params": lambda graph: graph.count_params(), "macs": macs}
    counters = {name: count for name, count in counters.items() if name in frame}
    for i in np.unique(np.linspace(0, len(frame) - 1, VERIFIED).astype(int)) if counters and len(frame) else ():
        graph = _SPACE.layer_graph(frame["arch"].iloc[i])
        for name, count in counters.items():
            given = float(frame[name].iloc[i])
            if not abs(given * 1e6 - count(graph)) < 0.5:
                raise InputError(
                    f"{path}, row {i} (from 0) is not the network that it describes. Received: {given} million {name}. "
                    f"Allowed: {count(graph) / 1e6}"
                )


IMPORTERS = (
    Importer(
        name="accel_nasbench",
        text="CSV or Parquet file of Accel-NASBench: block0_e, block0_k, block0_l, block0_se to block6_se (expansion, "
        "kernel, layers, squeeze-and-excitation), with its own units and provenance",
        recognises=lambda suffix, columns: "arch" not in columns and set(COLUMNS) <= set(columns),
        read=_import,
        space=_SPACE.name,
        tells_provenance=True,
    ),
)
