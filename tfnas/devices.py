"""Strategies of `tf.distribute` by name: how the devices of one or more machines share a batch.

Scores do not depend on the strategy. Tests run "mirrored" on logical CPU devices and "multiworker" with two processes
of one machine; "tpu" is written to TensorFlow's documentation and has not run on a TPU.
"""

from __future__ import annotations

import functools
import json
import os
from typing import TYPE_CHECKING

from tfnas.errors import InputError, unknown

if TYPE_CHECKING:
    import tensorflow as tf

NAMES = ("cpu", "mirrored", "multiworker", "tpu")


def strategy(name: str) -> tf.distribute.Strategy | None:
    """The strategy of a name, ready to run.

    Args:
        name: which devices work together:
            cpu: one device, TensorFlow's default.
            mirrored: all GPUs of this machine, or all its logical CPU devices where it has no GPU.
            multiworker: the devices of all processes that the environment variable TF_CONFIG lists; waits until all of
                them have started. It must come before anything that runs on a device.
            tpu: all cores of the TPU that the environment variable TPU_NAME names, or of this TPU VM ("local").

    Returns:
        None where there is one device alone.

    Raises:
        InputError: an unknown name; multiworker with TF_CONFIG missing or in another form; tpu without a TPU.
    """
    match name:
        case "cpu":
            return None
        case "mirrored":
            return _mirrored()
        case "multiworker":
            return _multiworker()
        case "tpu":
            return _tpu()
    raise unknown("strategy", name, NAMES)


def is_first(strategy: tf.distribute.Strategy | None) -> bool:
    """Whether this process is the only one of its strategy, or the one that writes for all."""
    return strategy is None or strategy.extended.should_checkpoint


@functools.cache
def _mirrored() -> tf.distribute.Strategy | None:
    """One for the whole process: operations of a second would be taken for those of the first."""
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices]) if len(devices) > 1 else None


def _multiworker() -> tf.distribute.Strategy:
    check_cluster(os.environ.get("TF_CONFIG", ""))
    import tensorflow as tf

    return tf.distribute.MultiWorkerMirroredStrategy()


def check_cluster(text: str) -> None:
    """Refuses a TF_CONFIG that names no place in a cluster of workers.

    Raises:
        InputError: for all that TensorFlow would take for a cluster of this process alone, or not take at all.
    """
    try:
        config = json.loads(text)
        cluster, kind, index = config["cluster"], config["task"]["type"], config["task"]["index"]
        fits = cluster.keys() <= {"chief", "worker"} and 0 <= index < len(cluster[kind])
    except (ValueError, TypeError, KeyError, AttributeError):
        fits = False
    if not fits:
        raise InputError(
            "Strategy multiworker needs the environment variable TF_CONFIG, another index on each worker. "
            f"Received: {text!r}. Allowed: "
            '{"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": "worker", "index": 0}}'
        )


def _tpu() -> tf.distribute.Strategy:
    import tensorflow as tf

    name = os.environ.get("TPU_NAME") or "local"
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
        if name != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:120]
        raise InputError(
            f"Strategy tpu found no TPU ({reason}). Received: TPU_NAME={name!r}. "
            "Allowed: a TPU VM, or TPU_NAME of a TPU, with a TPU build of TensorFlow (extra `tpu`); "
            f"elsewhere {', '.join(NAMES[:-1])}"
        ) from None
