import json
import multiprocessing
import pathlib
import shutil

import numpy as np
import pytest

from tfnas import data
from tfnas.errors import InputError


@pytest.fixture(scope="module")
def digits_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    data.prepare_digits(folder)
    return folder


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


def test_names_are_known_and_an_unknown_one_is_told():
    assert {"digits", "synthetic", "cifar10", "cifar100", "imagenet16-120"} <= set(data.names())
    with pytest.raises(InputError, match=r"Received: 'cifar11'.*cifar10, cifar100, digits") as caught:
        data.batch("cifar11", "train", 8, 0)
    assert "\n" not in str(caught.value)


def test_digits_are_scikit_learns_and_the_split_is_stratified(digits_dir):
    from sklearn.datasets import load_digits

    pixels, targets = load_digits(return_X_y=True)
    seen = []
    for split, size in (("train", 1437), ("test", 360)):
        images, labels = data.load("digits", split, data_dir=digits_dir)
        assert images.shape == (size, 8, 8, 1)
        assert (images.dtype, labels.dtype) == (np.float32, np.int32)
        shares = np.bincount(labels) / size
        np.testing.assert_allclose(shares, np.bincount(targets) / len(targets), atol=2 / size)
        raw = np.rint(images * data.info("digits").std + data.info("digits").mean).reshape(size, 64)
        seen += [(*row, label) for row, label in zip(raw.astype(int).tolist(), labels.tolist(), strict=True)]
    assert sorted(map(str, seen)) == sorted(
        str((*row, label)) for row, label in zip(pixels.astype(int).tolist(), targets.tolist(), strict=True)
    )


def test_digits_constants_are_those_of_their_training_split(digits_dir):
    images, _ = data.load("digits", "train", data_dir=digits_dir)
    assert images.mean(dtype=np.float64) == pytest.approx(0, abs=1e-3)
    assert images.std(dtype=np.float64) == pytest.approx(1, abs=1e-3)


def test_digits_are_prepared_at_first_use(tmp_path):
    images, _ = data.batch("digits", "test", 4, 0, data_dir=tmp_path / "new" / "folder")
    assert images.shape == (4, 8, 8, 1)
    assert list((tmp_path / "new" / "folder" / "digits").iterdir())


def test_digits_in_a_folder_that_cannot_be_written_go_to_the_users_own(tmp_path, monkeypatch, digits_dir):
    import tensorflow_datasets as tfds

    own = tmp_path / "own"
    shutil.copytree(digits_dir, own)
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(own))
    monkeypatch.setattr(data.os, "access", lambda path, mode: False)
    images, _ = data.batch("digits", "test", 4, 0, data_dir=tmp_path / "shared")
    assert images.shape == (4, 8, 8, 1)
    assert not (tmp_path / "shared").exists()


def test_two_processes_may_prepare_the_digits_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=data.prepare_digits, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert data.split_size("digits", "train", data_dir=tmp_path) == 1437
    assert len(list((tmp_path / "digits").iterdir())) == 1, "no unfinished folder stays behind"


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


def test_parts_of_a_split(digits_dir):
    whole = data.load("digits", "test", data_dir=digits_dir)
    parts = [data.load("digits", f"test{part}", data_dir=digits_dir) for part in ("[:100]", "[100:]")]
    for kind in range(2):
        np.testing.assert_array_equal(whole[kind], np.concatenate([part[kind] for part in parts]))
    assert data.split_size("digits", "test[:50%]", data_dir=digits_dir) == 180
    images, _ = data.batch("digits", "test[:16]", 16, 0, data_dir=digits_dir)
    assert sorted(map(np.sum, images)) == pytest.approx(sorted(map(np.sum, whole[0][:16])))


def test_an_unknown_split_is_told(digits_dir):
    for name, split in (("digits", "validation"), ("digits", "train[:x]"), ("synthetic", "validation")):
        with pytest.raises(InputError, match=r"Unknown split of .*Allowed: test, train"):
            data.load(name, split, data_dir=digits_dir)


def test_absent_data_name_the_folder_and_the_command(tmp_path):
    with pytest.raises(InputError) as caught:
        data.batch("cifar10", "train", 8, 0, data_dir=tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert f"python -m launch.prepare --dataset=cifar10 --data_dir={tmp_path}" in message
    assert "\n" not in message


def test_a_torn_file_is_told(tmp_path, digits_dir):
    shutil.copytree(digits_dir / "digits", tmp_path / "digits")
    (file,) = tmp_path.glob("digits/*/digits-test*")
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"digits in .* cannot be read"):
        data.load("digits", "test", data_dir=tmp_path)


def test_synthetic_images_are_standard_normal():
    images, labels = data.load("synthetic", "test")
    assert images.shape == (1024, 32, 32, 3)
    assert images.mean(dtype=np.float64) == pytest.approx(0, abs=0.005)
    assert images.std(dtype=np.float64) == pytest.approx(1, abs=0.005)
    assert set(labels.tolist()) == set(range(10))
    np.testing.assert_array_equal(
        data.batch("synthetic", "train", 4, 7)[0], data.batch("synthetic", "train", 8, 7)[0][:4]
    )


