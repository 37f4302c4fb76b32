"""Which architectures a run is about, and which of them belong to a shard."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfnas import seeds
from tfnas.errors import InputError

if TYPE_CHECKING:
    from launch.networks import Networks
    from spaces.base import Space


def choose(config: Networks) -> list[str]:
    """Strings of the architectures that the config names, all shards together, without repetitions.

    Raises:
        InputError: no or contradicting ways of naming them, a bad file or string, more than there are.
    """
    import spaces

    space = spaces.get(config.space)
    if config.all == (config.archs is not None or config.num_archs is not None):
        raise InputError("Which architectures? Give --num_archs=N, --archs=FILE, both (N of the file) or --all")
    if config.all:
        return [str(arch) for arch in space.enumerate()]
    if config.archs is None:
        return sample_architectures(space, config.num_archs, config.seed)
    known = read_architectures(config.archs, space)
    return known if config.num_archs is None else sample_known(known, config.num_archs, config.seed)


def read_architectures(path: str, space: Space) -> list[str]:
    """Architectures of a text file (one string a line, blank lines and # comments aside) or of a table.

    Args:
        path: text file; or Parquet or CSV file with a column `arch`; or name of an embedded table.
        space: whose strings they are.

    Raises:
        InputError: no such file, or the line that is no architecture.
    """
    from tfnas import tables

    if is_table(path):
        lines = tables.load(path).arch.tolist()
    else:
        try:
            lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            raise InputError(f"Cannot read --archs={path}: {reason}") from error
    found = {}
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                found[str(space.parse(text))] = None
            except InputError as error:
                raise InputError(f"{path}, line {number}: {error}") from error
    if not found:
        raise InputError(f"--archs={path} has no architectures")
    return list(found)


def is_table(path: str) -> bool:
    """Whether --archs=`path` is a table: the name of an embedded one, or a Parquet or CSV file."""
    from tfnas import tables

    return path in tables.embedded_names() or path.endswith((".parquet", ".csv"))


def sample_architectures(space: Space, count: int, seed: int) -> list[str]:
    """`count` distinct architectures, uniform over the space; a smaller count gives the first of them."""
    import numpy as np

    _check_count(count, space.size, space.name)
    rng = np.random.default_rng(seeds.derive_seed(seed, "architectures", space.name))
    found: dict[str, None] = {}
    while len(found) < count:
        found[str(space.sample_uniform(rng))] = None
    return list(found)


def sample_known(known: Sequence[str], count: int, seed: int) -> list[str]:
    """`count` of the architectures given, uniformly; a smaller count gives the first of them."""
    import numpy as np

    _check_count(count, len(known), "the file")
    rng = np.random.default_rng(seeds.derive_seed(seed, "architectures"))
    return [known[index] for index in rng.permutation(len(known))[:count]]


def _check_count(count: int, available: int, where: str) -> None:
    if not 1 <= count <= available:
        raise InputError(f"--num_archs must be between 1 and {available}, what {where} has. Received: {count}")


def parse_shard(text: str) -> tuple[int, int]:
    """(i, n) of --shard=i/n.

    Raises:
        InputError: another form, or not 0 <= i < n.
    """
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise InputError(f"--shard must be i/n with 0 <= i < n. Received: {text!r}")
    return int(index), int(count)


def in_shard(arch: str, index: int, count: int) -> bool:
    """Whether an architecture belongs to shard `index` of `count`: by its string, so by nothing else."""
    return seeds.derive_seed(0, "shard", arch) % count == index
