"""Whole splits for training, and fixed batches for scoring."""

from __future__ import annotations

import os

import numpy as np

from tfnas import errors, seeds
from tfnas.data import builders, reading, synthetic
from tfnas.data.sources import Source, info


def split_size(name: str, split: str, *, data_dir: str | os.PathLike | None = None) -> int:
    """Number of examples in a split, as read from the data set found."""
    source = info(name)
    if not source.builder:
        return synthetic.split_size(source, split)
    return len(reading.eligible(source, split, builders.open_builder(source, data_dir)))


def load(name: str, split: str, *, data_dir: str | os.PathLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A whole split, always in the same order.

    Args:
        name: data set, one of `names()`.
        split: "train", "test", ..., or a part in the notation of TFDS, such as "test[:50%]".
        data_dir: folder of prepared TFDS data sets; None is TFDS' own default (~/tensorflow_datasets).

    Returns:
        images [N, H, W, C] float32, normalised per channel with the source's mean and deviation, and labels [N] int32.

    Raises:
        InputError: unknown name or split, or the data set is not in the folder.
    """
    source = info(name)
    if not source.builder:
        size, seed = synthetic.split_size(source, split), seeds.derive_seed(0, name, split)
        return synthetic.examples(source, size, seed, balanced=False)
    builder = builders.open_builder(source, data_dir)
    return reading.read(source, split, builder, reading.eligible(source, split, builder))


def batch(
    name: str,
    split: str,
    size: int,
    seed: int,
    *,
    data_dir: str | os.PathLike | None = None,
    balanced: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """`size` distinct examples of a split, fixed by the seed; only these are decoded.

    Without `balanced`, a smaller batch of the same seed is the beginning of a larger one.

    Args:
        name: data set, one of `names()`.
        split: as in `load`.
        size: number of examples.
        seed: any integer.
        data_dir: as in `load`.
        balanced: as many examples of every class; where the classes do not divide `size`, the remainder goes to
            classes drawn with the seed, one each.

    Returns:
        images [size, H, W, C] float32, normalised, and labels [size] int32.

    Raises:
        InputError: as in `load`, or more examples are asked for than the split has.
    """
    source = info(name)
    if size < 1:
        raise errors.InputError(f"The batch must have at least one example. Received: {size}")
    seed = seeds.derive_seed(seed, name, split)
    if not source.builder:
        _check_size(source, split, size, synthetic.split_size(source, split))
        return synthetic.examples(source, size, seed, balanced)
    builder = builders.open_builder(source, data_dir)
    available = reading.eligible(source, split, builder)
    _check_size(source, split, size, len(available))
    order = np.random.default_rng(seed).permutation(available)
    if balanced:
        labels = reading.labels(source, split, builder)[order]
        order = order[_balanced_positions(source, split, labels, size, seed)]
    return reading.read(source, split, builder, order[:size])


def balanced_prefixes(
    name: str, split: str, size: int, seed: int, *, data_dir: str | os.PathLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """`size` examples of which every beginning is balanced, and the same whatever the size: class 0, 1, ..., 0, 1, ...

    Arguments, result and errors as in `batch`.
    """
    classes = info(name).classes
    images, labels = batch(name, split, -(-size // classes) * classes, seed, data_dir=data_dir, balanced=True)
    rank = np.empty(len(labels), int)
    for label in range(classes):
        positions = np.flatnonzero(labels == label)
        rank[positions] = np.arange(len(positions))
    order = np.lexsort((labels, rank))[:size]
    return images[order], labels[order]


def _check_size(source: Source, split: str, size: int, available: int, what: str = "examples") -> None:
    if size > available:
        raise errors.InputError(
            f"The batch is larger than the split. Received: {size} {what}. Available: {available} in "
            f"{source.name}, split {split!r}"
        )


def _balanced_positions(source: Source, split: str, labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Positions in `labels`, ascending, of the first examples of each class that make a balanced batch."""
    quota = np.full(source.classes, size // source.classes)
    extra = np.random.default_rng([seed, 1]).permutation(source.classes)[: size % source.classes]
    quota[extra] += 1
    chosen = []
    for label, count in enumerate(quota):
        positions = np.flatnonzero(labels == label)
        _check_size(source, split, count, len(positions), f"examples of class {label} (balanced)")
        chosen.append(positions[:count])
    return np.sort(np.concatenate(chosen))
