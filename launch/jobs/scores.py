"""Scoring: one untrained network after the other, all proxies of one on shared passes."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import numpy as np

import proxies
from launch.flags.scoring import Scoring
from launch.jobs.base import Job, Task, Worker
from tfnas import seeds
from tfnas.runs import records

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
        settings, network = self.settings, self.settings.network()
        options = settings.options()
        common = {"split": settings.split, "classes": network.classes, "input_shape": network.input_shape}
        blanks = []
        for entry in map(proxies.get, settings.names()):
            changed = {_RECORDED_AS.get(name, name): getattr(options, name) for name in entry.options}
            if settings.dtype != _DEFAULT.dtype and entry.consumes != "nothing":
                changed["dtype"] = settings.dtype  # records of the first versions, all of them float32, do not say so
            if settings.augment and entry.consumes != "nothing":
                changed["augment"] = True  # nor that images are as they are
            blanks.append(
                records.Record(
                    space=settings.space,
                    arch="",
                    dataset=settings.dataset,
                    proxy=entry.name,
                    score=math.nan,
                    seed=settings.seed,
                    init=settings.scheme(),
                    bn=entry.mode(options),
                    batch_size=settings.images(entry.name),
                    width=network.width,
                    depth=network.depth,
                    flavour=network.flavour,
                    options=records.dump_options(common | changed),
                )
            )
        return blanks

    def worker(self) -> Worker:
        return _Scorer(self.settings)


class _Scorer(Worker):
    """Scores one network after the other on the same batch."""

    def __init__(self, settings: Scoring) -> None:
        from tfnas import data

        self.settings = settings
        self.space = settings.search_space()
        # A second batch for those that compare two; where the split has none, they take the halves of the first.
        size, folder = settings.batch_size, settings.data_dir or None
        batches = max(proxies.get(name).batches for name in settings.names())
        count = size * batches if size * batches <= settings.split_size(settings.split) else size
        images, labels = data.batch(settings.dataset, settings.split, count, settings.seed, data_dir=folder)
        if settings.augment:
            images = _augmented(images, settings)
        self.batch = images[:size], labels[:size]
        self.second = (images[size:], labels[size:]) if count > size else None

    def compute(self, task: Task) -> list[dict[str, Any]]:
        from tfnas.networks import weights

        settings, names = self.settings, [blank.proxy for blank in task.blanks]
        seed = seeds.derive_seed(settings.seed, settings.space, task.arch, task.repeat)
        started = time.perf_counter()
        graph = settings.layer_graph(task.arch)
        outcomes = proxies.evaluate(
            graph,
            weights.initialize(graph, settings.scheme(), seed),
            *self.batch,
            names,
            settings.options(seed),
            second=self.second,
            thin=lambda **changes: settings.layer_graph(task.arch, width=self.space.min_width, **changes),
        )
        spent = [outcomes[name].seconds for name in names]
        # Building belongs to the cost of a network: the first proxy pays it.
        spent[0] += time.perf_counter() - started - sum(spent)
        return [
            {
                "score": outcomes[name].score,
                "status": outcomes[name].status,
                "message": outcomes[name].message,
                "seconds": seconds,
            }
            for name, seconds in zip(names, spent, strict=True)
        ]


def _augmented(images: np.ndarray, settings: Scoring) -> np.ndarray:
    """The images mirrored and cropped, by draws that the seed fixes."""
    import tensorflow as tf

    from tfnas import data
    from tfnas.training.augment import flip_and_crop

    draw = np.random.default_rng(seeds.derive_seed(settings.seed, "augment")).integers(2**31 - 1, size=2)
    black = data.info(settings.dataset).black
    draw = tf.constant(draw, tf.int32)
    return flip_and_crop(tf.constant(images), draw, flip=True, crop=_PADDING, black=black).numpy()
