"""Searches by predictors: what is drawn, learned, validated and told, and what is kept of it."""

import json
import types

import numpy as np
import pandas as pd
import pytest

import spaces
from launch import predict, score
from launch.jobs import knowledge, prediction, telling
from tests.spaces.mobile.proxylessnas.test_latency import _made
from tfnas import files, seeds
from tfnas.errors import InputError
from tfnas.evidence import plots
from tfnas.predictor import baselines, choosing, model

pytestmark = pytest.mark.usefixtures("uncompiled")


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Figures are made and not drawn, which takes longest; the documentation's examples draw them."""
    monkeypatch.setattr(plots, "save", lambda figure, path: files.write_atomic(path, b""))


SPACE = spaces.get("nasbench201")
FAST = ("--n_train=20", "--top_k=4", "--repeats=2", "--splits=0", "--epochs=4", "--width=6")


def accuracies(archs):
    """Better with each 3x3 convolution, percent."""
    return [60 + 5 * arch.count("3x3~") + 0.01 * place for place, arch in enumerate(archs)]


@pytest.fixture(scope="module")
def archs():
    return [str(arch) for arch in SPACE.sample_distinct(np.random.default_rng(0), 60)]


@pytest.fixture
def table(tmp_path, archs):
    path = tmp_path / "table.csv"
    frame = pd.DataFrame({"arch": archs, "val": accuracies(archs)})
    frame.assign(test=frame["val"][::-1].to_numpy()).to_csv(path, index=False)
    return path


def launch(table, output, *flags, code=0):
    found = predict.main([f"--table={table}", f"--output={output}", "--target=val", *FAST, *flags])
    assert found == code
    return pd.read_csv(output / "repeats.csv") if not code else None


