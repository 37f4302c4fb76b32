"""Size, gradients of a batch and gradients of examples."""

import math

import numpy as np
import tensorflow as tf

from tests import proxies_cases as case
from tests.engine_cases import keras_model
from tests.proxies.independent import KERNELS, gradients, kernels, loss, second_computation
from tests.proxies_cases import LABELS
from tests.tfnas.engine.test_engine_second_order import with_explicit_norms
from tfnas.engine import reference
from tfnas.networks.builder import GraphBuilder

# Size ----------------------------------------------------------------------------------------------------------------


@second_computation
def params():
    return sum(math.prod(variable.shape) for variable in case.model().trainable_variables)


@second_computation
def flops():
    """Pixels of the output times entries of the kernel, and the bias of the classifier."""
    total = 0
    for name, kernel in kernels(case.model()).items():
        layer = case.model().get_layer(name)
        total += math.prod(layer.output.shape[1:-1]) * math.prod(kernel.shape)
    return total + case.NETWORK["classes"]


@second_computation
def l2_norm():
    return sum(math.sqrt(np.sum(kernel.numpy() ** 2)) for kernel in kernels(case.model()).values())


# Gradients of a batch ------------------------------------------------------------------------------------------------


@second_computation
def grad_norm():
    return sum(math.sqrt(np.sum(g**2)) for _, g in gradients())


@second_computation
def plain():
    return sum(np.vdot(w, g) for w, g in gradients())


@second_computation
def snip():
    return sum(np.sum(np.abs(w * g)) for w, g in gradients())


@second_computation
def grasp():
    """-sum w (H g), by nested tapes through norms that write their statistics out."""
    arrays = {key: value for key, value in case.weights().items() if ".moving_" not in key}
    model = keras_model(with_explicit_norms(case.graph()), arrays)
    values = [kernel.value for kernel in kernels(model).values()]
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            value = loss(reference.logits(model, case.images(), "batch"))
        first = inner.gradient(value, values, unconnected_gradients="zero")
        product = tf.add_n([tf.reduce_sum(g * tf.stop_gradient(g)) for g in first])
    second = outer.gradient(product, values, unconnected_gradients="zero")
    return -sum(np.vdot(w.numpy(), h.numpy()) for w, h in zip(values, second, strict=True))


@second_computation
def fisher():
    """Channel by channel, with the outputs z of the layers and the loss' derivative by them."""
    with tf.GradientTape() as tape:
        maps = case.outputs(KERNELS, case.images())
        value = loss(maps.pop("logits"))
    total = 0.0
    for (name, z), dz in zip(maps.items(), tape.gradient(value, list(maps.values())), strict=True):
        fan_in = math.prod(kernels(case.model())[name].shape[:-1])
        for channel in range(z.shape[-1]):
            per_image = [np.sum(z[n, ..., channel] * dz[n, ..., channel]) for n in range(len(LABELS))]
            total += np.mean(np.square(per_image)) / 2 * fan_in
    return total


def flow(graph):
    """sum |w dR/dw| for an image of ones through the absolute weights."""
    keys = {f"{node.name}.{param}" for node in graph.nodes for param, _ in node.params}
    model = keras_model(graph, {key: np.abs(case.weights()[key]) for key in keys})
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(np.ones((1, 8, 8, 3)), training=True))
    values = [kernel.value for kernel in kernels(model).values()]
    found = tape.gradient(total, values, unconnected_gradients="zero")
    return sum(np.sum(np.abs(w * g)) for w, g in zip(values, found, strict=True))


@second_computation
def synflow():
    """On a network that never had norms."""
    b = GraphBuilder(case.graph().input_shape)
    for node in case.graph().nodes[1:]:
        if node.op == "batch_norm":
            b.identity(node.name, *node.inputs)
        else:
            b._nodes[node.name] = node
    return flow(b.finish(case.graph().output))


@second_computation
def synflow_bn():
    return flow(case.graph())


@second_computation
def zico():
    halves = [gradients(case.images()[half], LABELS[half]) for half in (slice(0, 4), slice(4, 8))]
    total = 0.0
    for (_, one), (_, other) in zip(*halves, strict=True):
        mean, deviation = (np.abs(one) + np.abs(other)) / 2, np.abs(one - other) / 2
        moved = deviation > 0
        total += np.log(np.sum(mean[moved] / deviation[moved])) if moved.any() else 0
    return total


# Gradients of examples -----------------------------------------------------------------------------------------------


def signs():
    """sum_i sign(d loss_i / d w), by a loop over the images."""
    model = case.model()
    values = [kernel.value for kernel in kernels(model).values()]
    totals = [0.0] * len(values)
    for image, label in zip(case.images(), LABELS, strict=True):
        with tf.GradientTape() as tape:
            value = loss(reference.logits(model, image[None], "example"), [label])
        found = tape.gradient(value, values, unconnected_gradients="zero")
        totals = [total + np.sign(g) for total, g in zip(totals, found, strict=True)]
    return np.concatenate([np.ravel(total) for total in totals])


@second_computation
def gradsign():
    return np.abs(signs()).sum()


@second_computation
def gradsign_mean():
    return np.abs(signs()).mean()


def tangent_kernel(bn):
    """Of the sums of logits by kernels and gammas."""
    rows = reference.loop(case.model(), case.images(), np.ones((len(LABELS), case.NETWORK["classes"])), bn)
    rows = [row.reshape(len(LABELS), -1) for key, row in rows.items() if key.endswith((".kernel", ".gamma"))]
    return sum(row @ row.T for row in rows)


@second_computation
def fnorm():
    return math.sqrt(np.sum(tangent_kernel("batch") ** 2))


@second_computation
def ntk_mean():
    return np.sum(tangent_kernel("batch")) / len(LABELS) ** 2


@second_computation
def ncn():
    return -np.linalg.cond(tangent_kernel("inference"), 2)


@second_computation
def lga():
    same = [[1 if a == b else -1 for a in LABELS] for b in LABELS]
    return np.corrcoef(tangent_kernel("inference").ravel(), np.ravel(same))[0, 1]
