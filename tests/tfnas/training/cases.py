"""Small networks and data for tests of training, and training as a plain loop in float64 to hold it to."""

import numpy as np
import tensorflow as tf

from tests import engine_cases
from tfnas import training
from tfnas.networks.builder import GraphBuilder

PLAIN = training.Recipe(epochs=3, batch_size=8, learning_rate=0.05, schedule="constant", flip=False, crop=0)


def linear_graph():
    """Logits that are linear in the image, so that the gradient can be written down."""
    b = GraphBuilder((2, 2, 1))
    return b.finish(b.dense("classifier", b.flatten("flat", "input"), 3))


def small_graph(classes=10, dropout=0.0):
    """A stem and three cells, one of them on a branch that leads nowhere, with BN on maps and a residual."""
    b = GraphBuilder((8, 8, 1))
    bn = {"momentum": 0.9, "epsilon": 1e-5}
    x = b.batch_norm("bn", b.conv("conv", "input", 8, 3, strides=2), **bn)
    for i in range(3):
        y = b.activation(f"cells.{i}.relu", x, "relu")
        y = b.batch_norm(f"cells.{i}.bn", b.conv(f"cells.{i}.conv", y, 8, 3, padding="same"), **bn)
        nothing = b.zero(f"cells.{i}.none", b.conv(f"cells.{i}.dead", x, 8, 1)) if i == 1 else x
        x = b.add(f"cells.{i}.sum", [y, x, nothing])
    x = b.global_avg_pool("pool", b.activation("relu", x, "relu"))
    x = b.dropout("dropout", x, dropout) if dropout else x
    return b.finish(b.dense("classifier", x, classes), features="pool")


def initial(graph, seed=0):
    """Weights that no mistake hides behind, in float32."""
    arrays = engine_cases.random_weights(graph, seed)
    return {key: np.asarray(value, np.float32) for key, value in arrays.items()}


def started(graph, recipe, seed=0, **more):
    """A trainer with random weights."""
    trainer = training.Trainer(graph, recipe, **more)
    trainer.start(initial(graph, seed))
    return trainer


def random_data(count, shape=(2, 2, 1), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, *shape), np.float32), rng.integers(classes, size=count).astype(np.int32)


def keras_step(model, images, labels, smoothing, names):
    """Loss and gradients of a Keras model in float64 on a batch; its moving statistics move as Keras moves them.

    Returns:
        The loss, and gradients by the key of each variable of the layers named.
    """
    variables = {}
    for layer in model.layers:
        for param in ("kernel", "bias", "gamma", "beta"):
            variable = getattr(layer, param, None)
            if layer.name in names and variable is not None and not isinstance(variable, str):
                variables[f"{layer.name}.{param}"] = variable
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        targets = tf.one_hot(labels, logits.shape[-1], dtype=tf.float64) * (1 - smoothing)
        targets += smoothing / logits.shape[-1]
        loss = -tf.reduce_mean(tf.reduce_sum(targets * tf.nn.log_softmax(logits), 1))
    gradients = tape.gradient(loss, {key: v.value for key, v in variables.items()}, unconnected_gradients="zero")
    return float(loss), variables, {key: value.numpy() for key, value in gradients.items()}


def keras_weights(graph, model):
    return {
        f"{node.name}.{param}": getattr(model.get_layer(node.name), param).numpy()
        for node in graph.nodes
        for param, _ in node.params
    }


def assert_close(found, expected, tolerance=1e-9):
    """Arrays by name, each within a share of its largest entry."""
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        scale = max(np.abs(value).max(), 1e-3)
        np.testing.assert_allclose(found[key], value, rtol=0, atol=tolerance * scale, err_msg=key)


def interrupt_after(trainer, steps):
    """As a signal does: the step after so many is not made."""
    original, left = trainer.step, iter(range(steps))

    def step(*arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return original(*arguments)

    trainer.step = step
