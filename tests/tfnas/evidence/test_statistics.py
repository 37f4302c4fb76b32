"""Rank statistics, each against a second computation: loops over pairs, scipy, scikit-learn."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from tests.tfnas.evidence.cases import draw, order
from tfnas import seeds
from tfnas.evidence import statistics

CORRELATIONS = [statistics.kendall, statistics.kendall_a, statistics.spearman, statistics.pearson]


RANKED = [
    statistics.kendall,
    statistics.kendall_a,
    statistics.spearman,
    lambda s, t: statistics.pqetp(s, t, 0.3),
    lambda s, t: statistics.common_ratio(s, t, 30),
    lambda s, t: statistics.top_spearman(s, t, 50),
    lambda s, t: statistics.discovered(s, t, 5),
    lambda s, t: statistics.precision_at_k(s, t, 5),
    statistics.regret,
]


def count_pairs(x, y):
    """Concordant, discordant, tied in x only, tied in y only."""
    p = q = u = t = 0
    for (a, b), (c, d) in itertools.combinations(zip(x, y, strict=True), 2):
        first, second = np.sign(a - c), np.sign(b - d)
        p += first * second > 0
        q += first * second < 0
        u += first == 0 and second != 0
        t += first != 0 and second == 0
    return p, q, u, t


@pytest.mark.parametrize("seed", range(5))
def test_kendall_counts_pairs(seed):
    score, truth = draw(seed)
    p, q, u, t = count_pairs(score, truth)
    assert u > 0
    assert t > 0
    assert statistics.kendall(score, truth) == pytest.approx((p - q) / math.sqrt((p + q + u) * (p + q + t)))
    assert statistics.kendall_a(score, truth) == pytest.approx((p - q) / (40 * 39 / 2))


@pytest.mark.parametrize("seed", range(3))
def test_spearman_and_pearson_against_scipy(seed):
    score, truth = draw(seed)
    assert statistics.spearman(score, truth) == pytest.approx(stats.spearmanr(score, truth).statistic)
    assert statistics.pearson(score, truth) == pytest.approx(stats.pearsonr(score, truth).statistic)


@pytest.mark.parametrize("seed", range(3))
def test_pqetp_against_scikit_learn_and_a_loop(seed):
    score, truth = draw(seed)
    for threshold in (-0.5, 0.3, truth[3]):
        above = truth > threshold
        won = [(a > b) + (a == b) / 2 for a in score[above] for b in score[~above]]
        assert statistics.pqetp(score, truth, threshold) == pytest.approx(np.mean(won))
        assert statistics.pqetp(score, truth, threshold) == pytest.approx(metrics.roc_auc_score(above, score))


def test_pqetp_is_undefined_with_one_class():
    score, truth = draw(0)
    assert math.isnan(statistics.pqetp(score, truth, truth.max()))  # strict: nobody is above the best
    assert math.isnan(statistics.pqetp(score, truth, truth.min() - 1))


@pytest.mark.parametrize("seed", range(3))
def test_finding_the_best_against_plain_sorting(seed):
    score, truth = draw(seed)
    by_score, by_truth = order(score), order(truth)
    for k in (1, 7, 40, 99):
        assert statistics.discovered(score, truth, k) == max(truth[i] for i in by_score[:k])
    assert statistics.precision_at_k(score, truth, 7) == len(set(by_score[:7]) & set(by_truth[:7])) / 7
    assert statistics.regret(score, truth) == max(truth) - truth[by_score[0]]
    for percent in (10, 29, 50, 100):
        m = int(len(score) * percent // 100)
        best = by_truth[:m]
        assert statistics.common_ratio(score, truth, percent) == len(set(best) & set(by_score[:m])) / m
        assert statistics.top_spearman(score, truth, percent) == pytest.approx(
            stats.spearmanr(score[best], truth[best]).statistic
        )


def test_ties_at_the_cut_keep_the_order_given_where_there_is_no_seed():
    assert statistics.discovered([1, 1, 1], [0.2, 0.9, 0.5], k=1) == 0.2
    assert statistics.regret([1, 1, 0], [0.2, 0.9, 0.5]) == pytest.approx(0.7)


def test_a_seed_breaks_ties_at_random_and_nothing_but_ties():
    truth = np.arange(20.0)
    tied = np.r_[np.zeros(10), np.ones(10)]
    found = [statistics.discovered(tied, truth, 1, seed=seed) for seed in range(400)]
    assert set(found) == set(truth[10:])
    # Each of ten once in ten: the mean of 400 draws, within five standard errors.
    assert np.mean(found) == pytest.approx(14.5, abs=5 * np.std(truth[10:]) / 20)
    assert found == [statistics.discovered(tied, truth, 1, seed=seed) for seed in range(400)]
    regrets = {statistics.regret(tied, truth, seed=seed) for seed in range(400)}
    assert regrets == set(19 - truth[10:])
    # Both tied all over: the best by score and by truth are drawn by themselves, and one in ten is common.
    ties = np.ones(20)
    common = [statistics.common_ratio(ties, ties, 10, seed=seed) for seed in range(400)]
    assert np.mean(common) == pytest.approx(0.1, abs=0.05)
    score, truth = draw(0, ties=False)
    for function in (statistics.discovered, statistics.precision_at_k):
        assert function(score, truth, 7, seed=3) == function(score, truth, 7)


def test_floor_of_a_percentage_is_that_of_exact_numbers():
    truth = np.arange(100.0)[::-1]
    score = np.r_[np.zeros(29), np.ones(71)]
    # The best 29 have the lowest score: with 29 kept none is common, and 0.29 * 100 is 28.999... in floating point.
    assert statistics.common_ratio(score, truth, 29) == 0
    assert statistics.common_ratio(-score, truth, 29) == 1


@pytest.mark.parametrize("function", RANKED)
def test_monotone_maps_change_nothing(function):
    score, truth = draw(1)
    assert function(np.exp(3 * score), truth) == pytest.approx(function(score, truth))


@pytest.mark.parametrize("function", [*CORRELATIONS, *RANKED])
def test_row_order_changes_nothing(function):
    score, truth = draw(2, ties=False)
    shuffled = np.random.default_rng(0).permutation(len(score))
    assert function(score[shuffled], truth[shuffled]) == pytest.approx(function(score, truth))


@pytest.mark.parametrize("function", CORRELATIONS)
def test_sign_flip(function):
    score, truth = draw(3)
    assert function(-score, truth) == pytest.approx(-function(score, truth))
    assert function(truth, score) == pytest.approx(function(score, truth))
    assert 0.1 < function(score, truth) < 1


@pytest.mark.parametrize("function", CORRELATIONS)
def test_an_order_agrees_with_itself(function):
    _, truth = draw(3)
    p, q, _, _ = count_pairs(truth, truth)
    assert q == 0
    # Ties pull tau-a alone below 1.
    expected = p / (40 * 39 / 2) if function is statistics.kendall_a else 1
    assert function(truth, truth) == pytest.approx(expected)
    untied = np.arange(9.0)
    assert function(untied, untied) == pytest.approx(1)


@pytest.mark.parametrize("function", [*CORRELATIONS, *RANKED])
def test_nan_is_left_out(function):
    score, truth = draw(4)
    with_nan = np.insert(score, [0, 5, 20], math.nan)
    also = np.insert(truth, [0, 5, 20], [9.0, 0.0, -9.0])
    assert function(with_nan, also) == function(score, truth)
    without_truth = np.insert(truth, [0, 5, 20], math.nan)
    assert function(np.insert(score, [0, 5, 20], [9.0, 0.0, -9.0]), without_truth) == function(score, truth)


@pytest.mark.parametrize("function", RANKED)
def test_infinities_are_the_extreme_ranks(function):
    score, truth = draw(5)
    score[3], score[8] = -math.inf, math.inf
    finite = np.where(np.isposinf(score), 1e6, np.where(np.isneginf(score), -1e6, score))
    assert function(score, truth) == pytest.approx(function(finite, truth))


def test_pearson_has_no_value_with_an_infinity_but_stands_large_numbers():
    score, truth = draw(6)
    assert math.isnan(statistics.pearson(np.r_[score, math.inf], np.r_[truth, 0]))
    assert statistics.pearson(score * 1e300, truth * 1e-300) == pytest.approx(statistics.pearson(score, truth))


@pytest.mark.parametrize("function", CORRELATIONS)
def test_constant_or_too_short_input_is_undefined(function):
    for score, truth in (([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [0.1, 0.1, 0.1]), ([1], [1]), ([], []), ([math.nan], [1])):
        assert math.isnan(function(score, truth))


def test_two_networks():
    assert statistics.kendall([1, 2], [5, 6]) == statistics.kendall_a([1, 2], [5, 6]) == 1
    assert statistics.spearman([1, 2], [6, 5]) == pytest.approx(-1)


@pytest.mark.parametrize("function", RANKED)
def test_nothing_is_undefined_not_an_error(function):
    assert math.isnan(function([], []))


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="one length"):
        statistics.kendall([1, 2], [1, 2, 3])


def test_discovered_subsets_against_a_loop():
    score, truth = draw(7, n=50)
    rng = np.random.default_rng(3)
    found = []
    for _ in range(6):
        rows = np.sort(rng.choice(50, 20, replace=False))
        ties = statistics.tie_keys(20, seeds.derive_seed(3, len(found)))[0]
        found.append(max(truth[rows][i] for i in order(score[rows], ties)[:4]))
    mean, error = statistics.discovered_subsets(score, truth, 4, size=20, subsets=6, seed=3)
    assert mean == pytest.approx(np.mean(found))
    assert error == pytest.approx(stats.sem(found))
    assert error > 0
    assert math.isnan(statistics.discovered_subsets(score, truth, 4, size=51)[0])


def test_subsets_are_draws_without_replacement_in_the_order_of_the_input():
    rows = statistics.subset_rows(30, 12, 5, seed=4)
    assert rows.shape == (5, 12)
    assert all((np.diff(row) > 0).all() and row.min() >= 0 and row.max() < 30 for row in rows)
    assert len({tuple(row) for row in rows}) == 5
    assert (rows == statistics.subset_rows(30, 12, 5, seed=4)).all()
    assert (statistics.subset_rows(6, 6, 2, seed=0) == np.arange(6)).all()
    # Every one of 30 is in two of five subsets: binomial counts, within five deviations.
    often = np.bincount(statistics.subset_rows(30, 12, 2000, seed=1).ravel(), minlength=30)
    assert often == pytest.approx(np.full(30, 800), abs=5 * (2000 * 0.4 * 0.6) ** 0.5)


def test_mean_and_error_against_scipy():
    values = [3.0, 1.5, 2.25, math.nan, 9.0]
    known = [value for value in values if not math.isnan(value)]
    assert statistics.mean_and_error(values) == pytest.approx((np.mean(known), stats.sem(known)))
    assert statistics.mean_and_error([2.0])[0] == 2.0
    assert math.isnan(statistics.mean_and_error([2.0])[1])
    assert all(map(math.isnan, statistics.mean_and_error([math.nan])))


def test_percentiles_against_scipy():
    values = np.array([5.0, 1.0, 5.0, math.nan, -math.inf, 7.0])
    found = statistics.percentiles(values)
    known = ~np.isnan(values)
    # scipy's "mean" of the shares below and at most a score, shifted to the middle of the score's own ranks.
    expected = [stats.percentileofscore(values[known], value, "mean") for value in values[known]]
    assert found[known] == pytest.approx(expected)
    assert math.isnan(found[3])
    assert np.nanmean(found) == pytest.approx(50)
    assert len(statistics.percentiles([])) == 0
