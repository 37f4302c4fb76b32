"""Training of the last layers alone."""

import dataclasses
import math

import numpy as np
import pytest

from tests import engine_cases
from tests.tfnas.training import cases
from tfnas import training
from tfnas.engine import first_order, kernels
from tfnas.errors import InputError

PLAIN = cases.PLAIN


def test_frozen_layers_stay_and_the_others_move_as_in_a_plain_loop():
    """Against Keras, of which only the gradients of the last cell are used: BN of the others is in training mode."""
    graph = cases.small_graph()
    chosen = training.last_cells(graph, 1)
    assert {node.name for node in graph.nodes if node.name.startswith("cells.2")} < chosen
    assert not any(name.startswith(("cells.1", "cells.0", "bn", "conv")) for name in chosen)
    recipe = dataclasses.replace(PLAIN, weight_decay=0.1)
    trainer = cases.started(graph, recipe, trained=chosen, precision="float64")
    before = trainer.weights()
    model = engine_cases.keras_model(graph, cases.initial(graph))
    images, labels = cases.random_data(8, (8, 8, 1), 10)
    velocity = {}
    for _ in range(3):
        step = trainer.step(images.astype(np.float64), labels, 0.05)
        loss, variables, gradients = cases.keras_step(model, images.astype(np.float64), labels, 0, chosen)
        assert float(step.loss) == pytest.approx(loss, rel=1e-9)
        assert float(step.gradient_norm) == pytest.approx(math.sqrt(sum(np.sum(g**2) for g in gradients.values())))
        for key, variable in variables.items():
            gradient = gradients[key] + 0.1 * variable.numpy()
            velocity[key] = 0.9 * velocity.get(key, 0.0) + gradient
            variable.assign(variable - 0.05 * (gradient + 0.9 * velocity[key]))
    after = trainer.weights()
    cases.assert_close(after, cases.keras_weights(graph, model))
    for key, value in after.items():
        node, _, param = key.rpartition(".")
        assert np.array_equal(value, before[key]) != (node in chosen or param.startswith("moving")), key


def test_nothing_before_the_first_trained_layer_is_differentiated(monkeypatch):
    graph, called = cases.small_graph(), []
    original = kernels.call

    def call(function, layers, variant, *arguments):
        called.append((function, getattr(variant, "save", "")))
        return original(function, layers, variant, *arguments)

    monkeypatch.setattr(kernels, "call", call)
    trainer = cases.started(graph, PLAIN, trained=training.last_cells(graph, 1))
    trainer.step(*cases.random_data(8, (8, 8, 1), 10), 0.1)
    count = {what: called.count(what) for what in set(called)}
    whole = cases.started(graph, PLAIN)
    called.clear()
    whole.step(*cases.random_data(8, (8, 8, 1), 10), 0.1)
    assert (count[first_order.backward, ""], called.count((first_order.backward, ""))) == (3, 6)
    assert count[first_order.forward, "statistics"] > count[first_order.forward, "all"]


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        ([], "Nothing is left to train"),
        (["cells.0.relu"], "Nothing is left to train"),
        (["cells.9.conv"], "Received: 'cells.9.conv'"),
    ],
)
def test_frozen_everything_or_unknown_layers_are_told(trained, message):
    with pytest.raises(InputError, match=message):
        training.Trainer(cases.small_graph(), PLAIN, trained=trained)


def test_more_cells_than_there_are_are_told():
    with pytest.raises(InputError, match=r"has 3 cells to choose the last from\. Received: 4"):
        training.last_cells(cases.small_graph(), 4)
    with pytest.raises(InputError, match="has 0 cells"):
        training.last_cells(cases.linear_graph(), 1)
