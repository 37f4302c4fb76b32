"""Several numbers of networks, one stage and two, with and without scores."""

import numpy as np
import pandas as pd
import pytest

from launch.jobs import knowledge, prediction, telling
from tests.launch.predict.cases import SPACE, accuracies, launch
from tfnas import seeds
from tfnas.errors import InputError
from tfnas.predictor import baselines, choosing, plots

KEYS = ("predictor", "n_train", "stages", "scores")


@pytest.fixture
def scores(tmp_path, archs):
    """One that tells the order of the accuracies, over 40 orders of magnitude."""
    told = [10.0 ** (2 * (value - 70)) for value in accuracies(archs)]
    pd.DataFrame({"arch": archs, "told": told}).to_csv(tmp_path / "scores.csv", index=False)
    return f"--scores={tmp_path / 'scores.csv'}"


def test_rows_and_their_summary(table, tmp_path, scores):
    flags = ("--predictors=forest", "--n_train=16,24", "--compare=no_scores", "--threshold=71")
    frame = launch(table, tmp_path / "o", *flags, scores)
    sizes = frame.groupby(list(KEYS), sort=False).size()
    each = [("forest", 1, 1), ("forest", 1, 0), ("random", 1, 0)]
    assert sizes.to_dict() == {(name, n, *rest): 2 for n in (16, 24) for name, *rest in each}
    told = pd.read_csv(tmp_path / "o/quality.csv").set_index(list(KEYS))
    assert len(told) == 6
    for key, group in frame.groupby(list(KEYS)):
        for name in ("val", "tau", "mse_above"):
            values, row = group[name].to_numpy(), told.loc[key]
            assert row[name] == pytest.approx(sum(values) / 2, nan_ok=True)
            assert row[f"{name}_std"] == pytest.approx(abs(values[0] - values[1]) / 2, nan_ok=True, abs=1e-9)
    blind = told.loc["forest", :, 1, 0].tau
    for n in (16, 24):
        with_scores = told.loc["forest", n, 1, 1]
        assert with_scores.equal_n == telling.equal_n(np.array([16.0, 24]), blind.to_numpy(), with_scores.tau)
    assert {"quality.png", "curves.png"} <= {path.name for path in (tmp_path / "o").iterdir()}


def test_one_stage_and_two(table, tmp_path):
    frame = launch(table, tmp_path / "o", "--n_train=24", "--threshold=71", "--compare=one_stage", "--repeats=1")
    assert frame[["predictor", "stages"]].to_numpy().tolist() == [["gcn", 2], ["gcn", 1], ["random", 1]]
    two, one, chance = (row for _, row in frame.iterrows())
    # Of two stages only the good ones have an error that can be told.
    assert np.isnan(two.mse)
    assert not np.isnan(one.mse)
    assert two.mse_above > 0 < one.mse_above
    assert np.isnan(chance.tau)


def test_scores_help_by_their_rank_alone(table, tmp_path, scores, archs):
    """The same ranks on another scale are the same features, and the forest finds the order in them."""
    frame = launch(table, tmp_path / "o", scores, "--predictors=forest", "--compare=no_scores")
    tau = frame.groupby("scores").tau.mean()
    assert tau[1] > 0.75 > tau[0]
    pd.DataFrame({"arch": archs, "told": accuracies(archs)}).to_csv(tmp_path / "other.csv", index=False)
    again = launch(table, tmp_path / "p", f"--scores={tmp_path / 'other.csv'}", "--predictors=forest")
    assert again[again.predictor == "forest"].tau.tolist() == frame[frame.scores == 1].tau.tolist()
    known = knowledge.with_scores(knowledge.read_table(table, "val", "", ""), str(tmp_path / "scores.csv"), ())
    values = pd.Series(accuracies(archs), archs)[known.archs].tolist()
    ranks = [sum(a < b for a in values) for b in values]
    np.testing.assert_allclose(known.graphs.extras[:, 0], (np.array(ranks) + 0.5) / 60, rtol=1e-6)


def test_scores_of_one_setting(table, tmp_path, archs):
    """Of scores on two data sets one has to be chosen; which is told."""
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame({"arch": archs, "proxy": "a", "score": rng.normal(size=60), "dataset": dataset})
        for dataset in ("cifar10", "cifar100")
    ]
    pd.concat(parts).to_csv(tmp_path / "scores.csv", index=False)
    known = knowledge.read_table(table, "val", "", "")
    with pytest.raises(InputError, match="--where=dataset="):
        knowledge.with_scores(known, tmp_path / "scores.csv", ())
    found = knowledge.with_scores(known, tmp_path / "scores.csv", (), {"dataset": "cifar100"})
    expected = parts[1].sort_values("score").arch.tolist()
    assert [found.archs[row] for row in np.argsort(found.graphs.extras[:, 0])] == expected


