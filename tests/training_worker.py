"""Training on logical CPU devices, in a process of its own; started by tests/tfnas/training/test_replicas.py.

    python -m tests.training_worker DEVICES OUT.npz

A process has strategies of one number of devices: their collective operations would take another for the same group.
"""

import contextlib
import dataclasses
import sys

import numpy as np
import tensorflow as tf

from tests.tfnas.training import cases
from tfnas import devices, training

BATCH = 12
RECIPE = dataclasses.replace(cases.PLAIN, epochs=2, batch_size=BATCH, crop=1, clip_norm=0.5, unbiased_variance=True)
HALF = dataclasses.replace(RECIPE, epochs=1)


def data():
    return cases.random_data(30, (8, 8, 1), 10)


def train(strategy, *, synchronized=True, precision="float64", trained=None, recipe=RECIPE):
    """Weights after the recipe, and losses and accuracies of its epochs."""
    graph = cases.small_graph(dropout=0.3)
    more = {"synchronized": synchronized, "precision": precision, "trained": trained}
    trainer = cases.started(graph, recipe, strategy=strategy, **more)
    epochs = list(trainer.run(data(), seed=3))
    return trainer.weights() | {"epochs": np.array([(epoch.train_loss, epoch.train_accuracy) for epoch in epochs])}


def interrupted(path, **more):
    """What `train` gives, of two trainers: one is interrupted in its second epoch, the other goes on from its state."""
    graph, checkpoint = cases.small_graph(dropout=0.3), training.Checkpoint(path, "this training")
    for seed in (0, 1):
        trainer = cases.started(graph, RECIPE, seed=seed, precision="float64", **more)
        assert trainer.resume(checkpoint) == (seed == 1)
        cases.interrupt_after(trainer, 3 if seed == 0 else 100)  # two an epoch
        with contextlib.suppress(KeyboardInterrupt):
            list(trainer.run(data(), seed=3, checkpoint=checkpoint))
        assert len(trainer.history) == 1 + seed
    values = [(epoch.train_loss, epoch.train_accuracy) for epoch in trainer.history]
    return trainer.weights() | {"epochs": np.array(values)}


def last_cell():
    return training.last_cells(cases.small_graph(dropout=0.3), 1)


def main(count, path):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * count
    )
    strategy = devices.strategy("mirrored")
    assert strategy.num_replicas_in_sync == count
    found = {f"{count}": train(strategy)}
    if count == 2:
        found["resumed"] = interrupted(f"{path}.state", strategy=strategy)
        found["frozen"] = train(strategy, trained=last_cell())
        found["apart"] = train(strategy, synchronized=False, recipe=HALF)
        found["bfloat16"] = train(strategy, precision="bfloat16", recipe=HALF)
    np.savez(path, **{f"{name}/{key}": value for name, values in found.items() for key, value in values.items()})


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
