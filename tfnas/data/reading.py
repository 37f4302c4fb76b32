"""Examples of a prepared data set as arrays, in an order that is the same on every machine."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnas import errors
from tfnas.data.sources import Source

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds

_BLOCK = 1024
_LABELS: dict[tuple[str, str], np.ndarray] = {}


def eligible(source: Source, split: str, builder: tfds.core.DatasetBuilder) -> np.ndarray:
    """Indices [N], ascending, of the split's examples whose class is one of the source's.

    Raises:
        InputError: unknown split.
    """
    try:
        size = builder.info.splits[split].num_examples
    except (KeyError, ValueError):
        raise errors.unknown(f"split of {source.name}", split, builder.info.splits) from None
    if builder.info.features["label"].num_classes == source.classes:
        return np.arange(size)
    return np.flatnonzero(labels(source, split, builder) < source.classes)


def labels(source: Source, split: str, builder: tfds.core.DatasetBuilder) -> np.ndarray:
    """Labels [N] of a whole split, in reading order, without decoding images; kept for the process."""
    key = (os.fspath(builder.data_dir), split)
    if key not in _LABELS:
        import tensorflow as tf

        feature = {"label": tf.io.FixedLenFeature([], tf.int64)}
        blocks = _records(builder, split).batch(_BLOCK).map(lambda block: tf.io.parse_example(block, feature)["label"])
        _LABELS[key] = np.concatenate(list(_numpy(source, builder, blocks))).astype(np.int32)
    return _LABELS[key]


def read(
    source: Source, split: str, builder: tfds.core.DatasetBuilder, indices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The examples at `indices` (distinct), in that order. The files are passed over once; only these are decoded.

    Returns:
        images [N, H, W, C] float32, normalised per channel, and labels [N] int32.

    Raises:
        InputError: files that are torn or of a format that is not read here.
    """
    import tensorflow as tf

    wanted = np.zeros(builder.info.splits[split].num_examples, bool)
    wanted[indices] = True
    mask = tf.data.Dataset.from_tensor_slices(wanted).batch(_BLOCK)
    blocks = tf.data.Dataset.zip(_records(builder, split).batch(_BLOCK), mask)
    chosen = blocks.map(tf.boolean_mask).unbatch()
    decoded = chosen.map(builder.info.features.deserialize_example, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = decoded.map(lambda example: (example["image"], example["label"])).batch(_BLOCK)

    images = np.empty((len(indices), *source.input_shape), np.uint8)
    labels = np.empty(len(indices), np.int32)
    # The k-th example read belongs at the place where the k-th smallest index stands.
    places = np.argsort(indices)
    done = 0
    for pixels, targets in _numpy(source, builder, dataset):
        rows = places[done : done + len(targets)]
        images[rows], labels[rows] = pixels, targets
        done += len(targets)
    if done != len(indices):
        raise errors.InputError(
            f"{source.name} in {builder.data_dir}, split {split!r}: the files hold fewer examples than their "
            f"description says. Received: {done} of {len(indices)} wanted"
        )
    mean, std = (np.asarray(value, np.float32) for value in (source.mean, source.std))
    return (images.astype(np.float32) - mean) / std, labels


def _records(builder: tfds.core.DatasetBuilder, split: str) -> tf.data.Dataset:
    """The serialized examples, one file after the other: an index names the same example on every machine.

    `builder.as_dataset` would parse every example; passing over the raw records is ten times faster.
    """
    import tensorflow as tf

    file_format = builder.info.file_format.value
    if file_format != "tfrecord":
        raise errors.InputError(
            f"{builder.data_dir} has a file format that is not read here. Received: {file_format}. Allowed: tfrecord"
        )
    parts = [
        tf.data.TFRecordDataset(part.filename).skip(part.skip).take(part.take)
        for part in builder.info.splits[split].file_instructions
    ]
    return functools.reduce(lambda first, second: first.concatenate(second), parts)


def _numpy(source: Source, builder: tfds.core.DatasetBuilder, dataset: tf.data.Dataset) -> Iterator[Any]:
    import tensorflow as tf

    try:
        yield from dataset.as_numpy_iterator()
    except tf.errors.OpError as error:
        raise errors.InputError(
            f"{source.name} in {builder.data_dir} cannot be read: {errors.first_line(error)}"
        ) from error
