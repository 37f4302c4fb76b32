"""The data sets, one entry each.

A data set is added by adding its `Source` to `SOURCES`: everything else follows from that. Its TFDS builder must have
the features "label" and "image": uint8, all of one size, or photographs of any size. What TFDS does not have needs a
builder first, such as `tfnas.data.digits` and `tfnas.data.labelled_noise`.
"""

from __future__ import annotations

import dataclasses
import re

from tfnas import errors

_CIFAR10 = ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))
_CIFAR100 = ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4))
_IMAGENET16 = ((122.68, 116.66, 104.01), (63.22, 61.26, 65.09))
_IMAGENET = ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4))
_IMAGENET_FILES = (("ILSVRC2012_img_train.tar", 147_897_477_120), ("ILSVRC2012_img_val.tar", 6_744_924_160))


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set for classification.

    Attributes:
        name: what `--dataset` takes.
        builder: name of the TFDS builder, with its config; "" for data made in memory.
        classes: number of classes; a builder with more is cut to its first ones.
        input_shape: (height, width, channels) of an image.
        mean: per channel, in units of the stored pixels.
        std: per channel, in units of the stored pixels.
        splits: names of the splits that the publisher provides.
        photographs: stored at any size; the centre is cut out (`tfnas.data.photographs`). NAME/NxN is then the same
            data set at N x N pixels.
        manual: (file name, bytes) of what only the user can download.
        page: where those are to be had.
    """

    name: str
    builder: str
    classes: int
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    splits: tuple[str, ...] = ("train", "test")
    photographs: bool = False
    manual: tuple[tuple[str, int], ...] = ()
    page: str = ""

    @property
    def drawn_as(self) -> str:
        """What draws of examples and labels depend on: the same photographs at every size."""
        return self.name.partition("/")[0] if self.photographs else self.name

    @property
    def black(self) -> tuple[float, ...]:
        """A pixel stored as 0 after normalisation, per channel: what crops are padded with."""
        return tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True))


def _resized(name: str, builder: str, classes: int, size: int, constants: tuple[tuple[float, ...], ...]) -> Source:
    return Source(name, builder, classes, (size, size, 3), *constants, splits=("train", "validation"))


# Means and deviations of CIFAR and ImageNet16-120 are those of NAS-Bench-201 (AutoDL-Projects,
# get_dataset_with_transform.py), those of the other ImageNets the NNGP paper's (Park et al. 2020, C.2). Those of the
# digits (pixels 0..16) are the statistics of the training split. ImageNet16-120 is the first 120 classes of the
# 16 x 16 ImageNet, in the order of its publisher, which is the order of the builder's labels.
SOURCES = {
    source.name: source
    for source in (
        Source("digits", "digits", 10, (8, 8, 1), (4.886,), (6.018,)),
        Source("synthetic", "", 10, (32, 32, 3), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        Source("cifar10", "cifar10", 10, (32, 32, 3), *_CIFAR10),
        Source("cifar100", "cifar100", 100, (32, 32, 3), *_CIFAR100),
        Source("synthetic_cifar10", "synthetic_cifar10", 10, (32, 32, 3), (128.0,) * 3, (32.0,) * 3),
        _resized("imagenet16-120", "imagenet_resized/16x16", 120, 16, _IMAGENET16),
        _resized("imagenet_resized/32x32", "imagenet_resized/32x32", 1000, 32, _IMAGENET),
        _resized("imagenet_resized/64x64", "imagenet_resized/64x64", 1000, 64, _IMAGENET),
        Source(
            "imagenet2012",
            "imagenet2012",
            1000,
            (224, 224, 3),
            *_IMAGENET,
            splits=("train", "validation"),
            photographs=True,
            manual=_IMAGENET_FILES,
            page="https://image-net.org/download-images",
        ),
    )
}
_SIZED = re.compile(r"(?P<name>.+)/(?P<pixels>[1-9][0-9]{0,3})x(?P=pixels)", re.ASCII)


def names() -> list[str]:
    """Names of all data sets."""
    return list(SOURCES)


def info(name: str) -> Source:
    """The data set of that name; photographs of NAME at N x N pixels are NAME/NxN.

    Raises:
        InputError: unknown name; the message lists what exists.
    """
    if name in SOURCES:
        return SOURCES[name]
    sized = _SIZED.fullmatch(name)
    source = SOURCES.get(sized["name"]) if sized else None
    if source is None or not source.photographs:
        pictures = [f"{known}/NxN" for known, source in SOURCES.items() if source.photographs]
        raise errors.unknown("data set", name, [*SOURCES, *pictures])
    pixels = int(sized["pixels"])
    return dataclasses.replace(source, name=name, input_shape=(pixels, pixels, source.input_shape[2]))
