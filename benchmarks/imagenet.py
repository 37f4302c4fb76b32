"""Reading ImageNet photographs against running a network on them: images a second, in one process.

    python -m benchmarks.imagenet --data_dir=DIR                         # about a minute on 2 cores
    python -m benchmarks.imagenet --data_dir=DIR --space=nasbench201 --width=4

Photographs are decoded, scaled, cut and normalised by `data.stream`, as every batch is, and nothing is kept between the
rounds. The network is in a warm `tf.function` and in inference mode: MnasNet-B1 (0.3 G multiply-adds at 224 pixels), or
with --space the first of another space that seed 0 draws.
Rounds of one and the other take turns; the last lines are their ratio and both together.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import spaces
from benchmarks.timing import timed
from spaces.mobile.mnas import published
from tfnas import data, environment

DATA_DIR = flags.DEFINE_string("data_dir", "", "folder of prepared TFDS data sets")
DATASET = flags.DEFINE_string("dataset", "imagenet2012", "data set, such as imagenet2012/96x96")
SPLIT = flags.DEFINE_string("split", "train[:512]", "photographs to read in each round")
SPACE = flags.DEFINE_string("space", "mnas", "search space of the network")
WIDTH = flags.DEFINE_integer("width", 0, "channels of the first stage (0: the space's own)")
BATCH = flags.DEFINE_integer("batch", 16, "images that run at once")
ROUNDS = flags.DEFINE_integer("rounds", 3, "rounds; the fastest counts")


def network() -> keras.Model:
    source = data.info(DATASET.value)
    space = spaces.get(SPACE.value)
    arch = published.named("b1") if SPACE.value == "mnas" else space.sample(np.random.default_rng(0))
    settings = {"classes": source.classes, "input_shape": source.input_shape, "width": WIDTH.value or None}
    return space.build(arch, **settings)


def photographs():
    return data.stream(DATASET.value, SPLIT.value, BATCH.value, data_dir=DATA_DIR.value or None)


def main(_) -> None:
    model = network()
    forward = tf.function(lambda x: model(x, training=False), autograph=False, reduce_retracing=True)
    # Whole batches only, or the last one is traced anew.
    count = data.split_size(DATASET.value, SPLIT.value, data_dir=DATA_DIR.value or None) // BATCH.value * BATCH.value
    batches = [tf.constant(images) for images, _ in photographs() if len(images) == BATCH.value]
    forward(batches[0])
    rounds = {
        "decoding and preprocessing": lambda: sum(1 for _ in photographs()),
        # Fetched, as a device would still be at work.
        "the network": lambda: [forward(images).numpy() for images in batches],
        "both together": lambda: [forward(tf.constant(x)).numpy() for x, _ in photographs() if len(x) == BATCH.value],
    }
    spent = {name: [] for name in rounds}
    for _ in range(ROUNDS.value):
        for name, call in rounds.items():
            spent[name].append(timed(call))
    cost = f"{model.count_params() / 1e6:.1f} M parameters"
    print(f"{environment.cpu_model()}, {environment.usable_cores()} cores; {DATASET.value}, {count} images; {cost}")
    best = {name: min(times) for name, times in spent.items()}
    for name, times in spent.items():
        print(f"{name}: {count / best[name]:.1f} images a second (slowest round {count / max(times):.1f})")
    reading, running, both = best.values()
    print(
        f"reading is {running / reading:.2f} times as fast as the network; "
        f"both together take {both / running:.2f} times its time"
    )


if __name__ == "__main__":
    app.run(main)
