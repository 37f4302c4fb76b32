"""Training against `model.fit` of Keras: throughput, set-up of further networks, memory, and what frozen layers save.

    python -m benchmarks.training                # about ten minutes on 2 cores
    python -m benchmarks.training --networks=1 --rounds=1 --memory=0

Both train the same networks from the same weights on the same batches, taking turns in one process. Of every round the
time of an epoch counts, and of all rounds the fastest; a throughput is a ratio of these times. Set-up is what the first
epoch of a network takes beyond the fastest, with making the trainer (or building and compiling the model); first
networks, with which a process meets its kernels, are told apart. CPU seconds stand beside them, as those of a busy
machine mean more. The data of `model.fit` are in memory, shuffled and batched by tf.data, and not augmented; those of
the trainer are augmented as well where --augment says so.
"""

import gc
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import spaces
from benchmarks.timing import resident_mb
from tfnas import environment, training
from tfnas.networks import weights
from tfnas.networks.keras_model import to_keras
from tfnas.training import augment

NETWORKS = flags.DEFINE_integer("networks", 4, "networks, after the first")
ROUNDS = flags.DEFINE_integer("rounds", 5, "epochs of which the fastest counts")
STEPS = flags.DEFINE_integer("steps", 4, "steps of an epoch")
BATCH = flags.DEFINE_integer("batch", 64, "images of a step")
WIDTH = flags.DEFINE_integer("width", 16, "channels of the first stage")
DEPTH = flags.DEFINE_integer("depth", 5, "cells of a stage")
PIXELS = flags.DEFINE_integer("pixels", 32, "height and width of the images")
AUGMENT = flags.DEFINE_bool("augment", True, "flip and crop the images of the trainer")
MEMORY = flags.DEFINE_integer("memory", 100, "networks over which to measure memory; 0 for none")


class Epochs:
    """Epochs of a network, by either way, and what they took: (seconds, CPU seconds)."""

    def __init__(self, make) -> None:
        self.first = timed(lambda: setattr(self, "run", make()), lambda: self.run())
        self.fastest = (float("inf"), float("inf"))

    def round(self) -> None:
        self.fastest = tuple(map(min, self.fastest, timed(self.run)))

    @property
    def set_up(self) -> tuple[float, float]:
        return tuple(first - fastest for first, fastest in zip(self.first, self.fastest, strict=True))


def timed(*calls) -> tuple[float, float]:
    start, cpu = time.perf_counter(), time.process_time()
    for call in calls:
        call()
    return time.perf_counter() - start, time.process_time() - cpu


def recipe(**changes) -> training.Recipe:
    settings = {"epochs": 1000, "batch_size": BATCH.value}
    settings |= {} if AUGMENT.value else {"flip": False, "crop": 0}
    return training.Recipe(**settings | changes)


def by_trainer(graph, arrays, data, cells=0):
    def make():
        trained = training.last_cells(graph, cells) if cells else None
        trainer = training.Trainer(graph, recipe(), trained=trained)
        trainer.start(arrays)
        run = trainer.run(data)
        return lambda: next(run)

    return make


def by_keras(graph, arrays, data):
    def make():
        keras.backend.clear_session()
        model = to_keras(graph, arrays)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), loss, metrics=["accuracy"])
        size = len(data[1])
        batches = tf.data.Dataset.from_tensor_slices(data).shuffle(size).batch(BATCH.value, drop_remainder=True)
        return lambda: model.fit(batches.prefetch(2), verbose=0, shuffle=None)

    return make


def batches(data) -> tuple[float, float]:
    """What it takes to draw and augment the batches of an epoch: (seconds, CPU seconds)."""
    settings = recipe()
    make = augment.batcher(
        data[0].shape[1:],
        BATCH.value,
        "float32",
        flip=settings.flip,
        crop=settings.crop,
        cutout=settings.cutout,
        black=(0.0, 0.0, 0.0),
    )
    images, labels = map(tf.constant, data)

    def epoch() -> None:
        for i in range(STEPS.value):
            make(images, labels, tf.range(BATCH.value), tf.constant([i, i]))[0].numpy()

    epoch()
    return tuple(map(min, *(timed(epoch) for _ in range(ROUNDS.value + 1))))


