"""Whole splits for training, and fixed batches for scoring."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfnas import errors, seeds
from tfnas.data import builders, lazy, reading, synthetic
from tfnas.data.sources import Source, info

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def split_size(name: str, split: str, *, data_dir: str | os.PathLike | None = None, labels: Sequence[int] = ()) -> int:
    """Number of examples in a split, as read from the data set found; with `labels`, of these alone."""
    source = info(name)
    if not source.builder:
        return synthetic.split_size(source, split)
    return len(reading.eligible(source, split, builders.open_builder(source, data_dir), labels))


def load(name: str, split: str, *, data_dir: str | os.PathLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A whole split, always in the same order.

    Args:
        name: data set, one of `names()`.
        split: "train", "test", ..., or parts of them in the notation of TFDS, such as "train+test[:50%]".
        data_dir: folder of prepared TFDS data sets; None is TFDS' own default (~/tensorflow_datasets).

    Returns:
        images [N, H, W, C] float32, normalised per channel with the source's mean and deviation, and labels [N] int32.

    Raises:
        InputError: unknown name or split, the data set is not in the folder, or the split is larger than the memory.
    """
    source = info(name)
    if not source.builder:
        size, seed = synthetic.split_size(source, split), seeds.derive_seed(0, name, split)
        return synthetic.examples(source, size, seed, balanced=False)
    builder = builders.open_builder(source, data_dir)
    return reading.read(source, split, builder, reading.eligible(source, split, builder))


def opened(
    name: str, split: str, *, data_dir: str | os.PathLike | None = None
) -> tuple[np.ndarray | lazy.Images, np.ndarray]:
    """As `load`; but images that would fill much of the memory stay in their files, as `lazy.Images`."""
    source = info(name)
    if not source.builder:
        return load(name, split)
    builder = builders.open_builder(source, data_dir)
    indices = reading.eligible(source, split, builder)
    if not lazy.are_many(source, len(indices)):
        return reading.read(source, split, builder, indices)
    return lazy.Images([(source, split, builder, indices)]), reading.labels(source, split, builder)[indices]


def stream(
    name: str, split: str, batch_size: int, *, data_dir: str | os.PathLike | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """As `load`, in batches that are decoded ahead of use; never more than a few of them are in memory.

    Yields:
        images [B, H, W, C] and labels [B], the last ones perhaps fewer than `batch_size`.
    """
    source = info(name)
    if not source.builder:
        images, labels = load(name, split)
        for start in range(0, len(labels), batch_size):
            yield images[start : start + batch_size], labels[start : start + batch_size]
        return
    builder = builders.open_builder(source, data_dir)
    yield from reading.blocks(source, split, builder, reading.eligible(source, split, builder), batch_size)


def batch(
    name: str,
    split: str,
    size: int,
    seed: int,
    *,
    data_dir: str | os.PathLike | None = None,
    balanced: bool = False,
    labels: Sequence[int] = (),
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
        labels: examples of these classes alone, ascending as `draw_labels` gives them; the k-th is then label k.

    Returns:
        images [size, H, W, C] float32, normalised, and labels [size] int32.

    Raises:
        InputError: as in `load`, or more examples are asked for than the split has.
    """
    source = _of(name, labels)
    seed = seeds.derive_seed(seed, source.drawn_as, split)
    _check_positive(size)
    if not source.builder:
        _check_size(source, split, size, synthetic.split_size(source, split))
        return synthetic.examples(source, size, seed, balanced)
    builder = builders.open_builder(source, data_dir)
    order = _order(source, split, builder, size, seed, labels)
    if balanced:
        quota = np.full(source.classes, size // source.classes)
        extra = np.random.default_rng([seed, 1]).permutation(source.classes)[: size % source.classes]
        quota[extra] += 1
        order = order[np.sort(np.concatenate(_firsts(source, split, builder, order, quota, labels)))]
    return _read(source, split, builder, order[:size], labels)


def balanced_prefixes(
    name: str,
    split: str,
    size: int,
    seed: int,
    *,
    data_dir: str | os.PathLike | None = None,
    labels: Sequence[int] = (),
) -> tuple[np.ndarray | lazy.Images, np.ndarray]:
    """`size` examples of which every beginning is balanced, and the same whatever the size: class 0, 1, ..., 0, 1, ...

    Arguments and errors as in `batch`.

    Returns:
        images [size, H, W, C] float32, as an array or, where that would fill much of the memory, as `lazy.Images`,
        whose slices are arrays; and labels [size] int32.
    """
    source = _of(name, labels)
    _check_positive(size)
    ranks, classes = np.divmod(np.arange(size), source.classes)
    seed = seeds.derive_seed(seed, source.drawn_as, split)
    if not source.builder:
        _check_size(source, split, size, synthetic.split_size(source, split))
        # Whole rounds, in which every class is as often; noise does not end where its split does.
        whole = int(ranks[-1] + 1) * source.classes
        images, found = synthetic.examples(source, whole, seed, balanced=True)
        firsts = [np.flatnonzero(found == label) for label in range(source.classes)]
        order = np.array([firsts[label][rank] for rank, label in zip(ranks, classes, strict=True)])
        return images[order], found[order]
    builder = builders.open_builder(source, data_dir)
    order = _order(source, split, builder, size, seed, labels)
    firsts = _firsts(source, split, builder, order, np.bincount(classes, minlength=source.classes), labels)
    indices = order[[firsts[label][rank] for rank, label in zip(ranks, classes, strict=True)]]
    if lazy.are_many(source, size):
        return lazy.Images([(source, split, builder, indices)]), classes.astype(np.int32)
    return _read(source, split, builder, indices, labels)


def _of(name: str, labels: Sequence[int]) -> Source:
    """The data set, with no more classes than are asked for."""
    source = info(name)
    return dataclasses.replace(source, classes=len(labels)) if labels else source


def _order(
    source: Source, split: str, builder: tfds.core.DatasetBuilder, size: int, seed: int, labels: Sequence[int]
) -> np.ndarray:
    """All indices that a batch may have, in the order in which it takes them."""
    available = reading.eligible(source, split, builder, labels)
    _check_size(source, split, size, len(available))
    return np.random.default_rng(seed).permutation(available)


def _firsts(
    source: Source,
    split: str,
    builder: tfds.core.DatasetBuilder,
    order: np.ndarray,
    quota: np.ndarray,
    labels: Sequence[int],
) -> list[np.ndarray]:
    """For each class the places in `order`, ascending, of as many of its first examples as its quota says."""
    targets = reading.labels(source, split, builder)[order]
    places = np.argsort(targets, kind="stable")
    found = []
    for label, count in zip(labels or range(source.classes), quota, strict=True):
        start, end = np.searchsorted(targets, (label, label + 1), sorter=places)
        _check_size(source, split, count, end - start, f"examples of class {label} (balanced)")
        found.append(places[start : start + count])
    return found


def _read(
    source: Source, split: str, builder: tfds.core.DatasetBuilder, indices: np.ndarray, labels: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    images, found = reading.read(source, split, builder, indices)
    return images, np.searchsorted(labels, found).astype(np.int32) if labels else found


def _check_positive(size: int) -> None:
    if size < 1:
        raise errors.InputError(f"The batch must have at least one example. Received: {size}")


def _check_size(source: Source, split: str, size: int, available: int, what: str = "examples") -> None:
    if size > available:
        raise errors.InputError(
            f"The batch is larger than the split. Received: {size} {what}. Available: {available} in "
            f"{source.name}, split {split!r}"
        )
