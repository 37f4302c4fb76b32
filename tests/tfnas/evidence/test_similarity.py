"""Correlations between scores: against pandas, and whether alike scores come to stand together."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from tfnas.evidence import similarity


def made(n=200):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, n))
    near = {
        f"{name}{i}": base + 0.4 * rng.normal(size=n) for i in range(3) for name, base in (("a", first), ("b", second))
    }
    return pd.DataFrame({"truth": first, **near, "turned": -second, "lone": rng.normal(size=n)})


def test_each_is_the_spearman_of_two():
    joined = made()
    joined.loc[:20, "a0"] = math.nan
    joined.loc[10:40, "b1"] = math.nan
    joined.loc[50, "lone"] = math.inf
    found = similarity.between_scores(joined)
    names = found.columns.tolist()
    assert sorted(names) == sorted(joined.columns.drop("truth"))
    assert found.index.tolist() == names
    pd.testing.assert_frame_equal(
        found.rename_axis(None), joined[names].replace(math.inf, 1e9).corr("spearman"), check_exact=False
    )


def test_alike_scores_stand_together():
    names = similarity.between_scores(made()).columns.tolist()
    kinds = ["second" if name[0] in "bt" else "first" for name in names if name != "lone"]
    # One change of kind: what is turned round stands with what it is of.
    assert sum(a != b for a, b in itertools.pairwise(kinds)) == 1


def test_order_of_the_columns_changes_no_neighbour():
    joined = made()
    first = similarity.between_scores(joined)
    again = similarity.between_scores(joined[["truth", *reversed(joined.columns.drop("truth"))]])
    assert again.columns.tolist() in (first.columns.tolist(), first.columns.tolist()[::-1])


def test_constant_and_single_scores():
    joined = made()[["truth", "a0"]].assign(constant=1.0)
    found = similarity.between_scores(joined)
    assert found.loc["a0", "a0"] == pytest.approx(1)
    assert found.loc["constant"].isna().all()
    assert similarity.between_scores(joined[["truth", "a0"]]).to_numpy() == pytest.approx(np.ones((1, 1)))


@pytest.mark.parametrize("columns", [["a0"], ["a0", "b0"], ["a0", "a1", "b0", "b1", "turned", "lone"]])
def test_it_is_drawn(columns):
    figure = similarity.draw(similarity.between_scores(made()[["truth", *columns]]))
    assert len(figure.axes[1].texts) == len(columns) ** 2
