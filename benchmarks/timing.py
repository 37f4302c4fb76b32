"""What benchmarks measure with; the modules themselves define flags, so that none may import another."""

import resource
import time

import tensorflow as tf

from tfnas.networks import weights
from tfnas.networks.keras_model import to_keras


def timed(call) -> float:
    """Wall seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def resident_mb() -> float:
    """Memory of this process in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def training_pass(graph, images, labels):
    """A warm forward and backward pass of the Keras model as a callable."""
    model = to_keras(graph, weights.initialize(graph))
    images, labels = tf.constant(images), tf.constant(labels)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        return tape.gradient(loss, model.trainable_variables)

    def run() -> None:
        step()[0].numpy()

    run()
    run()
    return run
