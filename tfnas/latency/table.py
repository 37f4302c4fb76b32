"""Latency as the sum over a network's operations, each looked up in a table.

The table is a CSV or Parquet file with a row for each operation and two columns, whatever others there are:

    operation,ms
    conv 32x32x3>32x32x16 k3x3 s1,0.061
    add 32x32x16,32x32x16>32x32x16,0.004

In CSV, operations with a comma stand in quotes. `tfnas.latency.operations` says how operations are written. Times are
milliseconds for one image. Whatever a device does between operations belongs to none of them: give it a row "network",
which is counted once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfnas import files
from tfnas.errors import InputError
from tfnas.latency import operations

if TYPE_CHECKING:  # pandas takes its time to import
    from etils import epath

    from tfnas.networks.graph import Graph

OPERATION, MS = "operation", "ms"
# The row of what a network costs as such.
NETWORK = "network"


@dataclasses.dataclass(frozen=True)
class LatencyTable:
    """Milliseconds by operation.

    Attributes:
        times: signature of `tfnas.latency.operations` -> ms for one image.
        name: of the file, for messages.
    """

    times: Mapping[str, float]
    name: str = "the latency table"

    @property
    def checksum(self) -> str:
        """SHA-256 of the content, whatever the order and the form of the file."""
        return hashlib.sha256(json.dumps(sorted(self.times.items())).encode()).hexdigest()

    def latency(self, graph: Graph) -> float:
        """Milliseconds of a network: the sum over its operations.

        Raises:
            InputError: an operation is not in the table; it is named.
        """
        counts = operations.count(graph)
        if missing := [signature for signature in counts if signature not in self.times]:
            raise InputError(
                f"{self.name} lacks {len(missing)} of {len(counts)} operations of a network. "
                f"Received: {missing[0]!r}. Allowed: its {len(self.times)} operations, the first "
                f"{next(iter(self.times))!r}; add a row for it, or measure one with --operations_out"
            )
        return self.times.get(NETWORK, 0.0) + sum(self.times[name] * number for name, number in counts.items())


def read(path: epath.PathLike) -> LatencyTable:
    """Reads a table.

    Raises:
        InputError: no such file, a file of another kind, a column is missing, an operation stands twice, or a time is
            no number of 0 or more.
    """
    from tfnas import tables

    frame = tables.read_any(path)[0]
    tables.require(frame.columns, (OPERATION, MS), path)
    if frame.empty:
        raise InputError(f"{path} has no operations")
    names, times = frame[OPERATION].astype(str).str.strip(), frame[MS]
    if (doubled := names[names.duplicated()]).size:
        raise InputError(f"{path} has an operation twice. Received: {doubled.iloc[0]!r}")
    wrong = np.ones(len(times), bool)
    if times.dtype.kind in "iuf":
        numbers = times.to_numpy(np.float64, na_value=np.nan)  # of a nullable column too
        wrong = ~((numbers >= 0) & (numbers < np.inf))
    if wrong.any():
        first = int(wrong.argmax())
        raise InputError(
            f"{path}: {MS} must be a number of 0 or more. Received: {times.iloc[first]} for {names.iloc[first]!r}"
        )
    return LatencyTable(dict(zip(names, times.astype(float), strict=True)), str(path))


def write(times: Mapping[str, float], path: epath.PathLike) -> None:
    """Writes a table as CSV, or Parquet where the name ends so; whole or not at all."""
    import io

    import pandas as pd

    frame = pd.DataFrame({OPERATION: list(times), MS: list(times.values())})
    buffer = io.BytesIO()
    if str(path).lower().endswith(".parquet"):
        frame.to_parquet(buffer, index=False)
    else:
        frame.to_csv(buffer, index=False)
    files.write_atomic(path, buffer.getvalue())
