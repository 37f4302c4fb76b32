"""One training step of a classifier on four images of classes 0 to 3, by the engine and by Keras.

Results by name: logits [4, classes], loss, the L2 norm of the loss gradient by each trained tensor and by the images
("input"), logits at inference after the step's update of the moving statistics ("eval"), and means of watched nodes.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests import float32
from tests.engine_cases import keras_model
from tfnas.engine import Network
from tfnas.networks.graph import Graph
from tfnas.networks.keras_model import to_keras

_LABELS = [0, 1, 2, 3]


def images() -> np.ndarray:
    return np.random.RandomState(0).standard_normal((len(_LABELS), 32, 32, 3)).astype(np.float32)


def by_engine(
    graph: Graph, weights: Mapping[str, Any], images: Any, dtype: str, watched: Iterable[str] = ()
) -> dict[str, Any]:
    network = Network(graph, weights, dtype=dtype)
    run = network.forward(images, "batch")
    means = {}
    if watched:  # inside chains too
        whole = Network(graph, weights, dtype=dtype, fuse=False)
        note = lambda name, value: means.__setitem__(name, np.mean(value, dtype=np.float64))  # noqa: E731
        whole.forward(images, "batch", keep=False, observer=note)
    with tf.GradientTape() as tape:
        logits = run.values[graph.output]
        tape.watch(logits)
        loss = _loss(logits)
    cotangent = tape.gradient(loss, logits)
    gradients = network.gradients(run, cotangent, params="all").params
    moved = dict(weights)
    for name, (mean, variance) in run.statistics.items():
        moved |= _moving_statistics(graph, name, weights, mean.numpy().ravel(), variance.numpy().ravel())
    after = network.with_weights(moved).forward(images, "inference", keep=False)
    return {
        "logits": logits.numpy(),
        "loss": float(loss),
        "input": _norm(network.input_gradients(run, cotangent)),
        "eval": after.values[graph.output].numpy(),
        **{key: _norm(gradients.get(key, 0.0)) for key in _trained(graph)},
        **{f"mean of {name}": means[name] for name in watched},
    }


def by_keras(
    graph: Graph, weights: Mapping[str, Any], images: Any, dtype: str, watched: Iterable[str] = ()
) -> dict[str, Any]:
    model = {"float32": to_keras, "float64": keras_model}[dtype](graph, weights)
    watched = list(watched)
    whole = keras.Model(model.input, [model.output, *(model.get_layer(name).output for name in watched)])
    x = tf.constant(images, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits, *seen = keras.tree.flatten(whole(x, training=True))
        loss = _loss(logits)
    variables = {
        key: getattr(model.get_layer(key.rpartition(".")[0]), key.rpartition(".")[2]) for key in _trained(graph)
    }
    gradients = tape.gradient(loss, {**variables, "input": x}, unconnected_gradients="zero")
    for node in graph.nodes:
        if node.op == "batch_norm":  # PyTorch keeps the unbiased variance, Keras the biased one
            layer = model.get_layer(node.name)
            before, kept = weights[f"{node.name}.moving_variance"], node["momentum"]
            biased = (layer.moving_variance.numpy() - kept * before) / (1 - kept)
            layer.moving_variance.assign(kept * before + (1 - kept) * biased * _bessel(node))
    return {
        "logits": logits.numpy(),
        "loss": float(loss),
        "eval": model(x, training=False).numpy(),
        **{key: _norm(gradient) for key, gradient in gradients.items()},
        **{f"mean of {name}": np.mean(value, dtype=np.float64) for name, value in zip(watched, seen, strict=True)},
    }


def allowed(spreads: Mapping[str, float], expected: Mapping[str, Any]) -> dict[str, float]:
    """As `float32.allowed`. Norms share the largest of their relative spreads: a unit may flip before any tensor."""
    others = ("logits", "loss", "eval")
    norms = {key: value for key, value in expected.items() if key not in others and not key.startswith("mean of ")}
    least = 1e-6 * max(norms.values())
    relative = max(spreads[key] / max(value, least) for key, value in norms.items())
    shared = {key: relative * max(value, least) for key, value in norms.items()}
    return float32.allowed({**spreads, **shared}, expected)


def _loss(logits: Any) -> Any:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(_LABELS, logits))


def _norm(gradient: Any) -> float:
    return float(np.linalg.norm(np.ravel(gradient)))


def _trained(graph: Graph) -> list[str]:
    return [
        f"{node.name}.{param}" for node in graph.nodes for param, _ in node.params if not param.startswith("moving")
    ]


def _bessel(node: Any) -> float:
    count = len(_LABELS) * np.prod(node.shape[:-1])
    return count / (count - 1)


def _moving_statistics(graph: Graph, name: str, weights: Mapping[str, Any], mean: Any, variance: Any) -> dict[str, Any]:
    node = graph.by_name[name]
    new = {"moving_mean": mean, "moving_variance": variance * _bessel(node)}
    kept = node["momentum"]
    return {f"{name}.{param}": kept * weights[f"{name}.{param}"] + (1 - kept) * value for param, value in new.items()}
