"""Splits in the notation of TFDS, such as "train[:80%]+test"."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tfnas import errors

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def resolve(name: str, splits: tfds.core.SplitDict, split: str) -> tfds.core.SplitInfo:
    """What TFDS knows of a split.

    TFDS itself reads train[5:4] as train[5:], counts less than nothing in train[5:3], and gives twice what two parts
    share.

    Args:
        name: of the data set, for messages.
        splits: those it has.
        split: one of them, a part of one, or several parts joined by "+".

    Raises:
        InputError: unknown split, or a part of it ends before it begins, or two share examples.
    """
    import tensorflow_datasets as tfds

    try:
        parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(splits)
        found = splits[split]
    except (KeyError, ValueError, NotImplementedError):
        raise errors.unknown(f"split of {name}", split, splits) from None
    spans = sorted(
        (part.splitname, part.from_ or 0, splits[part.splitname].num_examples if part.to is None else part.to)
        for part in parts
    )
    if any(start > end for _, start, end in spans):
        raise errors.InputError(f"Split {split!r} of {name} has a part that ends before it begins")
    there = [span for span in spans if span[1] < span[2]]
    if any(one[0] == other[0] and other[1] < one[2] for one, other in itertools.pairwise(there)):
        raise errors.InputError(f"Split {split!r} of {name} has parts that share examples")
    return found
