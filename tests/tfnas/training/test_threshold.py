"""Thresholds of FEAR: features by their definition, and a network that is trained as a loop by hand."""

import dataclasses

import numpy as np
import pytest

from tfnas import training
from tfnas.errors import InputError
from tfnas.networks import weights
from tfnas.seeds import derive_seed
from tfnas.training import threshold

pytest.importorskip("skimage", reason="the extra fear is not installed")

TINY = dataclasses.replace(threshold.SHALLOW, epochs=8, batch_size=64)


def plain_hog(image):
    """Histograms of one image [H, W] by their definition (Dalal and Triggs 2005): 4 x 4 cells, blocks of 3 x 3."""
    rows, columns = np.zeros_like(image), np.zeros_like(image)
    rows[1:-1] = image[2:] - image[:-2]
    columns[:, 1:-1] = image[:, 2:] - image[:, :-2]
    length = np.hypot(rows, columns)
    angle = np.degrees(np.arctan2(rows, columns)) % 180
    side = len(image) // 4
    cells = np.zeros((4, 4, 9))
    for y, x in np.ndindex(image.shape):
        cells[y // side, x // side, int(angle[y, x] // 20)] += length[y, x] / side**2
    found = []
    for y, x in np.ndindex(2, 2):
        block = cells[y : y + 3, x : x + 3]
        block = np.minimum(block / np.sqrt(np.sum(block**2) + 1e-10), 0.2)
        found.append(block / np.sqrt(np.sum(block**2) + 1e-10))
    return np.ravel(found)


@pytest.mark.parametrize("size", [8, 16, 32])
def test_features_are_histograms_of_gradients(size):
    images = np.random.default_rng(0).standard_normal((3, size, size, 1)).astype(np.float32)
    found = threshold.hog(images)
    assert found.shape == (3, 324)
    for row, image in zip(found, images, strict=True):
        np.testing.assert_allclose(row, plain_hog(image[..., 0].astype(np.float64)), rtol=1e-4, atol=1e-5)


def test_of_several_channels_the_one_of_the_largest_gradient_counts():
    rng = np.random.default_rng(0)
    strong = rng.standard_normal((2, 16, 16, 1)).astype(np.float32)
    weak = np.full((2, 16, 16, 1), 0.5, np.float32)
    both = np.concatenate([weak, strong, weak], -1)
    np.testing.assert_allclose(threshold.hog(both), threshold.hog(strong), rtol=1e-5, atol=1e-6)


def test_brightness_and_contrast_change_no_feature():
    images = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(threshold.hog(3 * images + 2), threshold.hog(images), atol=1e-4)


def test_sizes_that_four_cells_do_not_fill_have_as_many_features():
    images = np.random.default_rng(0).standard_normal((1, 30, 17, 3)).astype(np.float32)
    assert threshold.hog(images).shape == (1, 324)
    np.testing.assert_array_equal(threshold.hog(images), threshold.hog(images[:, 1:29, :16]))
    with pytest.raises(InputError, match="from 4 pixels on"):
        threshold.hog(images[:, :3])


def test_the_threshold_is_the_last_training_accuracy_of_the_shallow_network(digits):
    """Against SGD by hand in float64: two layers of ReLU, cross entropy, weight decay, momentum."""
    images, labels = digits[0]
    found = training.hog_threshold((images, labels), 10, recipe=TINY, units=32, seed=3)
    features = threshold.hog(images).astype(np.float64)
    start = weights.initialize(threshold.shallow(324, 10, 32), "torch", derive_seed(3, "threshold"))
    names = [f"{layer}.{kind}" for layer in ("hidden.0", "hidden.1", "classifier") for kind in ("kernel", "bias")]
    now = {name: start[name].astype(np.float64) for name in names}
    speed = {name: 0.0 for name in names}
    steps = len(labels) // 64
    for epoch in range(TINY.epochs):
        rng = np.random.default_rng(derive_seed(3, "epoch", epoch))
        order = rng.permutation(len(labels))[: steps * 64].reshape(steps, -1)
        rate, correct = 0.5 * (1 + np.cos(np.pi * epoch / TINY.epochs)) / 2, 0
        for batch in order:
            first = features[batch] @ now["hidden.0.kernel"] + now["hidden.0.bias"]
            second = np.maximum(first, 0) @ now["hidden.1.kernel"] + now["hidden.1.bias"]
            logits = np.maximum(second, 0) @ now["classifier.kernel"] + now["classifier.bias"]
            correct += np.sum(logits.argmax(1) == labels[batch])
            error = np.exp(logits - logits.max(1, keepdims=True))
            error = (error / error.sum(1, keepdims=True) - np.eye(10)[labels[batch]]) / 64
            slopes = {"classifier.kernel": np.maximum(second, 0).T @ error, "classifier.bias": error.sum(0)}
            error = error @ now["classifier.kernel"].T * (second > 0)
            slopes |= {"hidden.1.kernel": np.maximum(first, 0).T @ error, "hidden.1.bias": error.sum(0)}
            error = error @ now["hidden.1.kernel"].T * (first > 0)
            slopes |= {"hidden.0.kernel": features[batch].T @ error, "hidden.0.bias": error.sum(0)}
            for name in names:
                speed[name] = 0.9 * speed[name] + slopes[name] + 3e-4 * now[name]
                now[name] = now[name] - rate * speed[name]
    assert found == pytest.approx(correct / (steps * 64), abs=1.5 / (steps * 64))
    assert found > 0.2


def test_the_batch_is_no_larger_than_the_data(digits):
    images, labels = digits[0]
    assert 0 <= training.hog_threshold((images[:40], labels[:40]), 10, recipe=TINY, units=4) <= 1


def test_a_training_that_diverges_gives_no_threshold(digits):
    recipe = dataclasses.replace(TINY, learning_rate=1e30)
    with pytest.raises(InputError, match=r"diverged\. Received: learning_rate=1e\+30 on 512 images, epoch 1\. Allowed"):
        training.hog_threshold(digits[0], 10, recipe=recipe, units=4)
