"""The network that a score selects among random ones, where the right answer is known."""

import math

import numpy as np
import pandas as pd
import pytest

import spaces
from launch.papers.base import Inputs
from launch.papers.gradsign.selection import selection
from launch.papers.registry import EXPERIMENTS
from tests.launch.papers import cases
from tfnas.errors import InputError

TABLE = EXPERIMENTS["gs_table5_4"]


def rows_of(truth, scores, runs=200, seed=0):
    """Rows by (method, data set)."""
    return rows_by(truth, cases.frame_of(scores, truth.index, "cifar10"), runs, seed)


def rows_by(truth, records, runs=200, seed=0):
    inputs = Inputs(TABLE, spaces.get("nasbench201"), truth, tuple(truth), records, seed)
    return {(row["method"], row["dataset"]): row for row in selection(inputs, runs=runs).rows.to_dict("records")}


@pytest.fixture
def pool():
    rng = np.random.default_rng(0)
    truth = pd.DataFrame(rng.normal(70, 10, (40, 2)), [f"a{i}" for i in range(40)], ["cifar10", "cifar100"])
    noisy = truth["cifar10"].to_numpy() + rng.normal(0, 5, 40)
    return truth, {"gradsign": truth["cifar10"].to_numpy(), "synflow": noisy, "naswot": np.full(40, np.nan)}


def test_a_perfect_proxy_chooses_the_optimum_and_none_beats_it(pool):
    truth, scores = pool
    rows = rows_of(truth, scores)
    assert rows["gradsign", "cifar10"]["ours"] == rows["optimal", "cifar10"]["ours"]
    # The search looks at the first data set only; the optimum is taken on each by itself.
    assert rows["gradsign", "cifar100"]["ours"] < rows["optimal", "cifar100"]["ours"]
    assert rows["synflow", "cifar10"]["ours"] < rows["gradsign", "cifar10"]["ours"]


def test_random_is_the_mean_of_the_pool_and_so_is_a_proxy_without_scores(pool):
    truth, scores = pool
    rows = rows_of(truth, scores, runs=4000)
    for method in ("random", "naswot"):
        for dataset in truth:
            row = rows[method, dataset]
            assert row["ours"] == pytest.approx(truth[dataset].mean(), abs=5 * truth[dataset].std() / 4000**0.5)
            assert row["high"] - row["ours"] == pytest.approx(truth[dataset].std(ddof=0), rel=0.1)
    assert rows["naswot", "cifar10"]["left_out"] == 40


def test_of_equal_scores_chance_takes_one_and_no_order_of_the_file():
    truth = pd.DataFrame({"cifar10": np.arange(40.0)}, [f"a{i}" for i in range(40)])
    rows = rows_of(truth, dict.fromkeys(TABLE.jobs.proxies, np.ones(40)), runs=4000)
    # The mean of all, within five standard errors; the first or the last of the file would give 3.7 or 35.3.
    assert rows["gradsign", "cifar10"]["ours"] == pytest.approx(19.5, abs=5 * truth["cifar10"].std() / 4000**0.5)


def test_the_order_of_the_table_does_not_matter(pool):
    truth, scores = pool
    turned = {name: values[::-1] for name, values in scores.items()}
    assert str(rows_of(truth[::-1], turned)) == str(rows_of(truth, scores))


def test_best_of_n_has_the_expected_distribution(pool):
    """Mean of the maximum of n of m without replacement, from the ranks: P(max is rank k) = C(k-1, n-1) / C(m, n)."""
    truth, scores = pool
    ranked = np.sort(truth["cifar10"].to_numpy())
    n, m = 10, 40  # a quarter of the pool
    chances = np.array([math.comb(k - 1, n - 1) / math.comb(m, n) for k in range(1, m + 1)])
    mean = (chances * ranked).sum()
    deviation = math.sqrt((chances * (ranked - mean) ** 2).sum())
    row = rows_of(truth, scores, runs=4000)["optimal", "cifar10"]
    assert row["ours"] == pytest.approx(mean, abs=5 * deviation / 4000**0.5)
    assert row["high"] - row["ours"] == pytest.approx(deviation, rel=0.1)


