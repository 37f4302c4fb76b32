"""Units of accuracies: fractions or percent, as recorded or as the values show, and never both in one column."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from tfnas import tables
from tfnas.errors import InputError

if TYPE_CHECKING:  # pandas takes its time to import
    import pandas as pd
    from etils import epath

PERCENT, FRACTION = "percent", "fraction"
# The largest value of each, with room for rounding in single precision.
_LARGEST = {PERCENT: 100 * (1 + 1e-6), FRACTION: 1 + 1e-6}
# Percent that are all above 1 but for networks at chance leave a wide gap; other quantities run on through 1.
_GAP = 2.0


def recorded(path: epath.PathLike) -> dict[str, str]:
    """Unit of each column of a table of the common form; of any other table, none.

    Args:
        path: file, or the name of an embedded table.
    """
    from pyarrow import parquet

    file = tables.resolve(path)
    if file.suffix.lower() != ".parquet":
        return {}
    with file.open("rb") as stream:
        mark = (parquet.read_schema(stream).metadata or {}).get(b"tfnas.table")
    return dict(json.loads(mark)["units"]) if mark else {}


def check(values: pd.Series, unit: str, name: str) -> str:
    """The unit of a column of accuracies, or of anything else that networks are ranked by.

    A recorded unit decides. Without one, a column is of fractions where nothing exceeds 1, and mixed where values above
    1, up to 100, stand far from those within [0, 1], and most of either would lie among the others in the others' unit.
    Networks at chance are no such values: in percent, 1 / classes is small too. Each value counts once, as all networks
    at chance share theirs.

    Args:
        values: numbers by architecture; NaN is no value.
        unit: as recorded; "" or anything but "percent" and "fraction" leaves it to the values.
        name: of the column and its table, for messages.

    Returns:
        "percent", "fraction", or `unit` where it is another.

    Raises:
        InputError: infinite values, values that contradict the unit, or fractions among percent.
    """
    values = values.astype(float).dropna()
    if len(infinite := values[np.isinf(values)]):
        raise InputError(
            f"{name} is infinite for {len(infinite)} of {len(values)} rows. Received: {_example(infinite)}. "
            "Allowed: finite numbers, or nothing where there is none"
        )
    if unit in _LARGEST:
        outside = values[(values < 0) | (values > _LARGEST[unit])]
        if len(outside):
            raise InputError(
                f"{name} is recorded as {unit}, but {len(outside)} of {len(values)} values are not. "
                f"Received: {_example(outside)}. Allowed: 0 to {_LARGEST[unit]:.0f}"
            )
        return unit
    if unit not in ("", "unknown"):
        return unit
    within = (values >= 0) & (values <= 100)
    low, high = values[within & (values <= 1)], values[within & (values > 1)]
    if _mixed(low.to_numpy(), high.to_numpy()):
        raise InputError(
            f"{name} mixes fractions and percent. Received: {len(low)} values from 0 to 1 "
            f"({_example(low[~_chance(low.to_numpy())])}), {len(high)} above 1 ({_example(high)}). "
            "Allowed: one unit; if it is one, record it (--units of python -m launch.prepare)"
        )
    return FRACTION if len(low) == len(values) else PERCENT


def percent(values: pd.Series, unit: str, name: str) -> pd.Series:
    """Accuracies in percent, whichever of both they are in. Arguments and errors are those of `check`."""
    return values.astype(float) * (100 if check(values, unit, name) == FRACTION else 1)


def _mixed(low: np.ndarray, high: np.ndarray) -> bool:
    if not len(low) or not len(high) or high.min() < _GAP * low.max():
        return False
    low, high = np.unique(low.round(6)), np.unique(high.round(6))
    trained = low[~_chance(low)]
    # Whichever are few, it is these whose range says little.
    return 2 * _among(100 * trained, high) > len(low) or 2 * _among(high / 100, trained) > len(high)


def _among(values: np.ndarray, others: np.ndarray) -> int:
    """How many values lie in the range of others."""
    return int(((values >= others.min()) & (values <= others.max())).sum()) if len(others) else 0


def _chance(values: np.ndarray) -> np.ndarray:
    """Whether percent are what a network reaches that always names one of so many classes."""
    classes = 100 / np.maximum(values, 1e-9)
    return np.abs(classes - np.round(classes)) < 1e-5 * classes


def _example(values: pd.Series) -> str:
    return f"such as {values.iloc[0]:.6g} of {values.index[0]!r}"
