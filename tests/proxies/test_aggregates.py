"""Aggregates over a pool of networks."""

import numpy as np
import pytest

import proxies


def pool(names, count=12):
    """Scores with ties and without."""
    rng = np.random.default_rng(7)
    return {name: rng.permutation(np.r_[np.arange(count - 3), [1, 1, 5]]).astype(float) for name in names}


def test_vote():
    """For each network the number of others that at least two of the three scores put below it."""
    names = ["synflow", "jacob_cov", "snip"]
    scores = pool(names)
    scores["snip"][4] = np.nan
    expected = np.zeros(12)
    for i in range(12):
        for j in range(12):
            wins = sum(scores[name][i] > scores[name][j] for name in names)
            losses = sum(scores[name][i] < scores[name][j] for name in names)
            expected[i] += wins > losses
    np.testing.assert_array_equal(proxies.aggregate("vote", scores), expected)


def test_aznas():
    """sum log(rank / n), with rank the number of networks below, half of those alike, and itself."""
    names = ["aznas_expressivity", "aznas_progressivity", "aznas_trainability", "flops"]
    scores = pool(names)
    expected = [
        sum(np.log((np.sum(s < s[i]) + (np.sum(s == s[i]) + 1) / 2) / 12) for s in scores.values()) for i in range(12)
    ]
    np.testing.assert_allclose(proxies.aggregate("aznas", scores), expected)
    best = {name: np.arange(3.0) for name in names}
    assert proxies.aggregate("aznas", best)[2] == 0


def test_aggregates_need_their_scores():
    with pytest.raises(ValueError, match=r"Unknown aggregate.*vote"):
        proxies.aggregate("sum", {})
    with pytest.raises(ValueError, match="score needed by vote"):
        proxies.aggregate("vote", {"synflow": np.ones(3), "snip": np.ones(3)})
