"""The flags that say how large an experiment of a paper is made, and on which accuracies and data."""

from __future__ import annotations

import dataclasses
import math

from launch import app
from tfnas.errors import InputError

# The table that comes with tfnas and stands in where none is given, its images, and what its networks were.
EMBEDDED, EMBEDDED_DATASET = "nasbench201_digits", "digits"
EMBEDDED_NETWORK = {"width": 16, "depth": 1, "flavour": "tiny"}
# Training images of it: too small to be cropped, and mirrored they are no digits.
EMBEDDED_IMAGES = {"crop": 0, "flip": False}
EMBEDDED_NOTE = "networks and accuracies are those on the UCI digits, not the paper's"

# Architectures of a share of the paper's, however small: fewer tell nothing about a rank.
LEAST = 8


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """How large, on which accuracies and data."""

    scale: str = app.flag("small", "number of architectures: small (tens), paper, or a share of the paper's in (0, 1]")
    table: str = app.path_flag("", "accuracies of the benchmark, Parquet or CSV (those on digits by default)")
    scores: tuple[str, ...] = app.path_flag(
        (), "records to take as they are, instead of computing: folders, files of kept ones, atlas:NAME"
    )
    isomorphic: bool = app.flag(
        False, "a score counts for all networks of the table that are the same (isomorphic) as the scored one"
    )
    datasets: tuple[str, ...] = app.flag((), "data sets (the paper's; digits without --table)")
    targets: tuple[str, ...] = app.flag((), "column of the table for each data set (the paper's by default)")
    data_dir: str = app.path_flag("", "folder of prepared TFDS data sets (TFDS' own by default)")
    seed: int = app.flag(42, "base seed; 42 is the papers'")

    def check(self) -> None:
        """Whatever can be known to be wrong before a file is read.

        Raises:
            InputError: for any of it.
        """
        from tfnas import data, tables

        for name in self.datasets:
            data.info(name)
        if len(set(self.datasets)) < len(self.datasets):
            raise InputError(f"--datasets names one twice. Received: {','.join(self.datasets)}")
        self.count(1, 1, 1)
        if not self.table:
            if self.targets:
                raise InputError(f"--targets names columns of --table. Received: {','.join(self.targets)}, no --table")
            if len(self.datasets) > 1:
                raise InputError(
                    f"The embedded accuracies are of one data set; give --table. Received: {','.join(self.datasets)}"
                )
        tables.resolve(self.truth)

    @property
    def truth(self) -> str:
        """File or name of the table of accuracies."""
        return self.table or EMBEDDED

    def count(self, small: int, paper: int, available: int, *, least: int = LEAST) -> int:
        """Number of architectures, or of repeats.

        Args:
            small: at --scale=small.
            paper: at --scale=paper.
            available: never more than these.
            least: of a share, however small.

        Raises:
            InputError: --scale is none of what it may be.
        """
        if self.scale in ("small", "paper"):
            return min(small if self.scale == "small" else paper, available)
        try:
            share = float(self.scale)
        except ValueError:
            share = math.nan
        if not 0 < share <= 1:
            raise InputError(f"--scale must be small, paper or a share in (0, 1]. Received: {self.scale!r}")
        return min(max(least, round(share * paper)), available)