class TestSearch:
    def test_the_best_by_validation_of_the_best_predicted(self, table, archs, tmp_path):
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

    def test_errors_are_of_networks_not_learned_from(self, table, archs, tmp_path):
        frame = launch(table, tmp_path / "o")
        known = knowledge.read_table(table, "val", "", "")
        learned = prediction.draw(known, 20, 0, 0)
        predicted = pd.read_parquet(tmp_path / "o/predictions.parquet")["predicted"].to_numpy()
        rest = np.setdiff1d(np.arange(60), learned)
        truth = pd.Series(accuracies(archs), archs)[known.archs].to_numpy()
        expected = np.mean((predicted[rest] - truth[rest]) ** 2)
        assert frame[frame.predictor == "gcn"].mse.iloc[0] == pytest.approx(expected, rel=1e-4)

    def test_random_search_has_as_many_networks(self, table, tmp_path):
        frame = launch(table, tmp_path / "o", "--n_train=50", "--top_k=10", "--predictors=forest")
        values = pd.read_csv(table)["val"]
        assert (frame[frame.predictor == "random"].val == values.max()).all()

    def test_random_search_goes_on_where_predictors_begin(self, table):
        """Whether or not the table has as many networks as are asked for."""
        known = knowledge.read_table(table, "val", "", "")
        whole = prediction.random_search(known, 1, 59, 0, seed=3)["picks"]
        for n_train, top_k in ((20, 4), (58, 4), (59, 1), (60, 4)):
            found = prediction.random_search(known, n_train, top_k, 0, seed=3)["picks"]
            # Behind the first network, of which `whole` begins.
            expected = whole[n_train - 1 : n_train - 1 + top_k] if n_train < 60 else whole[-1:]
            assert found.tolist() == expected.tolist()

    @pytest.mark.parametrize("predictors", ["gcn,forest", "gp"])
    def test_the_order_of_the_table_does_not_matter(self, table, tmp_path, predictors):
        flags = (f"--predictors={predictors}", "--splits=2", "--test_target=test")
        first = launch(table, tmp_path / "a", *flags)
        pd.read_csv(table).sort_values("val", ascending=False).to_csv(tmp_path / "sorted.csv", index=False)
        other = launch(tmp_path / "sorted.csv", tmp_path / "b", *flags)
        pd.testing.assert_frame_equal(first, other)
        for name in ("cross_validation.csv", "quality.csv"):
            assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()

    def test_equal_predictions_are_ranked_by_chance(self):
        """A predictor that tells nothing has whatever chance gives it, in a table whose best network is the first."""
        learned = np.arange(5, 10)
        orders = np.array([prediction.ranking(np.zeros(20), learned, repeat, 0) for repeat in range(400)])
        assert all(sorted(order) == [*range(5), *range(10, 20)] for order in orders.tolist())
        # Uniform on 0 to 4 and 10 to 19: mean 155 / 15, deviation 6; of 400 of them a twentieth of it.
        np.testing.assert_allclose(orders.mean(axis=0), 155 / 15, atol=4 * 6 / 20)
        told = np.repeat([0.5, 0.7], 10)
        assert (prediction.ranking(told, learned, 0, 0)[:10] >= 10).all()

    def test_other_repeats_change_nothing(self, table, tmp_path):
        few = launch(table, tmp_path / "few", "--repeats=1")
        many = launch(table, tmp_path / "many", "--repeats=3")
        for name in ("gcn", "random"):
            one, first = (frame[frame.predictor == name].iloc[0] for frame in (few, many))
            assert one.arch == first.arch
            assert one.picks == first.picks
        assert many[many.predictor == "random"].arch.nunique() > 1

    def test_baselines_learn_from_the_same_networks(self, table, tmp_path):
        frame = launch(table, tmp_path / "o", "--predictors=gcn,mlp,forest,boosting,gp", "--repeats=1")
        assert frame.predictor.tolist() == ["gcn", "mlp", "forest", "boosting", "gp", "random"]
        # Convolutions stand in flat encodings as they are.
        assert (frame[~frame.predictor.isin(["gcn", "random"])].tau > 0.3).all()

    def test_two_stages(self, table, tmp_path):
        launch(table, tmp_path / "o", "--threshold=68", f"--model={tmp_path / 'two.keras'}")
        predicted = pd.read_parquet(tmp_path / "o/predictions.parquet")["predicted"]
        loaded = model.load(tmp_path / "two.keras")
        assert loaded.threshold == 0.68
        assert loaded.classifier is not None
        assert ((predicted < 0) | (predicted > 10)).all()

    def test_both_sides_of_the_threshold_in_every_split(self, table, tmp_path, capsys):
        """Of what the first repeat draws a single network lies above: some split holds it out."""
        known = knowledge.read_table(table, "val", "", "")
        second = 100 * np.sort(known.accuracies[prediction.draw(known, 20, 0, 0)])[-2]
        flags = ("--repeats=1", f"--threshold={second + 1e-4}")
        launch(table, tmp_path / "o", *flags, "--splits=12", code=2)
        assert "--splits=12, of which split" in capsys.readouterr().err
        assert not (tmp_path / "o/repeats.csv").exists()
        launch(table, tmp_path / "o", *flags, "--epochs=1")

    @pytest.mark.parametrize("predictors", ["gcn", "forest,gp"])
    def test_all_networks_are_learned_from(self, table, tmp_path, predictors, archs):
        """Nothing is left to validate, nor to have errors of."""
        pd.DataFrame({"arch": archs, "told": np.arange(60.0)}).to_csv(tmp_path / "scores.csv", index=False)
        flags = (f"--predictors={predictors}", f"--scores={tmp_path / 'scores.csv'}", "--compare=no_scores")
        frame = launch(table, tmp_path / "o", *flags, "--n_train=60", "--epochs=1")
        chance = frame.predictor == "random"
        assert frame[~chance][["arch", "val", "tau"]].isna().all(axis=None)
        assert (frame[chance].val == max(accuracies(archs))).all()
        assert (tmp_path / "o/curves.png").exists()

    def test_scores_as_features(self, table, archs, tmp_path):
        """With the accuracy itself among the scores, a forest has nothing left to guess."""
        scores = pd.DataFrame({"arch": archs[:50], "told": accuracies(archs)[:50], "noise": np.arange(50) % 7})
        scores.to_csv(tmp_path / "scores.csv", index=False)
        flags = ("--predictors=forest,gcn", f"--scores={tmp_path / 'scores.csv'}", "--n_train=40")
        frame = launch(table, tmp_path / "o", *flags, "--proxies=told")
        assert (frame[frame.predictor == "forest"].tau > 0.7).all()
        blind = launch(table, tmp_path / "noise", *flags, "--proxies=noise")
        assert frame.tau.mean() > blind.tau.mean()
        assert len(pd.read_parquet(tmp_path / "o/predictions.parquet")) == 50

    def test_infinite_scores_are_the_lowest_and_the_highest_rank(self, table, archs, tmp_path, capsys):
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


