"""Noise made in memory, in the place of a data set: for trying things out and for costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfnas.data import splits
from tfnas.data.sources import Source

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_SIZES = {"train": 4096, "test": 1024}


def split_size(source: Source, split: str) -> int:
    """Number of examples; every part of a split, as TFDS writes it, is noise of its own."""
    if split in _SIZES:
        return _SIZES[split]
    import tensorflow_datasets as tfds

    def description(name: str, size: int) -> tfds.core.SplitInfo:
        files = tfds.core.ShardedFileTemplate(
            dataset_name=source.name, split=name, data_dir="", filetype_suffix="tfrecord"
        )
        return tfds.core.SplitInfo(name=name, shard_lengths=[size], num_bytes=0, filename_template=files)

    known = tfds.core.SplitDict([description(name, size) for name, size in _SIZES.items()])
    return splits.resolve(source.name, known, split).num_examples


def examples(source: Source, size: int, seed: int, balanced: bool) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal images [size, H, W, C] float32; labels [size] int32, uniform or as balanced as `size` allows."""
    pixels, targets = (np.random.default_rng([seed, part]) for part in range(2))
    images = pixels.standard_normal((size, *source.input_shape), np.float32)
    if balanced:
        rounds = -(-size // source.classes)
        blocks = [targets.permutation(source.classes) for _ in range(rounds)]
        labels = np.concatenate(blocks)[:size]
    else:
        labels = targets.integers(source.classes, size=size)
    return images, labels.astype(np.int32)