def networks(count: int, **network):
    space = spaces.get("nasbench201")
    for i in range(count):
        graph = space.layer_graph(space.sample(np.random.default_rng(100 + i)), **network)
        yield graph, weights.initialize(graph)


def examples(count: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, pixels, pixels, 3), np.float32), rng.integers(0, 10, count).astype(np.int32)


def memory(count: int) -> float:
    """Growth of resident memory in MB a network, after the kernels of the space have been met."""
    data, warm_up, before = examples(32, 8), 40, 0.0
    for i, (graph, arrays) in enumerate(networks(warm_up + count, width=8, depth=1, input_shape=(8, 8, 3))):
        if i == warm_up:
            gc.collect()
            before = resident_mb()
        trainer = training.Trainer(graph, training.Recipe(epochs=1, batch_size=16, crop=0))
        trainer.start(arrays)
        list(trainer.run(data, data))
    gc.collect()
    return (resident_mb() - before) / count


def main(_) -> None:
    shape = (PIXELS.value, PIXELS.value, 3)
    data = examples(BATCH.value * STEPS.value, PIXELS.value)
    settings = {"width": WIDTH.value, "depth": DEPTH.value, "input_shape": shape}
    drawn = batches(data)
    cells = max(1, DEPTH.value - 1)
    ours, theirs, frozen = [], [], []
    for graph, arrays in networks(1 + NETWORKS.value, **settings):
        ways = [Epochs(make) for make in (by_trainer(graph, arrays, data), by_keras(graph, arrays, data))]
        ways.append(Epochs(by_trainer(graph, arrays, data, cells)))
        for _ in range(ROUNDS.value):
            for way in ways:
                way.round()
        for found, way in zip((ours, theirs, frozen), ways, strict=True):
            found.append(way)
        seconds = [f"{1000 * way.fastest[0] / STEPS.value:.1f}" for way in ways]
        print("a step of trainer, model.fit, trainer with frozen cells: {}, {}, {} ms".format(*seconds), flush=True)
    print(f"{environment.cpu_model()}, {environment.usable_cores()} cores; batch {BATCH.value} of {shape}")
    for what, index in (("seconds", 0), ("CPU seconds", 1)):
        mean = lambda values: statistics.mean(values)  # noqa: E731
        ratio = mean(k.fastest[index] / t.fastest[index] for k, t in zip(theirs, ours, strict=True))
        saved = mean(f.fastest[index] / t.fastest[index] for f, t in zip(frozen, ours, strict=True))
        print(f"by {what}:")
        print(f"  throughput / model.fit             {ratio:8.2f}     (aim: at least 1)")
        share = drawn[index] / mean(way.fastest[index] for way in ours)
        print(f"  drawing and augmenting / step      {share:8.2f}     (the rest of the step waits for it)")
        print(f"  step with frozen cells / whole     {saved:8.2f}     (the last {cells} cells are trained)")
        first = ours[0].set_up[index], theirs[0].set_up[index]
        print("  set-up of the first network        {:8.2f} s   Keras {:.2f} s".format(*first))
        if NETWORKS.value:
            mine, keras_ = (mean(way.set_up[index] for way in ways[1:]) for ways in (ours, theirs))
            print(f"  set-up of a further network        {mine:8.2f} s   Keras {keras_:.2f} s   (aim: at most 1.5)")
    if MEMORY.value:
        command = [sys.executable, "-c", f"from benchmarks import training; print(training.memory({MEMORY.value}))"]
        growth = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
        print(f"memory a network                     {growth:8.3f} MB  (aim: at most 0.2)")


if __name__ == "__main__":
    app.run(main)
