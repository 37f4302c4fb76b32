"""Latency: multiply-adds, a sum over a table of operations, or measured here with LiteRT."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from launch.flags.latency import LITERT, MACS, Latency
from launch.jobs import base
from launch.jobs.base import Job, Task, Worker
from tfnas import environment
from tfnas.runs import records

if TYPE_CHECKING:
    import pandas as pd

    from tfnas.networks.graph import Graph

# Beside the records, where converted models are kept.
MODELS = "models"
BUSY = "busy"


@dataclasses.dataclass(frozen=True)
class LatencyJob(Job):
    """How long architectures take, in `Latency.unit`; less is better, as of the sizes among scores.

    Attributes:
        settings: where latencies come from; not from a column of a table, which needs no job.
        folder: of the records, beside which converted models are kept.
    """

    noun = "latencies"
    flush_every = 20

    settings: Latency
    folder: str

    @property
    def name(self) -> str:
        """What records call it."""
        return f"latency_{self.settings.kind}"

    def blanks(self) -> list[records.Record]:
        settings = self.settings
        options: dict[str, Any] = {}
        if settings.kind == "table":
            from tfnas.latency import operations, table

            options |= {"table": table.read(settings.latency).checksum, "operations": operations.VERSION}
        if settings.latency == LITERT:
            from tfnas.latency import litert

            options |= {"repeats": settings.litert_repeats, "warm_up": settings.litert_warm_up}
            options |= {"threads": litert.THREADS, "litert": litert.version(), "cpu": environment.cpu_model()}
        return [base.blank(settings, self.name, options)]

    @property
    def alone(self) -> str:
        return "several would disturb one another" if self.settings.latency == LITERT else ""

    def warnings(self, found: pd.DataFrame) -> list[str]:
        busy = int(found["message"].str.startswith(BUSY).sum())
        if not busy:
            return []
        return [
            f"the machine is busy with something else: the runs of {busy} of {len(found)} networks spread widely. "
            "Measure again while it is quiet, with another --output or --litert_repeats"
        ]

    def worker(self) -> Worker:
        return _Timer(self.settings, self.folder)


class _Timer(Worker):
    """Takes the latency of one network after the other."""

    def __init__(self, settings: Latency, folder: str) -> None:
        self.settings, self.folder = settings, folder
        if settings.kind == "table":
            from tfnas.latency import table

            self.table = table.read(settings.latency)

    def compute(self, task: Task) -> list[dict[str, Any]]:
        from tfnas.networks import flops

        settings, started = self.settings, time.perf_counter()
        graph = settings.layer_graph(task.arch)
        found: dict[str, Any] = {}
        if settings.latency == MACS:
            found["score"] = float(flops.multiply_adds(graph))
        elif settings.kind == "table":
            found["score"] = self.table.latency(graph)
        else:
            found = self._measured(graph, task.arch)
        return [found | {"seconds": time.perf_counter() - started}] * len(task.blanks)

    def _measured(self, graph: Graph, arch: str) -> dict[str, Any]:
        from tfnas.latency import litert

        name, content = self._model(graph, arch)
        timing = litert.measure(content, repeats=self.settings.litert_repeats, warm_up=self.settings.litert_warm_up)
        details = {"model": name, "bytes": len(content), **dataclasses.asdict(timing)}
        told = f"{BUSY}: the quartiles of the runs are {timing.spread:.0%} apart" if timing.busy else ""
        return {"score": timing.median, "message": told, "details": json.dumps(details)}

    def _model(self, graph: Graph, arch: str) -> tuple[str, bytes]:
        """The converted network, from where it is kept or made and kept, and its name there."""
        from etils import epath

        from tfnas import files

        settings = self.settings
        # Everything that the model depends on but its weights, which are noise.
        parts = [settings.space, arch, dataclasses.asdict(settings.network()), base.versions()]
        name = f"{MODELS}/{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}.tflite"
        path = epath.Path(self.folder) / name
        if path.exists():
            return name, path.read_bytes()
        content = converted(graph, settings.scheme())
        files.write_atomic(path, content)
        return name, content


def converted(graph: Graph, scheme: str) -> bytes:
    """The LiteRT model of a network with initial weights."""
    import keras

    from tfnas.latency import litert
    from tfnas.networks import keras_model, weights

    # Keras keeps every layer's symbolic tensors until told otherwise.
    keras.backend.clear_session()
    return litert.convert(keras_model.to_keras(graph, weights.initialize(graph, scheme, 0)))
