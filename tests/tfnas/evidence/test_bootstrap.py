"""Bootstrap intervals against scipy and scikit-learn on the same resamples."""

import math

import numpy as np
import pytest
from scipy import stats

from tests.tfnas.evidence.cases import SLOW, draw, order
from tfnas.evidence import bootstrap, rows, statistics, weighted


@pytest.mark.parametrize("ties", [True, False])
def test_bootstrap_against_scipy_on_the_same_resamples(monkeypatch, ties):
    monkeypatch.setattr(bootstrap, "_CHUNK", 30 * 16)  # several blocks, the last one not full
    score, truth = draw(8, n=30, ties=ties)
    intervals = bootstrap.intervals(score, truth, resamples=40, seed=5, thresholds=[0.3], percents=[40], k=5)
    assert intervals.keys() == SLOW.keys()
    # numpy's generator of the seed, asked as often as there are blocks.
    rng = np.random.default_rng(5)
    drawn = [np.sort(row) for block in (16, 16, 8) for row in rng.integers(0, 30, (block, 30))]
    keys = statistics.tie_keys(30, 5)
    for name, slow in SLOW.items():
        values = [slow(score[row], truth[row], keys[:, row]) for row in drawn]
        assert intervals[name] == pytest.approx(tuple(np.quantile(values, [0.025, 0.975]))), name


def test_blocks_change_no_interval(monkeypatch):
    score, truth = draw(3, n=25)
    whole = bootstrap.intervals(score, truth, resamples=37, seed=1, thresholds=[0.3], percents=[40])
    monkeypatch.setattr(bootstrap, "_CHUNK", 25 * 5)
    assert bootstrap.intervals(score, truth, resamples=37, seed=1, thresholds=[0.3], percents=[40]) == whole


def test_every_network_is_drawn_about_as_often_as_any_other():
    """A network that is never drawn leaves an interval that is too narrow, and nothing else tells."""
    n, resamples = 12, 4000
    drawn = np.concatenate(list(bootstrap.draws(n, resamples, 3)))
    assert drawn.shape == (resamples, n)
    expected = [resamples] * n
    assert stats.chisquare(np.bincount(drawn.ravel(), minlength=n), expected).pvalue > 1e-4
    assert (bootstrap.counts(drawn[:50]) == [[list(row).count(i) for i in range(n)] for row in drawn[:50]]).all()


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


@pytest.mark.parametrize("digits", [0, 3])
def test_many_networks_with_ties_and_infinities_against_scipy(digits):
    """So many that their orders are cut into several blocks."""
    rng = np.random.default_rng(4)
    truth = rng.normal(size=300).round(digits)
    score = (truth + rng.normal(size=300)).round(digits)
    score[[3, 50, 51]], score[299] = -math.inf, math.inf
    drawn = rng.integers(0, 300, (5, 300))
    orders = weighted.Orders(score, truth, statistics.tie_keys(300, 0))
    found = weighted.Resamples(orders, bootstrap.counts(drawn)).kendall()
    assert found == pytest.approx([stats.kendalltau(score[row], truth[row]).statistic for row in drawn], rel=1e-12)


def test_bootstrap_of_some_statistics_is_that_of_all():
    score, truth = draw(7, n=30)
    every = bootstrap.intervals(score, truth, resamples=40, seed=2, thresholds=[0.1], percents=[30])
    some = bootstrap.intervals(score, truth, resamples=40, seed=2, only=["kendall", "pearson"])
    assert some == {name: every[name] for name in ("kendall", "pearson")}
    more = bootstrap.intervals(score, truth, resamples=40, seed=2, thresholds=[0.1], percents=[30], only=["spearman"])
    assert more == {name: every[name] for name in ("spearman", "top30_spearman", "top30_common", "pqetp_0.1")}


def test_networks_of_a_group_are_drawn_together(monkeypatch):
    monkeypatch.setattr(bootstrap, "_CHUNK", 40 * 16)
    rng = np.random.default_rng(2)
    groups = rng.permutation(np.repeat([7, 3, 9, 1, 5, 2, 8, 11], [1, 1, 2, 3, 5, 8, 9, 11]))
    truth = rng.normal(size=40)
    score = np.round(truth + rng.normal(size=40), 1)
    options = {"resamples": 40, "seed": 5, "thresholds": [0.3], "percents": [40], "k": 5}
    intervals = bootstrap.intervals(score, truth, groups=groups, **options)
    members = [np.flatnonzero(groups == group) for group in dict.fromkeys(groups)]
    rng, keys, values = np.random.default_rng(5), statistics.tie_keys(40, 5), {name: [] for name in intervals}
    for block in (16, 16, 8):
        for drawn in rng.integers(0, 8, (block, 8)):
            row = np.sort(np.concatenate([members[group] for group in drawn]))
            count = len(row) * 40 // 100
            best = order(truth[row], keys[1][row])[:count]
            several = {
                "top40_common": len(best) and common(score[row], truth[row], keys[:, row], count) / count,
                "top40_spearman": stats.spearmanr(score[row][best], truth[row][best]).statistic
                if count > 1
                else math.nan,
            }
            for name in intervals:
                values[name].append(
                    several[name] if name in several else SLOW[name](score[row], truth[row], keys[:, row])
                )
    for name, bounds in intervals.items():
        known = np.array(values[name])[~np.isnan(values[name])]
        assert bounds == pytest.approx(tuple(np.quantile(known, [0.025, 0.975]))), name
    plain = bootstrap.intervals(score, truth, **options)
    assert plain != intervals
    # Groups of one are none, whatever they are called.
    assert bootstrap.intervals(score, truth, groups=rng.permutation(40), **options) == plain


def common(score, truth, keys, count):
    """Copies that are among the best by both."""
    return len(set(order(score, keys[0])[:count]) & set(order(truth, keys[1])[:count]))


def test_groups_hold_what_resampling_networks_does_not():
    """Scores that stand for 25 networks each: only the interval of groups covers as often as it says."""
    hits = {"groups": 0, "networks": 0}
    rng = np.random.default_rng(0)
    true = 6 / math.pi * math.asin(0.6 / 2)  # Spearman's of a bivariate normal
    for trial in range(60):
        x, y = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=40).T
        groups = np.repeat(np.arange(40), 25)
        for name, given in (("groups", groups), ("networks", None)):
            low, high = bootstrap.intervals(x[groups], y[groups], resamples=120, seed=trial, groups=given)["spearman"]
            hits[name] += low <= true <= high
    assert hits["groups"] >= 51
    assert hits["networks"] <= 30


def test_infinite_and_dwarfing_scores_in_resamples_of_pearson():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20)
    for score in (
        np.where(np.arange(20) == 4, 1e200, truth + rng.normal(size=20)),
        np.where(np.arange(20) == 4, math.inf, truth),
        1e9 + truth,
        np.where(np.arange(20) < 3, 1.0, 2.0),
        1e-310 * truth,
    ):
        drawn = rng.integers(0, 20, (60, 20))
        found = weighted.Moments(score, truth).pearson(bootstrap.counts(drawn))
        np.testing.assert_allclose(found, rows.pearson(score[drawn], truth[drawn]), rtol=1e-7)
