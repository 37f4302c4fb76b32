"""Splits against the files themselves and TFDS' ordinary reader."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from tests.tfnas.data.test_sources import PUBLISHED
from tfnas import data
from tfnas.data import builders, reading, sources
from tfnas.errors import InputError


def stored_split_sizes(folder, name):
    (description,) = (folder / name).glob("*/dataset_info.json")
    splits = json.loads(description.read_text())["splits"]
    return {split["name"]: sum(map(int, split["shardLengths"])) for split in splits}


def raw_examples(folder, name, split, count):
    """The first examples through TFDS' ordinary reader, as it decodes them."""
    import tensorflow_datasets as tfds

    (version,) = (folder / name).iterdir()
    dataset = tfds.builder_from_directory(version).as_dataset(split=split, shuffle_files=False)
    return list(dataset.take(count).as_numpy_iterator())


def test_parts_of_a_split(digits_dir):
    whole = data.load("digits", "test", data_dir=digits_dir)
    parts = [data.load("digits", f"test{part}", data_dir=digits_dir) for part in ("[:100]", "[100:]")]
    for kind in range(2):
        np.testing.assert_array_equal(whole[kind], np.concatenate([part[kind] for part in parts]))
    assert data.split_size("digits", "test[:50%]", data_dir=digits_dir) == 180
    images, _ = data.batch("digits", "test[:16]", 16, 0, data_dir=digits_dir)
    assert sorted(map(np.sum, images)) == pytest.approx(sorted(map(np.sum, whole[0][:16])))


@pytest.mark.parametrize("split", ["train[100%:]", "train[5:5]", "test[:0]"])
@pytest.mark.parametrize("large", [False, True])
def test_an_empty_split_has_nothing_to_read(digits_dir, monkeypatch, split, large):
    monkeypatch.setattr(reading, "_LARGE", 0 if large else 1 << 40)
    source, builder = sources.info("digits"), builders.open_builder(sources.info("digits"), digits_dir)
    with pytest.raises(InputError) as error:
        reading.labels(source, split, builder)
    assert str(error.value) == f"Split {split!r} of digits is empty"


def test_an_unknown_split_is_told(digits_dir):
    for name, split in (("digits", "validation"), ("digits", "train[:x]"), ("synthetic", "validation")):
        with pytest.raises(InputError, match=r"Unknown split of .*Allowed: test, train"):
            data.load(name, split, data_dir=digits_dir)


def test_a_torn_file_is_told(tmp_path, digits_dir):
    shutil.copytree(digits_dir / "digits", tmp_path / "digits")
    (file,) = tmp_path.glob("digits/*/digits-test*")
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"digits in .* cannot be read"):
        data.load("digits", "test", data_dir=tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_split_sizes_are_those_of_the_files(shared, name):
    folder = shared / "data" / "tfds"
    for split, size in stored_split_sizes(folder, name).items():
        assert data.split_size(name, split, data_dir=folder) == size
        with pytest.raises(InputError, match=rf"Received: {size + 1} examples. Available: {size}"):
            data.batch(name, split, size + 1, 0, data_dir=folder)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_images_are_normalised_as_published(shared, name):
    folder = shared / "data" / "tfds"
    images, labels = data.load(name, "test[:20]", data_dir=folder)
    _, _, mean, std = PUBLISHED[name]
    for image, label, example in zip(images, labels, raw_examples(folder, name, "test", 20), strict=True):
        for channel in range(3):
            expected = (example["image"][:, :, channel] / 255 - mean[channel] / 255) / (std[channel] / 255)
            np.testing.assert_allclose(image[:, :, channel], expected, rtol=1e-5, atol=1e-5)
        assert label == example["label"]


def test_a_builder_with_more_classes_is_cut_to_the_first(tmp_path, digits_dir, monkeypatch):
    source = dataclasses.replace(data.info("digits"), name="digits-3", classes=3)
    monkeypatch.setitem(sources.SOURCES, "digits-3", source)
    whole = data.load("digits", "test", data_dir=digits_dir)
    images, labels = data.load("digits-3", "test", data_dir=digits_dir)
    keep = whole[1] < 3
    np.testing.assert_array_equal(labels, whole[1][keep])
    np.testing.assert_array_equal(images, whole[0][keep])
    assert data.split_size("digits-3", "test", data_dir=digits_dir) == keep.sum()
    assert set(data.batch("digits-3", "test", 30, 0, data_dir=digits_dir, balanced=True)[1].tolist()) == {0, 1, 2}
