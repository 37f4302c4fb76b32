"""Combinations of scores, where the right answer is known and where there is nothing to be learnt."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from tfnas.errors import InputError
from tfnas.evidence import bootstrap, combination


def made(n=400, seed=0):
    """Truth made of two scores with weights 2 and 1; the same pair disguised; noise."""
    rng = np.random.default_rng(seed)
    first, second = rng.uniform(size=(2, n))
    wide = pd.DataFrame(
        {
            "noise": rng.normal(size=n),
            "first": np.exp(20 * first),
            "second": second,
            "twin": first + 0.5 * rng.normal(size=n),
            "constant": np.ones(n),
        },
        index=[f"net{i}" for i in range(n)],
    )
    return wide, pd.Series(2 * first + second, wide.index)


def test_the_scores_that_the_truth_is_made_of_are_found():
    wide, truth = made()
    found = combination.fit(wide, truth)
    assert list(found.weights)[:2] == ["first", "second"]
    assert found.weights["first"] / found.weights["second"] == pytest.approx(2, abs=0.25)
    assert sum(found.weights.values()) == pytest.approx(1)
    assert found.best == "first"
    assert [len(step["scores"]) for step in found.steps] == list(range(1, len(found.steps) + 1))
    assert found.steps[1]["spearman"] > found.steps[0]["spearman"] + 0.05
    assert sum(weight for name, weight in found.weights.items() if name not in ("first", "second")) < 0.02
    # On other networks, in other units.
    other, known = made(seed=1)
    other["second"] = 1000 - 1 / (other["second"] + 1)
    assert stats.spearmanr(found.score(other), known).statistic > 0.98
    assert stats.spearmanr(other["first"], known).statistic < 0.95


def test_weights_are_those_of_least_squares_without_negative_ones():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(4, 200))
    truth = values[0] + 0.5 * values[1] - values[2]
    ranked = np.stack([stats.rankdata(row) for row in (*values, truth)])
    ranked -= ranked.mean(axis=1, keepdims=True)
    expected = optimize.nnls(ranked[:4].T, ranked[4])[0]
    assert expected[2] == 0
    found = combination._Fitted(values, truth).weights([0, 1, 2, 3])
    assert found == pytest.approx(expected / expected.sum(), abs=1e-6)


def test_a_fold_knows_nothing_of_its_own_truth():
    """What is fitted without a fold is the same whatever the truth of the fold."""
    wide, truth = made()
    values, known = wide[["noise", "first", "second"]].to_numpy().T, truth.to_numpy()
    out = np.arange(400) % 5 == 0
    other = np.where(out, np.random.default_rng(0).permutation(known), known)
    folds = [combination._Fold(values, truth_of, out) for truth_of in (known, other)]
    assert folds[0]._fitted.weights([0, 1, 2]).tolist() == folds[1]._fitted.weights([0, 1, 2]).tolist()
    ranks = [stats.rankdata(values[place][out]) for place in (1, 2)]
    weights = combination._Fitted(values[:, ~out], known[~out]).weights([1, 2])
    expected = stats.spearmanr(weights @ np.array(ranks), known[out]).statistic
    assert folds[0].spearman([1, 2]) == pytest.approx(expected)


def test_nothing_is_learnt_from_noise():
    """Cross-validation promises nothing where the truth is unrelated, however many scores are tried."""
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(300, 25))).rename(columns=str)
    promised = []
    for trial in range(6):
        truth = np.random.default_rng(trial + 1).normal(size=300)
        found = combination.fit(wide, truth, seed=trial)
        promised.append(found.steps[-1]["spearman"])
        fresh = pd.DataFrame(rng.normal(size=(2000, 25))).rename(columns=str)
        assert abs(stats.spearmanr(found.score(fresh), rng.normal(size=2000)).statistic) < 0.1
    # It is the best of 25, and of each number of them: a little above nothing.
    assert np.mean(promised) < 0.25


def test_networks_that_share_their_scores_share_a_fold():
    """Else the fold left out is known by heart."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 20)
    values, truth = rng.normal(size=(60, 12)), rng.normal(size=60)
    wide = pd.DataFrame(values[groups]).rename(columns=str)
    members = bootstrap.members_of(groups, np.ones(1200, bool))
    outs = []
    real = combination._Fold
    try:
        combination._Fold = lambda values, truth, out: outs.append(out) or real(values, truth, out)
        combination.fit(wide, truth[groups] + 1e-3 * rng.normal(size=1200), groups=groups)
    finally:
        combination._Fold = real
    assert len(outs) == combination.FOLDS
    assert (sum(outs) == 1).all()
    for out in outs:
        assert not set(members[out]) & set(members[~out])