class TestCompared:
    """Several numbers of networks, one stage and two, with and without scores."""

    @pytest.fixture
    def scores(self, tmp_path, archs):
        """One that tells the order of the accuracies, over 40 orders of magnitude."""
        told = [10.0 ** (2 * (value - 70)) for value in accuracies(archs)]
        pd.DataFrame({"arch": archs, "told": told}).to_csv(tmp_path / "scores.csv", index=False)
        return f"--scores={tmp_path / 'scores.csv'}"

    KEYS = ("predictor", "n_train", "stages", "scores")

    def test_rows_and_their_summary(self, table, tmp_path, scores):
        flags = ("--predictors=forest", "--n_train=16,24", "--compare=no_scores", "--threshold=71")
        frame = launch(table, tmp_path / "o", *flags, scores)
        sizes = frame.groupby(list(self.KEYS), sort=False).size()
        each = [("forest", 1, 1), ("forest", 1, 0), ("random", 1, 0)]
        assert sizes.to_dict() == {(name, n, *rest): 2 for n in (16, 24) for name, *rest in each}
        told = pd.read_csv(tmp_path / "o/quality.csv").set_index(list(self.KEYS))
        assert len(told) == 6
        for key, group in frame.groupby(list(self.KEYS)):
            for name in ("val", "tau", "mse_above"):
                values, row = group[name].to_numpy(), told.loc[key]
                assert row[name] == pytest.approx(sum(values) / 2, nan_ok=True)
                assert row[f"{name}_std"] == pytest.approx(abs(values[0] - values[1]) / 2, nan_ok=True, abs=1e-9)
        blind = told.loc["forest", :, 1, 0].tau
        for n in (16, 24):
            with_scores = told.loc["forest", n, 1, 1]
            assert with_scores.equal_n == telling.equal_n(np.array([16.0, 24]), blind.to_numpy(), with_scores.tau)
        assert {"quality.png", "curves.png"} <= {path.name for path in (tmp_path / "o").iterdir()}

    def test_one_stage_and_two(self, table, tmp_path):
        frame = launch(table, tmp_path / "o", "--n_train=24", "--threshold=71", "--compare=one_stage", "--repeats=1")
        assert frame[["predictor", "stages"]].to_numpy().tolist() == [["gcn", 2], ["gcn", 1], ["random", 1]]
        two, one, chance = (row for _, row in frame.iterrows())
        # Of two stages only the good ones have an error that can be told.
        assert np.isnan(two.mse)
        assert not np.isnan(one.mse)
        assert two.mse_above > 0 < one.mse_above
        assert np.isnan(chance.tau)

    def test_scores_help_by_their_rank_alone(self, table, tmp_path, scores, archs):
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

    def test_scores_of_one_setting(self, table, tmp_path, archs):
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

    def test_more_numbers_are_computed_beside(self, table, tmp_path, monkeypatch):
        one = launch(table, tmp_path / "o", "--n_train=20", "--predictors=forest")
        both = launch(table, tmp_path / "o", "--n_train=20,30", "--predictors=forest")
        pd.testing.assert_frame_equal(both[both.n_train == 20].reset_index(drop=True), one)
        assert (both.groupby("n_train").size() == 4).all()

    def test_cross_validation_of_each(self, table, tmp_path):
        flags = ("--n_train=12,24", "--splits=2", "--predictors=forest", "--repeats=1")
        launch(table, tmp_path / "o", *flags)
        found = pd.read_csv(tmp_path / "o/cross_validation.csv")
        assert found.groupby("n_train").split.apply(list).to_dict() == {12: [0, 1], 24: [0, 1]}

    def test_cross_validation_with_a_threshold_compares_the_same_networks(self, table, tmp_path):
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
    def test_equal_numbers(self, wanted, expected):
        numbers, quality = np.array([20.0, 40, 80]), np.array([0.5, 0.6, 0.7])
        assert telling.equal_n(numbers, quality, wanted) == pytest.approx(expected)

    def test_equal_numbers_of_what_has_no_quality(self):
        rows = {"predictor": "gp", "stages": 1, "n_train": [20, 40] * 2, "scores": [1, 1, 0, 0], "val": 1.0}
        told = telling.summary(pd.DataFrame(rows | {"tau": [np.nan, 0.65, 0.6, np.nan]}))
        assert np.isnan(told.equal_n[0])
        assert told.equal_n[1] == np.inf
        assert np.isnan(telling.summary(pd.DataFrame(rows | {"tau": [0.5, 0.5, np.nan, np.nan]})).equal_n).all()
        assert "equal_n" not in telling.summary(pd.DataFrame(rows | {"tau": np.nan}))

    def test_errors_above_are_of_the_second_stage_alone(self):
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


