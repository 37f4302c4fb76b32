r"""Prepare what runs need: download a data set, or import a table.

Examples:
    python -m launch.prepare --dataset=cifar10 --data_dir=~/tensorflow_datasets
    python -m launch.prepare --table=published.csv --out=published.parquet \
        --arch_column=arch_str --columns=acc:test_accuracy,params \
        --units=test_accuracy:percent,params:count --space=nasbench201 \
        --provenance="NATS-Bench"
    python -m launch.prepare --table=nasbench_full.tfrecord \
        --space=nasbench101 --out=nasbench101.parquet  # 3 minutes

Nothing else downloads. A data set that is there already is left as it is. A
table is imported from a file of one of the formats below into the common form,
which names its search space. --columns names columns of the file, NAME or
NAME:NEW_NAME (all columns of numbers by default); --units gives the unit of a
column of the table, NAME:UNIT, with a unit of percent, fraction, count,
multiply-adds, seconds, text, or any other as NAME:other:UNIT.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
import textwrap
from collections.abc import Sequence

import spaces
from launch import app
from tfnas import tables
from tfnas.errors import InputError


@dataclasses.dataclass(frozen=True)
class Config:
    """Either a data set or a table."""

    dataset: str = app.flag("", "data set to download and prepare")
    data_dir: str = app.path_flag("", "folder of prepared TFDS data sets (TFDS' own by default)")
    manual_dir: str = app.path_flag("", "folder of files that only you can download, such as the two of imagenet2012")
    table: str = app.path_flag("", "file to import into the common form of tables")
    out: str = app.path_flag("", "file to write the table to (.parquet)", writes="file")
    format: str = app.flag("", "format of --table (by default recognised from the file)")
    space: str = app.flag("", "search space of the table (by default that of the format or of the architectures)")
    arch_column: str = app.flag("arch", "column of the file with the architecture strings")
    columns: tuple[str, ...] = app.flag((), "columns to take, NAME or NAME:NEW_NAME, separated by commas")
    units: tuple[str, ...] = app.flag((), "units of the columns of the table, NAME:UNIT, separated by commas")
    provenance: str = app.flag("", "where the numbers come from, in words")
    sha256: str = app.flag("", "what the SHA-256 of a published file must be (by default that of the publication)")

    def options(self) -> spaces.importers.Options:
        """What the flags say of the table.

        Raises:
            InputError: a unit without its column.
        """
        if wrong := [text for text in self.units if ":" not in text]:
            raise InputError(f"--units takes NAME:UNIT, separated by commas. Received: {wrong[0]!r}")
        return spaces.importers.Options(
            space=self.space,
            columns={name: new or name for name, _, new in (text.partition(":") for text in self.columns)},
            provenance=self.provenance,
            arch_column=self.arch_column,
            units={name: unit for name, _, unit in (text.partition(":") for text in self.units)},
            sha256=self.sha256,
        )

    def check(self) -> None:
        """Whether one job is asked for, and all that it needs.

        Raises:
            InputError: for any of it.
        """
        if bool(self.dataset) == bool(self.table):
            raise InputError("Give either --dataset=NAME or --table=FILE")
        if self.dataset:
            from tfnas import data

            data.info(self.dataset)
            return
        if not self.out.endswith(".parquet"):
            raise InputError(f"--table needs --out=FILE.parquet. Received: {self.out!r}")
        if tables.is_same_file(self.table, self.out):
            raise InputError(f"--out would overwrite the file that --table names. Received: --out={self.out}")
        spaces.importers.find(self.table, self.options(), self.format)


def run(config: Config) -> None:
    """Prepares the data set or imports the table."""
    if config.dataset:
        prepare_dataset(config)
    else:
        import_table(config)


def prepare_dataset(config: Config) -> None:
    """Downloads and prepares a data set through TFDS, and says where it is and how large.

    Raises:
        InputError: the download failed (no network), files that only the user can get are missing, or the folder
            cannot be written.
    """
    from tfnas import data, environment

    source = data.info(config.dataset)
    folder = config.data_dir or None
    if not source.builder:
        print(f"{source.name} is made in memory: there is nothing to prepare")
        return
    environment.start_tensorflow()
    # Each try of a dead address would print a warning of its own.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        import tensorflow_datasets as tfds

        tfds.disable_progress_bar()
    print(f"preparing {source.name} through TFDS", flush=True)
    data.prepare(source.name, data_dir=folder, manual_dir=config.manual_dir or None)
    sizes = ", ".join(f"{split} {data.split_size(source.name, split, data_dir=folder)}" for split in source.splits)
    print(f"{source.name} is ready ({sizes})")


def import_table(config: Config) -> None:
    """Imports a table and says what it holds.

    Raises:
        InputError: an unreadable or damaged file, a missing column, or a row that is no architecture of the space.
    """
    from etils import epath

    importer = spaces.importers.find(config.table, config.options(), config.format)
    print(f"reading {config.table} in the format {importer.name}", flush=True)
    table = spaces.importers.read(config.table, config.options(), importer.name)
    if source := table.frame.attrs.get("source"):
        print(source)
    for name, text in table.facts.items():
        print(f"{name}: {text}")
    tables.write(table, config.out)
    size = epath.Path(config.out).stat().length
    values = textwrap.shorten(", ".join(column for column in table.frame if column != "arch"), 160)
    print(f"{config.out}: {len(table.frame)} architectures of {table.space}, {values} ({size / 1e3:.0f} kB)")


def formats() -> str:
    """A line for each format of tables, for --help."""
    importers = map(spaces.importers.get, spaces.importers.names())
    lines = (f"  {importer.name + ':':<22} {importer.text}" for importer in importers)
    return "Formats of --table:\n" + "\n".join(
        textwrap.fill(line, app.HELP_WIDTH, subsequent_indent=" " * 25) for line in lines
    )


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, f"{__doc__}\n{formats()}", argv)


if __name__ == "__main__":
    sys.exit(main())
