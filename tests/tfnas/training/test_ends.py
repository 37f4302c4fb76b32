"""What ends a training early: rules, a loss that is not finite, bad data."""

import dataclasses
import math

import numpy as np
import pytest

from tests.tfnas.training import cases
from tfnas import training
from tfnas.errors import InputError

PLAIN = cases.PLAIN


def epochs(*accuracies, seconds=1.0):
    return [training.Epoch(i + 1, 1.0, value, value / 2, seconds) for i, value in enumerate(accuracies)]


def test_rules_end_a_training():
    assert training.Threshold(0.5)(epochs(0.2, 0.4)) == ""
    assert training.Threshold(0.5)(epochs(0.5, 0.4)) == "train_accuracy has reached 0.5"
    assert training.Threshold(0.2, "test_accuracy")(epochs(0.4)) == "test_accuracy has reached 0.2"
    assert training.Threshold(0.5)(epochs(math.nan, 0.6)) == training.Threshold(0.5)(epochs(0.6, math.nan)) != ""
    assert training.TimeLimit(3)(epochs(0.1, 0.1)) == ""
    assert training.TimeLimit(3)(epochs(0.1, 0.1, 0.1)) == "3 seconds are over"
    assert training.Plateau(2)(epochs(0.1, 0.3, 0.3)) == ""
    assert training.Plateau(2)(epochs(0.1, 0.3, 0.3, 0.2)) == "train_accuracy is no better than 2 epochs ago"
    assert training.Plateau(2, least=0.1)(epochs(0.3, 0.35, 0.39)) != ""
    assert training.Plateau(2)(epochs(0.1, 0.3, 0.2, 0.4)) == ""


@pytest.mark.parametrize(
    "rule",
    [
        lambda: training.Threshold(0.0),
        lambda: training.Threshold(1.1),
        lambda: training.Threshold(0.5, "seconds"),
        lambda: training.TimeLimit(0.0),
        lambda: training.TimeLimit(math.inf),
        lambda: training.Plateau(0),
        lambda: training.Plateau(1, -0.1),
    ],
)
def test_rules_out_of_range_are_told(rule):
    with pytest.raises(InputError, match="Received"):
        rule()


def test_a_training_ends_by_the_first_rule_and_keeps_its_weights(digits):
    trainer = cases.started(cases.small_graph(), dataclasses.replace(PLAIN, epochs=5))
    rules = [training.Plateau(4), lambda history: "enough" if len(history) == 2 else ""]
    found = list(trainer.run(digits[0], stop=rules))
    assert [epoch.stopped for epoch in found] == ["", "enough"]
    assert list(trainer.run(digits[0], stop=rules)) == []
    assert trainer.history == found


def test_a_loss_that_is_not_finite_ends_the_training(digits):
    trainer = cases.started(cases.small_graph(), dataclasses.replace(PLAIN, learning_rate=1e30))
    found = list(trainer.run(digits[0]))
    assert found[-1].stopped == "the training diverged"
    assert len(found) < 3


def test_logits_that_are_not_finite_are_no_accuracy():
    """The loss before the only step is finite, and its weights are not. Class 0 would be the answer of them all."""
    images, _ = cases.random_data(8, (8, 8, 1), 10)
    data = images, np.zeros(8, np.int32)
    trainer = cases.started(cases.small_graph(), dataclasses.replace(PLAIN, epochs=1, learning_rate=1e30))
    (epoch,) = trainer.run(data, data)
    assert math.isfinite(epoch.train_loss)
    assert math.isnan(epoch.test_accuracy)
    assert math.isnan(trainer.evaluate(data))


def test_bad_data_are_told():
    trainer = cases.started(cases.linear_graph(), PLAIN)
    with pytest.raises(InputError, match="Received: 7 images, batch_size=8"):
        next(trainer.run(cases.random_data(7)))
    images, labels = cases.random_data(8)
    with pytest.raises(InputError, match=r"Received: label 3\. Allowed: labels from 0 on below 3"):
        next(trainer.run((images, labels * 0 + 3)))
    with pytest.raises(InputError, match=r"Received: label -1\. Allowed: labels from 0 on below 3"):
        next(trainer.run((images, labels * 0 - 1)))
    with pytest.raises(InputError, match=r"Received: \(8, 4, 1, 1\)\. Allowed: \(N, 2, 2, 1\)"):
        next(trainer.run((images.reshape(8, 4, 1, 1), labels)))
    with pytest.raises(InputError, match="no logit for a label"):
        trainer.evaluate((images, labels * 0 + 5))
    with pytest.raises(InputError, match=r"Unknown precision\. Received: 'float16'"):
        training.Trainer(cases.linear_graph(), PLAIN, precision="float16")


def test_data_may_have_fewer_classes_than_the_network():
    trainer = cases.started(cases.linear_graph(), PLAIN)
    images, labels = cases.random_data(16)
    assert all(math.isfinite(epoch.train_loss) for epoch in trainer.run((images, labels * 0)))
