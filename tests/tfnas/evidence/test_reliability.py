"""How much of a score is luck, on scores whose luck is known."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tfnas.evidence import reliability


def scores(values, name="p", archs=None):
    n, k = values.shape
    archs = archs or [f"net{i}" for i in range(n)]
    rows = [(archs[i], name, values[i, j], j // 2, j % 2) for i in range(n) for j in range(k)]
    return pd.DataFrame(rows, columns=["arch", "proxy", "score", "seed", "repeat"])


def anova(values):
    """ICC(C,1) from the mean squares of an analysis of variance of columns less their means, of rows of any lengths."""
    values = values - np.nanmean(values, axis=0)
    groups = [row[~np.isnan(row)] for row in values]
    counts = np.array([len(group) for group in groups])
    every = np.concatenate(groups)
    between = sum(len(group) * (np.mean(group) - every.mean()) ** 2 for group in groups) / (len(groups) - 1)
    within = sum(((np.array(group) - np.mean(group)) ** 2).sum() for group in groups) / (len(every) - len(groups))
    # SciPy's F is their quotient.
    assert between / within == pytest.approx(stats.f_oneway(*groups).statistic)
    within *= (len(every) - len(groups)) / (len(every) - len(groups) - values.shape[1] + 1)
    each = (counts.sum() - (counts**2).sum() / counts.sum()) / (len(groups) - 1)
    return (between - within) / (between + (each - 1) * within)


def test_it_is_the_analysis_of_variance_also_of_unequal_repeats():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(12, 1)) + rng.normal(size=(12, 4))
    assert reliability.intraclass(values) == pytest.approx(anova(values))
    # Shrout and Fleiss' ICC(3,1), from the two-way table.
    rows, columns, every = values.mean(1), values.mean(0), values.mean()
    error = ((values - rows[:, None] - columns + every) ** 2).sum() / (11 * 3)
    between = 4 * ((rows - every) ** 2).sum() / 11
    assert reliability.intraclass(values) == pytest.approx((between - error) / (between + 3 * error))
    values[0, 1:3], values[5, 0], values[7, 3] = math.nan, math.nan, math.nan
    assert reliability.intraclass(values) == pytest.approx(anova(values))
    # Neither unit nor origin counts.
    assert reliability.intraclass(1e12 + 1e9 * values) == pytest.approx(reliability.intraclass(values), rel=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_known_share_of_luck_is_found(share):
    rng = np.random.default_rng(1)
    network = rng.normal(size=(3000, 1))
    values = math.sqrt(1 - share) * network + math.sqrt(share) * rng.normal(size=(3000, 4))
    truth = pd.Series(network[:, 0], [f"net{i}" for i in range(3000)])
    (row,) = reliability.between_seeds(scores(values), truth, resamples=100).to_dict("records")
    assert (row["n"], row["repeats"]) == (3000, 4)
    assert row["icc"] == pytest.approx(1 - share, abs=0.03)
    # Ranks of normal values: Pearson's r becomes 6 / pi asin(r / 2).
    ranked = 6 / math.pi * math.asin((1 - share) / 2)
    assert row["icc_ranks"] == pytest.approx(ranked, abs=0.03)
    assert row["between_seeds"] == pytest.approx(ranked, abs=0.03)
    assert row["luck"] == 1 - row["icc_ranks"]
    assert row["icc_ranks_lo"] <= row["icc_ranks"] <= row["icc_ranks_hi"] or share == 0
    # A truth without noise is reached as far as the noise of the score allows.
    assert row["limit_one"] == pytest.approx(math.sqrt(ranked), abs=0.03)
    assert row["spearman_one"] == pytest.approx(row["limit_one"], abs=0.04)
    assert row["spearman"] == pytest.approx(row["limit"], abs=0.04)
    assert row["limit"] >= row["limit_one"] - 1e-9


def test_spearman_brown():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(5000, 1)) + rng.normal(size=(5000, 8))
    of_four = np.stack([values[:, :4].mean(1), values[:, 4:].mean(1)], axis=1)
    one, four = reliability.intraclass(values), reliability.intraclass(of_four)
    assert reliability.of_mean(one, 4) == pytest.approx(four, abs=0.02)
    assert reliability.of_mean(0.4, 1) == 0.4


def test_the_level_of_a_seed_is_no_luck():
    rng = np.random.default_rng(7)
    network = rng.normal(size=(300, 1))
    values = network + 0.1 * rng.normal(size=(300, 2))
    truth = pd.Series(network[:, 0], [f"net{i}" for i in range(300)])
    both = values, values + np.array([0.0, 2.0])
    plain, moved = (reliability.between_seeds(scores(of), truth, resamples=5) for of in both)
    assert plain["limit_one"][0] > plain["spearman_one"][0] - 0.005
    ranked = [name for name in plain if name.startswith(("icc", "luck", "limit"))]
    pd.testing.assert_frame_equal(plain[ranked], moved[ranked])


def of_sample(values):
    """ICC(C,1) with the levels of columns as they are."""
    n, k = values.shape
    rows = values.mean(1)
    within = ((values - rows[:, None]) ** 2).sum() / ((n - 1) * (k - 1))
    between = k * ((rows - values.mean()) ** 2).sum() / (n - 1)
    return (between - within) / (between + (k - 1) * within)


def test_intervals_are_of_networks():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(30, 1)) + rng.normal(size=(30, 2))
    truth = pd.Series(range(30), [f"net{i}" for i in range(30)], dtype=float)
    (row,) = reliability.between_seeds(scores(values), truth, resamples=40, seed=6).to_dict("records")
    ranks = stats.rankdata(values, axis=0)
    # Levels are those of all networks, of which a sample has others.
    ranks -= ranks.mean(0)
    found = [of_sample(ranks[drawn]) for drawn in np.random.default_rng(6).integers(0, 30, (40, 30))]
    assert [row["icc_ranks_lo"], row["icc_ranks_hi"]] == pytest.approx(np.quantile(found, [0.025, 0.975]))


def test_failures_single_measurements_and_infinite_scores():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(20, 1)) + rng.normal(size=(20, 2))
    frame = scores(values).assign(status="ok")
    frame.loc[0, ["score", "status"]] = math.nan, "oom"
    single = scores(values[:, :1], "single").assign(status="ok")
    values[3, 0] = -math.inf
    endless = scores(values, "endless").assign(status="ok")
    truth = pd.Series(range(20), [f"net{i}" for i in range(20)], dtype=float)
    found = reliability.between_seeds(pd.concat([frame, single, endless]), truth, resamples=5).set_index("proxy")
    assert found["n"].to_dict() == {"p": 19, "endless": 20}
    assert math.isnan(found.loc["endless", "icc"])
    assert 0 < found.loc["endless", "icc_ranks"] < 1
    assert reliability.between_seeds(frame.drop(columns=["seed", "repeat"]), truth).empty


def test_networks_and_seeds_of_one_measurement_change_nothing():
    """Neither those measured once, each under a seed of its own, nor a seed that one network alone has."""
    rng = np.random.default_rng(8)
    truth = pd.Series(rng.normal(size=17), [f"net{i}" for i in range(17)])
    known = scores(truth.to_numpy()[:12, None] + rng.normal(size=(12, 2)))
    single = [(f"net{i}", "p", rng.normal(), 50 + i, 0) for i in range(11, 17)]
    both = pd.concat([known, pd.DataFrame(single, columns=known.columns)])
    plain, more = (reliability.between_seeds(some, truth, resamples=20) for some in (known, both))
    assert plain["n"][0] == 12
    pd.testing.assert_frame_equal(plain, more)
    # Nor is a measurement lost that has a seed and no repeat, beside others that have both.
    without = known.assign(proxy="file", seed=known["repeat"], repeat=math.nan)
    beside = reliability.between_seeds(pd.concat([known, without]), truth, resamples=20)
    pd.testing.assert_series_equal(beside["icc"], pd.Series([plain["icc"][0]] * 2, name="icc"))


def test_constants_are_undefined_and_it_is_drawn():
    assert math.isnan(reliability.intraclass(np.ones((5, 3))))
    truth = pd.Series(range(5), [f"net{i}" for i in range(5)], dtype=float)
    values = np.arange(10.0).reshape(5, 2)
    frame = pd.concat([scores(np.ones((5, 2)), "constant"), scores(values, "same")])
    found = reliability.between_seeds(frame, truth, resamples=3)
    assert found["proxy"].tolist() == ["same", "constant"]
    figure = reliability.draw(found, run=0.98, target="accuracy")
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["same", "constant"]
