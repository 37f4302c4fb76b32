"""Cost of scores on MnasNet-A1 at 224 pixels, in units of the same network in Keras.

    python -m benchmarks.mobile                 # about three minutes on 2 cores
    python -m benchmarks.mobile --resolution=64 --rounds=1

Times are the fastest of several rounds in one process, in which everything has been traced. The unit of GradSign is a
forward and backward pass of the same batch through the Keras model with training=True, that of NNGP's features a
forward pass of the same images with training=False. Peak memory is measured in a process for each, tracing included,
above what the process holds once weights are made and TensorFlow has run.
"""

import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import proxies
import spaces
from benchmarks.timing import timed, training_pass
from spaces.mobile.mnas import published
from tfnas import environment
from tfnas.engine import cache_size
from tfnas.inference import features
from tfnas.networks import weights
from tfnas.networks.keras_model import to_keras

RESOLUTION = flags.DEFINE_integer("resolution", 224, "height and width of the images")
BATCH_SIZE = flags.DEFINE_integer("images", 16, "images in the batch of GradSign")
INFERRED = flags.DEFINE_integer("inferred", 64, "images of which features are taken")
ROUNDS = flags.DEFINE_integer("rounds", 5, "rounds; the fastest counts")
PART = flags.DEFINE_string("part", "", "measure the peak memory of this part alone")


class Work:
    """The parts that are compared, each as a callable."""

    def __init__(self) -> None:
        shape = (RESOLUTION.value, RESOLUTION.value, 3)
        self.graph = spaces.get("mnas").layer_graph(published.named("a1"), input_shape=shape)
        self.arrays = weights.initialize(self.graph, "mnas")
        rng = np.random.default_rng(0)
        self.images = rng.standard_normal((max(INFERRED.value, BATCH_SIZE.value), *shape), dtype=np.float32)
        self.labels = np.arange(BATCH_SIZE.value) % 1000

    def gradsign(self):
        batch = self.images[: BATCH_SIZE.value]
        return lambda: proxies.evaluate(self.graph, self.arrays, batch, self.labels, ["gradsign"])

    def training(self):
        return training_pass(self.graph, self.images[: BATCH_SIZE.value], self.labels)

    def features(self):
        return lambda: features.extract(self.graph, self.arrays, self.images)

    def forward(self):
        model = to_keras(self.graph, self.arrays)
        pooled = keras.Model(model.input, model.get_layer(self.graph.features).output)
        run = tf.function(lambda x: pooled(x, training=False), autograph=False)
        batches = [
            tf.constant(self.images[i : i + BATCH_SIZE.value]) for i in range(0, len(self.images), BATCH_SIZE.value)
        ]
        return lambda: [run(images).numpy() for images in batches]


def peak_mb() -> float:
    """Peak memory of this process (its ru_maxrss would count that of the process which started it)."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def memory(part: str) -> float:
    """MB by which a part raises the peak memory of a process of its own."""
    command = [sys.executable, "-m", "benchmarks.mobile", f"--part={part}"]
    command += [f"--{name}={flags.FLAGS[name].value}" for name in ("resolution", "images", "inferred")]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def main(_) -> None:
    work = Work()
    if PART.value:
        tf.matmul(tf.ones([2, 2]), tf.ones([2, 2]))
        before = peak_mb()
        getattr(work, PART.value)()()
        print(peak_mb() - before)
        return
    calls = {part: getattr(work, part)() for part in ("training", "gradsign", "forward", "features")}
    for call in calls.values():
        call()
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS.value):
        for part, call in calls.items():
            best[part] = min(best[part], timed(call))
    held = {part: memory(part) for part in ("training", "gradsign")}
    print(f"{environment.cpu_model()}, {environment.usable_cores()} cores; MnasNet-A1, {RESOLUTION.value} pixels")
    print(f"warm training pass, {BATCH_SIZE.value} images     {best['training']:8.2f} s")
    print(f"GradSign / training pass         {best['gradsign'] / best['training']:8.2f}     (aim: at most 4)")
    print(f"peak memory of GradSign / of it  {held['gradsign'] / held['training']:8.2f}     (aim: at most 3)", end="  ")
    print(f"({held['gradsign']:.0f} MB, {held['training']:.0f} MB)")
    print(f"warm forward passes, {INFERRED.value} images    {best['forward']:8.2f} s")
    print(f"NNGP features / forward passes   {best['features'] / best['forward']:8.2f}     (aim: at most 1.2)")
    print(f"kernels traced                   {cache_size():8d}")


if __name__ == "__main__":
    app.run(main)
