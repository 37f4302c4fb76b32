"""Synthetic CIFAR-10, as a TFDS builder: noise that random networks label (Dey et al. 2021).

An image is standard normal noise; its label is the number of the network with the largest output, of ten independent
ones with one hidden layer as wide as the image. Of each class the first 5,000 drawn are for training, the next 1,000
for testing. The rarest class is drawn about once in 150 times: 900,000 images, half an hour on 2 cores.

Deviations: pixels are stored in 8 bits, 32 levels to a standard deviation, and it is the stored image that is labelled;
networks and noise are drawn by numpy, so that images and labels are others than the authors'; images are drawn until
all classes are full, and there not more than a million.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

SHAPE, CLASSES, SEED = (32, 32, 3), 10, 42
TRAIN, TEST = 5000, 1000  # of a class
MOST = 5_000_000  # images drawn
MIDDLE, SCALE = 128, 32  # the stored pixel of 0, and how many levels are 1
_BLOCK = 2000


def networks(size: int, classes: int, seed: int) -> list[tuple[np.ndarray, ...]]:
    """Of each class kernel [size, size], bias [size], kernel [size] and bias [] in float32, as PyTorch draws layers."""
    bound = 1 / math.sqrt(size)
    rng = np.random.default_rng([seed, 0])
    shapes = ((size, size), (size,), (size,), ())
    return [tuple(rng.uniform(-bound, bound, shape).astype(np.float32) for shape in shapes) for _ in range(classes)]


def draw(
    shape: tuple[int, ...] = SHAPE,
    classes: int = CLASSES,
    *,
    seed: int = SEED,
    kept: int = TRAIN + TEST,
    most: int = MOST,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws and labels images until there are enough of every class.

    Args:
        shape: (H, W, C).
        classes: networks that label.
        seed: of networks and noise.
        kept: images of a class; more are dropped.
        most: images that are drawn.

    Returns:
        Images [N, H, W, C] uint8 in the order drawn, and labels [N].

    Raises:
        ValueError: so many draws have not given enough of every class.
    """
    made = networks(math.prod(shape), classes, seed)
    rng, counts = np.random.default_rng([seed, 1]), np.zeros(classes, int)
    images, labels = [], []
    for start in range(0, most, _BLOCK):
        noise = rng.standard_normal((min(_BLOCK, most - start), *shape), np.float32)
        stored = np.clip(np.rint(SCALE * noise + MIDDLE), 0, 255).astype(np.uint8)
        found = label(stored, made)
        # How many of its class were drawn before each image, in this block and earlier ones.
        before = np.zeros(len(found), int)
        for number in range(classes):
            of = found == number
            before[of] = counts[number] + np.arange(np.sum(of))
            counts[number] += np.sum(of)
        images.append(stored[before < kept])
        labels.append(found[before < kept])
        if counts.min() >= kept:
            return np.concatenate(images), np.concatenate(labels)
    raise ValueError(f"Of {most} images too few are of class {counts.argmin()}: {counts.min()} of {kept}")


def label(images: np.ndarray, made: list[tuple[np.ndarray, ...]]) -> np.ndarray:
    """The network with the largest output for each image [N, H, W, C] uint8: [N]."""
    inputs = (images.reshape(len(images), -1).astype(np.float32) - MIDDLE) / SCALE
    outputs = [np.maximum(inputs @ kernel + bias, 0) @ last + end for kernel, bias, last, end in made]
    return np.argmax(outputs, axis=0)


class SyntheticCifar10(tfds.core.GeneratorBasedBuilder):
    """Normal noise of 32 x 32 x 3, labelled by ten random networks: 5,000 training and 1,000 test images of a class."""

    VERSION = tfds.core.Version("1.0.0")
    # As of the digits: there are no addresses.
    url_infos = None

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict(
                {"image": tfds.features.Image(shape=SHAPE), "label": tfds.features.ClassLabel(num_classes=CLASSES)}
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # Nothing is downloaded.
        images, labels = draw(kept=TRAIN + TEST, most=MOST)
        # In the order drawn, the first of a class train.
        place = np.zeros(len(labels), int)
        for number in range(CLASSES):
            of = labels == number
            place[of] = np.arange(np.sum(of))
        parts = {"train": place < TRAIN, "test": place >= TRAIN}
        return {name: self._generate_examples(images[part], labels[part]) for name, part in parts.items()}

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, (image, number) in enumerate(zip(images, labels, strict=True)):
            yield index, {"image": image, "label": int(number)}
