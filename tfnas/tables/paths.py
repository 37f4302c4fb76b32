"""Where a table lies: a file, or one of those that come with the package."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING

from tfnas import errors, paths

if TYPE_CHECKING:  # etils takes its time to import
    from etils import epath

SUFFIXES = (".csv", ".tsv", ".parquet")
_EMBEDDED = pathlib.Path(__file__).resolve().parent / "ground_truth"


def embedded_names() -> list[str]:
    """Names of the tables that come with the package."""
    return sorted(path.stem for path in _EMBEDDED.glob("*.parquet"))


def embedded(name: str) -> pathlib.Path:
    """Path of a table that comes with the package.

    Raises:
        InputError: there is none of that name.
    """
    if name not in embedded_names():
        raise errors.unknown("embedded table", name, embedded_names())
    return _EMBEDDED / f"{name}.parquet"


def is_table(path: epath.PathLike) -> bool:
    """Whether a path says that it is a table: the name of an embedded one, or a file with the suffix of one."""
    return str(path) in embedded_names() or pathlib.PurePath(path).suffix.lower() in SUFFIXES


def resolve(path: epath.PathLike) -> epath.Path:
    """The file that a path or the name of an embedded table stands for.

    Raises:
        InputError: no such file, or as `paths.expand`.
    """
    from etils import epath

    if str(path) in embedded_names():
        return epath.Path(embedded(str(path)))
    file = epath.Path(paths.expand(path))
    if not file.exists():
        raise errors.InputError(
            f"No such table: {file}. Give the path of a CSV or Parquet file (python -m launch.prepare imports one into "
            f"the common form) or the name of an embedded table: {', '.join(embedded_names()) or 'none here'}"
        )
    if file.is_dir():
        raise errors.InputError(f"Not a table but a folder: {file}. Give the path of a CSV or Parquet file")
    return file


def is_same_file(path: epath.PathLike, other: epath.PathLike) -> bool:
    """Whether writing to `other` would replace the table `path`, by whatever names the two go."""
    from etils import epath

    first = epath.Path(embedded(str(path)) if str(path) in embedded_names() else paths.expand(path))
    second = epath.Path(paths.expand(other))
    return first == second or (os.path.exists(first) and os.path.exists(second) and os.path.samefile(first, second))
