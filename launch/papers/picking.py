"""What is picked among random networks, and how numbers over repeats are told."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def draws(size: int, count: int, runs: int, rng: np.random.Generator) -> np.ndarray:
    """Places of `count` of so many networks, none twice in a run: [runs, count]."""
    return np.stack([rng.choice(size, count, replace=False) for _ in range(runs)])


def best(scores: Sequence[float], drawn: np.ndarray) -> np.ndarray:
    """The place of the highest score of each draw, the first of equal ones: [runs].

    One without a score is never picked over one with.

    Args:
        scores: of all networks [n].
        drawn: their places [runs, count].
    """
    values = np.nan_to_num(np.asarray(scores, float), nan=-math.inf)  # -inf itself becomes the least number
    return drawn[np.arange(len(drawn)), values[drawn].argmax(1)]


def spread(values: Sequence[float] | np.ndarray, *, ddof: int = 1) -> dict[str, float]:
    """Columns ours, low and high of a row: the mean, one deviation down and up; of one value there is none.

    Args:
        values: of the repeats.
        ddof: what the deviation's divisor is less than their number.
    """
    mean = float(np.mean(values))
    deviation = float(np.std(values, ddof=ddof)) if np.size(values) > 1 else math.nan
    return {"ours": mean, "low": mean - deviation, "high": mean + deviation}
