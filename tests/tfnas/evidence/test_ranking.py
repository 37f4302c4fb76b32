"""Averaging, joining and ranking scores in memory."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.tfnas.evidence.cases import SLOW, draw, long
from tfnas import evidence
from tfnas.errors import InputError
from tfnas.evidence import bootstrap, statistics


def test_repeats_are_averaged():
    scores = long(
        [
            ("a", "p", 1.0, "ok"),
            ("a", "p", 4.0, "ok"),
            ("b", "p", 2.0, "ok"),
            ("b", "p", 77.0, "oom"),
            ("c", "p", math.nan, "nan"),
            ("d", "p", math.nan, "ok"),
            ("e", "p", -math.inf, "ok"),
            ("e", "p", 5.0, "ok"),
            ("f", "p", -math.inf, "ok"),
            ("f", "p", math.inf, "ok"),
            ("g", "p", math.nan, "error"),
            ("a", "q", 9.0, "ok"),
        ],
        ["arch", "proxy", "score", "status"],
    )
    out = evidence.average(scores).set_index(["proxy", "arch"])
    assert out.index.tolist() == [*(("p", arch) for arch in "abcdefg"), ("q", "a")]
    assert out.loc["p", "score"].tolist()[:2] == [2.5, 2.0]
    assert out.loc[("p", "e"), "score"] == -math.inf
    assert out.loc["p", "score"].isna().tolist() == [False, False, True, True, False, True, True]
    assert out.loc["p", "status"].tolist() == ["ok", "ok", "nan", "nan", "ok", "nan", "error"]
    assert out.loc["p", "repeats"].tolist()[:4] == [2, 1, 0, 0]
    assert out.loc["p", "failed"].tolist()[:4] == [0, 1, 1, 1]


def test_correlate_counts_what_it_leaves_out():
    truth = pd.Series({"a": 1.0, "b": 2.0, "c": 3.0, "d": math.nan, "e": 5.0, "f": 6.0})
    scores = long(
        [
            ("a", "p", 1.0, "ok"),
            ("b", "p", 3.0, "ok"),
            ("b", "p", 0.0, "error"),
            ("c", "p", 2.0, "ok"),
            ("d", "p", 2.0, "ok"),
            ("e", "p", math.nan, "oom"),
            ("f", "p", -math.inf, "ok"),
            ("x", "p", 1.0, "ok"),
            ("y", "p", math.nan, "nan"),
            ("a", "q", 5.0, "ok"),
            ("b", "q", 6.0, "ok"),
            ("c", "q", 7.0, "ok"),
            ("a", "r", 5.0, "ok"),
        ],
        ["arch", "proxy", "score", "status"],
    )
    out = evidence.correlate(scores, truth, resamples=10).set_index("proxy")
    assert out.index.tolist() == ["q", "p", "r"]  # best Kendall first, undefined last
    assert out.loc["p", "n"] == 4
    assert out.loc["p", "left_out"] == 4
    reasons = {"1 oom", "1 nan", "1 not in the table", "1 no accuracy in the table"}
    assert set(out.loc["p", "why"].split("; ")) == reasons
    assert out.loc["p", "incomplete"] == 1
    expected = stats.kendalltau([1, 3, 2, -math.inf], [1, 2, 3, 6]).statistic
    assert out.loc["p", "kendall"] == pytest.approx(expected)
    assert math.isnan(out.loc["p", "pearson"])
    assert out.loc["q", ["n", "left_out", "why", "kendall"]].tolist() == [3, 0, "", 1.0]
    assert math.isnan(out.loc["r", "kendall"])


def test_correlate_ignores_row_order():
    rng = np.random.default_rng(0)
    truth = pd.Series(rng.normal(size=30), index=[f"n{i}" for i in range(30)])
    scores = long([(arch, "p", value + rng.normal()) for arch, value in truth.items() for _ in range(2)])
    first = evidence.correlate(scores, truth, resamples=0)
    again = evidence.correlate(scores.sample(frac=1, random_state=1), truth.sample(frac=1, random_state=2), resamples=0)
    columns = ["n", "kendall", "spearman", "pearson", "discovered", "top50_spearman", "regret"]
    np.testing.assert_allclose(first[columns], again[columns])


def test_baselines_come_from_the_table_for_the_same_networks():
    table = pd.DataFrame({"acc": [1.0, 2, 3], "params": [10, 20, 30], "size": [1, 2, 3]}, index=["a", "b", "c"])
    scores = long([("a", "p", 1.0), ("c", "p", 2.0), ("x", "p", 3.0)])
    out = evidence.with_baselines(scores, table)
    assert out[out.proxy == "params"][["arch", "score"]].values.tolist() == [["a", 10.0], ["c", 30.0]]
    chosen = evidence.with_baselines(scores, table, ["size"])
    assert chosen["proxy"].unique().tolist() == ["p", "size"]
    # Scored sizes stay as they are.
    scored = pd.concat([scores, long([("a", "params", 77.0)])])
    assert evidence.with_baselines(scored, table).query("proxy == 'params'")["score"].tolist() == [77.0]
    with pytest.raises(InputError, match=r"'flops'.*Allowed: acc, params, size"):
        evidence.with_baselines(scores, table, ["flops"])


def test_sizes_that_are_no_numbers():
    scores = pd.DataFrame({"arch": ["a", "b"], "proxy": "p", "score": [1.0, 2.0]})
    table = pd.DataFrame({"params": ["1M", "2M"], "flops": [3, 4]}, index=["a", "b"])
    assert set(evidence.with_baselines(scores, table)["proxy"]) == {"p", "flops"}
    with pytest.raises(InputError, match=r"'params'.*Allowed: flops"):
        evidence.with_baselines(scores, table, ("params",))


def test_evaluate_holds_every_statistic_and_its_interval():
    score, truth = draw(11, n=30)
    found = evidence.evaluate(score, truth, thresholds=[0.3], percents=[40], k=5, resamples=30, seed=5)
    intervals = bootstrap.intervals(score, truth, resamples=30, seed=5, thresholds=[0.3], percents=[40], k=5)
    assert intervals.keys() == SLOW.keys()
    for name, (low, high) in intervals.items():
        assert found[name] == pytest.approx(SLOW[name](score, truth, statistics.tie_keys(30, 5)))
        assert (found[f"{name}_lo"], found[f"{name}_hi"]) == (low, high)
        assert low <= high
    assert found["n"] == 30
    assert found["precision"] == statistics.precision_at_k(score, truth, 5, seed=5)
    assert found["discovered_mean"] == statistics.discovered_subsets(score, truth, 5, size=15, seed=5)[0]


def test_what_is_undefined_has_no_interval():
    """Many resamples do not draw the one infinite score, and have a correlation of their own."""
    score, truth = draw(11, n=30)
    score[3] = -np.inf
    found = evidence.evaluate(score, truth, resamples=200)
    assert np.isfinite(bootstrap.intervals(score, truth, resamples=200, only=["pearson"])["pearson"]).all()
    assert np.isnan([found[f"pearson{part}"] for part in ("", "_lo", "_hi")]).all()
    assert np.isfinite([found[f"spearman{part}"] for part in ("", "_lo", "_hi")]).all()
