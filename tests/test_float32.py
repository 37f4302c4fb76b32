"""The tolerance that tests in float32 use."""

import numpy as np
import pytest

from tests import float32

ONES = np.ones(100, np.float32)


def test_moves_by_so_many_units_in_the_last_place():
    def compute(weights, images):
        return {"weight": weights["w"], "image": images, "zeros": weights["zeros"], "undefined": np.inf}

    spread = float32.spread(compute, {"w": 8 * ONES, "zeros": 0 * ONES}, ONES)
    unit = float32.ULPS * 2.0**-23
    assert spread == {"weight": 8 * unit, "image": unit, "zeros": 0}


def test_opposite_moves_flip_a_unit_close_to_zero():
    for side in (1, -1):
        threshold = 1 + side * 1e-9
        spread = float32.spread(lambda w, x, t=threshold: {"on": w * x[0] > t}, ONES[:1], ONES, draws=2)
        assert spread == {"on": 1}


def test_a_percent_too_much_fails_where_nothing_flips():
    expected = {"sum": 100.0, "undefined": np.nan}
    allowed = float32.allowed(float32.spread(lambda w, x: {"sum": np.sum(w * x)}, ONES, ONES), expected)
    float32.check({"sum": np.sum(ONES), "undefined": -np.inf}, expected, allowed)
    for wrong in ({"sum": 101.0, "undefined": np.nan}, {"sum": 100.0, "undefined": 0.0}):
        with pytest.raises(AssertionError):
            float32.check(wrong, expected, allowed)
