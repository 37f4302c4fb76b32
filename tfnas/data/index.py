"""Where the examples of large data sets lie in their files, and what labels they have.

ImageNet is 150 GB, of which a batch is a few MB. One pass over the files notes offset, length and label of every
example and keeps them in the user's cache, so that any later process reads what it needs and nothing else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnas import errors, files, paths
from tfnas.progress import Progress

if TYPE_CHECKING:
    import tensorflow as tf

# Files that are read at once; a TFRecord file frames each record with 12 bytes before and 4 after it.
_PARALLEL = 8
_BEFORE, _AFTER = 12, 4
_BLOCK = 64
_KINDS = (np.int64, np.int32)
_KNOWN: dict[tuple[str, int], FileIndex] = {}


@dataclasses.dataclass(frozen=True)
class FileIndex:
    """The examples of one TFRecord file, in its order.

    Attributes:
        lengths: bytes of the serialized examples [N] int64.
        labels: their labels [N] int32.
    """

    lengths: np.ndarray
    labels: np.ndarray

    @property
    def offsets(self) -> np.ndarray:
        """Bytes before the frame of each example [N] int64."""
        ends = np.cumsum(self.lengths + _BEFORE + _AFTER)
        return np.concatenate([[0], ends[:-1]])


def of(shards: Sequence[tuple[str, int]]) -> list[FileIndex]:
    """The indices of TFRecord files: known, kept in the cache, or from a pass over the files.

    Args:
        shards: (path, number of examples) of the files.

    Raises:
        InputError: a file has another number of examples.
        tf.errors.OpError: a file cannot be read.
    """
    missing = [shard for shard in shards if shard not in _KNOWN]
    for shard in missing:
        if found := _read(*shard):
            _KNOWN[shard] = found
    if missing := [shard for shard in missing if shard not in _KNOWN]:
        with Progress("files looked through for labels, once", len(missing)) as bar:
            for shard, found in _pass_over(missing):
                _KNOWN[shard] = found
                _write(shard[0], found)
                bar.advance()
    return [_KNOWN[shard] for shard in shards]


def read(path: str, offset: int, length: int) -> bytes:
    """One serialized example, by its place in the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: there is no example of that length.
    """
    from etils import epath

    with epath.Path(path).open("rb") as file:
        file.seek(offset)
        data = file.read(_BEFORE + length)
    if len(data) != _BEFORE + length or int.from_bytes(data[:8], "little") != length:
        raise ValueError(f"{path} has changed: no example of {length} bytes at byte {offset}")
    return data[_BEFORE:]


def _pass_over(shards: Sequence[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], FileIndex]]:
    """Each file with its index, as they become ready."""
    import tensorflow as tf

    feature = {"label": tf.io.FixedLenFeature([], tf.int64)}

    def look(number: tf.Tensor, path: tf.Tensor) -> tf.data.Dataset:
        blocks = tf.data.TFRecordDataset(path).batch(_BLOCK)
        return blocks.map(
            lambda block: (number, tf.strings.length(block), tf.io.parse_example(block, feature)["label"])
        )

    every = tf.data.Dataset.from_tensor_slices((np.arange(len(shards)), [path for path, _ in shards]))
    blocks = every.interleave(look, cycle_length=_PARALLEL, num_parallel_calls=tf.data.AUTOTUNE)
    found: list[list[Any]] = [[] for _ in shards]
    left = [count for _, count in shards]
    for number, lengths, labels in blocks.as_numpy_iterator():
        found[number].append((lengths, labels))
        left[number] -= len(lengths)
        if not left[number]:
            whole = map(np.concatenate, zip(*found[number], strict=True))
            found[number] = []
            yield shards[number], FileIndex(*(part.astype(kind) for part, kind in zip(whole, _KINDS, strict=True)))
    for (path, count), missing in zip(shards, left, strict=True):
        if missing:
            raise errors.InputError(
                f"{path} does not hold the examples that its description says. Received: {count - missing}. "
                f"Expected: {count}"
            )


def _kept(path: str) -> str:
    from etils import epath

    size = epath.Path(path).stat().length
    digest = hashlib.sha256(f"{path}\x1f{size}".encode()).hexdigest()[:32]
    return paths.cache(f"index/{digest}.npz")


def _read(path: str, count: int) -> FileIndex | None:
    """From the cache, unless it is not there or not of this file."""
    from etils import epath

    try:
        arrays = files.from_npz(epath.Path(_kept(path)).read_bytes())
        found = FileIndex(arrays["lengths"], arrays["labels"])
    except Exception:  # there is no end to what a file may hold that is none of ours
        return None
    whole = epath.Path(path).stat().length == int((found.lengths + _BEFORE + _AFTER).sum())
    return found if whole and found.lengths.shape == found.labels.shape == (count,) else None


def _write(path: str, found: FileIndex) -> None:
    """Into the cache; without one, the next process passes over the files again."""
    content = files.to_npz({"lengths": found.lengths, "labels": found.labels})
    with contextlib.suppress(OSError):
        if not (file := _kept(path)).startswith("~"):
            files.write_atomic(file, content)
