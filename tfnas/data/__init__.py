"""Images and labels through TFDS: fixed batches for scoring, whole splits for training.

Nothing here downloads. `python -m launch.prepare` fetches a data set ahead; the digits of scikit-learn need no download
and are prepared at first use (a few seconds). Published split sizes are never assumed: sizes are read from the data
set found.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnas import errors, seeds

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds

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
_SOURCES = {
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

_SYNTHETIC_SIZES = {"train": 4096, "test": 1024}
_BLOCK = 1024
_LABELS: dict[tuple[str, str], np.ndarray] = {}


def names() -> list[str]:
    """Names of all data sets."""
    return list(_SOURCES)


def info(name: str) -> Source:
    """The data set of that name.

    Raises:
        InputError: unknown name; the message lists what exists.
    """
    if name not in _SOURCES:
        raise errors.unknown("data set", name, _SOURCES)
    return _SOURCES[name]


def split_size(name: str, split: str, *, data_dir: str | os.PathLike | None = None) -> int:
    """Number of examples in a split, as read from the data set found."""
    source = info(name)
    if not source.builder:
        return _synthetic_size(source, split)
    return len(_eligible(source, split, _builder(source, data_dir)))


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
        return _synthetic(source, _synthetic_size(source, split), seeds.derive_seed(0, name, split), balanced=False)
    builder = _builder(source, data_dir)
    return _read(source, split, builder, _eligible(source, split, builder))


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
        _check_size(source, split, size, _synthetic_size(source, split))
        return _synthetic(source, size, seed, balanced)
    builder = _builder(source, data_dir)
    eligible = _eligible(source, split, builder)
    _check_size(source, split, size, len(eligible))
    order = np.random.default_rng(seed).permutation(eligible)
    if balanced:
        labels = _labels(source, split, builder)[order]
        order = order[_balanced_positions(source, split, labels, size, seed)]
    return _read(source, split, builder, order[:size])


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


# Data made in memory ----------------------------------------------------------------------------------------------


def _synthetic_size(source: Source, split: str) -> int:
    """Number of examples; every part of a split, as TFDS writes it, is noise of its own."""
    if split in _SYNTHETIC_SIZES:
        return _SYNTHETIC_SIZES[split]
    import tensorflow_datasets as tfds

    def description(name: str, size: int) -> tfds.core.SplitInfo:
        files = tfds.core.ShardedFileTemplate(
            dataset_name=source.name, split=name, data_dir="", filetype_suffix="tfrecord"
        )
        return tfds.core.SplitInfo(name=name, shard_lengths=[size], num_bytes=0, filename_template=files)

    splits = tfds.core.SplitDict([description(name, size) for name, size in _SYNTHETIC_SIZES.items()])
    try:
        return splits[split].num_examples
    except (KeyError, ValueError):
        raise errors.unknown(f"split of {source.name}", split, _SYNTHETIC_SIZES) from None


def _synthetic(source: Source, size: int, seed: int, balanced: bool) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal images; labels uniform, or as balanced as `size` allows."""
    pixels, targets = (np.random.default_rng([seed, part]) for part in range(2))
    images = pixels.standard_normal((size, *source.input_shape), np.float32)
    if balanced:
        rounds = -(-size // source.classes)
        blocks = [targets.permutation(source.classes) for _ in range(rounds)]
        labels = np.concatenate(blocks)[:size]
    else:
        labels = targets.integers(source.classes, size=size)
    return images, labels.astype(np.int32)


# Data prepared by TFDS --------------------------------------------------------------------------------------------


def prepare_digits(data_dir: str | os.PathLike | None = None) -> None:
    """Writes the digits into `data_dir` (None: TFDS' default folder). Takes a few seconds; needs no download.

    TFDS writes into a folder of its own and renames it at the end, so a killed run leaves no half of a data set, and
    of two processes that do this at once the later finds the work done.
    """
    from tfnas.data import digits

    builder = digits.Digits(data_dir=data_dir)
    try:
        # The bars and messages of TFDS would stand in the middle of a launcher's output.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            builder.download_and_prepare()
    except OSError:
        if not digits.Digits(data_dir=data_dir).is_prepared():
            raise


def prepare(
    name: str, *, data_dir: str | os.PathLike | None = None, manual_dir: str | os.PathLike | None = None
) -> None:
    """Downloads and prepares a data set, unless it is there already. The only function here that may download.

    Args:
        name: data set, one of `names()`.
        data_dir: folder to prepare it in; None is TFDS' default folder.
        manual_dir: folder of files that only the user can download.

    Raises:
        InputError: no network, a damaged download, missing manual files, or a folder that cannot be written.
    """
    import requests
    import tensorflow as tf
    import tensorflow_datasets as tfds

    source = info(name)
    if not source.builder:
        return
    folder = os.path.abspath(os.path.expanduser(data_dir or tfds.core.constants.DATA_DIR))
    # Found by its files, so that a data set which another version of TFDS prepared counts.
    with contextlib.suppress(tfds.core.DatasetNotFoundError):
        _open(source.builder, folder)
        return
    config = tfds.download.DownloadConfig(manual_dir=manual_dir and os.path.expanduser(manual_dir))
    try:
        if source.name == "digits":
            prepare_digits(folder)
        else:
            tfds.builder(source.builder, data_dir=folder).download_and_prepare(download_config=config)
    except requests.exceptions.RequestException as error:
        raise errors.InputError(
            f"{source.name} could not be downloaded; is there a network? {_one_line(error)}"
        ) from error
    # TFDS asserts that manual files are there.
    except (
        tfds.download.DownloadError,
        tfds.download.download_manager.NonMatchingChecksumError,
        tf.errors.OpError,
        AssertionError,
        OSError,
    ) as error:
        raise errors.InputError(f"{source.name} could not be prepared in {folder}: {_one_line(error)}") from error


def _builder(source: Source, data_dir: str | os.PathLike | None) -> tfds.core.DatasetBuilder:
    """The prepared data set, opened read-only; digits are prepared where they are absent."""
    import tensorflow_datasets as tfds

    default = tfds.core.constants.DATA_DIR
    folder = os.path.abspath(os.path.expanduser(data_dir or default))
    try:
        return _open(source.builder, folder)
    except tfds.core.DatasetNotFoundError:
        pass
    if source.name == "digits":
        # A read-only data_dir is normal (data shared by many): the user's own folder then holds the digits.
        fallback = os.path.abspath(os.path.expanduser(default))
        place = folder if _writable(folder) else fallback
        try:
            if place == folder or not os.path.isdir(os.path.join(fallback, source.builder)):
                prepare_digits(place)
            return _open(source.builder, place)
        except (OSError, tfds.core.DatasetNotFoundError) as error:
            raise errors.InputError(f"The digits could not be prepared in {place}: {_one_line(error)}") from error
    where = f" --data_dir={data_dir}" if data_dir else ""
    raise errors.InputError(
        f"Data set {source.name!r} is not prepared. Looked for {source.builder} in {folder}. "
        f"Prepare it with: python -m launch.prepare --dataset={source.name}{where}"
    )


@functools.lru_cache(maxsize=16)
def _open(builder: str, folder: str) -> tfds.core.DatasetBuilder:
    import tensorflow_datasets as tfds

    return tfds.core.read_only_builder.builder_from_files(builder, data_dir=folder)


def _writable(folder: str) -> bool:
    existing = pathlib.Path(folder)
    while not existing.exists():
        existing = existing.parent
    return existing.is_dir() and os.access(existing, os.W_OK)


def _eligible(source: Source, split: str, builder: tfds.core.DatasetBuilder) -> np.ndarray:
    """Indices of the split's examples whose class is one of the source's."""
    try:
        size = builder.info.splits[split].num_examples
    except (KeyError, ValueError):
        raise errors.unknown(f"split of {source.name}", split, builder.info.splits) from None
    if builder.info.features["label"].num_classes == source.classes:
        return np.arange(size)
    return np.flatnonzero(_labels(source, split, builder) < source.classes)


def _labels(source: Source, split: str, builder: tfds.core.DatasetBuilder) -> np.ndarray:
    """Labels [N] of a whole split, in reading order, without decoding images; kept for the process."""
    key = (os.fspath(builder.data_dir), split)
    if key not in _LABELS:
        import tensorflow as tf

        feature = {"label": tf.io.FixedLenFeature([], tf.int64)}
        blocks = _records(builder, split).batch(_BLOCK).map(lambda block: tf.io.parse_example(block, feature)["label"])
        _LABELS[key] = np.concatenate(list(_numpy(source, builder, blocks))).astype(np.int32)
    return _LABELS[key]


def _read(
    source: Source, split: str, builder: tfds.core.DatasetBuilder, indices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The examples at `indices` (distinct), in that order. The files are passed over once; only these are decoded."""
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
        raise errors.InputError(f"{source.name} in {builder.data_dir} cannot be read: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
