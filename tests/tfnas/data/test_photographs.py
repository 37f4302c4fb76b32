"""Decoding, scaling and cutting against NumPy and Pillow; what is decoded, in which order."""

import io
import time

import numpy as np
import pytest

from tests.tfnas.data.conftest import SIZES
from tfnas import data, memory
from tfnas.data import photographs, reading
from tfnas.errors import InputError


def jpeg(height, width, seed=0):
    import tensorflow as tf

    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return tf.io.encode_jpeg(coarse.repeat(8, 0).repeat(8, 1)[:height, :width], quality=90).numpy()


def triangle(old, new):
    """Weights [new, old] of a triangle around each new pixel's centre, as wide as the larger of both pixels."""
    width = max(1, old / new)
    centres = (np.arange(new) + 0.5) * old / new
    weights = np.maximum(0, 1 - np.abs(centres[:, None] - (np.arange(old) + 0.5)) / width)
    return weights / weights.sum(axis=1, keepdims=True)


def sides(height, width, short):
    """Height and width after scaling, in whole numbers."""
    return (short, width * short // height) if height <= width else (height * short // width, short)


def middle(image, size):
    top, left = ((length - size) // 2 for length in image.shape[:2])
    return image[top : top + size, left : left + size]


@pytest.mark.parametrize(("size", "short"), [(224, 256), (96, 110), (32, 37)])
@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (256, 341), (100, 70), (37, 37), (301, 1024)])
def test_the_shortest_side_is_scaled_and_the_centre_is_cut_out(height, width, size, short):
    import tensorflow as tf

    encoded = jpeg(height, width)
    pixels = tf.io.decode_jpeg(encoded, dct_method="INTEGER_ACCURATE").numpy().astype(float)
    down, across = (triangle(*pair) for pair in zip((height, width), sides(height, width, short), strict=True))
    expected = middle(np.einsum("ij,jkc,lk->ilc", down, pixels, across, optimize=True), size)
    found = photographs.centre(tf.constant(encoded), size).numpy()
    assert found.shape == (size, size, 3)
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_pillow_gives_the_same(shared):
    """Another decoder and another resampling, on real photographs."""
    import tensorflow as tf
    from PIL import Image

    (file,) = (shared / "data" / "tfds" / "imagenet2012").glob("*/*-validation*")
    for record in tf.data.TFRecordDataset(str(file)).take(8):
        encoded = tf.train.Example.FromString(record.numpy()).features.feature["image"].bytes_list.value[0]
        image = Image.open(io.BytesIO(encoded)).convert("RGB")
        height, width = sides(image.height, image.width, 256)
        channels = [
            channel.convert("F").resize((width, height), Image.Resampling.BILINEAR) for channel in image.split()
        ]
        expected = middle(np.stack([np.asarray(channel) for channel in channels], axis=-1), 224)
        found = photographs.centre(tf.constant(encoded), 224).numpy()
        assert np.abs(found - expected).mean() < 0.05
        assert np.abs(found - expected).max() < 2


def test_batches_are_standardised_with_the_papers_constants(shared):
    import tensorflow as tf

    folder = shared / "data" / "tfds"
    images, labels = data.batch("imagenet2012", "validation[:5]", 5, 0, data_dir=folder)
    assert images.shape == (5, 224, 224, 3)
    (file,) = (folder / "imagenet2012").glob("*/*-validation*")
    expected = {}
    for record in tf.data.TFRecordDataset(str(file)).take(5):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        pixels = photographs.centre(features["image"].bytes_list.value[0], 224).numpy()
        expected[features["label"].int64_list.value[0]] = (pixels - [123.7, 116.3, 103.5]) / [58.4, 57.1, 57.4]
    for image, label in zip(images, labels, strict=True):
        np.testing.assert_allclose(image, expected[label], atol=1e-5)


def test_photographs_are_to_be_had_at_any_size(pictures):
    for size in (8, 48):
        assert data.info(f"pictures/{size}x{size}").input_shape == (size, size, 3)
        images, _ = data.batch(f"pictures/{size}x{size}", "train", 3, 0, data_dir=pictures)
        assert images.shape == (3, size, size, 3)
    _, labels = data.batch("pictures", "train", 20, 0, data_dir=pictures)
    _, smaller = data.batch("pictures/8x8", "train", 20, 0, data_dir=pictures)
    np.testing.assert_array_equal(labels, smaller)
    draws = {data.draw_labels(name, 2, 0, ("train",), data_dir=pictures) for name in ("pictures", "pictures/8x8")}
    assert len(draws) == 1
    for name in ("pictures/8x9", "pictures/0x0", "pictures/8", "pictures/", "cifar10/8x8", "pictures/8x8/8x8"):
        with pytest.raises(InputError, match=r"Unknown data set. Received: .* pictures/NxN"):
            data.info(name)


