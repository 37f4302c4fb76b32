"""FEAR's stages against trainers put together by hand."""

import dataclasses
import math

import numpy as np
import pytest

from tests.tfnas.training import cases
from tfnas import training
from tfnas.errors import InputError

FIRST = dataclasses.replace(training.RECIPES["fear_stage1"], epochs=20, batch_size=32, crop=1)
SECOND = dataclasses.replace(training.RECIPES["fear_stage2"], epochs=2, batch_size=64, crop=1)
SETTINGS = training.Fear(0.5, cells=1, first=FIRST, second=SECOND)


def test_the_score_is_the_training_accuracy_of_the_last_cells_on_what_was_learnt(digits):
    graph = cases.small_graph()
    found = training.fear_score(graph, cases.initial(graph), digits[0], SETTINGS, seed=3)
    first = cases.started(graph, FIRST)
    count = 0
    for epoch in first.run(digits[0], seed=3):
        count += 1
        if epoch.train_accuracy >= 0.5:
            break
    assert 1 < count < 20
    second = training.Trainer(graph, SECOND, trained=training.last_cells(graph, 1))
    second.start(first.weights())
    epochs = list(second.run(digits[0], seed=3))
    assert found == training.FearScore(epochs[-1].train_accuracy, True, count, found.seconds)
    assert min(found.seconds) > 0
    for key, value in first.weights().items():
        if key.startswith("cells.0") and "moving" not in key:
            np.testing.assert_array_equal(second.weights()[key], value)


def test_what_does_not_reach_the_threshold_has_no_score(digits):
    graph = cases.small_graph()
    for changes, epochs in (({"first": dataclasses.replace(FIRST, epochs=2)}, 2), ({"seconds": 1e-9}, 1)):
        settings = dataclasses.replace(SETTINGS, threshold=1.0, **changes)
        found = training.fear_score(graph, cases.initial(graph), digits[0], settings)
        assert (found.reached, found.epochs, found.seconds[1]) == (False, epochs, 0.0)
        assert math.isnan(found.accuracy)


def test_a_stage_that_diverges_has_no_score(digits):
    graph = cases.small_graph()
    settings = dataclasses.replace(SETTINGS, second=dataclasses.replace(SECOND, learning_rate=1e30, clip_norm=0.0))
    found = training.fear_score(graph, cases.initial(graph), digits[0], settings)
    assert found.reached
    assert math.isnan(found.accuracy)


def test_a_first_stage_that_diverges_has_not_reached_the_threshold(digits):
    """Of one class only, which is what logits that are no numbers are taken for: every answer is right."""
    graph, images = cases.small_graph(), digits[0][0][:64]
    settings = dataclasses.replace(SETTINGS, first=dataclasses.replace(FIRST, learning_rate=1e30, clip_norm=0.0))
    found = training.fear_score(graph, cases.initial(graph), (images, np.zeros(64, np.int32)), settings)
    assert (found.reached, found.epochs, found.seconds[1]) == (False, 1, 0.0)
    assert math.isnan(found.accuracy)


def test_too_few_cells_are_told_before_anything_is_trained(digits):
    graph = cases.small_graph()
    with pytest.raises(InputError, match="has 3 cells"):
        training.fear_score(graph, cases.initial(graph), digits[0], dataclasses.replace(SETTINGS, cells=4))
