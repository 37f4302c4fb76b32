"""Batches: fixed by their seed, balanced where that is asked for."""

import numpy as np
import pytest

from tfnas import data
from tfnas.errors import InputError


def test_a_batch_is_fixed_by_its_seed_and_grows_at_its_end(digits_dir):
    def batch(size, seed):
        return data.batch("digits", "train", size, seed, data_dir=digits_dir)

    images, labels = batch(32, 5)
    np.testing.assert_array_equal(images, batch(32, 5)[0])
    np.testing.assert_array_equal(images[:9], batch(9, 5)[0])
    np.testing.assert_array_equal(labels[:9], batch(9, 5)[1])
    assert not np.array_equal(images, batch(32, 6)[0])


def test_a_batch_consists_of_distinct_examples_with_their_own_labels(digits_dir):
    images, labels = data.load("digits", "test", data_dir=digits_dir)
    known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    some, targets = data.batch("digits", "test", 100, 3, data_dir=digits_dir)
    assert len({image.tobytes() for image in some}) == 100
    assert [known[image.tobytes()] for image in some] == targets.tolist()


@pytest.mark.parametrize("size", [1, 7, 10, 25, 64])
@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_balanced_batches_spread_the_remainder(digits_dir, name, size):
    images, labels = data.batch(name, "train", size, 1, data_dir=digits_dir, balanced=True)
    counts = np.bincount(labels, minlength=10)
    assert len(images) == counts.sum() == size
    assert counts.max() - counts.min() <= 1
    assert size < 20 or (np.diff(labels) < 0).any(), "classes are mixed"


def test_the_remainder_of_a_balanced_batch_depends_on_the_seed(digits_dir):
    def classes(seed):
        return set(data.batch("digits", "train", 3, seed, data_dir=digits_dir, balanced=True)[1].tolist())

    assert len({frozenset(classes(seed)) for seed in range(5)}) > 1


def test_a_balanced_batch_of_a_hundred_classes(shared):
    folder = shared / "data" / "tfds"
    _, labels = data.batch("cifar100", "train", 250, 0, data_dir=folder, balanced=True)
    assert sorted(np.bincount(labels, minlength=100)) == [2] * 50 + [3] * 50


def test_a_batch_larger_than_the_split_is_told(digits_dir):
    with pytest.raises(InputError, match=r"Received: 361 examples. Available: 360"):
        data.batch("digits", "test", 361, 0, data_dir=digits_dir)
    with pytest.raises(InputError, match=r"Received: 1025 examples. Available: 1024"):
        data.batch("synthetic", "test", 1025, 0)
    with pytest.raises(InputError, match=r"at least one example. Received: 0"):
        data.batch("digits", "test", 0, 0, data_dir=digits_dir)


def test_a_balanced_batch_larger_than_a_class_is_told(digits_dir):
    with pytest.raises(InputError, match=r"Received: 36 examples of class \d \(balanced\). Available: 3[0-5]"):
        data.batch("digits", "test", 360, 0, data_dir=digits_dir, balanced=True)


class TestBalancedPrefixes:
    def test_every_prefix_is_balanced_and_the_same_whatever_the_size(self):
        images, labels = data.balanced_prefixes("synthetic", "train", 47, 5)
        assert labels.tolist() == [i % 10 for i in range(47)]
        for size in (1, 10, 33):
            fewer, fewer_labels = data.balanced_prefixes("synthetic", "train", size, 5)
            assert np.array_equal(fewer, images[:size])
            assert np.array_equal(fewer_labels, labels[:size])
        assert len(np.unique(images.reshape(47, -1), axis=0)) == 47

    def test_all_of_a_split_that_the_classes_do_not_divide(self):
        _, labels = data.balanced_prefixes("synthetic", "test", 1024, 5)
        assert labels.tolist() == [i % 10 for i in range(1024)]
        with pytest.raises(InputError, match=r"Received: 1025 examples\. Available: 1024"):
            data.balanced_prefixes("synthetic", "test", 1025, 5)

    def test_prefixes_of_prepared_data_are_nested(self, digits_dir):
        images, labels = data.balanced_prefixes("digits", "train", 60, 5, data_dir=digits_dir)
        fewer, fewer_labels = data.balanced_prefixes("digits", "train", 25, 5, data_dir=digits_dir)
        assert np.array_equal(fewer, images[:25])
        assert np.array_equal(fewer_labels, labels[:25])
        chosen, chosen_labels = data.batch("digits", "train", 60, 5, data_dir=digits_dir, balanced=True)
        assert {(image.tobytes(), label) for image, label in zip(images, labels, strict=True)} == {
            (image.tobytes(), label) for image, label in zip(chosen, chosen_labels, strict=True)
        }

    def test_too_few_of_a_class(self, digits_dir):
        with pytest.raises(InputError, match="examples of class"):
            data.balanced_prefixes("digits", "train", 1400, 0, data_dir=digits_dir)
