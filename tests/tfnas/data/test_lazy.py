"""Images that stay in their files are those that memory would hold."""

import numpy as np
import pytest

import spaces
from proxies import nngp
from tfnas import data, memory
from tfnas.data import lazy
from tfnas.errors import InputError
from tfnas.networks import weights

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
IMAGE = 4 * 8 * 8


@pytest.fixture
def both(digits_dir, monkeypatch):
    """The same 24 and 15 digits twice: in memory, and in a machine that has room for ten."""
    draws = [("train", 24), ("test", 15)]
    held = [data.balanced_prefixes("digits", *draw, 3, data_dir=digits_dir) for draw in draws]
    monkeypatch.setattr(memory, "available", lambda: 10 * IMAGE)
    left = [data.balanced_prefixes("digits", *draw, 3, data_dir=digits_dir) for draw in draws]
    return held, left


def test_slices_and_labels_are_those_of_arrays(both):
    for (images, labels), (left, their_labels) in zip(*both, strict=True):
        assert isinstance(left, lazy.Images)
        assert left.shape == images.shape
        assert len(left) == len(images)
        np.testing.assert_array_equal(their_labels, labels)
        assert their_labels.dtype == labels.dtype
        for part in (slice(0, 7), slice(5, 9), slice(20, 40), slice(3, 3), slice(-2, None), slice(90, 99)):
            np.testing.assert_array_equal(left[part], images[part])
            assert left[part].dtype == np.float32


def test_joined_ones_are_one_after_the_other(both):
    ((train, _), (val, _)), ((lazy_train, _), (lazy_val, _)) = both
    whole, found = np.concatenate([train, val]), lazy.joined(lazy_train, lazy_val)
    assert found.shape == whole.shape
    for part in (slice(20, 28), slice(0, 5), slice(24, 30), slice(30, None)):
        np.testing.assert_array_equal(found[part], whole[part])
    np.testing.assert_array_equal(lazy.joined(train, val), whole)


def test_all_at_once_is_refused_where_memory_does_not_hold_them(both):
    (left, _), _ = both[1]
    with pytest.raises(InputError, match=r"24 images of digits, 8x8x1, take 1 MB of memory"):
        np.asarray(left)


def test_an_array_of_one_and_a_file_of_the_other_are_joined_in_memory(both, monkeypatch):
    ((train, _), (val, _)), (_, (lazy_val, _)) = both
    monkeypatch.setattr(memory, "available", lambda: 1 << 40)
    np.testing.assert_array_equal(lazy.joined(train, lazy_val), np.concatenate([train, val]))


def test_what_is_inferred_is_the_same(both, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 1 << 40)
    graph = spaces.get("nasbench201").layer_graph(CELL, width=2, depth=1, input_shape=(8, 8, 1))
    arrays = weights.initialize(graph, "torch", 0)
    found = []
    for (train, train_labels), (val, val_labels) in both:
        member = nngp.nngp_member(graph, arrays, nngp.Data(train, train_labels, val, val_labels, 10), block_size=7)
        assert member.train.shape == (24, 8)
        found.append(np.concatenate([member.train, member.val]))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("shards", [1, 3])
def test_batches_have_the_images_of_their_places_in_any_order(pictures, pictures_dirs, large, monkeypatch, shards):
    """Of a split that begins and ends within files; classes and places do not follow the order of the files."""
    folder = pictures_dirs[shards]
    images, labels = data.load("pictures", "train[4:49]", data_dir=folder)
    found, same = data.opened("pictures", "train[4:49]", data_dir=folder)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, images)
    monkeypatch.setattr(memory, "available", lambda: 10 * images[0].nbytes)
    left, same = data.opened("pictures", "train[4:49]", data_dir=folder)
    assert isinstance(left, lazy.Images)
    np.testing.assert_array_equal(same, labels)
    assert same.dtype == labels.dtype
    places = np.random.default_rng(0).permutation(45)[:40]
    batches = list(left.batches(places, 16))
    assert [len(batch) for batch in batches] == [16, 16, 8]
    np.testing.assert_array_equal(np.concatenate(batches), images[places])
    np.testing.assert_array_equal(left[10:20], images[10:20])


def test_noise_is_in_memory_whatever_its_size(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 1)
    images, _ = data.opened("synthetic", "test")
    np.testing.assert_array_equal(images, data.load("synthetic", "test")[0])
