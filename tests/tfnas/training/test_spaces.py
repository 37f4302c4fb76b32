"""A step of a network of every space, against the gradients of its Keras model in float64."""

import numpy as np
import pytest

import spaces
from tests import engine_cases
from tests.tfnas.training import cases
from tfnas import training

# By space: width, images and flavour of a small network of all its kinds of layers.
NETWORKS = {
    "nasbench101": {"width": 4, "depth": 1, "input_shape": (8, 8, 3)},
    "nasbench201": {"width": 4, "depth": 1, "input_shape": (8, 8, 3)},
    "nasbench201, zcnas": {"width": 4, "depth": 1, "input_shape": (8, 8, 3), "flavour": "zcnas"},
    "nasbench201_size": {"depth": 1, "input_shape": (8, 8, 3)},
    "mnas": {"width": 8, "input_shape": (32, 32, 3)},
    "proxylessnas": {"input_shape": (32, 32, 3)},
}


def test_every_space_is_trained():
    assert {name.partition(",")[0] for name in NETWORKS} == set(spaces.names())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_that_of_the_keras_model(name):
    space = spaces.get(name.partition(",")[0])
    arch = space.sample(np.random.default_rng(5))
    graph = space.layer_graph(arch, classes=5, **NETWORKS[name])
    recipe = training.Recipe(batch_size=6, momentum=0.0, weight_decay=0.0, label_smoothing=0.1)
    trainer = cases.started(graph, recipe, precision="float64")
    model = engine_cases.keras_model(graph, cases.initial(graph))
    images, labels = cases.random_data(6, graph.input_shape, 5)
    images = images.astype(np.float64)
    for layer in model.layers:  # masks are drawn elsewhere
        if type(layer).__name__ == "Dropout":
            layer.rate = 0.0
    names = {node.name for node in graph.nodes}
    loss, _, gradients = cases.keras_step(model, images, labels, 0.1, names)
    before = trainer.weights()
    step = trainer.step(images, labels, 0.1)
    assert float(step.loss) == pytest.approx(loss, rel=1e-9)
    after = trainer.weights()
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    for key, gradient in gradients.items():
        np.testing.assert_allclose(before[key] - after[key], 0.1 * gradient, rtol=0, atol=1e-9 * largest, err_msg=key)
    moved = cases.keras_weights(graph, model)
    for key in trainer.layout.moving.keys:
        np.testing.assert_allclose(after[key], moved[key], rtol=1e-9, atol=1e-12, err_msg=key)
    expected = engine_cases.keras_model(graph, after)(images, training=False).numpy()
    np.testing.assert_allclose(trainer.predict(images), expected, rtol=0, atol=1e-9 * np.abs(expected).max())
