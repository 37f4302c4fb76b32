"""States of a training in files: to go on from them changes no bit, and what is damaged is told."""

import dataclasses
import json
import math

import numpy as np
import pytest

from tests.tfnas.training import cases
from tfnas import training

PLAIN = cases.PLAIN


class Killed(Exception):
    """Ends a process without another word, unlike a signal that unwinds it."""


RESUMED = {
    "sgd, augmented": training.Recipe(epochs=2, batch_size=16, crop=1, cutout=3),
    "rmsprop, averaged": training.Recipe(
        epochs=2, batch_size=16, optimizer="rmsprop", ema=0.9, schedule="cosine_step", flip=False, crop=0
    ),
}


@pytest.mark.parametrize("trained", [None, 1])
@pytest.mark.parametrize("name", RESUMED)
def test_a_training_that_is_killed_before_any_step_ends_the_same_bit_for_bit(name, trained, tmp_path, digits):
    """Each process makes a step or two and is killed before the next state; a fresh trainer goes on."""
    graph = cases.small_graph(dropout=0.3)
    chosen = training.last_cells(graph, trained) if trained else None
    train = tuple(array[:50] for array in digits[0])  # three steps an epoch

    def run(trainer, checkpoint=None):
        for epoch in trainer.run(train, digits[1], seed=5, checkpoint=checkpoint):
            trainer.notes[str(epoch.epoch)] = epoch.train_accuracy
        return trainer.weights(averaged=False), trainer.weights(), trainer.notes, trainer.history

    expected = run(cases.started(graph, RESUMED[name], trained=chosen))
    for attempt in range(20):
        checkpoint = training.Checkpoint(tmp_path / "state", "this training", 0.0)
        trainer = cases.started(graph, RESUMED[name], seed=attempt + 1, trained=chosen)
        assert trainer.resume(checkpoint) == (attempt > 1)
        if not attempt:
            checkpoint.seconds = math.inf
        if attempt < 2:
            trainer.start(cases.initial(graph))
        original, left = trainer.step, iter([None] * (1 + attempt % 2))

        def step(*arguments, original=original, left=left):
            if next(left, 0) == 0:
                raise Killed
            return original(*arguments)

        trainer.step = step
        try:
            found = run(trainer, checkpoint)
            break
        except Killed:
            pass
    assert attempt > 3
    for values, others in zip(expected[:2], found[:2], strict=True):
        for key, value in values.items():
            np.testing.assert_array_equal(others[key], value, err_msg=key)
    assert found[2] == expected[2]
    drop = [[dataclasses.replace(epoch, seconds=0) for epoch in history] for history in (expected[3], found[3])]
    assert drop[0] == drop[1]


def test_a_signal_keeps_the_state_at_once(tmp_path, digits):
    recipe = dataclasses.replace(PLAIN, epochs=2)
    expected = cases.started(cases.small_graph(), recipe)
    list(expected.run(digits[0], seed=1))
    checkpoint = training.Checkpoint(tmp_path / "state", "this")
    trainer = cases.started(cases.small_graph(), recipe)
    cases.interrupt_after(trainer, 70)  # of 64 an epoch
    with pytest.raises(KeyboardInterrupt):
        list(trainer.run(digits[0], seed=1, checkpoint=checkpoint))
    trainer = cases.started(cases.small_graph(), recipe, seed=2)
    assert trainer.resume(checkpoint)
    assert len(trainer.history) == 1
    list(trainer.run(digits[0], seed=1, checkpoint=checkpoint))
    for key, value in expected.weights().items():
        np.testing.assert_array_equal(trainer.weights()[key], value)
    assert trainer.history[1].train_loss == expected.history[1].train_loss


def test_a_signal_while_testing_keeps_the_epoch(tmp_path, digits):
    train, recipe = tuple(array[:16] for array in digits[0]), dataclasses.replace(PLAIN, epochs=2)
    expected = cases.started(cases.small_graph(), recipe)
    list(expected.run(train, digits[1], seed=1))
    checkpoint = training.Checkpoint(tmp_path / "state", "this")
    trainer = cases.started(cases.small_graph(), recipe)

    def evaluate(data):
        raise KeyboardInterrupt

    trainer.evaluate = evaluate
    with pytest.raises(KeyboardInterrupt):
        list(trainer.run(train, digits[1], seed=1, checkpoint=checkpoint))
    again = cases.started(cases.small_graph(), recipe, seed=2)
    assert again.resume(checkpoint)
    steps, original = [], again.step
    again.step = lambda *arguments: (steps.append(0), original(*arguments))[1]
    list(again.run(train, digits[1], seed=1, checkpoint=checkpoint))
    assert len(steps) == 2, "of the second epoch alone"
    for key, value in expected.weights().items():
        np.testing.assert_array_equal(again.weights()[key], value)
    drop = [
        [dataclasses.replace(epoch, seconds=0) for epoch in history] for history in (expected.history, again.history)
    ]
    assert drop[0] == drop[1]


def saved(tmp_path, identity="this"):
    trainer = cases.started(cases.linear_graph(), PLAIN)
    checkpoint = training.Checkpoint(tmp_path / "state", identity)
    trainer.save(checkpoint)
    return trainer, checkpoint


def test_a_state_is_found_and_removed(tmp_path):
    trainer, checkpoint = saved(tmp_path)
    assert not checkpoint.is_due
    assert trainer.resume(checkpoint)
    checkpoint.remove()
    checkpoint.remove()
    assert not trainer.resume(checkpoint)


@pytest.mark.parametrize("place", [0, 20, 60, -1])
def test_a_damaged_state_is_named_and_the_training_begins_anew(place, tmp_path, capsys):
    trainer, checkpoint = saved(tmp_path)
    content = bytearray(checkpoint.path.read_bytes())
    content[place] ^= 1
    checkpoint.path.write_bytes(bytes(content))
    before = trainer.weights()
    assert not trainer.resume(checkpoint)
    (line,) = capsys.readouterr().err.splitlines()
    assert "state: not a whole state of a training; the training begins anew" in line
    for key, value in trainer.weights().items():
        np.testing.assert_array_equal(value, before[key])


@pytest.mark.parametrize("length", [0, 10, 40, 100])
def test_a_torn_state_is_named(length, tmp_path, capsys):
    trainer, checkpoint = saved(tmp_path)
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:length])
    assert not trainer.resume(checkpoint)
    assert "not a whole state" in capsys.readouterr().err


def test_the_state_of_another_training_is_not_taken(tmp_path, capsys):
    trainer, _ = saved(tmp_path)
    assert not trainer.resume(training.Checkpoint(tmp_path / "state", "other"))
    assert "the state of another training" in capsys.readouterr().err


def test_notes_and_epochs_are_kept_as_json(tmp_path, digits):
    trainer = cases.started(cases.small_graph(), dataclasses.replace(PLAIN, epochs=2))
    next(trainer.run(digits[0]))
    trainer.notes["scores"] = {"1": 0.5}
    checkpoint = training.Checkpoint(tmp_path / "state", "this")
    trainer.save(checkpoint)
    other = cases.started(cases.small_graph(), dataclasses.replace(PLAIN, epochs=2), seed=3)
    assert other.resume(checkpoint)
    assert json.dumps(other.notes) == '{"scores": {"1": 0.5}}'
    assert repr(other.history) == repr(trainer.history)
