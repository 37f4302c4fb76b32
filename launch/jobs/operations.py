"""A latency table of this machine: every operation of some networks, measured by itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launch.flags.latency import Latency
from tfnas.progress import Progress

if TYPE_CHECKING:
    import keras

    from tfnas.latency.litert import Timing
    from tfnas.networks.graph import Graph, Node

# Rows that may be lost by a run that is killed.
_FLUSH_EVERY = 20


def measure(settings: Latency, archs: Sequence[str], path: str) -> None:
    """Measures the operations of networks with LiteRT and writes them as a latency table.

    The row "network" is what LiteRT takes for an operation on a single number, which is the call alone; every other
    operation is its time less that. Operations that the file has are kept, so that a run that was stopped goes on.

    Args:
        settings: of the networks, and how often an operation runs.
        archs: whose operations they are.
        path: of the table, see `tfnas.latency.table`.

    Raises:
        InputError: the file is there and no such table.
    """
    from etils import epath

    from tfnas.latency import operations, table
    from tfnas.networks import keras_model

    times = dict(table.read(path).times) if epath.Path(path).exists() else {}
    wanted: dict[str, tuple[Graph, Node]] = {}
    for arch in archs:
        graph = settings.layer_graph(arch)
        wanted |= {operations.signature(graph, node): (graph, node) for node in operations.timed(graph)}
    todo = {signature: place for signature, place in wanted.items() if signature not in times}
    busy = 0
    if todo and table.NETWORK not in times:
        times[table.NETWORK] = _time(_smallest(), settings).median
    with Progress("operations", len(wanted), done=len(wanted) - len(todo)) as bar:
        for number, (signature, place) in enumerate(todo.items(), start=1):
            timing = _time(keras_model.layer_alone(*place), settings)
            times[signature] = max(0.0, timing.median - times[table.NETWORK])
            busy += timing.busy
            if number % _FLUSH_EVERY == 0 or number == len(todo):
                table.write(times, path)
            bar.advance()
    print(f"wrote {path}: {len(times)} rows, {len(todo)} of them measured now")
    if busy:
        print(f"warning: the runs of {busy} operations spread widely: the machine is busy", file=sys.stderr)


def _smallest() -> keras.Model:
    import keras

    x = keras.Input((1,))
    return keras.Model(x, keras.layers.ReLU()(x))


def _time(model: keras.Model, settings: Latency) -> Timing:
    import keras

    from tfnas.latency import litert

    timing = litert.measure(litert.convert(model), repeats=settings.litert_repeats, warm_up=settings.litert_warm_up)
    # Keras keeps every layer's symbolic tensors until told otherwise.
    keras.backend.clear_session()
    return timing
