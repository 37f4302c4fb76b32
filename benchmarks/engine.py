"""Cost of scores in units of one warm training pass, measured in one process.

    python -m benchmarks.engine                 # everything, about ten minutes on 2 cores
    python -m benchmarks.engine --networks=5 --jacobian=0 --memory=0

Times are means over random NAS-Bench-201 networks that the process has not met (C = 16, N = 5, CIFAR-10's shape, batch
64); what is called GradSign, or nine proxies and sizes, includes building the network and drawing its weights. The unit
is one forward and backward pass of the same batch through the Keras model in a warm `tf.function` with training=True.
"""

import gc
import os
import statistics
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from absl import app, flags

import proxies
import spaces
from benchmarks.timing import resident_mb, timed, training_pass
from tfnas.engine import cache_size
from tfnas.networks import weights
from tfnas.networks.keras_model import to_keras

NETWORKS = flags.DEFINE_integer("networks", 20, "networks to average over")
BATCH = flags.DEFINE_integer("batch", 64, "images")
WIDTH = flags.DEFINE_integer("width", 16, "channels of the first stage")
DEPTH = flags.DEFINE_integer("depth", 5, "cells a stage")
JACOBIAN = flags.DEFINE_integer(
    "jacobian", 1, "networks on which to time GradientTape.jacobian (most of a minute each)"
)
MEMORY = flags.DEFINE_integer("memory", 200, "networks over which to measure memory, with and without XLA; 0 for none")

# GradSign, eight more, and both sizes.
ALL = ("gradsign", "grad_norm", "plain", "snip", "grasp", "fisher", "synflow", "jacob_cov", "naswot", "params", "flops")


def draw(seed: int) -> spaces.base.Architecture:
    return spaces.get("nasbench201").sample(np.random.default_rng(seed))


def batch(size: int, resolution: int = 32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((size, resolution, resolution, 3), dtype=np.float32), rng.integers(0, 10, size)


def score(arch, names, images, labels, options=None, **network) -> None:
    graph = spaces.get("nasbench201").layer_graph(arch, **network)
    outcomes = proxies.evaluate(graph, weights.initialize(graph), images, labels, names, options)
    assert all(outcome.status != "error" for outcome in outcomes.values()), outcomes


def jacobian_first_call(graph, images, labels) -> float:
    model = to_keras(graph, weights.initialize(graph))
    images, labels = tf.constant(images), tf.constant(labels)

    @tf.function
    def per_example():
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(images, training=False))
        return tape.jacobian(losses, model.trainable_variables)

    return timed(lambda: per_example()[0].numpy())


def memory(jit: bool, count: int) -> float:
    """Growth of resident memory in MB a network, after the kernels of the space have been met."""
    images, labels = batch(8, 8)
    options = proxies.Options(jit=jit)
    warm_up = 60
    before = 0.0
    for i in range(warm_up + count):
        if i == warm_up:
            gc.collect()
            before = resident_mb()
        score(draw(10_000 + i), ("gradsign", "snip", "naswot"), images, labels, options, depth=1, input_shape=(8, 8, 3))
    gc.collect()
    return (resident_mb() - before) / count


def main(_) -> None:
    images, labels = batch(BATCH.value)
    network = {"width": WIDTH.value, "depth": DEPTH.value}
    first = timed(lambda: score(draw(0), ("gradsign",), images, labels, **network))
    first_all = timed(lambda: score(draw(0), ALL, images, labels, **network))
    for i in range(1, 4):  # the kernels of the space are met within a few networks
        score(draw(i), ALL, images, labels, **network)
    unit, gradsign, every = [], [], []
    for i in range(NETWORKS.value):
        arch = draw(100 + i)
        gradsign.append(timed(lambda arch=arch: score(arch, ("gradsign",), images, labels, **network)))
        every.append(timed(lambda arch=arch: score(arch, ALL, images, labels, **network)))
        run = training_pass(spaces.get("nasbench201").layer_graph(arch, **network), images, labels)
        unit.append(statistics.mean(timed(run) for _ in range(5)))
        # No clear_session here: it also drops TensorFlow's instances of our kernels, which no sweep does.
        print(f"{arch}  pass {unit[-1]:.3f} s  GradSign {gradsign[-1]:.3f} s  all {every[-1]:.3f} s", flush=True)
    pass_, one, all_ = (statistics.mean(values) for values in (unit, gradsign, every))
    print(f"\nwarm training pass              {pass_:8.3f} s")
    print(f"GradSign / training pass        {one / pass_:8.2f}     (aim: at most 2.5)")
    print(f"nine and sizes / GradSign       {all_ / one:8.2f}     (aim: at most 3.5)")
    print(f"first network / later, GradSign {first / one:8.2f}     (aim: at most 4)")
    print(f"the same, nine and sizes        {first_all / all_:8.2f}     (after GradSign of that network)")
    print(f"kernels traced                  {cache_size():8d}")
    if JACOBIAN.value:
        seconds = [
            jacobian_first_call(spaces.get("nasbench201").layer_graph(draw(100 + i), **network), images, labels)
            for i in range(JACOBIAN.value)
        ]
        print(f"Jacobian first call / GradSign  {statistics.mean(seconds) / one:8.1f}     (aim: at least 20)")
    if MEMORY.value:
        for jit in (False, True):
            command = [
                sys.executable,
                "-c",
                f"from benchmarks import engine; print(engine.memory({jit}, {MEMORY.value}))",
            ]
            growth = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
            print(f"memory a network, XLA {'on ' if jit else 'off'}       {growth:8.3f} MB  (aim: under 1)", flush=True)


if __name__ == "__main__":
    app.run(main)
