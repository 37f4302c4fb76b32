"""Images that stay in their files until they are asked for, where memory would not hold them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnas import memory
from tfnas.data import reading
from tfnas.data.sources import Source

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

# Of the memory that is free, the part that images may fill; the rest is for networks and kernels.
_SHARE = 4


class Images:
    """Images [N, H, W, C] of which a slice is decoded whenever it is taken; float32, normalised as by `data.load`.

    Args:
        parts: (data set, split, where it is prepared, indices in the split), one after the other.
    """

    def __init__(self, parts: Sequence[tuple[Source, str, tfds.core.DatasetBuilder, np.ndarray]]) -> None:
        self.parts = tuple(parts)
        self.shape = (sum(len(indices) for *_, indices in parts), *parts[0][0].input_shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        """A slice of consecutive images."""
        start, stop, _ = part.indices(len(self))
        found, before = [np.zeros((0, *self.shape[1:]), np.float32)], 0
        for source, split, builder, indices in self.parts:
            mine = indices[max(0, start - before) : max(0, stop - before)]
            if len(mine):
                found.append(reading.read(source, split, builder, mine)[0])
            before += len(indices)
        return found[-1] if len(found) == 2 else np.concatenate(found)

    def batches(self, places: np.ndarray, size: int) -> Iterator[np.ndarray]:
        """The images at some places, in any order, so many at a time; decoded ahead of use. Of images of one split."""
        ((source, split, builder, indices),) = self.parts
        for images, _ in reading.scattered(source, split, builder, indices[places], size):
            yield images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them. Raises InputError where memory does not hold them."""
        return np.asarray(self[:], dtype)


def are_many(source: Source, count: int) -> bool:
    """Whether so many images are better left in their files."""
    return count * int(np.prod(source.input_shape)) * 4 > memory.available() // _SHARE


def joined(first: np.ndarray | Images, second: np.ndarray | Images) -> np.ndarray | Images:
    """Both, one after the other; in their files if both are there."""
    if isinstance(first, Images) and isinstance(second, Images):
        return Images([*first.parts, *second.parts])
    return np.concatenate([first, second])
