"""Searches by predictors: what is drawn, learned, validated and told."""

import json

import numpy as np
import pandas as pd
import pytest

from launch.jobs import knowledge, prediction
from tests.launch.predict.cases import accuracies, launch
from tfnas.predictor import model


def test_the_best_by_validation_of_the_best_predicted(table, archs, tmp_path):
    frame = launch(table, tmp_path / "o", "--test_target=test")
    truth = pd.read_csv(table).set_index("arch")
    predicted = pd.read_parquet(tmp_path / "o/predictions.parquet").set_index("arch")["predicted"]
    known = knowledge.read_table(table, "val", "test", "")
    learned = [known.archs[row] for row in prediction.draw(known, 20, 0, 0)]
    top = predicted.drop(learned).sort_values(ascending=False).index[:4]
    best = truth.loc[top, "val"].idxmax()
    row = frame[(frame.predictor == "gcn") & (frame["repeat"] == 0)].iloc[0]
    assert (row.arch, row.val, row.test) == (best, *truth.loc[best, ["val", "test"]])
    picks = [known.archs[pick] for pick in json.loads(row.picks)]
    assert picks == [truth.loc[top[: k + 1], "val"].idxmax() for k in range(4)]


def test_errors_are_of_networks_not_learned_from(table, archs, tmp_path):
    frame = launch(table, tmp_path / "o")
    known = knowledge.read_table(table, "val", "", "")
    learned = prediction.draw(known, 20, 0, 0)
    predicted = pd.read_parquet(tmp_path / "o/predictions.parquet")["predicted"].to_numpy()
    rest = np.setdiff1d(np.arange(60), learned)
    truth = pd.Series(accuracies(archs), archs)[known.archs].to_numpy()
    expected = np.mean((predicted[rest] - truth[rest]) ** 2)
    assert frame[frame.predictor == "gcn"].mse.iloc[0] == pytest.approx(expected, rel=1e-4)


def test_random_search_has_as_many_networks(table, tmp_path):
    frame = launch(table, tmp_path / "o", "--n_train=50", "--top_k=10", "--predictors=forest")
    values = pd.read_csv(table)["val"]
    assert (frame[frame.predictor == "random"].val == values.max()).all()


def test_random_search_goes_on_where_predictors_begin(table):
    """Whether or not the table has as many networks as are asked for."""
    known = knowledge.read_table(table, "val", "", "")
    whole = prediction.random_search(known, 1, 59, 0, seed=3)["picks"]
    for n_train, top_k in ((20, 4), (58, 4), (59, 1), (60, 4)):
        found = prediction.random_search(known, n_train, top_k, 0, seed=3)["picks"]
        # Behind the first network, of which `whole` begins.
        expected = whole[n_train - 1 : n_train - 1 + top_k] if n_train < 60 else whole[-1:]
        assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("predictors", ["gcn,forest", "gp"])
def test_the_order_of_the_table_does_not_matter(table, tmp_path, predictors):
    flags = (f"--predictors={predictors}", "--splits=2", "--test_target=test")
    first = launch(table, tmp_path / "a", *flags)
    pd.read_csv(table).sort_values("val", ascending=False).to_csv(tmp_path / "sorted.csv", index=False)
    other = launch(tmp_path / "sorted.csv", tmp_path / "b", *flags)
    pd.testing.assert_frame_equal(first, other)
    for name in ("cross_validation.csv", "quality.csv"):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()


def test_equal_predictions_are_ranked_by_chance():
    """A predictor that tells nothing has whatever chance gives it, in a table whose best network is the first."""
    learned = np.arange(5, 10)
    orders = np.array([prediction.ranking(np.zeros(20), learned, repeat, 0) for repeat in range(400)])
    assert all(sorted(order) == [*range(5), *range(10, 20)] for order in orders.tolist())
    # Uniform on 0 to 4 and 10 to 19: mean 155 / 15, deviation 6; of 400 of them a twentieth of it.
    np.testing.assert_allclose(orders.mean(axis=0), 155 / 15, atol=4 * 6 / 20)
    told = np.repeat([0.5, 0.7], 10)
    assert (prediction.ranking(told, learned, 0, 0)[:10] >= 10).all()