def test_parts_of_synthetic_splits_have_the_sizes_of_tfds():
    sizes = [data.split_size("synthetic", split) for split in ("train[:80%]", "train[80%:]", "train+test")]
    assert sizes == [3277, 819, 5120]
    parts = [data.batch("synthetic", split, 4, 7)[0] for split in ("train[:80%]", "train[80%:]", "train")]
    assert len({part.tobytes() for part in parts}) == 3
    for split in ("train[:x]", "train[:9999]", "", "validation[:5]"):
        with pytest.raises(InputError, match=r"Unknown split of synthetic.*Allowed: test, train"):
            data.batch("synthetic", split, 4, 7)


def test_black_is_a_stored_zero(digits_dir):
    source = data.info("digits")
    images, _ = data.load("digits", "test", data_dir=digits_dir)
    assert images.min() == pytest.approx(source.black[0])


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_split_sizes_are_those_of_the_files(shared, name):
    folder = shared / "data" / "tfds"
    for split, size in stored_split_sizes(folder, name).items():
        assert data.split_size(name, split, data_dir=folder) == size
        with pytest.raises(InputError, match=rf"Received: {size + 1} examples. Available: {size}"):
            data.batch(name, split, size + 1, 0, data_dir=folder)


# Means and deviations in 0..255, as NAS-Bench-201's own transforms have them, typed in again.
PUBLISHED = {
    "cifar10": ([125.3, 123.0, 113.9], [63.0, 62.1, 66.7]),
    "cifar100": ([129.3, 124.1, 112.4], [68.2, 65.4, 70.4]),
}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_images_are_normalised_as_published(shared, name):
    folder = shared / "data" / "tfds"
    images, labels = data.load(name, "test[:20]", data_dir=folder)
    mean, std = PUBLISHED[name]
    for image, label, example in zip(images, labels, raw_examples(folder, name, "test", 20), strict=True):
        for channel in range(3):
            expected = (example["image"][:, :, channel] / 255 - mean[channel] / 255) / (std[channel] / 255)
            np.testing.assert_allclose(image[:, :, channel], expected, rtol=1e-5, atol=1e-5)
        assert label == example["label"]


def test_a_balanced_batch_of_a_hundred_classes(shared):
    folder = shared / "data" / "tfds"
    _, labels = data.batch("cifar100", "train", 250, 0, data_dir=folder, balanced=True)
    assert sorted(np.bincount(labels, minlength=100)) == [2] * 50 + [3] * 50


def test_a_builder_with_more_classes_is_cut_to_the_first(tmp_path, digits_dir, monkeypatch):
    import dataclasses

    source = dataclasses.replace(data.info("digits"), name="digits-3", classes=3)
    monkeypatch.setitem(data._SOURCES, "digits-3", source)
    whole = data.load("digits", "test", data_dir=digits_dir)
    images, labels = data.load("digits-3", "test", data_dir=digits_dir)
    keep = whole[1] < 3
    np.testing.assert_array_equal(labels, whole[1][keep])
    np.testing.assert_array_equal(images, whole[0][keep])
    assert data.split_size("digits-3", "test", data_dir=digits_dir) == keep.sum()
    assert set(data.batch("digits-3", "test", 30, 0, data_dir=digits_dir, balanced=True)[1].tolist()) == {0, 1, 2}


def test_imagenet16_labels_follow_the_builder():
    import tensorflow_datasets as tfds

    source = data.info("imagenet16-120")
    builder_class = tfds.builder_cls("imagenet_resized")
    name, config = source.builder.split("/")
    assert name == builder_class.name
    assert config in {known.name for known in builder_class.BUILDER_CONFIGS}
    assert (source.classes, source.input_shape) == (120, (16, 16, 3))


def test_importing_needs_no_tensorflow():
    import subprocess
    import sys

    heavy = "{'tensorflow', 'keras', 'tensorflow_datasets'}"
    code = f"import sys, tfnas.data, tfnas.training; print({heavy} & set(sys.modules))"
    root = pathlib.Path(data.__file__).parent.parent.parent
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


class TestBalancedPrefixes:
    def test_every_prefix_is_balanced_and_the_same_whatever_the_size(self):
        images, labels = data.balanced_prefixes("synthetic", "train", 47, 5)
        assert labels.tolist() == [i % 10 for i in range(47)]
        for size in (1, 10, 33):
            fewer, fewer_labels = data.balanced_prefixes("synthetic", "train", size, 5)
            assert np.array_equal(fewer, images[:size])
            assert np.array_equal(fewer_labels, labels[:size])
        assert len(np.unique(images.reshape(47, -1), axis=0)) == 47

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
