"""Prepare what runs need: download a data set, or import a table. Nothing else downloads.

Examples:
    python -m launch.prepare --dataset=cifar10 --data_dir=~/tensorflow_datasets
    python -m launch.prepare --table=published.csv --out=published.parquet --arch_column=arch_str
        --columns=acc:test_accuracy,params --units=test_accuracy:percent --space=nasbench201 --provenance="NATS-Bench"
    python -m launch.prepare --table=nasbench_full.tfrecord --space=nasbench101 --out=nasbench101.parquet  # 3 minutes

A data set that is there already is left as it is. --columns names columns of the file, NAME or NAME:NEW_NAME (all
columns of numbers by default); --units gives the unit of a column of the table, NAME:UNIT. Each row must
name an architecture of the space, in the space's own form. Tables of NAS-Bench-101 may hold graphs instead:
num_vertices, adj_bits (bit x+y(y-1)/2 is the edge from x to y), op_labels (a digit for each vertex between input and
output: 0 conv3x3, 1 conv1x1, 2 maxpool3x3). Its published files, nasbench_only108.tfrecord and nasbench_full.tfrecord,
bring their units and provenance.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from launch import app
from tfnas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from tfnas import tables


@dataclasses.dataclass(frozen=True)
class Config:
    """Either a data set or a table."""

    dataset: str = app.flag("", "data set to download and prepare")
    data_dir: str = app.flag("", "folder of prepared TFDS data sets (TFDS' own by default)")
    manual_dir: str = app.flag("", "folder of files that only you can download (see the data set's TFDS page)")
    table: str = app.flag("", "CSV, Parquet or NAS-Bench-101 .tfrecord file to import into the common form of tables")
    out: str = app.flag("", "file to write the table to (.parquet)")
    space: str = app.flag("nasbench201", "search space of the table's architectures")
    arch_column: str = app.flag("arch", "column of the file with the architecture strings")
    columns: tuple[str, ...] = app.flag((), "columns to take, NAME or NAME:NEW_NAME, separated by commas")
    units: tuple[str, ...] = app.flag((), "units of the columns of the table, NAME:UNIT, separated by commas")
    provenance: str = app.flag("", "where the numbers come from, in words")
    sha256: str = app.flag("", "what the SHA-256 of a .tfrecord file must be (by default that of a published one)")

    @property
    def has_records(self) -> bool:
        """Whether the table is in the form of NAS-Bench-101's published files."""
        return self.table.endswith(".tfrecord")

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
            if self.has_records:
                if self.space != "nasbench101":
                    raise InputError(f".tfrecord tables need --space=nasbench101. Received: --space={self.space}")
                if self.units or self.arch_column != "arch":
                    raise InputError(".tfrecord tables have units and architectures: no --units, no --arch_column")
            elif self.sha256:
                raise InputError(f"--sha256 goes with .tfrecord tables. Received: --table={self.table}")
            elif not self.provenance:
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
        InputError: an unreadable or damaged file, a missing column, or a row that is no architecture of the space.
    """
    columns = {name: new or name for name, _, new in (text.partition(":") for text in config.columns)}
    table = _import_records(config, columns) if config.has_records else _import_columns(config, columns)
    size = os.path.getsize(config.out)
    values = textwrap.shorten(", ".join(column for column in table.frame if column != "arch"), 160)
    print(f"{config.out}: {len(table.frame)} architectures of {config.space}, {values} ({size / 1e3:.0f} kB)")


def _import_records(config: Config, columns: Mapping[str, str]) -> tables.Table:
    from spaces.nasbench101 import published as nasbench101_records
    from tfnas import tables

    table = nasbench101_records.read(config.table, sha256=config.sha256)
    for name, text in table.facts.items():
        print(f"{name}: {text}")
    if config.provenance:
        table = dataclasses.replace(table, provenance=f"{config.provenance}; {table.provenance}")
    if columns:
        frame = _select(config, table.frame, columns)
        table = dataclasses.replace(table, frame=frame, units={new: table.units[old] for old, new in columns.items()})
    tables.write(table, config.out)
    return table


def _import_columns(config: Config, columns: Mapping[str, str]) -> tables.Table:
    import spaces
    from spaces.nasbench101 import published as nasbench101_records
    from tfnas import tables

    space = spaces.get(config.space)
    units = {}
    for text in config.units:
        name, colon, unit = text.partition(":")
        if not colon:
            raise InputError(f"--units takes NAME:UNIT, separated by commas. Received: {text!r}")
        units[name] = unit
    frame = _load(config)
    graphs = "arch" not in frame
    if graphs:
        frame = frame.assign(arch=nasbench101_records.archs(frame))
    # Before anything is written: the keys of a table must be architectures.
    print(f"checking {len(frame)} architectures", flush=True)
    for arch in frame["arch"]:
        if str(space.parse(str(arch))) != str(arch):
            raise InputError(
                f"{config.table}: not in the space's own form. Received: {arch!r}. Allowed: {space.parse(arch)}"
            )
    if graphs:
        if not columns:
            numbers = frame.drop(columns=list(nasbench101_records.GRAPH_COLUMNS)).select_dtypes(["number", "bool"])
            columns = {name: name for name in numbers}
        table = tables.Table(_select(config, frame, columns), units, config.provenance, config.space)
        tables.write(table, config.out)
        return table
    return tables.import_table(
        config.table,
        config.out,
        arch_column=config.arch_column,
        columns=columns,
        units=units,
        provenance=config.provenance,
        space=config.space,
    )


def _load(config: Config) -> pd.DataFrame:
    """The file with its architectures as `arch` or, for NAS-Bench-101, with graphs as numbers and no `arch`."""
    from spaces.nasbench101.published import GRAPH_COLUMNS
    from tfnas import tables

    try:
        return tables.load(config.table, arch_column=config.arch_column)
    except InputError:
        if config.space == "nasbench101" and config.arch_column == "arch":
            with contextlib.suppress(InputError):
                frame = tables.load(config.table, arch_column=GRAPH_COLUMNS[0])
                frame = frame.rename(columns={"arch": GRAPH_COLUMNS[0]})
                if set(GRAPH_COLUMNS) <= set(frame.columns):
                    return frame
        raise


def _select(config: Config, frame: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """The columns of the file that are asked for, under their new names."""
    for name in columns:
        if name not in frame or name == "arch":
            raise InputError(f"No column {name!r} in {config.table}. Columns: {', '.join(frame.columns)}")
    return frame[["arch", *columns]].rename(columns=columns)


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
