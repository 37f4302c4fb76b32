"""What float32 may cost a result: as much as moving the last bits of weights and images costs the same result.

Every operation rounds, and where and in which order it does differs between CPUs, libraries and numbers of threads. By
backward analysis that is as if weights and images were a few units in the last place (ulp) off. The outputs of layers
follow smoothly, but a ReLU whose input lies about zero flips, and what that costs is a matter of network and batch:
nothing in one network, 3 % of an input Jacobian in another. So no tolerance here is a number found on one machine: it
is the spread of the result, in float64, over inputs that are moved.

Over the outputs of all layers of the golden networks the error of float32 is 0.8 to 3.2 times what moves of one ulp do
(root mean squares, with oneDNN and without, for SSE4.1 and AVX-512). `ULPS` moves several times farther, so that the
units that flip in some float32 flip in some draw too. Draws come in pairs of opposite moves, and a unit close to zero
flips in one of the two. Which other units flip differs from draw to draw. Over 9,000 results in float32 from inputs one
ulp off, which stand in for other CPUs, the largest deviation was 2.5 spreads (`plain`, whose terms cancel) and the next
1.5: hence `MULTIPLE`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

ULPS = 16
MULTIPLE = 4
# What float32 costs where nothing flips, as a share of the largest entry.
FLOOR = 1e-5

Results = Mapping[str, Any]


def spread(compute: Callable[[Any, Any], Results], weights: Any, images: Any, draws: int = 4) -> dict[str, float]:
    """By result, the largest deviation of one of its entries over `draws` moves of the inputs.

    Args:
        compute: (weights, images) -> results by name, computed in float64. Those that are not finite have no spread.
        weights: float32 arrays in any structure of dicts and lists.
        images: the same.
        draws: an even number.
    """
    found: dict[str, float] = {}
    exact = compute(weights, images)
    for draw in range(draws):
        moved = compute(*_moved((weights, images), np.random.default_rng(draw // 2), (-1) ** draw * ULPS))
        for name, value in exact.items():
            if np.isfinite(value).all():
                found[name] = max(found.get(name, 0.0), largest(np.subtract(moved[name], value, dtype=np.float64)))
    return found


def allowed(spreads: Mapping[str, float], expected: Results) -> dict[str, float]:
    """By result, how far an entry computed in float32 may be from the expected one, given the spread."""
    return {
        name: MULTIPLE * spreads.get(name, 0.0) + FLOOR * largest(np.nan_to_num(value, posinf=0, neginf=0))
        for name, value in expected.items()
    }


def check(received: Results, expected: Results, tolerances: Mapping[str, float]) -> None:
    """Asserts that results agree within absolute tolerances; names all that do not.

    What is expected not to be finite must not be finite.
    """
    assert received.keys() == expected.keys()
    wrong = {}
    for name, value in expected.items():
        if not np.isfinite(value).all():
            if np.isfinite(received[name]).all():
                wrong[name] = f"{received[name]}, expected {value}"
        elif not (deviation := largest(np.subtract(received[name], value, dtype=np.float64))) <= tolerances[name]:
            wrong[name] = f"{deviation:.2g} off, allowed {tolerances[name]:.2g} of {largest(value):.6g}"
    assert not wrong, wrong


def largest(values: Any) -> float:
    """The largest absolute entry."""
    return float(np.max(np.abs(values), initial=0.0))


def _moved(arrays: Any, rng: np.random.Generator, ulps: int) -> Any:
    """Float32 arrays in float64, each number moved up or down at random by so many units in its last place."""

    def move(array: Any) -> np.ndarray:
        array = np.asarray(array, np.float32)
        # The unit of zero is no rounding error of anything.
        unit = np.where(array == 0, 0, np.spacing(np.abs(array)))
        return array.astype(np.float64) + ulps * rng.choice([-1.0, 1.0], array.shape) * unit

    return keras.tree.map_structure(move, arrays)
