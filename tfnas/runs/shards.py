"""Shards: which part of the work a run does, by the architecture's string and so by nothing else."""

from tfnas import seeds
from tfnas.errors import InputError


def parse_shard(text: str) -> tuple[int, int]:
    """(i, n) of "i/n".

    Raises:
        InputError: another form, or not 0 <= i < n.
    """
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise InputError(f"--shard must be i/n with 0 <= i < n. Received: {text!r}")
    return int(index), int(count)


def in_shard(arch: str, index: int, count: int) -> bool:
    """Whether an architecture belongs to shard `index` of `count`."""
    return seeds.derive_seed(0, "shard", arch) % count == index
