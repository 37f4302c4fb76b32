"""Synthetic CIFAR-10: labels against a plain loop, classes of equal size, and the way through TFDS."""

import numpy as np
import pytest

from tfnas import data
from tfnas.data import labelled_noise


def plain_label(image, made):
    """The number of the network with the largest output, in float64."""
    flat = [(float(pixel) - 128) / 32 for pixel in image.reshape(-1)]
    outputs = []
    for kernel, bias, last, end in made:
        hidden = [max(0.0, float(np.dot(flat, kernel[:, unit]) + bias[unit])) for unit in range(len(flat))]
        outputs.append(sum(value * float(weight) for value, weight in zip(hidden, last, strict=True)) + float(end))
    return outputs.index(max(outputs))


def test_labels_are_those_of_the_networks_and_classes_are_full():
    images, labels = labelled_noise.draw((4, 4, 3), 4, seed=3, kept=10, most=100_000)
    assert images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [10] * 4
    made = labelled_noise.networks(48, 4, 3)
    assert [plain_label(image, made) for image in images] == labels.tolist()
    assert abs(images.mean() - 128) < 3
    assert abs(images.std() - 32) < 2


def test_more_of_a_class_are_those_drawn_later():
    few, many = (labelled_noise.draw((4, 4, 3), 4, seed=3, kept=kept, most=100_000) for kept in (10, 20))
    for number in range(4):
        np.testing.assert_array_equal(many[0][many[1] == number][:10], few[0][few[1] == number])


def test_weights_are_drawn_as_pytorch_draws_a_layer():
    for kernel, bias, last, end in labelled_noise.networks(64, 3, 0):
        assert (kernel.shape, bias.shape, last.shape, end.shape) == ((64, 64), (64,), (64,), ())
        assert np.abs(kernel).max() == pytest.approx(1 / 8, rel=0.01)
        assert kernel.std() == pytest.approx(1 / 8 / 3**0.5, rel=0.05)


def test_too_few_draws_are_an_error():
    with pytest.raises(ValueError, match="Of 5 images too few are of class"):
        labelled_noise.draw((4, 4, 3), 4, kept=10, most=5)


def test_it_is_prepared_and_read_as_any_other(tmp_path, monkeypatch):
    monkeypatch.setattr(labelled_noise, "TRAIN", 3)
    monkeypatch.setattr(labelled_noise, "TEST", 2)
    monkeypatch.setattr(labelled_noise, "networks", lambda size, classes, seed: small(size, classes))
    data.prepare("synthetic_cifar10", data_dir=tmp_path)
    seen = []
    for split, size in (("train", 30), ("test", 20)):
        images, labels = data.load("synthetic_cifar10", split, data_dir=tmp_path)
        assert images.shape == (size, 32, 32, 3)
        assert np.bincount(labels).tolist() == [size // 10] * 10
        assert abs(images.mean()) < 0.05
        assert images.std() == pytest.approx(1, abs=0.05)
        stored = np.rint(images * 32 + 128).astype(np.uint8)
        np.testing.assert_array_equal(labelled_noise.label(stored, small(3072, 10)), labels)
        seen += [image.tobytes() for image in stored]
    assert len(set(seen)) == 50


def small(size, classes):
    """Networks of one unit that is never at rest, quick to run, and of equal chances."""
    rng = np.random.default_rng(0)
    one, enough = np.ones(1, np.float32), np.full(1, 1000, np.float32)
    return [(rng.standard_normal((size, 1)).astype(np.float32), enough, one, 0.0) for _ in range(classes)]
