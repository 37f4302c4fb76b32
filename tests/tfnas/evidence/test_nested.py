"""What classes, strings and seeds decide of a score, on scores that are made of known parts."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tfnas.evidence import nested


def drawn(rng, classes=300, strings=3, seeds=2, parts=(1.0, 1.0, 1.0)):
    """Values [classes * strings, seeds] of three variances, and the class of each row."""
    a, b, c = np.sqrt(parts)
    values = a * rng.normal(size=(classes, 1, 1)) + b * rng.normal(size=(classes, strings, 1))
    values = values + c * rng.normal(size=(classes, strings, seeds))
    return values.reshape(-1, seeds), np.repeat(np.arange(classes), strings)


def frame(values, members, name="p"):
    rows = [(f"net{i}", name, value, seed) for i, row in enumerate(values) for seed, value in enumerate(row)]
    groups = pd.Series([f"class{j}" for j in members], [f"net{i}" for i in range(len(members))])
    return pd.DataFrame(rows, columns=["arch", "proxy", "score", "seed"]), groups


@pytest.mark.parametrize("sizes", [(3, 3, 3, 3), (2, 5, 3, 2)])
def test_mean_squares_are_those_of_loops(sizes):
    rng = np.random.default_rng(0)
    members = np.repeat(np.arange(4), sizes)
    values = rng.normal(size=(len(members), 3)) + members[:, None]
    between, within, luck = nested.mean_squares(values, members)
    every = values.mean(1).mean()
    sums = [0.0, 0.0, 0.0]
    for one in range(4):
        some = values[members == one]
        for string in some:
            sums[0] += 3 * (some.mean() - every) ** 2
            sums[1] += 3 * (string.mean() - some.mean()) ** 2
            for value, column in zip(string, values.T, strict=True):
                sums[2] += (value - string.mean() - column.mean() + values.mean()) ** 2
    n = len(members)
    assert (between, within, luck) == pytest.approx((sums[0] / 3, sums[1] / (n - 4), sums[2] / ((n - 1) * 2)))
    # SciPy's F of strings among seeds, and of classes among the means of strings.
    of_means = stats.f_oneway(*(values.mean(1)[members == one] for one in range(4))).statistic
    assert between / within == pytest.approx(of_means)


@pytest.mark.parametrize("parts", [(2.0, 1.0, 1.0), (1.0, 0.0, 1.0), (3.0, 2.0, 0.1)])
def test_known_shares_are_found(parts):
    values, members = drawn(np.random.default_rng(1), classes=2000, parts=parts)
    (row,) = nested.within_classes(*frame(values, members)).to_dict("records")
    assert (row["classes"], row["strings"], row["seeds"]) == (2000, 6000, 2)
    # Ranks of normal values change the shares little.
    assert [row[name] for name in nested.PARTS] == pytest.approx(np.array(parts) / sum(parts), abs=0.04)
    assert sum(row[name] for name in nested.PARTS) == pytest.approx(1)
    assert (row["p"] > 0.001) == (parts[1] == 0)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_test_is_right_where_strings_differ_by_luck_alone(shift):
    """Also where one seed gives all of them higher scores, as its batch does."""
    rng, found = np.random.default_rng(2), []
    for _ in range(200):
        values, members = drawn(rng, classes=20, parts=(1, 0, 1))
        found.append(nested.within_classes(*frame(values + np.array([0.0, shift]), members))["p"][0])
    assert stats.kstest(found, "uniform").pvalue > 0.001


def test_the_level_of_a_seed_changes_nothing():
    values, members = drawn(np.random.default_rng(4), classes=50, parts=(1.0, 0.2, 0.1))
    plain = nested.within_classes(*frame(values, members))
    moved = nested.within_classes(*frame(values + np.array([0.0, 2.0]), members))
    assert plain["p"][0] < 1e-6
    pd.testing.assert_frame_equal(plain, moved)


def test_equal_strings_are_counted_and_one_seed_tells_no_luck():
    values = np.array([[1.0], [1.0], [2.0], [2.0 + 1e-5], [3.0], [4.0], [9.0]])
    scores, groups = frame(values, [0, 0, 1, 1, 2, 2, 3])
    (row,) = nested.within_classes(scores, groups).to_dict("records")
    assert (row["classes"], row["strings"], row["seeds"]) == (3, 6, 1)  # the class of one string does not count
    assert row["equal"] == pytest.approx(2 / 3)
    assert math.isnan(row["seed"])
    assert math.isnan(row["f"])
    assert row["class"] + row["string"] == pytest.approx(1)
    assert nested.within_classes(scores.drop(columns="seed"), groups)["equal"][0] == row["equal"]


def test_what_failed_and_what_is_infinite():
    values = np.array([[-np.inf, -np.inf], [-np.inf, -np.inf], [1.0, 2.0], [1.0, math.nan], [1.0, 3.0]])
    scores, groups = frame(values, [0, 0, 1, 1, 1])
    (row,) = nested.within_classes(scores, groups).to_dict("records")
    assert (row["classes"], row["strings"], row["left_out"], row["equal"]) == (2, 4, 1, 0.5)


@pytest.mark.parametrize("lost", ["every score", "one seed of each", "the score of all but one class"])
def test_a_score_that_has_lost_its_classes_says_so(lost):
    values, members = drawn(np.random.default_rng(5), classes=4, strings=2)
    scores, groups = frame(values, members)
    gone = {
        "every score": scores["arch"].notna(),
        "one seed of each": scores["seed"] == scores["arch"].str[-1].astype(int) % 2,
        "the score of all but one class": scores["arch"].map(groups) != "class0",
    }[lost]
    failed = scores.assign(proxy="failed", status=np.where(gone, "nan", "ok"))
    rows = nested.within_classes(pd.concat([failed, scores.assign(status="ok")], ignore_index=True), groups)
    assert rows["proxy"].tolist() == ["p", "failed"]
    left = 1 if lost == "the score of all but one class" else 0
    assert rows.loc[1, ["classes", "strings", "left_out"]].tolist() == [left, 2 * left, 8 - 2 * left]
    assert rows.loc[1, ["equal", *nested.PARTS, "f", "p"]].isna().all()
    axes = nested.draw(rows).axes[0]
    assert [(text.get_text(), text.get_position()[1]) for text in axes.texts] == [("undefined", 1)]
    pd.testing.assert_frame_equal(rows[:1], nested.within_classes(scores, groups))


def test_scores_of_a_file_beside_records_have_no_seeds():
    scores, groups = frame(*drawn(np.random.default_rng(6), classes=9))
    of_file = scores[scores["seed"] == 0].assign(proxy="file", seed=math.nan)
    rows = nested.within_classes(pd.concat([scores, of_file], ignore_index=True), groups).set_index("proxy")
    assert rows.loc["file", ["classes", "strings", "seeds", "left_out"]].tolist() == [9, 27, 1, 0]
    assert rows.loc["p", "seeds"] == 2


def test_it_is_drawn():
    rows = nested.within_classes(*frame(*drawn(np.random.default_rng(3), classes=10)))
    bars = nested.draw(rows).axes[0].patches
    assert [bar.get_width() for bar in bars] == pytest.approx([rows[part][0] for part in nested.PARTS])


def test_strings_of_one_size_have_a_panel_of_their_own():
    rows = nested.within_classes(*frame(*drawn(np.random.default_rng(3), classes=10)))
    both = pd.concat([rows.assign(sizes="any"), rows.assign(sizes="equal")])
    assert [axes.get_title() for axes in nested.draw(both).axes] == ["strings of any size", "strings of equal size"]
