"""Bootstrap intervals against scipy and scikit-learn on the same resamples."""

import math
import time

import numpy as np
import pytest

from tests.tfnas.evidence.cases import SLOW, draw
from tfnas.evidence import bootstrap


@pytest.mark.parametrize("max_pairwise", [0, 3000])
def test_bootstrap_against_scipy_on_the_same_resamples(monkeypatch, max_pairwise):
    monkeypatch.setattr(bootstrap, "_MAX_PAIRWISE", max_pairwise)
    monkeypatch.setattr(bootstrap, "_CHUNK", 30 * 16)  # several blocks, the last one not full
    score, truth = draw(8, n=30)
    intervals = bootstrap.intervals(score, truth, resamples=40, seed=5, thresholds=[0.3], percents=[40], k=5)
    rows = np.concatenate(list(bootstrap._resample_rows(30, 40, 5)))
    assert rows.shape == (40, 30)
    assert intervals.keys() == SLOW.keys()
    for name, slow in SLOW.items():
        values = [slow(score[row], truth[row]) for row in rows]
        assert intervals[name] == pytest.approx(tuple(np.quantile(values, [0.025, 0.975]))), name


def test_bootstrap_follows_its_seed():
    score, truth = draw(9)
    first = bootstrap.intervals(score, truth, resamples=50, seed=1)
    assert first == bootstrap.intervals(score, truth, resamples=50, seed=1)
    assert first != bootstrap.intervals(score, truth, resamples=50, seed=2)


def test_bootstrap_covers_about_as_often_as_it_says():
    # For a bivariate normal, tau is 2/pi asin(rho).
    correlation, hits = 0.6, 0
    true_tau = 2 / math.pi * math.asin(correlation)
    rng = np.random.default_rng(0)
    for trial in range(100):
        x, y = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], size=80).T
        low, high = bootstrap.intervals(x, y, resamples=200, seed=trial)["kendall"]
        hits += low <= true_tau <= high
    assert 86 <= hits <= 99


def test_bootstrap_without_resamples_or_networks():
    score, truth = draw(9)
    for intervals in (
        bootstrap.intervals(score, truth, resamples=0),
        bootstrap.intervals([], [], resamples=5, thresholds=[1], percents=[10]),
        bootstrap.intervals([1.0], [1.0], resamples=5),
    ):
        assert all(math.isnan(bound) for bound in intervals["kendall"])
    constant = bootstrap.intervals(np.ones(9), truth[:9], resamples=5)
    assert all(math.isnan(bound) for bound in constant["spearman"])


def test_thousand_resamples_of_300_networks_in_two_seconds():
    score, truth = draw(10, n=300)
    bootstrap.intervals(score, truth, resamples=1)
    start = time.process_time()
    bootstrap.intervals(score, truth, resamples=1000)
    assert time.process_time() - start < 2


def test_bootstrap_of_some_statistics_is_that_of_all():
    score, truth = draw(7, n=30)
    every = bootstrap.intervals(score, truth, resamples=40, seed=2, thresholds=[0.1], percents=[30])
    some = bootstrap.intervals(score, truth, resamples=40, seed=2, only=["kendall", "pearson"])
    assert some == {name: every[name] for name in ("kendall", "pearson")}
    more = bootstrap.intervals(score, truth, resamples=40, seed=2, thresholds=[0.1], percents=[30], only=["spearman"])
    assert more == {name: every[name] for name in ("spearman", "top30_spearman", "top30_common", "pqetp_0.1")}
