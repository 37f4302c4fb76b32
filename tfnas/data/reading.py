"""Examples of a prepared data set as arrays, in an order that is the same on every machine."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnas import errors, memory
from tfnas.data import index, photographs, splits
from tfnas.data.sources import Source

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds

_BLOCK = 1024
_BLOCK_BYTES = 16 << 20
# Bytes of files from which on they are looked through once (`tfnas.data.index`) and not for every batch.
_LARGE = 256 << 20
# To find one example by its place takes as long as to pass over about so many bytes.
_SEEK_BYTES = 50_000
_READERS = 16
# Blocks that are ready before they are used.
_AHEAD = 2
_LABELS: dict[tuple[str, str], np.ndarray] = {}


def eligible(source: Source, split: str, builder: tfds.core.DatasetBuilder, only: Sequence[int] = ()) -> np.ndarray:
    """Indices [N], ascending, of the split's examples whose class is one of the source's, or one of `only`.

    Raises:
        InputError: as `splits.resolve`.
    """
    size = splits.resolve(source.name, builder.info.splits, split).num_examples
    if only:
        return np.flatnonzero(np.isin(labels(source, split, builder), only))
    if builder.info.features["label"].num_classes == source.classes:
        return np.arange(size)
    return np.flatnonzero(labels(source, split, builder) < source.classes)


def labels(source: Source, split: str, builder: tfds.core.DatasetBuilder) -> np.ndarray:
    """Labels [N] of a whole split, in reading order, without decoding images; kept for the process."""
    key = (os.fspath(builder.data_dir), split)
    if key not in _LABELS:
        import tensorflow as tf

        if _is_large(builder):
            found = [of.labels[part] for _, of, part in _indexed(source, split, builder)]
        else:
            feature = {"label": tf.io.FixedLenFeature([], tf.int64)}
            blocks = _all_records(builder, split).batch(_BLOCK)
            found = list(
                _numpy(source, builder, blocks.map(lambda block: tf.io.parse_example(block, feature)["label"]))
            )
        _LABELS[key] = np.concatenate(found).astype(np.int32)
    return _LABELS[key]


def read(
    source: Source, split: str, builder: tfds.core.DatasetBuilder, indices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The examples at `indices` (distinct), in that order; only these are decoded.

    Returns:
        images [N, H, W, C] float32, normalised per channel, and labels [N] int32.

    Raises:
        InputError: files that are torn or of a format that is not read here, or more than memory holds.
    """
    needed, free = len(indices) * int(np.prod(source.input_shape)) * 4, memory.available()
    if needed > free:
        raise errors.InputError(
            f"{len(indices)} images of {source.name}, {'x'.join(map(str, source.input_shape))}, take "
            f"{memory.megabytes(needed)} MB of memory. Free: {memory.megabytes(free)} MB. Take a part of {split!r}, "
            f"such as {split.partition('[')[0]}[:{free // 2 * len(indices) // needed}], or fewer images"
        )
    images = np.empty((len(indices), *source.input_shape), np.float32)
    labels = np.empty(len(indices), np.int32)
    # The k-th example read belongs at the place where the k-th smallest index stands.
    places, done = np.argsort(indices), 0
    for pixels, targets in blocks(source, split, builder, indices[places]):
        rows = places[done : done + len(targets)]
        images[rows], labels[rows] = pixels, targets
        done += len(targets)
    return images, labels


