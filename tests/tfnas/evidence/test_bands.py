"""Rank correlation among the best, against doing it by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tfnas import evidence
from tfnas.evidence import bands, bootstrap


def made(n=400, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n).round(2)
    tells_broken = np.where(truth < 0, truth, rng.normal(size=n))
    index = pd.Index([f"net{i}" for i in range(n)], name="arch")
    return pd.DataFrame({"truth": truth, "same": truth, "noise": rng.normal(size=n), "broken": tells_broken}, index)


def test_each_band_is_that_of_its_networks_alone():
    joined = made()
    joined.loc[joined.index[::7], "noise"] = math.nan
    found = bands.by_band(joined, percents=(100, 20, 5), resamples=30, seed=3).set_index(["percent", "proxy"])
    assert found.index.nunique() == 9
    for percent in (100, 20, 5):
        # Ties of the truth at the edge may fall either way: those above it are in.
        count = 400 * percent // 100
        edge = joined["truth"].sort_values(ascending=False).iloc[count - 1]
        row = found.loc[(percent, "same")]
        assert (row["n"], row["from_truth"]) == (count, edge)
        assert row[["kendall", "spearman", "spearman_lo", "kendall_hi"]].tolist() == pytest.approx([1] * 4)
    whole = found.loc[(100, "noise")]
    both = joined.dropna()
    assert whole["n"] == len(both)
    assert whole["kendall"] == pytest.approx(stats.kendalltau(both["noise"], both["truth"]).statistic)
    assert whole["spearman_lo"] < whole["spearman"] < whole["spearman_hi"]


def test_a_score_that_only_tells_broken_networks_fails_among_the_best():
    found = bands.by_band(made(2000), resamples=0).set_index(["percent", "proxy"])["spearman"]
    assert found[100, "broken"] > 0.5
    assert all(abs(found[percent, "broken"]) < 0.25 for percent in (50, 20, 10, 5))
    assert all(found[percent, "same"] == pytest.approx(1) for percent in bands.PERCENTS)


def test_bands_without_ties_against_pandas_and_bootstrap():
    joined = made()
    joined["truth"] += np.linspace(0, 1e-3, len(joined))
    found = bands.by_band(joined, percents=(10,), resamples=50, seed=1).set_index("proxy").loc["broken"]
    best = joined[joined["truth"].rank(ascending=False) <= 40]
    assert found["spearman"] == pytest.approx(stats.spearmanr(best["broken"], best["truth"]).statistic)
    bounds = bootstrap.intervals(best["broken"], best["truth"], resamples=50, seed=1)
    assert (found["spearman_lo"], found["spearman_hi"]) == bounds["spearman"]
    assert (found["kendall_lo"], found["kendall_hi"]) == bounds["kendall"]


def test_what_is_known_of_all_networks_is_taken():
    joined = made()
    joined.loc[joined.index[::7], "noise"] = math.nan
    long = joined.rename_axis("arch").reset_index().melt(["arch", "truth"], var_name="proxy", value_name="score")
    whole = evidence.correlate(long, joined["truth"], resamples=20, seed=3)
    own = bands.by_band(joined, percents=(100, 20), resamples=20, seed=3)
    pd.testing.assert_frame_equal(bands.by_band(joined, percents=(100, 20), resamples=20, seed=3, whole=whole), own)


def test_small_bands_are_left_out_and_groups_reach_the_intervals():
    joined = made(100)
    found = bands.by_band(joined, resamples=20)
    assert sorted(found["percent"].unique()) == [10, 20, 50, 100]
    assert bands.by_band(joined[:9], resamples=20).empty
    groups = np.arange(100) // 5
    grouped = bands.by_band(joined, resamples=20, groups=groups)
    assert (grouped["spearman"] == found["spearman"]).all()
    assert (grouped["spearman_lo"] != found["spearman_lo"]).any()


@pytest.mark.parametrize("n", [400, 60, 9])
def test_it_is_drawn(n):
    found = bands.by_band(made(n).assign(params=range(n)), resamples=5)
    figure = bands.draw(found, baselines=["params", "flops"], target="accuracy")
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert len(labels) == found["percent"].nunique()
    if n == 400:
        assert labels[0] == "all\n400"
        assert {text.get_text() for text in figure.legends[0].get_texts()} == {"same", "broken", "noise", "params"}