def test_more_numbers_are_computed_beside(table, tmp_path, monkeypatch):
    one = launch(table, tmp_path / "o", "--n_train=20", "--predictors=forest")
    both = launch(table, tmp_path / "o", "--n_train=20,30", "--predictors=forest")
    pd.testing.assert_frame_equal(both[both.n_train == 20].reset_index(drop=True), one)
    assert (both.groupby("n_train").size() == 4).all()


def test_cross_validation_of_each(table, tmp_path):
    flags = ("--n_train=12,24", "--splits=2", "--predictors=forest", "--repeats=1")
    launch(table, tmp_path / "o", *flags)
    found = pd.read_csv(tmp_path / "o/cross_validation.csv")
    assert found.groupby("n_train").split.apply(list).to_dict() == {12: [0, 1], 24: [0, 1]}


def test_cross_validation_with_a_threshold_compares_the_same_networks(table, tmp_path):
    flags = ("--n_train=24", "--splits=2", "--predictors=gcn,forest", "--threshold=71", "--compare=one_stage")
    launch(table, tmp_path / "o", *flags, "--repeats=1")
    found = pd.read_csv(tmp_path / "o/cross_validation.csv").set_index(["predictor", "stages"])
    assert found.mse["gcn", 2].isna().all()
    assert found.mse_above.notna().all()
    assert found.loc[["gcn", "forest"]].xs(1, level="stages").mse.notna().all()
    known = knowledge.read_table(table, "val", "", "")
    rows = prediction.draw(known, 24, 0, 0)
    for split, (learned, held) in enumerate(choosing.splits(24, 2, 0)):
        seed = seeds.derive_seed(0, "fold", split)
        fitted = baselines.fit("forest", known.flat(rows[learned]), known.accuracies[rows[learned]], seed)
        truth, told = 100 * known.accuracies[rows[held]], 100 * baselines.predict(fitted, known.flat(rows[held]))
        for name, part in (("mse", truth > 0), ("mse_above", truth > 71)):
            assert found[name]["forest", 1].iloc[split] == pytest.approx(np.mean((told - truth)[part] ** 2))


@pytest.mark.parametrize(
    ("wanted", "expected"), [(0.5, -np.inf), (0.55, np.sqrt(800)), (0.6, 40), (0.7, 80), (0.71, np.inf)]
)
def test_equal_numbers(wanted, expected):
    numbers, quality = np.array([20.0, 40, 80]), np.array([0.5, 0.6, 0.7])
    assert telling.equal_n(numbers, quality, wanted) == pytest.approx(expected)


def test_equal_numbers_of_what_has_no_quality():
    rows = {"predictor": "gp", "stages": 1, "n_train": [20, 40] * 2, "scores": [1, 1, 0, 0], "val": 1.0}
    told = telling.summary(pd.DataFrame(rows | {"tau": [np.nan, 0.65, 0.6, np.nan]}))
    assert np.isnan(told.equal_n[0])
    assert told.equal_n[1] == np.inf
    assert np.isnan(telling.summary(pd.DataFrame(rows | {"tau": [0.5, 0.5, np.nan, np.nan]})).equal_n).all()
    assert "equal_n" not in telling.summary(pd.DataFrame(rows | {"tau": np.nan}))


def test_errors_above_are_of_the_second_stage_alone():
    rng = np.random.default_rng(0)
    values, told = rng.uniform(0.5, 0.9, 30), rng.uniform(0.5, 0.9, 30)
    known = knowledge.Known(SPACE, [str(i) for i in range(30)], None, values, values, "val")
    ranked = np.where(rng.random(30) < 0.5, told, -0.5)
    top = np.arange(10, 15)
    found = prediction.judged(known, ranked, np.arange(10), top, above=0.7, told=told)
    errors = [(100 * (told[i] - values[i])) ** 2 for i in range(10, 30) if values[i] > 0.7]
    assert found["mse_above"] == pytest.approx(sum(errors) / len(errors))
    assert np.isnan(found["mse"])
    single = prediction.judged(known, told, np.arange(10), top, above=0.7)
    assert single["mse_above"] == pytest.approx(found["mse_above"])
    assert single["mse"] == pytest.approx(np.mean((100 * (told - values)[10:]) ** 2))


def test_the_legend_tells_every_line_of_the_plot():
    """Random search has an accuracy and no error."""
    line = np.array([[20.0, 40], [0.5, 0.6], [0.1, 0.1]])
    figure = plots.quality({"tau": {"gcn": line}, "accuracy": {"gcn": line, "random": line}}, label="networks")
    legends = [axes.get_legend() for axes in figure.axes]
    assert [[text.get_text() for text in legend.get_texts()] for legend in legends if legend] == [["gcn", "random"]]