def blocks(
    source: Source, split: str, builder: tfds.core.DatasetBuilder, indices: np.ndarray, size: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The examples at `indices` (distinct, ascending), a few at a time; only these are decoded, and ahead of use.

    Args:
        source: data set.
        split: part of it.
        builder: where it is prepared.
        indices: in the split.
        size: examples of a block; 0 for what 16 MB hold.

    Yields:
        images [B, H, W, C] float32, normalised per channel, and labels [B].

    Raises:
        InputError: as `read`.
    """
    size = size or max(1, min(_BLOCK, _BLOCK_BYTES // (4 * int(np.prod(source.input_shape)))))
    yield from _decoded(source, split, builder, _records(source, split, builder, indices), len(indices), size)


def scattered(
    source: Source, split: str, builder: tfds.core.DatasetBuilder, indices: np.ndarray, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """As `blocks`, of examples in any order, each found by its place in the files."""
    records = _found_records(source, split, builder, indices)
    yield from _decoded(source, split, builder, records, len(indices), size)


def _decoded(
    source: Source, split: str, builder: tfds.core.DatasetBuilder, records: tf.data.Dataset, count: int, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Serialized examples as `blocks` gives them.

    Raises:
        InputError: there are not as many as there should be, or they cannot be read.
    """
    import tensorflow as tf

    decoded = records.map(functools.partial(_decode, source, builder), num_parallel_calls=tf.data.AUTOTUNE)
    # Whole rows of an image: arithmetic on three channels at a time is ten times slower.
    mean, std = (np.tile(np.float32(value), source.input_shape[1]) for value in (source.mean, source.std))
    done = 0
    for pixels, targets in _numpy(source, builder, decoded.batch(size).prefetch(_AHEAD)):
        done += len(targets)
        rows = pixels.reshape(*pixels.shape[:2], -1).astype(np.float32, copy=False) - mean
        rows /= std
        yield rows.reshape(pixels.shape), targets.astype(np.int32)
    if done != count:
        raise errors.InputError(
            f"{source.name} in {builder.data_dir}, split {split!r}: the files hold fewer examples than their "
            f"description says. Received: {done} of {count} wanted"
        )


def _decode(source: Source, builder: tfds.core.DatasetBuilder, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Pixels [H, W, C] in the units that are stored, and label, of a serialized example."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    if not source.photographs:
        example = features.deserialize_example(record)
        return example["image"], example["label"]
    example = features.deserialize_example(record, decoders={"image": tfds.decode.SkipDecoding()})
    return photographs.centre(example["image"], source.input_shape[0]), example["label"]


def _records(source: Source, split: str, builder: tfds.core.DatasetBuilder, indices: np.ndarray) -> tf.data.Dataset:
    """The serialized examples at `indices`, ascending."""
    import tensorflow as tf

    total = builder.info.splits[split].num_examples
    mean = builder.info.dataset_size / builder.info.splits.total_num_examples
    if _is_large(builder) and len(indices) * _SEEK_BYTES < total * mean:
        return _found_records(source, split, builder, indices)
    wanted = np.zeros(total, bool)
    wanted[indices] = True
    block = 64 if source.photographs else _BLOCK
    mask = tf.data.Dataset.from_tensor_slices(wanted).batch(block)
    return tf.data.Dataset.zip(_all_records(builder, split).batch(block), mask).map(tf.boolean_mask).unbatch()


def _all_records(builder: tfds.core.DatasetBuilder, split: str) -> tf.data.Dataset:
    """The serialized examples, one file after the other: an index names the same example on every machine.

    `builder.as_dataset` would parse every example; passing over the raw records is ten times faster.
    """
    import tensorflow as tf

    parts = _parts(builder, split)
    columns = [
        [os.fspath(part.filename) for part in parts],
        [part.skip for part in parts],
        [part.take for part in parts],
    ]
    every = tf.data.Dataset.from_tensor_slices((columns[0], *(np.array(column, np.int64) for column in columns[1:])))
    return every.flat_map(lambda path, skip, take: tf.data.TFRecordDataset(path).skip(skip).take(take))


def _found_records(
    source: Source, split: str, builder: tfds.core.DatasetBuilder, indices: np.ndarray
) -> tf.data.Dataset:
    """As `_records`, each found by its place in the files."""
    import tensorflow as tf

    parts = _indexed(source, split, builder)
    names = np.array([path for path, _, _ in parts])
    sizes = [len(of.labels[part]) for _, of, part in parts]
    files = np.repeat(np.arange(len(parts)), sizes)[indices]
    offsets = np.concatenate([of.offsets[part] for _, of, part in parts])[indices]
    lengths = np.concatenate([of.lengths[part] for _, of, part in parts])[indices]

    def fetch(file: int, offset: int, length: int) -> bytes:
        return index.read(str(names[file]), int(offset), int(length))

    places = tf.data.Dataset.from_tensor_slices((files, offsets, lengths))
    return places.map(
        lambda *place: tf.ensure_shape(tf.numpy_function(fetch, place, tf.string, stateful=False), []),
        num_parallel_calls=_READERS,
    )


def _indexed(source: Source, split: str, builder: tfds.core.DatasetBuilder) -> list[tuple[str, index.FileIndex, slice]]:
    """The files of a split in order: path, index, and which of their examples belong to the split."""
    import tensorflow as tf

    parts = _parts(builder, split)
    try:
        found = index.of([(os.fspath(part.filename), part.examples_in_shard) for part in parts])
    except (tf.errors.OpError, OSError) as error:
        raise _unreadable(source, builder, error) from error
    return [
        (os.fspath(part.filename), of, slice(part.skip, part.skip + part.take))
        for part, of in zip(parts, found, strict=True)
    ]


def _is_large(builder: tfds.core.DatasetBuilder) -> bool:
    return builder.info.dataset_size >= _LARGE


def _parts(builder: tfds.core.DatasetBuilder, split: str) -> Sequence[Any]:
    """The files of a split in order, with the examples of each to pass over and to take.

    Raises:
        InputError: as `splits.resolve`, the split is empty, or a format that is not read here.
    """
    _check_format(builder)
    found = splits.resolve(builder.info.name, builder.info.splits, split)
    if not found.num_examples:
        raise errors.InputError(f"Split {split!r} of {builder.info.name} is empty")
    return found.file_instructions


def _check_format(builder: tfds.core.DatasetBuilder) -> None:
    file_format = builder.info.file_format.value
    if file_format != "tfrecord":
        raise errors.InputError(
            f"{builder.data_dir} has a file format that is not read here. Received: {file_format}. Allowed: tfrecord"
        )


def _numpy(source: Source, builder: tfds.core.DatasetBuilder, dataset: tf.data.Dataset) -> Iterator[Any]:
    import tensorflow as tf

    try:
        yield from dataset.as_numpy_iterator()
    except tf.errors.OpError as error:
        raise _unreadable(source, builder, error) from error


def _unreadable(source: Source, builder: tfds.core.DatasetBuilder, error: Exception) -> errors.InputError:
    return errors.InputError(f"{source.name} in {builder.data_dir} cannot be read: {errors.first_line(error)}")
