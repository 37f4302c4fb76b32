"""The list of data sets."""

import pathlib
import subprocess
import sys

import pytest

from tfnas import data
from tfnas.errors import InputError

# Classes, shape, and means and deviations in 0..255 as NAS-Bench-201's own transforms have them, and of the larger
# ImageNets the NNGP paper, typed in again.
PUBLISHED = {
    "cifar10": (10, (32, 32, 3), (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    "cifar100": (100, (32, 32, 3), (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
    "imagenet16-120": (120, (16, 16, 3), (122.68, 116.66, 104.01), (63.22, 61.26, 65.09)),
    "imagenet_resized/32x32": (1000, (32, 32, 3), (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)),
    "imagenet_resized/64x64": (1000, (64, 64, 3), (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)),
    "imagenet2012": (1000, (224, 224, 3), (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_constants_are_those_published(name):
    source, (classes, shape, mean, std) = data.info(name), PUBLISHED[name]
    assert (source.classes, source.input_shape, source.mean, source.std) == (classes, shape, mean, std)
    assert source.black == pytest.approx([-m / s for m, s in zip(mean, std, strict=True)])


def test_every_data_set_of_colour_images_has_its_constants_checked():
    """Those of the digits are checked against the digits; noise is normal as it is drawn."""
    assert set(PUBLISHED) == set(data.names()) - {"digits", "synthetic", "synthetic_cifar10"}
    assert (data.info("synthetic").mean, data.info("synthetic").std) == ((0, 0, 0), (1, 1, 1))


def test_names_are_known_and_an_unknown_one_is_told():
    assert {"digits", "synthetic", "cifar10", "cifar100", "imagenet16-120"} <= set(data.names())
    with pytest.raises(InputError, match=r"Received: 'cifar11'.*cifar10, cifar100, digits") as caught:
        data.batch("cifar11", "train", 8, 0)
    assert "\n" not in str(caught.value)


def test_black_is_a_stored_zero(digits_dir):
    source = data.info("digits")
    images, _ = data.load("digits", "test", data_dir=digits_dir)
    assert images.min() == pytest.approx(source.black[0])


@pytest.mark.parametrize("name", ["imagenet16-120", "imagenet_resized/32x32", "imagenet_resized/64x64"])
def test_resized_imagenets_are_configs_of_the_builder(name):
    import tensorflow_datasets as tfds

    source = data.info(name)
    builder_class = tfds.builder_cls("imagenet_resized")
    builder, config = source.builder.split("/")
    assert builder == builder_class.name
    assert {known.name: known.size for known in builder_class.BUILDER_CONFIGS}[config] == source.input_shape[0]


def test_the_manual_files_are_those_that_the_builder_looks_for():
    import inspect
    import pathlib

    import tensorflow_datasets as tfds

    builder_class = tfds.builder_cls("imagenet2012")
    folder = pathlib.Path(inspect.getfile(builder_class)).parent
    lines = (folder / "checksums.tsv").read_text().splitlines()
    published = {url.rpartition("/")[2]: int(size) for url, size, _ in map(str.split, lines)}
    assert dict(data.info("imagenet2012").manual) == published
    assert all(name in builder_class.MANUAL_DOWNLOAD_INSTRUCTIONS for name in published)


def test_importing_needs_no_tensorflow():
    heavy = "{'tensorflow', 'keras', 'tensorflow_datasets'}"
    code = f"import sys, tfnas.data, tfnas.training; print({heavy} & set(sys.modules))"
    root = pathlib.Path(data.__file__).parent.parent.parent
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