def test_other_repeats_change_nothing(table, tmp_path):
    few = launch(table, tmp_path / "few", "--repeats=1")
    many = launch(table, tmp_path / "many", "--repeats=3")
    for name in ("gcn", "random"):
        one, first = (frame[frame.predictor == name].iloc[0] for frame in (few, many))
        assert one.arch == first.arch
        assert one.picks == first.picks
    assert many[many.predictor == "random"].arch.nunique() > 1


def test_baselines_learn_from_the_same_networks(table, tmp_path):
    frame = launch(table, tmp_path / "o", "--predictors=gcn,mlp,forest,boosting,gp", "--repeats=1")
    assert frame.predictor.tolist() == ["gcn", "mlp", "forest", "boosting", "gp", "random"]
    # Convolutions stand in flat encodings as they are.
    assert (frame[~frame.predictor.isin(["gcn", "random"])].tau > 0.3).all()


def test_two_stages(table, tmp_path):
    launch(table, tmp_path / "o", "--threshold=68", f"--model={tmp_path / 'two.keras'}")
    predicted = pd.read_parquet(tmp_path / "o/predictions.parquet")["predicted"]
    loaded = model.load(tmp_path / "two.keras")
    assert loaded.threshold == 0.68
    assert loaded.classifier is not None
    assert ((predicted < 0) | (predicted > 10)).all()


def test_both_sides_of_the_threshold_in_every_split(table, tmp_path, capsys):
    """Of what the first repeat draws a single network lies above: some split holds it out."""
    known = knowledge.read_table(table, "val", "", "")
    second = 100 * np.sort(known.accuracies[prediction.draw(known, 20, 0, 0)])[-2]
    flags = ("--repeats=1", f"--threshold={second + 1e-4}")
    launch(table, tmp_path / "o", *flags, "--splits=12", code=2)
    assert "--splits=12, of which split" in capsys.readouterr().err
    assert not (tmp_path / "o/repeats.csv").exists()
    launch(table, tmp_path / "o", *flags, "--epochs=1")


@pytest.mark.parametrize("predictors", ["gcn", "forest,gp"])
def test_all_networks_are_learned_from(table, tmp_path, predictors, archs):
    """Nothing is left to validate, nor to have errors of."""
    pd.DataFrame({"arch": archs, "told": np.arange(60.0)}).to_csv(tmp_path / "scores.csv", index=False)
    flags = (f"--predictors={predictors}", f"--scores={tmp_path / 'scores.csv'}", "--compare=no_scores")
    frame = launch(table, tmp_path / "o", *flags, "--n_train=60", "--epochs=1")
    chance = frame.predictor == "random"
    assert frame[~chance][["arch", "val", "tau"]].isna().all(axis=None)
    assert (frame[chance].val == max(accuracies(archs))).all()
    assert (tmp_path / "o/curves.png").exists()


def test_scores_as_features(table, archs, tmp_path):
    """With the accuracy itself among the scores, a forest has nothing left to guess."""
    scores = pd.DataFrame({"arch": archs[:50], "told": accuracies(archs)[:50], "noise": np.arange(50) % 7})
    scores.to_csv(tmp_path / "scores.csv", index=False)
    flags = ("--predictors=forest,gcn", f"--scores={tmp_path / 'scores.csv'}", "--n_train=40")
    frame = launch(table, tmp_path / "o", *flags, "--proxies=told")
    assert (frame[frame.predictor == "forest"].tau > 0.7).all()
    blind = launch(table, tmp_path / "noise", *flags, "--proxies=noise")
    assert frame.tau.mean() > blind.tau.mean()
    assert len(pd.read_parquet(tmp_path / "o/predictions.parquet")) == 50


def test_infinite_scores_are_the_lowest_and_the_highest_rank(table, archs, tmp_path, capsys):
    told = np.arange(60.0)
    told[[7, 8, 9]] = -np.inf, np.inf, np.nan
    pd.DataFrame({"arch": archs, "told": told}).to_csv(tmp_path / "scores.csv", index=False)
    known = knowledge.with_scores(knowledge.read_table(table, "val", "", ""), str(tmp_path / "scores.csv"), ())
    ranks = dict(zip(known.archs, known.graphs.extras[:, 0], strict=True))
    assert set(archs) - set(ranks) == {archs[9]}
    assert min(ranks, key=ranks.get) == archs[7]
    assert max(ranks, key=ranks.get) == archs[8]
    launch(table, tmp_path / "o", f"--scores={tmp_path / 'scores.csv'}", "--predictors=forest")
    assert "lack a score: 1 networks" in capsys.readouterr().out
