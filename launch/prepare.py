"""Prepare what runs need: download a data set, or import a table. Nothing else downloads.

Examples:
    python -m launch.prepare --dataset=cifar10 --data_dir=~/tensorflow_datasets
    python -m launch.prepare --table=published.csv --out=published.parquet --arch_column=arch_str
        --columns=acc:test_accuracy,params --units=test_accuracy:percent --space=nasbench201 --provenance="NATS-Bench"

A data set that is there already is left as it is. --columns names columns of the file, NAME or NAME:NEW_NAME (all
columns of numbers by default); --units gives the unit of a column of the table, NAME:UNIT. Each row must
name an architecture of the space, in the space's own form.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from collections.abc import Sequence

from launch import app
from tfnas.errors import InputError


@dataclasses.dataclass(frozen=True)
class Config:
    """Either a data set or a table."""

    dataset: str = app.flag("", "data set to download and prepare")
    data_dir: str = app.flag("", "folder of prepared TFDS data sets (TFDS' own by default)")
    manual_dir: str = app.flag("", "folder of files that only you can download (see the data set's TFDS page)")
    table: str = app.flag("", "CSV or Parquet file to import into the common form of tables")
    out: str = app.flag("", "file to write the table to (.parquet)")
    space: str = app.flag("nasbench201", "search space of the table's architectures")
    arch_column: str = app.flag("arch", "column of the file with the architecture strings")
    columns: tuple[str, ...] = app.flag((), "columns to take, NAME or NAME:NEW_NAME, separated by commas")
    units: tuple[str, ...] = app.flag((), "units of the columns of the table, NAME:UNIT, separated by commas")
    provenance: str = app.flag("", "where the numbers come from, in words")

    def check(self) -> None:
        """Whether one job is asked for, and all that it needs.

        Raises:
            InputError: for any of it.
        """
        if bool(self.dataset) == bool(self.table):
            raise InputError("Give either --dataset=NAME or --table=FILE")
        if self.table:
            import spaces

            spaces.get(self.space)
            if not self.out.endswith(".parquet"):
                raise InputError(f"--table needs --out=FILE.parquet. Received: {self.out!r}")
            if not self.provenance:
                raise InputError("--table needs --provenance: where the numbers come from, in words")
        else:
            from tfnas import data

            data.info(self.dataset)


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
    from tfnas import data

    source = data.info(config.dataset)
    folder = config.data_dir or None
    if not source.builder:
        print(f"{source.name} is made in memory: there is nothing to prepare")
        return
    app.start_tensorflow()
    # TFDS tries a dead address ten times, for some three minutes, and each would print a warning of its own.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    print(f"preparing {source.name} through TFDS", flush=True)
    data.prepare(source.name, data_dir=folder, manual_dir=config.manual_dir or None)
    sizes = ", ".join(f"{split} {data.split_size(source.name, split, data_dir=folder)}" for split in source.splits)
    print(f"{source.name} is ready ({sizes})")


def import_table(config: Config) -> None:
    """Imports a table and says what it holds.

    Raises:
        InputError: an unreadable file, a missing column, or a string that is no architecture of the space.
    """
    import spaces
    from tfnas import tables

    space = spaces.get(config.space)
    columns = {name: new or name for name, _, new in (text.partition(":") for text in config.columns)}
    units = {}
    for text in config.units:
        name, colon, unit = text.partition(":")
        if not colon:
            raise InputError(f"--units takes NAME:UNIT, separated by commas. Received: {text!r}")
        units[name] = unit
    # Before anything is written: the keys of a table must be architectures.
    for arch in tables.load(config.table, arch_column=config.arch_column)["arch"]:
        if str(space.parse(str(arch))) != str(arch):
            raise InputError(
                f"{config.table}: not in the space's own form. Received: {arch!r}. Allowed: {space.parse(arch)}"
            )
    table = tables.import_table(
        config.table,
        config.out,
        arch_column=config.arch_column,
        columns=columns,
        units=units,
        provenance=config.provenance,
        space=config.space,
    )
    size = os.path.getsize(config.out)
    values = ", ".join(column for column in table.frame if column != "arch")
    print(f"{config.out}: {len(table.frame)} architectures of {config.space}, {values} ({size / 1e3:.0f} kB)")


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
