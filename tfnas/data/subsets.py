"""Which classes a subset of a data set has, and whether its splits are apart."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from tfnas import errors, seeds
from tfnas.data import builders, reading, synthetic
from tfnas.data.sources import info


def draw_labels(
    name: str, count: int, seed: int, splits: Sequence[str], *, data_dir: str | os.PathLike | None = None
) -> tuple[int, ...]:
    """`count` classes, ascending, fixed by the seed, of which every split has examples.

    Fewer classes of the same seed are among the more.

    Args:
        name: data set, one of `names()`.
        count: number of classes.
        seed: any integer.
        splits: in which each class has to occur.
        data_dir: as in `load`.

    Raises:
        InputError: as in `load`, or there are not so many.
    """
    source = info(name)
    if not 1 <= count <= source.classes:
        raise errors.InputError(f"{name} has {source.classes} labels. Received: {count}")
    order = np.random.default_rng(seeds.derive_seed(seed, source.drawn_as, "labels")).permutation(source.classes)
    if source.builder:
        builder = builders.open_builder(source, data_dir)
        found = [
            np.bincount(reading.labels(source, split, builder)[reading.eligible(source, split, builder)])
            for split in splits
        ]
        counts = np.array([np.pad(have, (0, source.classes - len(have))) for have in found])
        order = order[(counts[:, order] > 0).all(axis=0)]
        if len(order) < count:
            have = ", ".join(
                f"{split} has {(row > 0).sum()} labels with {row[row > 0].min()} to {row.max()} images each"
                for split, row in zip(splits, counts, strict=True)
            )
            raise errors.InputError(
                f"Too few labels of {name} have images in all splits. Received: {count}. "
                f"Available: {len(order)}; {have}"
            )
    return tuple(sorted(order[:count].tolist()))


def overlap(name: str, split: str, other: str, *, data_dir: str | os.PathLike | None = None) -> int:
    """Number of examples that two splits share."""
    source = info(name)
    if not source.builder:  # every part is noise of its own
        return synthetic.split_size(source, split) if split == other else 0
    builder = builders.open_builder(source, data_dir)
    for part in (split, other):
        reading.eligible(source, part, builder)
    spans = [
        [(part.filename, part.skip, part.skip + part.take) for part in builder.info.splits[name].file_instructions]
        for name in (split, other)
    ]
    return sum(
        max(0, min(end, other_end) - max(start, other_start))
        for file, start, end in spans[0]
        for other_file, other_start, other_end in spans[1]
        if file == other_file
    )
