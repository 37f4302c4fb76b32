"""Two scores of the same networks: differences, their intervals, and what was changed."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tfnas.evidence import against

ARCHS = [f"net{i:02d}" for i in range(60)]


def frame(values, name="p", archs=ARCHS, **settings):
    return pd.DataFrame({"arch": archs, "proxy": name, "score": values, "status": "ok"} | settings)


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=60)
    one = truth + rng.normal(size=60)
    return truth, one, one + 0.3 * rng.normal(size=60)


def test_it_is_the_difference_of_both_correlations_network_by_network(drawn):
    truth, one, two = drawn
    known = pd.Series(truth, ARCHS)
    others = frame(two[::-1], archs=ARCHS[::-1]).iloc[10:]  # another order, and ten networks fewer
    (row,) = against.compare(frame(one), known, others, known, resamples=200, seed=3).to_dict("records")
    first, second = (stats.spearmanr(values[:50], truth[:50]).statistic for values in (one, two))
    assert row["n"] == 50
    assert [row["spearman"], row["other"]] == pytest.approx([first, second])
    assert row["difference"] == pytest.approx(second - first)
    assert row["agreement"] == pytest.approx(stats.spearmanr(one[:50], two[:50]).statistic)
    # A loop over the same resamples: both scores of the same networks.
    found = []
    for places in np.random.default_rng(3).integers(0, 50, (200, 50)):
        a, b = (stats.spearmanr(values[places], truth[places]).statistic for values in (one, two))
        found.append(b - a)
    assert [row["difference_lo"], row["difference_hi"]] == pytest.approx(np.quantile(found, [0.025, 0.975]), abs=1e-5)
    # What both share is not in it.
    alone = [stats.spearmanr(one[i], truth[i]).statistic for i in np.random.default_rng(4).integers(0, 50, (200, 50))]
    assert row["difference_hi"] - row["difference_lo"] < 0.7 * np.ptp(np.quantile(alone, [0.025, 0.975]))


def test_another_truth_and_the_same_scores(drawn):
    truth, one, _ = drawn
    known, other = pd.Series(truth, ARCHS), pd.Series(-truth, ARCHS)
    (row,) = against.compare(frame(one), known, frame(one), other, resamples=0).to_dict("records")
    assert row["other"] == pytest.approx(-row["spearman"])
    assert (row["agreement"], row["changed"]) == (pytest.approx(1), "")


def test_only_scores_of_both_and_networks_of_both():
    truth = pd.Series(range(60), ARCHS, dtype=float)
    scores = pd.concat([frame(range(60)), frame(range(60), "q")])
    others = pd.concat([frame(range(60), "r"), frame([1.0] + [np.nan] * 59, "q")])
    rows = against.compare(scores, truth, others, truth)
    assert rows[["proxy", "n"]].to_numpy().tolist() == [["q", 1]]
    assert rows["difference"].isna().all()
    assert against.compare(frame(range(60)), truth, frame(range(60), "r"), truth).empty


def test_changed_settings_are_told_and_no_others():
    one = frame(range(60), flavour="", init="torch", seed=0, options=json.dumps({"noise": 4, "same": 1}))
    two = frame(range(60), flavour="zcnas", init="torch", seed=1, options=json.dumps({"same": 1, "kept": ["a"]}))
    assert against.changes(one, one) == ""
    told = against.changes(one, two)
    assert told == "flavour=zcnas not none; kept=['a'] not none; noise=none not 4; seed=1 not 0"
    assert against.changes(one.assign(options=None), two.assign(seed=0)) == "flavour=zcnas not none"
    assert against.changes(one, pd.concat([two.assign(flavour="", options=one["options"]), one])) == ""


def test_it_is_drawn(drawn):
    truth, one, two = drawn
    known = pd.Series(truth, ARCHS)
    rows = against.compare(frame(one), known, frame(two), known, resamples=20)
    figure = against.draw(pd.concat([rows.assign(against="a"), rows.assign(against="b")]))
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    assert figure.axes[1].collections[1].get_offsets().data.tolist() == [[rows["difference"][0], 0.0]]
