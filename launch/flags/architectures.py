"""The flags that say which architectures a run is about."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from launch import app
from tfnas import seeds
from tfnas.errors import InputError

if TYPE_CHECKING:
    from spaces.base import Architecture, Space


MOST = 1_000_000  # architectures that can be asked for at once


@dataclasses.dataclass(frozen=True)
class Architectures:
    """A sample, a file of architectures, or all of a space."""

    num_archs: int | None = app.flag(None, "this many distinct architectures, drawn uniformly by --seed")
    archs: str | None = app.path_flag(
        None, "architectures of a text file, one a line, or of a table (file or embedded)"
    )
    all: bool = app.flag(False, "every architecture of the space")
    unique: bool = app.flag(False, "of those that are the same network (isomorphic), the first alone")

    def choose(self, space: Space, seed: int) -> list[str]:
        """Strings of the architectures, all shards together, without repetitions.

        Chosen once: asking again gives the same list.

        Raises:
            InputError: no or contradicting ways of naming them, a bad file or string, more than there are.
        """
        chosen = self.__dict__.get("_chosen")
        if chosen is None:
            # Kept beside the fields, which are frozen: checking flags and running both ask.
            chosen = self.__dict__["_chosen"] = self._choose(space, seed)
        return chosen

    def _choose(self, space: Space, seed: int) -> list[str]:
        if self.all == (self.archs is not None or self.num_archs is not None):
            raise InputError("Which architectures? Give --num_archs=N, --archs=FILE, both (N of the file) or --all")
        if self.all:
            if space.size > MOST:
                raise InputError(
                    f"--all is for spaces of up to {MOST} architectures. Received: {space.name}, which has "
                    f"{space.size}. Give --num_archs=N or --archs=FILE"
                )
            archs = list(space.enumerate())
            return unique_architectures(space, archs) if self.unique else list(map(str, archs))
        if self.archs is None:
            if self.unique:
                raise InputError("--unique needs a list to leave repetitions out of: --all or --archs=FILE")
            return sample_architectures(space, self.num_archs, seed)
        known = read_architectures(self.archs, space)
        if self.unique:
            known = unique_architectures(space, known)
        return known if self.num_archs is None else sample_known(known, self.num_archs, seed)


def read_architectures(path: str, space: Space) -> list[str]:
    """Architectures of a text file (one string a line, blank lines and # comments aside) or of a table.

    Args:
        path: text file; or table (see `tables.is_table`) with a column `arch`, or one of a like name.
        space: whose strings they are.

    Raises:
        InputError: no such file, or the line that is no architecture.
    """
    from etils import epath

    from tfnas import paths, tables
    from tfnas.tables import text

    if tables.is_table(path):
        lines = tables.load(path).arch.tolist()
    else:
        try:
            lines = text.decode(epath.Path(paths.expand(path)).read_bytes()).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            raise InputError(f"Cannot read --archs={path}: {reason}") from error
    found = {}
    for number, line in enumerate(lines, start=1):
        arch = line.partition("#")[0].strip()
        if arch:
            try:
                found[str(space.parse(arch))] = None
            except InputError as error:
                raise InputError(f"{path}, line {number}: {error}") from error
    if not found:
        raise InputError(f"--archs={path} has no architectures")
    return list(found)


def unique_architectures(space: Space, archs: Iterable[Architecture | str]) -> list[str]:
    """Of each class of isomorphic architectures the first, as `Space.canonical` tells classes apart."""
    first: dict[str, str] = {}
    for arch in archs:
        known = space.parse(arch) if isinstance(arch, str) else arch
        first.setdefault(space.canonical(known), str(known))
    return list(first.values())


def sample_architectures(space: Space, count: int, seed: int) -> list[str]:
    """`count` distinct architectures, uniform over the space; a smaller count gives the first of them."""
    import numpy as np

    _check_count(count, space.size, space.name)
    rng = np.random.default_rng(seeds.derive_seed(seed, "architectures", space.name))
    return list(map(str, space.sample_distinct(rng, count)))


def sample_known(known: Sequence[str], count: int, seed: int) -> list[str]:
    """`count` of the architectures given, uniformly; a smaller count gives the first of them."""
    import numpy as np

    _check_count(count, len(known), "the file")
    rng = np.random.default_rng(seeds.derive_seed(seed, "architectures"))
    return [known[index] for index in rng.permutation(len(known))[:count]]


def _check_count(count: int, available: int, where: str) -> None:
    if not 1 <= count <= available:
        raise InputError(f"--num_archs must be between 1 and {available}, what {where} has. Received: {count}")
