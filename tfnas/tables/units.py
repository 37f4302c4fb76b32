"""Units of the columns of tables: a short list, so that one unit has one name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from tfnas.errors import InputError

UNKNOWN = "unknown"
OTHER = "other:"
UNITS = ("percent", "fraction", "count", "multiply-adds", "seconds", "text", UNKNOWN)


def check(units: Mapping[str, str]) -> None:
    """Whether each is a unit of the list, or another in words: "other:nats".

    Args:
        units: unit by column.

    Raises:
        InputError: one is neither.
    """
    for column, unit in units.items():
        named = unit.startswith(OTHER) and unit.removeprefix(OTHER).strip()
        if unit not in UNITS and not named:
            raise InputError(
                f"Unknown unit of {column}. Received: {unit!r}.{did_you_mean(unit, UNITS)} "
                f"Allowed: {', '.join(UNITS)}, or any other as {OTHER}NAME"
            )


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The hint "Did you mean 'accuracy'?" for a name close to one of those there are; "" where none is."""
    folded = {other.casefold().strip(): other for other in map(str, names)}
    close = difflib.get_close_matches(name.casefold().strip(), folded, n=1)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""
