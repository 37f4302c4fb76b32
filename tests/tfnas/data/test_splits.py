"""Splits of several parts: each example once, and none of the wrong split."""

import numpy as np
import pytest

from tfnas import data
from tfnas.errors import InputError

SETS = ("digits", "synthetic")


@pytest.mark.parametrize("split", ["train[5:3]", "train[5:4]", "train[5:3]+test", "test[:9]+train[90%:10%]"])
@pytest.mark.parametrize("name", SETS)
def test_a_part_that_ends_before_it_begins_is_refused(digits_dir, name, split):
    """Of digits, train[5:3]+test was read as images of train, and train[5:4] as train[5:]."""
    for read in (data.split_size, data.load, lambda *of, **where: data.batch(*of, 2, 0, **where)):
        with pytest.raises(InputError) as error:
            read(name, split, data_dir=digits_dir)
        assert str(error.value) == f"Split {split!r} of {name} has a part that ends before it begins"


@pytest.mark.parametrize("split", ["train+train", "train[:10]+test+train[5:15]", "train[:50%]+train[3:4]", "test+all"])
@pytest.mark.parametrize("name", SETS)
def test_no_example_is_there_twice(digits_dir, name, split):
    with pytest.raises(InputError) as error:
        data.split_size(name, split, data_dir=digits_dir)
    assert str(error.value) == f"Split {split!r} of {name} has parts that share examples"
    with pytest.raises(InputError, match="share examples"):
        data.load(name, split, data_dir=digits_dir)


def test_parts_that_are_empty_or_meet_are_read(digits_dir):
    whole = data.load("digits", "train", data_dir=digits_dir)[0]
    for split, rows in (("train[:10]+train[10:15]", np.r_[:15]), ("train[7:7]+train[-5:]+train[:9]", np.r_[-5:0, :9])):
        np.testing.assert_array_equal(data.load("digits", split, data_dir=digits_dir)[0], whole[rows])
        assert data.split_size("synthetic", split) == len(rows)
    assert data.split_size("digits", "all", data_dir=digits_dir) == 1797


@pytest.mark.parametrize("name", SETS)
def test_what_is_no_split_is_told(digits_dir, name):
    for split in ("all[:5]", "train[:9999]", "train+valid", ""):
        with pytest.raises(InputError, match=rf"Unknown split of {name}\. .*Allowed: test, train"):
            data.split_size(name, split, data_dir=digits_dir)
