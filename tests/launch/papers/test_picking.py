"""Picks and spreads against plain loops."""

import math
import statistics

import numpy as np

from launch.papers import picking


def test_the_best_of_each_draw_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 9, 30).astype(float)
    scores[::4], scores[1], scores[2] = math.nan, math.inf, -math.inf
    drawn = picking.draws(30, 5, 200, rng)
    assert drawn.shape == (200, 5)
    assert all(len(set(run)) == 5 for run in drawn.tolist())
    assert set(drawn.ravel().tolist()) == set(range(30))
    for run, found in zip(drawn.tolist(), picking.best(scores, drawn), strict=True):
        known = [place for place in run if not math.isnan(scores[place])]
        assert found == max(known or run[:1], key=lambda place: scores[place])


def test_a_spread_is_one_deviation_down_and_up():
    values = [3.0, 4.0, 8.0]
    for ddof, deviation in ((1, statistics.stdev(values)), (0, statistics.pstdev(values))):
        found = picking.spread(values, ddof=ddof)
        assert np.allclose([found[name] for name in ("ours", "low", "high")], [5, 5 - deviation, 5 + deviation])
    alone = picking.spread([2.0])
    assert alone["ours"] == 2
    assert math.isnan(alone["low"])
    assert math.isnan(alone["high"])
