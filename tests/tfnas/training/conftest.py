"""Data that several tests of training use."""

import pytest

from tfnas import data


@pytest.fixture(scope="session")
def digits(digits_dir):
    """Training and test images with their labels."""
    return tuple(data.load("digits", split, data_dir=digits_dir) for split in ("train[:512]", "test"))
