"""The data sets, one entry each.

A data set is added by adding its `Source` to `SOURCES`: everything else follows from that. Its TFDS builder must have
the features "image" (uint8, all of one size) and "label". What TFDS does not have needs a builder first, such as
`tfnas.data.digits`.
"""

from __future__ import annotations

import dataclasses

from tfnas import errors

_CIFAR10 = ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))
_CIFAR100 = ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4))
_IMAGENET16 = ((122.68, 116.66, 104.01), (63.22, 61.26, 65.09))


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
    """

    name: str
    builder: str
    classes: int
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    splits: tuple[str, ...] = ("train", "test")

    @property
    def black(self) -> tuple[float, ...]:
        """A pixel stored as 0 after normalisation, per channel: what crops are padded with."""
        return tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True))


# Means and deviations of the colour sets are those of NAS-Bench-201 (AutoDL-Projects, get_dataset_with_transform.py).
# Those of the digits (pixels 0..16) are the statistics of the training split. ImageNet16-120 is the first 120 classes
# of the 16 x 16 ImageNet, in the order of its publisher, which is the order of the builder's labels.
SOURCES = {
    source.name: source
    for source in (
        Source("digits", "digits", 10, (8, 8, 1), (4.886,), (6.018,)),
        Source("synthetic", "", 10, (32, 32, 3), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        Source("cifar10", "cifar10", 10, (32, 32, 3), *_CIFAR10),
        Source("cifar100", "cifar100", 100, (32, 32, 3), *_CIFAR100),
        Source(
            "imagenet16-120", "imagenet_resized/16x16", 120, (16, 16, 3), *_IMAGENET16, splits=("train", "validation")
        ),
    )
}


def names() -> list[str]:
    """Names of all data sets."""
    return list(SOURCES)


def info(name: str) -> Source:
    """The data set of that name.

    Raises:
        InputError: unknown name; the message lists what exists.
    """
    if name not in SOURCES:
        raise errors.unknown("data set", name, SOURCES)
    return SOURCES[name]