class TestKept:
    def test_goes_on_where_it_was_stopped(self, table, tmp_path, monkeypatch):
        first = launch(table, tmp_path / "o", "--repeats=1")

        def none(*arguments):
            raise AssertionError("computed again")

        with monkeypatch.context() as patch:
            patch.setattr(prediction, "train", none)
            again = launch(table, tmp_path / "o", "--repeats=1")
        pd.testing.assert_frame_equal(first, again)
        more = launch(table, tmp_path / "o", "--repeats=2")
        assert len(more) == 4
        for name in ("gcn", "random"):
            assert more[more.predictor == name].iloc[0].equals(first[first.predictor == name].iloc[0])

    def test_other_settings_are_computed_beside(self, table, tmp_path):
        launch(table, tmp_path / "o", "--repeats=1")
        found = launch(table, tmp_path / "o", "--repeats=1", "--epochs=5")
        assert found.groupby("predictor").settings.nunique().to_dict() == {"gcn": 2, "random": 2}

    def test_predictions_are_those_of_the_last_command(self, table, tmp_path):
        """Though no repeat of it has to be computed."""
        told = []
        for seed in (0, 1, 0):
            launch(table, tmp_path / "o", f"--seed={seed}", "--repeats=1")
            told.append(pd.read_parquet(tmp_path / "o/predictions.parquet").predicted)
        assert not np.allclose(told[0], told[1])
        np.testing.assert_allclose(told[0], told[2], rtol=1e-6)

    def test_what_another_command_has_left_is_removed(self, table, tmp_path, capsys):
        (tmp_path / "o").mkdir()
        for name in ("front.csv", "widths.csv", "quality.png", "mine.csv"):
            (tmp_path / "o" / name).write_text("a")
        launch(table, tmp_path / "o", "--splits=2", "--predictors=forest", "--repeats=1")
        assert (tmp_path / "o/front.csv").exists()  # of a folder without searches it is somebody's
        launch(table, tmp_path / "o", "--predictors=forest", "--repeats=1")
        left = {path.name for path in (tmp_path / "o").iterdir()}
        assert left.isdisjoint({"front.csv", "widths.csv", "quality.png", "cross_validation.csv"})
        assert left >= {"mine.csv", "quality.csv", "repeats.csv", "predictions.parquet"}
        assert "another command: quality.png, cross_validation.csv, widths.csv, front.csv" in capsys.readouterr().out

    def test_widths_are_those_of_the_last_command(self, table, tmp_path, monkeypatch):
        monkeypatch.setattr(choosing, "WIDTHS", (2, 3))
        flags = ("--width=auto", "--epochs=1", "--repeats=1", "--n_train=12,20")
        told = []
        for seed in (0, 1, 0):
            launch(table, tmp_path / "o", *flags, f"--seed={seed}")
            told.append(pd.read_csv(tmp_path / "o/widths.csv"))
        assert told[0].n_train.tolist() == [12, 12, 20, 20]
        pd.testing.assert_frame_equal(told[0], told[2], rtol=1e-4)
        assert set(told[0].settings).isdisjoint(told[1].settings)

        def none(*arguments, **settings):
            raise AssertionError("chosen again")

        monkeypatch.setattr(choosing, "choose_width", none)
        launch(table, tmp_path / "o", *flags, "--repeats=2")
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "o/widths.csv"), told[2])

    @pytest.mark.parametrize("text", ["arch,val\na,1\n", "", "\x00\x01", '"'])
    def test_other_files_of_these_names(self, table, tmp_path, capsys, text):
        (tmp_path / "o").mkdir()
        (tmp_path / "o/repeats.csv").write_text(text)
        assert predict.main([f"--table={table}", f"--output={tmp_path / 'o'}", "--target=val", *FAST]) == 2
        error = capsys.readouterr().err.strip()
        assert "repeats.csv is none that this command goes on with" in error
        assert "\n" not in error
        assert (tmp_path / "o/repeats.csv").read_text() == text

    def test_cross_validation_and_width(self, table, tmp_path, monkeypatch):
        monkeypatch.setattr(choosing, "WIDTHS", (2, 3))
        launch(table, tmp_path / "o", "--splits=2", "--width=auto", "--predictors=gcn,gp", "--epochs=1", "--repeats=1")
        found = pd.read_csv(tmp_path / "o/cross_validation.csv")
        assert found.groupby("predictor").split.apply(list).to_dict() == {"gcn": [0, 1], "gp": [0, 1]}
        widths = pd.read_csv(tmp_path / "o/widths.csv")
        assert widths.width.is_monotonic_increasing
        assert set(widths.n_train) == {20}


