"""What is kept of searches by predictors, and gone on with."""

import numpy as np
import pandas as pd
import pytest

from launch import predict
from launch.jobs import prediction
from tests.launch.predict.cases import FAST, launch
from tfnas.predictor import choosing


def test_goes_on_where_it_was_stopped(table, tmp_path, monkeypatch):
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


def test_other_settings_are_computed_beside(table, tmp_path):
    launch(table, tmp_path / "o", "--repeats=1")
    found = launch(table, tmp_path / "o", "--repeats=1", "--epochs=5")
    assert found.groupby("predictor").settings.nunique().to_dict() == {"gcn": 2, "random": 2}


def test_predictions_are_those_of_the_last_command(table, tmp_path):
    """Though no repeat of it has to be computed."""
    told = []
    for seed in (0, 1, 0):
        launch(table, tmp_path / "o", f"--seed={seed}", "--repeats=1")
        told.append(pd.read_parquet(tmp_path / "o/predictions.parquet").predicted)
    assert not np.allclose(told[0], told[1])
    np.testing.assert_allclose(told[0], told[2], rtol=1e-6)


def test_what_another_command_has_left_is_removed(table, tmp_path, capsys):
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


def test_widths_are_those_of_the_last_command(table, tmp_path, monkeypatch):
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
def test_other_files_of_these_names(table, tmp_path, capsys, text):
    (tmp_path / "o").mkdir()
    (tmp_path / "o/repeats.csv").write_text(text)
    assert predict.main([f"--table={table}", f"--output={tmp_path / 'o'}", "--target=val", *FAST]) == 2
    error = capsys.readouterr().err.strip()
    assert "repeats.csv is none that this command goes on with" in error
    assert "\n" not in error
    assert (tmp_path / "o/repeats.csv").read_text() == text


def test_cross_validation_and_width(table, tmp_path, monkeypatch):
    monkeypatch.setattr(choosing, "WIDTHS", (2, 3))
    launch(table, tmp_path / "o", "--splits=2", "--width=auto", "--predictors=gcn,gp", "--epochs=1", "--repeats=1")
    found = pd.read_csv(tmp_path / "o/cross_validation.csv")
    assert found.groupby("predictor").split.apply(list).to_dict() == {"gcn": [0, 1], "gp": [0, 1]}
    widths = pd.read_csv(tmp_path / "o/widths.csv")
    assert widths.width.is_monotonic_increasing
    assert set(widths.n_train) == {20}
