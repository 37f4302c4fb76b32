r"""Prepare what runs need: download a data set, import a table, keep scores.

Examples:
    python -m launch.prepare --dataset=cifar10 --data_dir=~/tensorflow_datasets
    python -m launch.prepare --table=published.csv --out=published.parquet \
        --arch_column=arch_str --columns=acc:test_accuracy,params \
        --units=test_accuracy:percent,params:count --space=nasbench201 \
        --provenance="NATS-Bench"
    python -m launch.prepare --table=nasbench_full.tfrecord \
        --space=nasbench101 --out=nasbench101.parquet  # 3 minutes
    python -m launch.prepare --scores=output/nasbench201 --digits=7 \
        --out=results/atlas/nasbench201.parquet --provenance="all classes"

Nothing else downloads. A data set that is there already is left as it is. A
table is imported from a file of one of the formats below into the common form,
which names its search space. --columns names columns of the file, NAME or
NAME:NEW_NAME (all columns of numbers by default); --units gives the unit of a
column of the table, NAME:UNIT, with a unit of percent, fraction, count,
multiply-adds, seconds, text, or any other as NAME:other:UNIT.

--scores makes one small file of all records of some folders, with the commands,
versions and machines that made them and a checksum. What lies in results/atlas
of a clone is then read by its name, --scores=atlas:NAME, wherever scores are.
--unpack puts them back into a folder, where the run that made them goes on.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
import textwrap
from collections.abc import Sequence

import spaces
from launch import app
from launch.flags.networks import check_least, check_most
from launch.jobs import keeping
from tfnas import tables
from tfnas.errors import InputError

# Doubles have no more.
MOST_DIGITS = 17
# The flags that go with each of the three jobs, beside the one that asks for it.
_TAKES = {
    "dataset": {"data_dir", "manual_dir"},
    "table": {"out", "format", "space", "arch_column", "columns", "units", "provenance", "sha256"},
    "scores": {"out", "unpack", "digits", "provenance"},
}


@dataclasses.dataclass(frozen=True)
class Config:
    """A data set, a table, or scores."""

    dataset: str = app.flag("", "data set to download and prepare")
    data_dir: str = app.path_flag("", "folder of prepared TFDS data sets (TFDS' own by default)")
    manual_dir: str = app.path_flag("", "folder of files that only you can download, such as the two of imagenet2012")
    table: str = app.path_flag("", "file to import into the common form of tables")
    scores: tuple[str, ...] = app.path_flag((), "folders of records to keep in one file, separated by commas")
    out: str = app.path_flag("", "file to write the table or the scores to (.parquet)", writes="file")
    unpack: str = app.path_flag(
        "", "folder to put --scores into as records, from which launch.score goes on", writes="folder"
    )
    digits: int = app.flag(0, "significant digits of scores that are kept; 0 for all")
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
            InputError: a unit without its column, a name that is given twice, or one that the architectures have.
        """
        if wrong := [text for text in self.units if ":" not in text]:
            raise InputError(f"--units takes NAME:UNIT, separated by commas. Received: {wrong[0]!r}")
        columns = [(name, new or name) for name, _, new in (text.partition(":") for text in self.columns)]
        units = [(name, unit) for name, _, unit in (text.partition(":") for text in self.units)]
        for flag, names in (
            ("columns", [name for name, _ in columns]),
            ("columns", [new for _, new in columns]),
            ("units", [name for name, _ in units]),
        ):
            if twice := [name for name in names if names.count(name) > 1]:
                raise InputError(f"--{flag} names a column once. Received twice: {twice[0]!r}")
        if any(new == "arch" != name for name, new in columns):
            raise InputError("--columns: a table has its architectures in 'arch'. Received as a name: 'arch'")
        return spaces.importers.Options(
            space=self.space,
            columns=dict(columns),
            provenance=self.provenance,
            arch_column=self.arch_column,
            units=dict(units),
            sha256=self.sha256,
        )

    def check(self) -> None:
        """Whether one job is asked for, and all that it needs.

        Raises:
            InputError: for any of it.
        """
        jobs = [name for name in _TAKES if getattr(self, name)]
        if len(jobs) != 1:
            raise InputError("Give either --dataset=NAME or --table=FILE or --scores=FOLDER")
        check_least(self, digits=0)
        check_most(self, digits=MOST_DIGITS)
        if self.unpack and (self.out or not self.scores):
            raise InputError("--unpack=FOLDER takes --scores and no --out")
        for field in dataclasses.fields(self):
            given = getattr(self, field.name) != field.default
            if given and field.name not in _TAKES[jobs[0]] | {jobs[0]}:
                allowed = ", ".join(f"--{name}" for name in sorted(_TAKES[jobs[0]]))
                raise InputError(
                    f"A flag that does not go with --{jobs[0]}. Received: --{field.name}. Allowed: {allowed}"
                )
        if self.dataset:
            from tfnas import data

            data.info(self.dataset)
            return
        if self.unpack:
            return
        if not self.out.endswith(".parquet"):
            given = "--table" if self.table else "--scores"
            raise InputError(f"{given} needs --out=FILE.parquet. Received: {self.out!r}")
        if self.scores:
            if not self.provenance.strip():
                raise InputError("--scores needs --provenance: what was scored, and why, in words")
            return
        if tables.is_same_file(self.table, self.out):
            raise InputError(f"--out would overwrite the file that --table names. Received: --out={self.out}")
        spaces.importers.find(self.table, self.options(), self.format)


def run(config: Config) -> None:
    """Prepares the data set or imports the table."""
    if config.dataset:
        prepare_dataset(config)
    elif config.table:
        import_table(config)
    elif config.unpack:
        count = keeping.unpack(config.scores, config.unpack)
        print(f"{config.unpack}: {count} records more. A run with this --output goes on from them")
    else:
        keep_scores(config)


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


def keep_scores(config: Config) -> None:
    """Keeps records in one file and says what it holds.

    Raises:
        InputError: there are none, or files that hold none.
    """
    from etils import epath

    frame = keeping.keep(config.scores, config.out, config.provenance, digits=config.digits)
    told = frame.attrs["provenance"]
    archs = ", ".join(
        f"{counts['architectures']} architectures of {space}"
        + (f" ({counts['classes']} classes)" if "classes" in counts else "")
        for space, counts in told["spaces"].items()
    )
    print(f"{config.out}: {len(frame)} records of {archs} and {len(told['proxies'])} proxies")
    if told["failures"]:
        print(f"{told['failures']} of them without a score")
    size = epath.Path(config.out).stat().length
    print(f"{size / 1e3:.0f} kB, {len(told['runs'])} commands, sha256 {frame.attrs['sha256']}")


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
