"""Every proxy a second time, from its definition: a few lines of numpy and tapes on the Keras model, in float64."""

import tensorflow as tf

import proxies
from proxies.passes import Passes
from tests import proxies_cases as case
from tests.proxies_cases import LABELS
from tfnas.engine import reference

KERNELS = [node.name for node in case.graph().weight_nodes()]
RELUS = [node.name for node in case.graph().nodes if node.op == "activation"]
NORMS = [node for node in case.graph().nodes if node.op == "batch_norm"]
# The stem, cells and reductions.
BLOCKS = [
    "stem.1" if i < 0 else [node.name for node in case.graph().nodes if node.name.startswith(f"cells.{i}.")][-1]
    for i in range(-1, 5)
]

INDEPENDENT = {}


def second_computation(function):
    """Registers a computation under its name."""
    INDEPENDENT[function.__name__] = function
    return function


def noise(count, *labels, shape=()):
    """The noise images of a proxy; how they are drawn is no part of its definition."""
    return Passes(case.graph(), case.weights(), case.images(), LABELS, proxies.Options()).noise(
        count, *labels, shape=shape
    )


def kernels(model):
    return {name: model.get_layer(name).kernel for name in KERNELS}


def loss(logits, labels=LABELS):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def gradients(images=None, labels=LABELS):
    """(W, dL/dW) of every convolution and dense kernel."""
    model = case.model()
    with tf.GradientTape() as tape:
        value = loss(reference.logits(model, case.images() if images is None else images, "batch"), labels)
    values = [kernel.value for kernel in kernels(model).values()]
    found = tape.gradient(value, values, unconnected_gradients="zero")
    return [(weight.numpy(), gradient.numpy()) for weight, gradient in zip(values, found, strict=True)]
