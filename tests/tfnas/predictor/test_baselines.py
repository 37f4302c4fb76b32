"""Baselines learn what is simple, and repeat themselves."""

import numpy as np
import pytest

from tfnas.errors import InputError
from tfnas.predictor import baselines

RNG = np.random.default_rng(0)
CODES = RNG.integers(2, size=(220, 12)).astype(np.float32)
TRUTH = 0.7 + 0.02 * CODES[:, :6].sum(1) + 0.01 * CODES[:, 0] * CODES[:, 7]


@pytest.mark.parametrize("name", baselines.NAMES)
def test_learns_and_repeats(name, monkeypatch):
    model = baselines.fit(name, CODES[:120], TRUTH[:120], seed=3)
    found = baselines.predict(model, CODES[120:])
    assert np.corrcoef(found, TRUTH[120:])[0, 1] > 0.85
    assert found.mean() == pytest.approx(TRUTH[120:].mean(), abs=0.01)
    assert np.array_equal(found, baselines.predict(baselines.fit(name, CODES[:120], TRUTH[:120], seed=3), CODES[120:]))
    monkeypatch.setattr(baselines, "_AT_ONCE", 7)
    np.testing.assert_allclose(baselines.predict(model, CODES[120:]), found, rtol=1e-6)


def test_unknown():
    with pytest.raises(InputError, match=r"Unknown baseline\. Received: 'lasso'\. Allowed: boosting, forest, gp, mlp"):
        baselines.fit("lasso", CODES, TRUTH, 0)


@pytest.mark.parametrize("name", baselines.NAMES)
def test_a_single_network(name):
    if name == "boosting":  # each of its trees is of a half
        with pytest.raises(InputError, match=r"boosting learns from 2 networks or more\. Received: 1"):
            baselines.fit(name, CODES[:1], TRUTH[:1], seed=0)
    else:
        found = baselines.predict(baselines.fit(name, CODES[:1], TRUTH[:1], seed=0), CODES)
        np.testing.assert_allclose(found[0], TRUTH[0], atol=1e-3)
    assert np.isfinite(baselines.predict(baselines.fit(name, CODES[:2], TRUTH[:2], seed=0), CODES)).all()