def test_the_truth_of_the_tested_is_never_looked_at():
    wide, truth = made()
    found = combination.fit(wide, truth)
    other, _ = made(seed=2)
    scores = found.score(other)
    order = np.random.default_rng(0).permutation(len(other))
    assert found.score(other.iloc[order]) == pytest.approx(scores[order])
    # Only ranks within the set count.
    assert found.score(other.assign(first=np.log(other["first"]), second=-1 / (1 + other["second"]))) == pytest.approx(
        scores
    )


def test_missing_scores():
    wide, truth = made()
    found = combination.fit(wide, truth)
    some = wide.copy()
    some.loc["net3", "second"] = math.nan
    scores = found.score(some)
    assert np.isnan(scores).tolist() == [name == "net3" for name in some.index]
    with pytest.raises(InputError, match="Missing: second"):
        found.score(wide.drop(columns="second"))
    # A score that many lack is no candidate; networks without a truth teach nothing.
    some["second"] = wide["second"].where(np.arange(400) > 100)
    assert "second" not in combination.fit(some, truth).weights
    assert combination.fit(wide, truth.where(np.arange(400) > 100)).fitted_on["networks"] == 299


def test_too_few_networks_or_scores():
    wide, truth = made()
    for some, known in ((wide[:49], truth[:49]), (wide[["constant"]], truth), (wide, truth * math.nan)):
        with pytest.raises(InputError, match="A combination needs 50 networks"):
            combination.fit(some, known)
    with pytest.raises(InputError, match=r"50 different networks\. Received: 40"):
        combination.fit(wide, truth, groups=np.arange(400) // 10)


def test_scores_that_rank_the_other_way_are_no_combination():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    wide = pd.DataFrame({"bad": rng.normal(size=200) - truth, "worst": -truth})
    with pytest.raises(InputError, match=r"No score ranks these networks .* Received: bad, worst$"):
        combination.fit(wide, truth)
    found = combination.fit(wide.assign(good=truth + 2 * rng.normal(size=200)), truth)
    assert found.weights == {"good": 1.0}


def test_most_bounds_the_number_of_scores_and_seeds_repeat():
    wide, truth = made()
    assert len(combination.fit(wide, truth, most=1).weights) == 1
    assert combination.fit(wide, truth, seed=3) == combination.fit(wide, truth, seed=3)


def test_leads_are_paired():
    wide, truth = made(60)
    wide = wide.assign(combination=2 * wide["second"] + wide["first"].rank() / 15)
    found = combination.compare(wide, truth, ["first", "noise"], resamples=40, seed=2).set_index("proxy")
    assert found.index.tolist() == ["combination", "first", "noise"]
    leads = []
    for row in np.random.default_rng(2).integers(0, 60, (40, 60)):
        some, known = wide.iloc[row], truth.iloc[row]
        leads.append(
            stats.kendalltau(some["combination"], known).statistic - stats.kendalltau(some["noise"], known).statistic
        )
    row = found.loc["noise"]
    assert [row["kendall_lead_lo"], row["kendall_lead_hi"]] == pytest.approx(np.quantile(leads, [0.025, 0.975]))
    assert row["kendall_lead"] == pytest.approx(found.loc["combination", "kendall"] - row["kendall"])
    assert math.isnan(found.loc["combination", "kendall_lead"])


def test_a_file_gives_the_same_combination(tmp_path):
    wide, truth = made()
    found = combination.fit(wide, truth)
    (tmp_path / "c.json").write_bytes(combination.dump(found))
    again = combination.load(tmp_path / "c.json")
    assert again.score(wide).tolist() == found.score(wide).tolist()
    assert (again.best, dict(again.fitted_on)) == (found.best, dict(found.fitted_on))


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", "null", "1", '{"version": 1}', "[" * 100_000, "\x00",
        '{"version": 1, "weights": {}, "best": "a", "steps": [], "fitted_on": {}}',
        '{"version": 1, "weights": {"a": -1}, "best": "a", "steps": [], "fitted_on": {}}',
        '{"version": 1, "weights": {"a": NaN}, "best": "a", "steps": [], "fitted_on": {}}',
        '{"version": 1, "weights": {"a": "x"}, "best": "a", "steps": [], "fitted_on": {}}',
        '{"version": 2, "weights": {"a": 1}, "best": "a", "steps": [], "fitted_on": {}}',
        '{"version": 1, "weights": {"a": 1}, "best": "a", "steps": 3, "fitted_on": {}}',
    ],
)  # fmt: skip
def test_other_files_are_told(tmp_path, content):
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(InputError, match=r"c\.json"):
        combination.load(tmp_path / "c.json")


def test_no_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"Cannot read .*none\.json: No such file"):
        combination.load(tmp_path / "none.json")
    assert json.loads(combination.dump(combination.Combination({"a": 1.0}, "a")))["version"] == 1