@pytest.fixture
def decoded(monkeypatch):
    """One entry for each photograph that is decoded."""
    import tensorflow as tf

    seen, centre = [], photographs.centre

    def count(encoded, size):
        encoded = tf.numpy_function(lambda value: seen.append(1) or value, [encoded], tf.string)
        return centre(encoded, size)

    monkeypatch.setattr(photographs, "centre", count)
    return seen


def test_streams_stay_a_few_batches_ahead(pictures, decoded):
    stream = data.stream("pictures", "train", 2, data_dir=pictures)
    next(stream)
    before = -1
    while len(decoded) > before:  # until nothing more is decoded
        before = len(decoded)
        time.sleep(0.3)
    assert 2 <= before <= 20
    assert sum(len(labels) for _, labels in stream) == 58


def test_only_what_is_chosen_is_decoded(pictures, decoded):
    data.batch("pictures", "train", 7, 0, data_dir=pictures)
    assert len(decoded) == 7
    data.batch("pictures", "train", 12, 0, data_dir=pictures, balanced=True)
    data.balanced_prefixes("pictures", "train", 7, 0, data_dir=pictures)
    assert len(decoded) == 7 + 12 + 7
    data.draw_labels("pictures", 3, 0, ("train", "validation"), data_dir=pictures)
    data.split_size("pictures", "train", data_dir=pictures, labels=(1, 2))
    assert len(decoded) == 26


def batches(folder):
    yield data.load("pictures", "train", data_dir=folder)
    yield data.batch("pictures", "train[:70%]", 9, 3, data_dir=folder)
    yield data.batch("pictures", "validation", 9, 3, data_dir=folder, balanced=True, labels=(0, 2, 3))
    yield data.balanced_prefixes("pictures", "train[40%:]", 8, 3, data_dir=folder, labels=(1, 4))


@pytest.mark.parametrize("way", ["files", "threads", "places in the files", "small blocks"])
def test_nothing_depends_on_how_it_is_stored_or_read(pictures, pictures_dirs, way, monkeypatch, request):
    expected, folder = list(batches(pictures)), pictures
    if way == "files":
        folder = pictures_dirs[3]
    elif way == "threads":
        import tensorflow as tf

        monkeypatch.setattr(tf.data, "AUTOTUNE", 1)
    elif way == "places in the files":
        request.getfixturevalue("large")
        folder = pictures_dirs[3]
    else:
        monkeypatch.setattr(reading, "_BLOCK_BYTES", 1)
    for found, wanted in zip(batches(folder), expected, strict=True):
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1], wanted[1])


def test_streams_are_the_split_in_parts(pictures):
    images, labels = data.load("pictures", "train[:20]", data_dir=pictures)
    parts = list(data.stream("pictures", "train[:20]", 8, data_dir=pictures))
    assert [len(part) for part, _ in parts] == [8, 8, 4]
    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), images)
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), labels)
    whole = data.load("synthetic", "test")
    noise = list(data.stream("synthetic", "test", 1000))
    np.testing.assert_array_equal(np.concatenate([part for part, _ in noise]), whole[0])


def test_more_than_memory_holds_is_told_before_anything_is_read(pictures, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 40 * 32 * 32 * 3 * 4)
    with pytest.raises(
        InputError, match=r"60 images of pictures, 32x32x3, take 1 MB of memory.*'train', such as train\[:20\]"
    ):
        data.load("pictures", "train", data_dir=pictures)
    assert len(data.load("pictures", "train[:20]", data_dir=pictures)[1]) == 20
    assert sum(len(labels) for _, labels in data.stream("pictures", "train", 16, data_dir=pictures)) == 60


def test_a_photograph_that_is_none_is_told(tmp_path, pictures, pictures_dirs):
    import shutil

    shutil.copytree(pictures, tmp_path / "broken")
    (file,) = tmp_path.glob("broken/pictures/*/*validation*")
    import tensorflow as tf

    records = [record.numpy() for record in tf.data.TFRecordDataset(str(file))]
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            example = tf.train.Example.FromString(record)
            example.features.feature["image"].bytes_list.value[0] = b"no photograph"
            writer.write(example.SerializeToString())
    with pytest.raises(InputError, match=r"pictures in .* cannot be read: .*JPEG"):
        data.load("pictures", "validation", data_dir=tmp_path / "broken")


def test_sizes_of_the_test_pictures_are_both_portrait_and_landscape():
    assert {np.sign(height - width) for height, width in SIZES} == {-1, 0, 1}
