"""Training on images that stay in their files: the same bits as on those in memory, and never many at once."""

import contextlib
import dataclasses
import threading
import time

import numpy as np
import pytest

from tests.tfnas.training import cases
from tfnas import data, training
from tfnas.data import lazy, reading
from tfnas.errors import InputError
from tfnas.training import feeding

RECIPE = training.Recipe(epochs=2, batch_size=16, crop=1, cutout=3)


@pytest.fixture
def both(digits_dir, monkeypatch, tmp_path):
    """50 images to train on, in memory and in their files, of which no more than a batch is decoded in one go."""
    monkeypatch.setenv("TFNAS_CACHE", str(tmp_path / "cache"))
    held = data.load("digits", "train[7:57]", data_dir=digits_dir)
    monkeypatch.setattr(lazy, "are_many", lambda *_: True)
    left = data.opened("digits", "train[7:57]", data_dir=digits_dir)
    monkeypatch.setattr(reading, "read", lambda *_: pytest.fail("many images were read at once"))
    return held, left


def assert_same(found, expected):
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_weights_and_losses_are_those_of_images_in_memory_bit_for_bit(both, precision):
    found = []
    for train in both:
        trainer = cases.started(cases.small_graph(), RECIPE, precision=precision)
        epochs = [dataclasses.replace(epoch, seconds=0) for epoch in trainer.run(train, seed=3)]
        found.append((epochs, trainer.weights()))
    assert isinstance(both[1][0], lazy.Images)
    assert found[0][0] == found[1][0]
    assert_same(found[1][1], found[0][1])


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_it_goes_on_in_the_middle_of_an_epoch_and_at_its_end(both, tmp_path, steps):
    """Three steps an epoch."""
    expected = cases.started(cases.small_graph(), RECIPE)
    list(expected.run(both[0], seed=5))
    checkpoint = training.Checkpoint(tmp_path / "state", "this")
    for attempt in range(2):
        trainer = cases.started(cases.small_graph(), RECIPE, seed=attempt)
        assert trainer.resume(checkpoint) == (attempt == 1)
        cases.interrupt_after(trainer, 100 if attempt else steps)
        with contextlib.suppress(KeyboardInterrupt):
            list(trainer.run(both[1], seed=5, checkpoint=checkpoint))
    assert_same(trainer.weights(), expected.weights())


def test_an_epoch_whose_steps_are_all_done_reads_nothing(both):
    assert list(feeding.make(*both[1], "float32").batches(np.zeros((0, 16), int))) == []


def test_one_batch_is_read_ahead_and_not_more():
    taken = []

    def source():
        for number in range(5):
            taken.append(number)
            yield np.full(1, number)

    ahead = feeding._ahead(source())
    for number in range(5):
        assert next(ahead) == number
        deadline = time.monotonic() + 10
        while len(taken) < min(number + 2, 5) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert taken == list(range(min(number + 2, 5)))
    assert next(ahead, None) is None


def test_a_training_that_ends_early_leaves_no_thread(both):
    before = threading.active_count()
    feed = feeding.make(*both[1], "float32")
    with contextlib.closing(feed.batches(np.arange(48).reshape(3, 16))) as batches:
        images, labels, places = next(batches)
        np.testing.assert_array_equal(images, both[0][0][:16])
        np.testing.assert_array_equal(labels, both[0][1][:16])
        np.testing.assert_array_equal(places, range(16))
        assert any(thread.name.startswith("ThreadPoolExecutor") for thread in threading.enumerate())
    assert threading.active_count() <= before
    assert not any(thread.name.startswith("ThreadPoolExecutor") for thread in threading.enumerate())


def test_files_that_cannot_be_read_are_told(both, monkeypatch):
    def broken(*_):
        raise InputError("torn")
        yield

    monkeypatch.setattr(reading, "scattered", broken)
    with pytest.raises(InputError, match="torn"):
        list(cases.started(cases.small_graph(), RECIPE).run(both[1]))
