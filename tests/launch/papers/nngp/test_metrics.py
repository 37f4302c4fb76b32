"""Subsets, intervals, and scores that tell networks not apart."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from launch.papers.nngp import metrics
from launch.papers.nngp.experiments import EXPERIMENTS
from launch.papers.nngp.inferred import Inferred
from launch.papers.nngp.metrics import InferenceKey, Metric
from tests.launch.papers.nngp.cases import ARCHS, N, context_for, key, make
from tfnas.errors import InputError
from tfnas.evidence import statistics


def test_subsets_have_the_papers_size_where_there_are_networks_enough():
    context = context_for()
    assert (context.size(423_624), context.top(423_624)) == (10_000, 10)
    assert (context.size(300), context.top(300)) == (100, 10)
    assert (context.size(24), context.top(24)) == (8, 1)
    assert (context.rows(50) == context.rows(50)).all()
    assert (context.rows(50) != dataclasses.replace(context, seed=1).rows(50)).any()


@pytest.mark.parametrize("name", [entry.id for entry in EXPERIMENTS if isinstance(entry.jobs, Inferred)])
@pytest.mark.parametrize("constant", [math.nan, 0.1])
def test_scores_without_information_are_undefined_and_never_an_error(table, name, constant):
    """Every network failed, or all have one score: as many networks do on few images."""
    columns = [key(100, 1000, e, kernel, m) for kernel in ("nngp", "ntk") for e in (1, 4) for m in (0.997, 0.0)]
    values = np.full((N, len(columns)), constant)
    scores = pd.DataFrame(values, index=ARCHS, columns=pd.MultiIndex.from_tuples(columns, names=InferenceKey._fields))
    (experiment,) = (entry for entry in EXPERIMENTS if entry.id == name)
    (figure,) = experiment.make.args
    rows, _ = make(figure, scores, table, context_for(name))
    inferred = rows[rows["n_train"].notna() & rows["measure"].isin(["kendall", "pearson"])]
    if name != "nngp_fig9" or math.isnan(constant):  # where 4 epochs remain
        assert inferred["ours"].isna().all()


def drawn(name, table, columns, rng, **changes):
    """Rows of an experiment on random scores of these columns."""
    values = rng.normal(50, 10, (N, len(columns)))
    scores = pd.DataFrame(values, index=ARCHS, columns=pd.MultiIndex.from_tuples(columns, names=InferenceKey._fields))
    (experiment,) = (entry for entry in EXPERIMENTS if entry.id == name)
    (figure,) = experiment.make.args
    return make(figure, scores, table, context_for(name, **changes))[0], experiment


@pytest.mark.parametrize("name", [entry.id for entry in EXPERIMENTS if isinstance(entry.jobs, Inferred)])
def test_scores_that_a_figure_is_not_about_are_no_figure(table, rng, name):
    """Of the other kernel or of the ablation alone: one line with what was received, and no rows without them."""
    for columns, received in (
        ([key(kernel="ntk"), key(kernel="ntk", ensemble=2)], "NTK with BN momentum 0.997"),
        ([key(momentum=0.0)], "NNGP with BN momentum 0"),
    ):
        told = {"nngp_fig5": r"No \(n_train, n_val\)", "nngp_figS1": "none of BN momentum 0"}.get(name, received)
        if name == "nngp_figS1" and columns[0].bn_momentum == 0:
            assert drawn(name, table, columns, rng)[0]["metric"].str.contains("NNGP").all()
            continue
        with pytest.raises(InputError, match=told):
            drawn(name, table, columns, rng)


@pytest.mark.parametrize("name", [entry.id for entry in EXPERIMENTS if isinstance(entry.jobs, Inferred)])
def test_experiments_say_what_their_brackets_are(table, rng, name):
    columns = [key(100, 1000, e, kernel, m) for kernel in ("nngp", "ntk") for e in (1, 4) for m in (0.997, 0.0)]
    rows, experiment = drawn(name, table, columns, rng, resamples=10)
    bracketed = rows["measure"][rows["low"].notna()]
    has_errors = not bracketed.str.startswith(("kendall", "pearson")).all()
    assert ("one standard error on either side" in experiment.deviations) == has_errors


def test_intervals_of_many_networks_are_as_wide_as_theory_has_them(rng):
    n = 5000
    score, truth = rng.normal(size=(2, n))
    rows = metrics.correlations(Metric("m", score), truth, context_for(resamples=150))
    kendall, pearson = rows
    # Independent scores: variances 2 (2 n + 5) / (9 n (n - 1)) and 1 / (n - 1).
    for row, deviation in ((kendall, (2 * (2 * n + 5) / (9 * n * (n - 1))) ** 0.5), (pearson, (n - 1) ** -0.5)):
        assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * deviation, rel=0.25)
        assert row["low"] < row["ours"] < row["high"]
    assert kendall["ours"] == statistics.kendall(score, truth)
