"""Rank correlation at fixed size, against residuals of an explicit regression."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tfnas.evidence import partial


def made(n=300, seed=0, ties=True):
    """Truth by size and by something else; one score of each, and one of both."""
    rng = np.random.default_rng(seed)
    size, other = rng.normal(size=(2, n))
    values = {
        "truth": size + other,
        "params": size,
        "flops": size + 0.3 * rng.normal(size=n),
        "by_size": size + 0.3 * rng.normal(size=n),
        "by_other": other + 0.3 * rng.normal(size=n),
        "noise": rng.normal(size=n),
    }
    frame = pd.DataFrame(values, index=[f"net{i}" for i in range(n)])
    return frame.round(1) if ties else frame


def residuals(values, controls):
    ranks = [stats.rankdata(column) for column in controls]
    design = np.stack([np.ones(len(values)), *ranks], axis=1)
    ranks = stats.rankdata(values)
    return ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]


@pytest.mark.parametrize("ties", [True, False])
def test_it_is_the_correlation_of_what_is_left_of_the_ranks(ties):
    joined = made(ties=ties)
    found = partial.given_sizes(joined, ["params", "flops"], resamples=0).set_index("proxy")
    controls = [joined["params"], joined["flops"]]
    for name in ("by_size", "by_other", "noise"):
        left = [residuals(joined[column], controls) for column in (name, "truth")]
        assert found.loc[name, "partial_spearman"] == pytest.approx(stats.pearsonr(*left).statistic, abs=1e-9)
        assert found.loc[name, "spearman"] == pytest.approx(stats.spearmanr(joined[name], joined["truth"]).statistic)
        assert found.loc[name, "kendall"] == pytest.approx(stats.kendalltau(joined[name], joined["truth"]).statistic)
    assert found.index[0] == "by_other"
    assert found.loc["by_size", "spearman"] > 0.6
    assert abs(found.loc["by_size", "partial_spearman"]) < 0.2
    assert found.loc["by_other", "partial_spearman"] > 0.8


def test_kendall_given_one_size_is_kendalls_formula():
    joined = made()
    found = partial.given_sizes(joined, ["params"], resamples=0).set_index("proxy").loc["by_other"]
    xy, xz, yz = (
        stats.kendalltau(joined[a], joined[b]).statistic
        for a, b in (("by_other", "truth"), ("by_other", "params"), ("truth", "params"))
    )
    assert found["partial_kendall"] == pytest.approx((xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2)))


def test_intervals_are_those_of_residuals_on_the_same_resamples():
    joined = made(40)
    found = partial.given_sizes(joined, ["params", "flops"], resamples=30, seed=4).set_index("proxy").loc["by_other"]
    values = []
    for row in np.random.default_rng(4).integers(0, 40, (30, 40)):
        drawn = joined.iloc[row]
        left = [residuals(drawn[column], [drawn["params"], drawn["flops"]]) for column in ("by_other", "truth")]
        values.append(stats.pearsonr(*left).statistic)
    expected = np.quantile(values, [0.025, 0.975])
    assert found[["partial_spearman_lo", "partial_spearman_hi"]].tolist() == pytest.approx(expected, abs=1e-6)


def test_sizes_as_good_as_the_same_change_nothing():
    joined = made().assign(again=lambda frame: 7 * frame["params"])
    once = partial.given_sizes(joined.drop(columns=["again", "flops"]), ["params"], resamples=20)
    twice = partial.given_sizes(joined.drop(columns="flops"), ["params", "again"], resamples=20)
    pd.testing.assert_frame_equal(once, twice, rtol=1e-5)


def test_what_the_sizes_determine_or_is_constant_is_undefined():
    joined = made().assign(copy=lambda frame: 2 * frame["params"], constant=1.0)
    found = partial.given_sizes(joined, ["params", "flops"], resamples=20).set_index("proxy")
    columns = ["partial_spearman", "partial_spearman_lo", "partial_spearman_hi", "partial_kendall"]
    assert found.loc[["copy", "constant"], columns].isna().all(axis=None)
    assert found.loc["copy", "spearman"] > 0.5
    fixed = joined.drop(columns=["copy", "constant"]).assign(params=1.0, flops=2.0)
    found = partial.given_sizes(fixed, ["params", "flops"], resamples=0).set_index("proxy")
    assert found["partial_spearman"].to_dict() == pytest.approx(found["spearman"].to_dict())


def test_networks_without_a_score_are_left_out_of_that_score_alone():
    joined = made()
    some = joined.copy()
    some.iloc[:50, some.columns.get_loc("noise")] = math.nan
    found = partial.given_sizes(some, ["params"], resamples=25, seed=1).set_index("proxy")
    whole = partial.given_sizes(joined, ["params"], resamples=25, seed=1).set_index("proxy")
    rest = partial.given_sizes(joined[50:], ["params"], resamples=25, seed=1).set_index("proxy")
    pd.testing.assert_series_equal(found.loc["by_other"], whole.loc["by_other"])
    pd.testing.assert_series_equal(found.loc["noise"], rest.loc["noise"])
    assert found["n"].to_dict() == {"by_other": 300, "by_size": 300, "flops": 300, "noise": 250}


def test_groups_reach_the_intervals_and_it_is_drawn():
    joined = made()
    plain, grouped = (
        partial.given_sizes(joined, ["params", "flops"], resamples=30, groups=groups)
        for groups in (None, np.arange(300) // 10)
    )
    assert (plain["partial_spearman"] == grouped["partial_spearman"]).all()
    assert (plain["partial_spearman_lo"] != grouped["partial_spearman_lo"]).all()
    (axes,) = partial.draw(plain, sizes=["params", "flops"]).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == plain["proxy"].tolist()