def test_a_network_without_a_score_is_never_chosen_over_one_with():
    truth = pd.DataFrame({"cifar10": [90.0, 10.0, 20.0, 30.0]}, list("abcd"))
    score = np.array([np.nan, -np.inf, 1.0, 2.0])
    rows = rows_of(truth, dict.fromkeys(("gradsign", "synflow", "naswot"), score))
    # A quarter of four is one network a run: every one is drawn, whatever its score.
    assert rows["gradsign", "cifar10"]["ours"] == rows["random", "cifar10"]["ours"]
    bigger = pd.concat([truth] * 3, ignore_index=True).set_index(pd.Index(list("abcdefghijkl")))
    rows = rows_of(bigger, dict.fromkeys(("gradsign", "synflow", "naswot"), np.tile(score, 3)), runs=2000)
    # Three of twelve a run: 90 only where all three drawn are a, e, i, which is 1 of 220.
    assert rows["gradsign", "cifar10"]["ours"] < 30
    assert rows["gradsign", "cifar10"]["left_out"] == 3


def test_only_scores_on_the_first_data_set_choose(pool):
    """Whatever stands beside: scores on the second data set, and networks that have no others."""
    truth, scores = pool
    more = pd.concat([truth, truth.set_axis([f"b{i}" for i in range(40)])])
    first = cases.frame_of(scores, truth.index, "cifar10")
    second = cases.frame_of({"gradsign": more["cifar100"]}, more.index, "cifar100")
    assert str(rows_by(more, pd.concat([second, first]))) == str(rows_by(truth, first))
    with pytest.raises(InputError, match=r"torch on cifar10\. Received: records with torch on cifar100"):
        rows_by(more, second)


def test_records_of_another_initialisation_are_refused_and_none_passes_for_the_paper_s(pool):
    truth, scores = pool
    with pytest.raises(InputError, match=r"initialisation torch on cifar10\. Received: records with kaiming"):
        rows_by(truth, cases.frame_of(scores, truth.index, "cifar10", init="kaiming"))


def test_a_proxy_without_records_has_no_row(pool):
    truth, scores = pool
    found = rows_of(truth, {"gradsign": scores["gradsign"], "params": scores["synflow"]})
    assert {method for method, _ in found} == {"gradsign", "random", "optimal"}
    with pytest.raises(InputError, match=r"No records of gradsign, .* on cifar10\. Received: params"):
        rows_of(truth, {"params": scores["synflow"]})


def test_golden_selection_without_a_proxy_gives_the_rows_of_the_paper(shared):
    """`random` and `optimal` need no scores: with the published accuracies they are the paper's, within its luck."""
    frame = pd.read_parquet(shared / "data" / "tables" / "nb201_accuracy.parquet").set_index("arch")
    truth = frame[[column for (column,) in TABLE.columns.values()]].set_axis(list(TABLE.columns), axis=1)
    rows = rows_of(truth, dict.fromkeys(TABLE.jobs.proxies, np.full(len(truth), np.nan)), runs=500)
    for method in ("random", "optimal"):
        for dataset in TABLE.columns:
            row = rows[method, dataset]
            deviation = row["high"] - row["ours"]
            assert row["paper_std"] == pytest.approx(deviation, rel=0.15)
            # Two means over 500 runs each; four standard errors of their difference.
            assert row["ours"] == pytest.approx(row["paper"], abs=4 * deviation * (2 / 500) ** 0.5)
    assert rows["naswot (1000)", "cifar10"]["paper"] == 92.96


def test_of_many_networks_every_method_has_a_thousand_a_run_besides():
    """Of 4,000 networks whose accuracies are their ranks the best of n has the mean n (m + 1) / (n + 1) - 1."""
    truth = pd.DataFrame(
        {"cifar10": np.random.default_rng(0).permutation(4000).astype(float)}, [f"a{i}" for i in range(4000)]
    )
    scores = {"gradsign": truth["cifar10"].to_numpy(), "synflow": -truth["cifar10"].to_numpy()}
    rows = rows_of(truth, scores, runs=500)
    methods = ["gradsign", "synflow", "random", "optimal", "gradsign (1000)", "synflow (1000)", "optimal (1000)"]
    assert [method for method, _ in rows] == methods
    for name, n in (("gradsign", 100), ("optimal (1000)", 1000), ("gradsign (1000)", 1000)):
        mean, row = n * 4001 / (n + 1) - 1, rows[name, "cifar10"]
        assert row["ours"] == pytest.approx(mean, abs=5 * (row["high"] - row["ours"]) / 500**0.5)
        assert row["measure"] == f"test accuracy, best of {n}, 500 runs"
    # The worst of n: the same distances from the other end.
    assert rows["synflow (1000)", "cifar10"]["ours"] == pytest.approx(4001 / 1001 - 1, abs=0.7)
    assert math.isnan(rows["gradsign (1000)", "cifar10"]["paper"])
