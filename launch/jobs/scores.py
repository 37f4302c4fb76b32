"""Scoring: one untrained network after the other, all proxies of one on shared passes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import proxies
from launch.flags.scoring import Scoring
from launch.jobs.base import Job, Task, Worker, blank
from tfnas import seeds
from tfnas.runs import records

if TYPE_CHECKING:
    from tfnas.networks.graph import Graph

# Options under the names that they had when the first records were written, or those would not be found again.
_DEFAULT = proxies.Options()
_PADDING = 4  # pixels
_RECORDED_AS = {"ntk_logits": "kernel", "ntk_params": "params"}


@dataclasses.dataclass(frozen=True)
class ScoreJob(Job):
    """Scores architectures by the proxies of a network that the settings ask for."""

    settings: Scoring

    @property
    def title(self) -> str:
        return f"{self.settings.dataset}, initialisation {self.settings.scheme()}"

    @property
    def repeats(self) -> int:
        return self.settings.repeats

    def blanks(self) -> list[records.Record]:
        return blanks(self.settings, self.settings.names())

    def worker(self) -> Worker:
        return Scorer(self.settings)


def blanks(settings: Scoring, names: Iterable[str], more: Mapping[str, Any] | None = None) -> list[records.Record]:
    """The records of scores of networks, without architecture, repeat and values.

    Args:
        settings: of the scores.
        names: of proxies.
        more: options of all of them, beside their own.
    """
    options, common = settings.options(), {"split": settings.split, **(more or {})}
    found = []
    for entry in map(proxies.get, names):
        changed = {_RECORDED_AS.get(name, name): getattr(options, name) for name in entry.options}
        if settings.dtype != _DEFAULT.dtype and entry.consumes != "nothing":
            changed["dtype"] = settings.dtype  # records of the first versions, all of them float32, do not say so
        if settings.augment and entry.consumes != "nothing":
            changed["augment"] = True  # nor that images are as they are
        drawn = {"seed": settings.seed, "init": settings.scheme(), "batch_size": settings.images(entry.name)}
        found.append(blank(settings, entry.name, common | changed, bn=entry.mode(options), **drawn))
    return found


class Scorer(Worker):
    """Scores one network after the other on the same batch."""

    def __init__(self, settings: Scoring) -> None:
        from tfnas import data

        self.settings = settings
        self.space = settings.search_space()
        # A second batch for those that compare two; where the split has none, they take the halves of the first.
        size, folder = settings.batch_size, settings.data_dir or None
        batches = max((proxies.get(name).batches for name in settings.names()), default=1)
        count = size * batches if size * batches <= settings.split_size(settings.split) else size
        images, labels = data.batch(settings.dataset, settings.split, count, settings.seed, data_dir=folder)
        batches = [(images[:size], labels[:size]), (images[size:], labels[size:])]
        if settings.augment:
            # One batch after the other: what is drawn for an image depends on their number.
            batches = [(_augmented(some, settings, which), of) for which, (some, of) in enumerate(batches) if len(some)]
        self.batch = batches[0]
        self.second = batches[1] if count > size else None

    def compute(self, task: Task) -> list[dict[str, Any]]:
        from tfnas.networks import weights

        settings, names = self.settings, [blank.proxy for blank in task.blanks]
        seed = seed_of(settings, task)
        started = time.perf_counter()
        graph = settings.layer_graph(task.arch)
        found = self.evaluate(task.arch, graph, weights.initialize(graph, settings.scheme(), seed), names, seed)
        # Building belongs to the cost of a network: the first proxy pays it.
        found[0]["seconds"] += time.perf_counter() - started - sum(values["seconds"] for values in found)
        return found

    def evaluate(
        self, arch: str, graph: Graph, arrays: Mapping[str, np.ndarray], names: Sequence[str], seed: int
    ) -> list[dict[str, Any]]:
        """Values of the records of a network with these weights, a proxy after the other.

        Args:
            arch: of the network.
            graph: of it.
            arrays: its weights by "<node>.<param>".
            names: of proxies.
            seed: of noise.
        """
        settings = self.settings
        outcomes = proxies.evaluate(
            graph,
            arrays,
            *self.batch,
            names,
            settings.options(seed),
            second=self.second,
            thin=lambda **changes: settings.layer_graph(arch, width=self.space.min_width, **changes),
        )
        return [
            {
                "score": outcomes[name].score,
                "status": outcomes[name].status,
                "message": outcomes[name].message,
                "seconds": outcomes[name].seconds,
            }
            for name in names
        ]


def seed_of(settings: Scoring, task: Task) -> int:
    """Seed of the weights and the noise of a network."""
    return seeds.derive_seed(settings.seed, settings.space, task.arch, task.repeat)


def _augmented(images: np.ndarray, settings: Scoring, which: int) -> np.ndarray:
    """The images of a batch mirrored and cropped, by draws that the seed and the number of the batch fix."""
    import tensorflow as tf

    from tfnas import data
    from tfnas.training.augment import flip_and_crop

    purpose = ("augment", which) if which else ("augment",)
    draw = np.random.default_rng(seeds.derive_seed(settings.seed, *purpose)).integers(2**31 - 1, size=2)
    black = data.info(settings.dataset).black
    draw = tf.constant(draw, tf.int32)
    return flip_and_crop(tf.constant(images), draw, flip=True, crop=_PADDING, black=black).numpy()
