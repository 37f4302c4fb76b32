"""Which spaces there are, and which of them an architecture or a table belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from spaces.base import Space
from tfnas import tables
from tfnas.errors import InputError, unknown

if TYPE_CHECKING:
    from etils import epath

_SPACES: dict[str, Space] = {}


def register(space: Space) -> Space:
    """Makes a space known under its name.

    Raises:
        ValueError: the name is taken.
    """
    if space.name in _SPACES:
        raise ValueError(
            f"A space named {space.name!r} is registered already, by {type(_SPACES[space.name]).__qualname__}. "
            f"Received: {type(space).__qualname__}. Give it another name"
        )
    _SPACES[space.name] = space
    return space


def names() -> list[str]:
    """Names of all spaces, sorted."""
    return sorted(_SPACES)


def get(name: str) -> Space:
    """The space of a name.

    Raises:
        InputError: there is none; the message lists all.
    """
    if name not in _SPACES:
        raise unknown("search space", name, names())
    return _SPACES[name]


def of_archs(archs: Iterable[str]) -> Space:
    """The space whose strings these are; as many of them are parsed as it takes to tell.

    Raises:
        InputError: none, or several, have all of them.
    """
    fitting, count = list(_SPACES.values()), 0
    for count, arch in enumerate(archs, start=1):
        fitting = [space for space in fitting if _has(space, arch)]
        if not fitting:
            before = f" that has the {count - 1} before it" if count > 1 else ""
            raise InputError(
                f"No search space{before} has this architecture. Received: {arch!r}. Spaces: {', '.join(names())}"
            )
        if len(fitting) == 1:
            return fitting[0]
    raise InputError(
        f"The search space does not follow from the architectures. Received: {count} that fit "
        f"{', '.join(sorted(space.name for space in fitting))}. Name one of these"
    )


def of_table(path: epath.PathLike, archs: Iterable[str]) -> Space:
    """The space of a table: the one that it names, or else the one whose strings its architectures are.

    Args:
        path: CSV or Parquet file, or the name of an embedded table.
        archs: architectures of the table.

    Raises:
        InputError: the table cannot be read or names an unknown space, or as `of_archs`.
    """
    recorded = tables.recorded_space(path)
    if recorded and recorded not in _SPACES:
        raise unknown(f"search space, named by {path}", recorded, names())
    return _SPACES[recorded] if recorded else of_archs(archs)


def _has(space: Space, arch: str) -> bool:
    try:
        space.parse(arch)
    except InputError:
        return False
    return True
