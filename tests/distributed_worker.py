"""One process of the tests of strategies: TensorFlow's devices are fixed once it has started.

`python -m tests.distributed_worker logical OUT` runs on three logical CPU devices; `... worker OUT` is one worker of
the cluster in TF_CONFIG. Arrays go to OUT (.npz).
"""

import os
import sys

import numpy as np

import spaces
from tests.engine_cases import random_weights
from tfnas import devices
from tfnas.errors import InputError
from tfnas.inference import features

COUNT, BATCH = 23, 4


def network():
    """A small network, its weights, and images to calibrate and run it on."""
    space = spaces.get("nasbench101")
    arch = space.sample(np.random.default_rng(3))
    graph = space.layer_graph(arch, width=8, depth=1, stages=2, input_shape=(8, 8, 3))
    images = np.random.default_rng(0).standard_normal((COUNT, 8, 8, 3)).astype(np.float32)
    return graph, random_weights(graph), images


def all_features(strategy):
    graph, arrays, images = network()
    arrays = features.calibrate(graph, arrays, images, dtype="float64", strategy=strategy)
    return extract(graph, arrays, images, strategy)


def extract(graph, arrays, images, strategy=None, dtype="float64"):
    return features.extract(graph, arrays, images, batch_size=BATCH, dtype=dtype, strategy=strategy)


def logical():
    """Features on 1, 2 and 3 devices, and what else the devices of a process show."""
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 3)
    graph, arrays, images = network()
    found = {"0": all_features(None)}
    for count in (1, 2, 3):
        strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)])
        found[str(count)] = all_features(strategy)
    for few in (1, 5, 9, 12):  # less than a batch; one whole batch and a part; less and no less than all devices take
        found[f"first {few}"] = extract(graph, arrays, images[:few], strategy)
        found[f"alone {few}"] = extract(graph, arrays, images[:few])
    members = [random_weights(graph, seed) for seed in (1, 2)]
    found["members"] = np.stack([extract(graph, m, images, strategy) for m in members])
    found["members alone"] = np.stack([extract(graph, m, images) for m in members])
    found["float32"] = extract(graph, arrays, images, strategy, "float32")
    mirrored = devices.strategy("mirrored")
    found["mirrored"], found["first"] = mirrored.num_replicas_in_sync, devices.is_first(mirrored)
    try:
        found["tpu"] = f"{devices.strategy('tpu').num_replicas_in_sync} replicas"
    except InputError as error:
        found["tpu"] = str(error)
    return found


def worker():
    """Features that this worker ends with, and statistics of BN that each worker sets on images of its own."""
    strategy = devices.strategy("multiworker")
    graph, arrays, images = network()
    index = strategy.cluster_resolver.task_id
    moved = features.calibrate(graph, arrays, images + index, dtype="float64", strategy=strategy)
    return {
        "replicas": strategy.num_replicas_in_sync,
        "first": devices.is_first(strategy),
        "features": all_features(strategy),
        **{f"moved {key}": value for key, value in moved.items() if ".moving_" in key},
    }


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    kind, path = sys.argv[1:]
    np.savez(path, **{"logical": logical, "worker": worker}[kind]())