class TestAsScore:
    def test_scores_are_the_predictions(self, table, archs, tmp_path):
        file = tmp_path / "p.keras"
        launch(table, tmp_path / "o", f"--model={file}")
        (tmp_path / "archs.txt").write_text("\n".join(archs[:7]))
        flags = [f"--archs={tmp_path / 'archs.txt'}", f"--output={tmp_path / 's'}", f"--proxies=predictor:{file}"]
        assert score.main(flags) == 0
        from tfnas.runs import records

        found = records.read(tmp_path / "s").set_index("arch")
        assert set(found.proxy) == {f"predictor:{file}"}
        expected = pd.read_parquet(tmp_path / "o/predictions.parquet").set_index("arch")["predicted"]
        np.testing.assert_allclose(found.score, expected[found.index], rtol=1e-5)

    def test_of_another_space(self, table, tmp_path, capsys):
        file = tmp_path / "p.keras"
        launch(table, tmp_path / "o", f"--model={file}")
        flags = ["--space=nasbench101", "--num_archs=2", f"--output={tmp_path / 's'}", f"--proxies=predictor:{file}"]
        assert score.main(flags) == 2
        assert "of another space. Received: --space=nasbench101" in capsys.readouterr().err


class TestFront:
    def test_within_a_window(self, tmp_path):
        space = spaces.get("proxylessnas")
        archs = [str(arch) for arch in space.sample_distinct(np.random.default_rng(0), 30)]
        table, layers = tmp_path / "t.csv", tmp_path / "latency.csv"
        pd.DataFrame({"arch": archs, "val": accuracies(archs)}).to_csv(table, index=False)
        pd.DataFrame({"op": list(_made()), "mean_ms": list(_made().values())}).to_csv(layers, index=False)
        middle = float(np.median(space.latencies(layers).of([space.parse(arch) for arch in archs])))
        window = f"--window={middle - 3},{middle + 3}"
        launch(table, tmp_path / "o", f"--latency={layers}", window, "--candidates=200", "--behind=3", "--repeats=1")
        front = pd.read_csv(tmp_path / "o/front.csv")
        assert 1 <= len(front) < 200
        assert front.latency.is_monotonic_increasing
        assert front.latency.between(middle - 3, middle + 3).all()
        parsed = [space.parse(arch) for arch in front.arch]
        np.testing.assert_allclose(space.latencies(layers).of(parsed), front.latency, rtol=1e-9)

    @pytest.mark.parametrize("share", [0, 0.5, 1])
    def test_without_what_a_first_stage_turns_down(self, share):
        """The fastest would be chosen whatever it is."""
        space = spaces.get("proxylessnas")
        known = knowledge.Known(space, [], None, np.zeros(0), np.zeros(0), "val")
        archs = space.sample_distinct(np.random.default_rng(0), 40)
        latency = np.linspace(75, 85, 40)
        told = np.random.default_rng(1).uniform(0.6, 0.8, 40)
        told[: int(share * 40)] -= 1
        times = types.SimpleNamespace(sample=lambda *arguments: (archs, latency))
        predictor = types.SimpleNamespace(predict_graphs=lambda graphs: told[:, None])
        front = prediction.front_within(known, predictor, times, count=40, window=(75, 85), behind=3, seed=0)
        assert (front.predicted >= 0).all()
        assert len(front) > 0 or share == 1
        if share < 1:
            assert front.arch[0] == str(archs[int(share * 40)])


