"""Noise in the place of data."""

import numpy as np
import pytest

from tfnas import data
from tfnas.errors import InputError


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
    assert [data.split_size("synthetic", split) for split in ("train[100%:]", "train[5:5]", "test[:0]")] == [0, 0, 0]
    parts = [data.batch("synthetic", split, 4, 7)[0] for split in ("train[:80%]", "train[80%:]", "train")]
    assert len({part.tobytes() for part in parts}) == 3
    for split in ("train[:x]", "train[:9999]", "", "validation[:5]"):
        with pytest.raises(InputError, match=r"Unknown split of synthetic.*Allowed: test, train"):
            data.batch("synthetic", split, 4, 7)
