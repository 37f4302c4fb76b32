"""Importers: how the files that others publish become tables of the common form.

An importer of a space stands in the space's own folder and is registered beside it in `spaces/__init__.py`. One here
knows no space: any CSV or Parquet file with a column of architecture strings.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from spaces import registry
from tfnas import paths, tables
from tfnas.errors import InputError, unknown
from tfnas.tables import units

if TYPE_CHECKING:
    from etils import epath

    from spaces.base import Space


@dataclasses.dataclass(frozen=True)
class Options:
    """What is said of a file beside its path; each is a flag of `launch.prepare`.

    Attributes:
        space: name of the search space; "" for the one that the file, its format or its architectures tell.
        columns: columns to take, {name in the file: name in the table}; none takes what the format takes by default.
        provenance: where the numbers come from, in words.
        arch_column: column with the architecture strings.
        units: unit by name in the table, of `tfnas.tables.units`.
        sha256: what the checksum of the file must be.
    """

    space: str = ""
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    provenance: str = ""
    arch_column: str = "arch"
    units: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sha256: str = ""

    def special(self) -> set[str]:
        """Names of the options given that not every importer takes."""
        default = Options()
        return {name for name in _SPECIAL if getattr(self, name) != getattr(default, name)}


_SPECIAL = ("arch_column", "units", "sha256")


@dataclasses.dataclass(frozen=True)
class Importer:
    """A format of files, and how its files are read.

    Attributes:
        name: key in the registry.
        text: one line that tells a user what such a file is.
        recognises: whether a file may be one, by its suffix (with the dot, in lower case) and the names of its columns
            (none unless it is a CSV or Parquet file).
        read: (path, options) -> table; raises InputError for a file that is not of the format. What it leaves to
            :func:`read`: that the architectures are those of the space, and the table's record of it.
        space: name of the search space of all such files; "" where they hold architectures of any.
        takes: options that it takes of those that not every importer does: arch_column, units, sha256.
        tells_provenance: whether the format itself tells where the numbers come from.
    """

    name: str
    text: str
    recognises: Callable[[str, Sequence[str]], bool]
    read: Callable[[epath.PathLike, Options], tables.Table]
    space: str = ""
    takes: frozenset[str] = frozenset()
    tells_provenance: bool = False

    def check(self, options: Options) -> None:
        """Whether the options go with the format.

        Raises:
            InputError: one does not, a unit is unknown, or the provenance is missing.
        """
        for option in sorted(options.special() - self.takes):
            others = ", ".join(name for name in names() if option in get(name).takes)
            raise InputError(
                f"--{option} does not go with tables of this format. Received: {self.name}. Allowed: {others or 'none'}"
            )
        if self.space and options.space not in ("", self.space):
            raise InputError(
                f"Tables of the format {self.name} need --space={self.space}. Received: --space={options.space}"
            )
        units.check(options.units)
        if not options.provenance and not self.tells_provenance:
            raise InputError(
                f"Tables of the format {self.name} need --provenance: where the numbers come from, in words"
            )


_IMPORTERS: dict[str, Importer] = {}


def register(importer: Importer) -> Importer:
    """Makes an importer known under its name.

    Raises:
        ValueError: the name is taken.
    """
    if importer.name in _IMPORTERS:
        raise ValueError(f"A format named {importer.name!r} is registered already. Give it another name")
    _IMPORTERS[importer.name] = importer
    return importer


def names() -> list[str]:
    """Names of all formats, sorted."""
    return sorted(_IMPORTERS)


def get(name: str) -> Importer:
    """The importer of a format.

    Raises:
        InputError: there is none; the message lists all.
    """
    if name not in _IMPORTERS:
        raise unknown("format", name, names())
    return _IMPORTERS[name]


def find(path: epath.PathLike, options: Options, name: str = "") -> Importer:
    """The importer for a file; nothing but the names of its columns is read.

    Args:
        path: the file, or the name of an embedded table.
        options: what else is known.
        name: the format; open, it is recognised: a format that takes all options goes before one that does not, one of
            a space before one of any.

    Raises:
        InputError: an unknown format or space, none or several fit, or options that do not go with it.
    """
    if options.space:
        registry.get(options.space)
    importer = get(name) if name else _recognised(path, options)
    importer.check(options)
    return importer


def read(path: epath.PathLike, options: Options, name: str = "") -> tables.Table:
    """Reads a file into the common form; its architectures are strings of the space that it names.

    Args:
        path: the file, or the name of an embedded table.
        options: what is said of it.
        name: the format, recognised by default.

    Raises:
        InputError: as `find`, an unreadable or damaged file, a missing column, or rows that are no architectures of the
            space in the space's own form.
    """
    importer = find(path, options, name)
    table = importer.read(path, options)
    archs = table.frame["arch"]
    told = importer.space or options.space or table.space
    space = registry.get(told) if told else registry.of_archs(archs)
    if wrong := strays(archs, space.name):
        raise InputError(f"{path}: {wrong}")
    return dataclasses.replace(table, space=space.name)


def strays(archs: Sequence[str], space: str = "") -> str:
    """How many strings are no architectures of a space, and what is wrong with the first; "" where all are some.

    A flipped bit in a file without checksums shows in this alone: such a row is joined with nothing.

    Args:
        archs: of a table, in its order.
        space: name of its space; "" for the one that has most of the first hundred, if any has one.

    Raises:
        InputError: there is no such space.
    """
    if not space:
        counts = {name: sum(not _wrong(arch, registry.get(name)) for arch in archs[:100]) for name in registry.names()}
        space = max(counts, key=counts.__getitem__)
        if not counts[space]:
            return ""
    found = [(row, why) for row, arch in enumerate(archs, start=1) if (why := _wrong(arch, registry.get(space)))]
    if not found:
        return ""
    row, why = found[0]
    return f"{len(found)} of {len(archs)} rows hold no architectures of {space}, first row {row}: {why}"


def _wrong(arch: str, space: Space) -> str:
    """Why a string is no architecture of a space in its own form; "" where it is one."""
    try:
        own = str(space.parse(arch))
    except InputError as error:
        return str(error)
    return "" if own == arch else f"not in the form of {space.name}. Received: {arch!r}. Allowed: {own}"


def _recognised(path: epath.PathLike, options: Options) -> Importer:
    from etils import epath

    columns: list[str] = []
    if str(path) in tables.embedded_names():
        path = tables.embedded(str(path))
    suffix = pathlib.PurePath(path).suffix.lower()
    if suffix in tables.SUFFIXES and epath.Path(paths.expand(path)).exists():
        columns = tables.columns(path)
    fitting = [importer for importer in _IMPORTERS.values() if importer.recognises(suffix, columns)]
    if not fitting:
        raise InputError(f"No format has such files. Received: {path}. Formats: {', '.join(names())}")
    suited = [
        importer
        for importer in fitting
        if options.special() <= importer.takes and (not options.space or importer.space in ("", options.space))
    ]
    found = suited or fitting
    found = [importer for importer in found if importer.space] or found
    if len(found) > 1:
        raise InputError(
            f"Several formats have such files. Received: {path}. Give --format: "
            + ", ".join(sorted(importer.name for importer in found))
        )
    return found[0]


COLUMNS = Importer(
    name="columns",
    text="CSV or Parquet file with a column of architecture strings, each in its space's own form",
    recognises=lambda suffix, columns: suffix in ("", *tables.SUFFIXES),
    read=lambda path, options: tables.as_table(
        path,
        arch_column=options.arch_column,
        columns=options.columns,
        units=options.units,
        provenance=options.provenance,
    ),
    takes=frozenset({"arch_column", "units"}),
)
