"""CSV files as people have them: another delimiter, decimal commas, percent signs, a byte order mark.

What is certain is taken, and told; what can be read in two ways is refused. The delimiter is the one that parts the
header into the most columns. A column is of numbers with a decimal comma, or with percent signs, if all of its cells
are; a comma before three digits may part thousands, so that such numbers stay text unless the delimiter is a semicolon,
which is what programs write where the comma is the decimal sign.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
from typing import TYPE_CHECKING

from tfnas.errors import InputError

if TYPE_CHECKING:  # pandas takes its time to import
    import pandas as pd

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
HEAD = 1 << 16  # bytes that hold the header of any file
_NUMBER = r"\s*[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?\s*%?\s*"
_THOUSANDS = r"\s*[+-]?[1-9]\d{0,2},\d{3}\s*%?\s*"


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How a file was read.

    Attributes:
        delimiter: what parts its columns.
        commas: columns whose numbers have a decimal comma.
        percents: columns whose numbers had a percent sign.
    """

    delimiter: str
    commas: tuple[str, ...] = ()
    percents: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"columns parted by {DELIMITERS[self.delimiter]}"
        text += f", decimal commas in {', '.join(self.commas)}" if self.commas else ", decimal points"
        return text + (f", percent signs taken off {', '.join(self.percents)}" if self.percents else "")


def columns(head: bytes) -> list[str]:
    """Names of the columns of a file.

    Args:
        head: its first bytes, `HEAD` of them or all.

    Raises:
        ValueError: it is no text, or empty.
    """
    import pandas as pd

    text = codecs.getincrementaldecoder(_encoding(head))().decode(head)
    return list(pd.read_csv(io.StringIO(text), sep=_delimiter(text), nrows=0))


def read(data: bytes) -> tuple[pd.DataFrame, Dialect]:
    """The content of a file.

    Raises:
        InputError: a column has percent signs in some cells, there are decimal commas and points, or rows have more
            cells than the header has names.
        ValueError: as `columns`.
    """
    import pandas as pd
    from pandas.api import types

    text = decode(data)
    delimiter = _delimiter(text)
    frame = pd.read_csv(io.StringIO(text), sep=delimiter, low_memory=False)
    _refuse_surplus(frame, delimiter)
    commas, percents = [], []
    for column in frame:
        if not types.is_string_dtype(frame[column]):
            continue
        cells = frame[column].dropna()
        # Most columns of text show in their first cell that they are none of numbers.
        if not cells.head(1).str.fullmatch(_NUMBER).all() or not cells.str.fullmatch(_NUMBER).all() or cells.empty:
            continue
        signs, with_comma = cells.str.contains("%"), cells.str.contains(",")
        if not signs.all() and signs.any():
            raise _mixed(column, "percent signs and numbers without", cells[signs], cells[~signs])
        if with_comma.any():
            points = cells[cells.str.contains(".", regex=False)]
            if len(points):
                raise _mixed(column, "decimal commas and points", cells[with_comma], points)
            if delimiter != ";" and cells[with_comma].str.fullmatch(_THOUSANDS).all():
                continue
            commas.append(column)
        if signs.any():
            percents.append(column)
        plain = cells.str.strip(" %").str.replace(",", ".").astype(float)
        frame[column] = plain.reindex(frame.index)
    if commas:
        _refuse_points(text, delimiter, frame, commas)
    return frame, Dialect(delimiter, tuple(commas), tuple(percents))


def decode(data: bytes) -> str:
    """The text of a file in UTF-8, or in what its byte order mark says, without the mark.

    Raises:
        UnicodeDecodeError: it is no text.
    """
    return data.decode(_encoding(data))


def _encoding(data: bytes) -> str:
    return "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def _delimiter(text: str) -> str:
    def width(delimiter: str) -> int:
        return len(next(filter(None, csv.reader(io.StringIO(text), delimiter=delimiter)), []))

    try:
        return max(DELIMITERS, key=width)
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _refuse_surplus(frame: pd.DataFrame, delimiter: str) -> None:
    """Where rows have more cells than the header, pandas takes the first ones for an index and moves all names.

    That is right where the names of the rows have no name, as R writes files, and wrong behind a delimiter too many.
    """
    import pandas as pd

    levels, width = frame.index.nlevels, frame.shape[1]
    if isinstance(frame.index, pd.RangeIndex) or not (levels > 1 or frame.iloc[:, -1].isna().all()):
        return
    raise InputError(
        f"Rows have more cells than the header has names. Received: {levels + width} cells, parted by "
        f"{DELIMITERS[delimiter]}, under {width} names. Allowed: a name for each column, no delimiter at a row's end"
    )


def _refuse_points(text: str, delimiter: str, frame: pd.DataFrame, commas: list[str]) -> None:
    """Where the comma is the decimal sign, a point in another column may part thousands."""
    import pandas as pd

    others = [column for column in frame.select_dtypes("float") if column not in commas]
    for column, cells in pd.read_csv(io.StringIO(text), sep=delimiter, usecols=others, dtype=str).items():
        points = cells[cells.str.contains(".", regex=False, na=False)]
        if len(points):
            raise InputError(
                f"Decimal commas in {commas[0]}, but points in {len(points)} of {len(cells)} cells of {column}, which "
                f"may part thousands. Received: {points.iloc[0]!r}. Allowed: one decimal sign in a file"
            )


def _mixed(column: str, what: str, some: pd.Series, others: pd.Series) -> InputError:
    return InputError(
        f"Column {column} mixes {what}. Received: {len(some)} cells like {some.iloc[0]!r}, {len(others)} like "
        f"{others.iloc[0]!r}. Allowed: one way for all"
    )
