"""The digits against scikit-learn's copy."""

import numpy as np
import pytest

from tfnas import data


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