class TestTables:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda f: pd.concat([f, f.iloc[:1].assign(val=1.0)]), "several values of val"),
            (lambda f: f.assign(val=f.val.where(f.index > 5, f.val / 100)), "mixes fractions and percent"),
            (lambda f: f.assign(val=f.val.where(f.index > 5, np.inf)), "infinite"),
            (lambda f: f.assign(val=f.val.where(f.index != 5, 170.0)), "Received: 170"),
            (lambda f: f.assign(val=-f.val), "Received: -"),
            (lambda f: f.assign(arch=f.arch + "x"), "No search space"),
            (lambda f: f.assign(val=np.nan), "no accuracies"),
        ],
    )
    def test_bad_tables(self, table, tmp_path, change, message):
        change(pd.read_csv(table)).to_csv(tmp_path / "bad.csv", index=False)
        with pytest.raises(InputError, match=message) as error:
            knowledge.read_table(tmp_path / "bad.csv", "val", "", "")
        assert "\n" not in str(error.value)

    def test_percent_and_fractions_are_the_same(self, table, tmp_path):
        frame = pd.read_csv(table)
        frame.assign(val=frame.val / 100, test=frame.test / 100).to_csv(tmp_path / "f.csv", index=False)
        one, other = (knowledge.read_table(path, "val", "test", "") for path in (table, tmp_path / "f.csv"))
        np.testing.assert_allclose(one.accuracies, other.accuracies, rtol=1e-12)
        np.testing.assert_allclose(one.tests, other.tests, rtol=1e-12)
        assert one.archs == other.archs

    def test_rows_without_an_accuracy_are_left_out(self, table, tmp_path):
        frame = pd.read_csv(table)
        frame.assign(val=frame.val.where(frame.index >= 3)).to_csv(tmp_path / "f.csv", index=False)
        assert len(knowledge.read_table(tmp_path / "f.csv", "val", "", "").archs) == 57
