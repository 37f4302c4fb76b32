"""The list of data sets."""

import pathlib
import subprocess
import sys

import pytest

from tfnas import data
from tfnas.errors import InputError


def test_names_are_known_and_an_unknown_one_is_told():
    assert {"digits", "synthetic", "cifar10", "cifar100", "imagenet16-120"} <= set(data.names())
    with pytest.raises(InputError, match=r"Received: 'cifar11'.*cifar10, cifar100, digits") as caught:
        data.batch("cifar11", "train", 8, 0)
    assert "\n" not in str(caught.value)


def test_black_is_a_stored_zero(digits_dir):
    source = data.info("digits")
    images, _ = data.load("digits", "test", data_dir=digits_dir)
    assert images.min() == pytest.approx(source.black[0])


def test_imagenet16_labels_follow_the_builder():
    import tensorflow_datasets as tfds

    source = data.info("imagenet16-120")
    builder_class = tfds.builder_cls("imagenet_resized")
    name, config = source.builder.split("/")
    assert name == builder_class.name
    assert config in {known.name for known in builder_class.BUILDER_CONFIGS}
    assert (source.classes, source.input_shape) == (120, (16, 16, 3))


def test_importing_needs_no_tensorflow():
    heavy = "{'tensorflow', 'keras', 'tensorflow_datasets'}"
    code = f"import sys, tfnas.data, tfnas.training; print({heavy} & set(sys.modules))"
    root = pathlib.Path(data.__file__).parent.parent.parent
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
