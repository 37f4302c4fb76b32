"""launch.train in the course of a training: epochs that are measured, early ends, states to go on from, recipes."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

import spaces
from launch import train
from tests.conftest import ROOT
from tfnas import data, seeds, tables, training
from tfnas.networks import weights
from tfnas.runs import records

SMALL = ["--width=4", "--depth=1", "--batch_size=32", "--noflip", "--crop=0", "--train_split=train[:128]"]
THREE = ["--num_archs=2", "--epochs=3", "--measured_epochs=1,2", "--val_split=train[128:256]"]


def flags(folder, digits_dir, *more):
    return [f"--output={folder}", f"--data_dir={digits_dir}", *SMALL, *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, digits_dir):
    """An undisturbed run of two architectures over three epochs, all measured."""
    folder = tmp_path_factory.mktemp("whole")
    assert train.main(flags(folder, digits_dir, *THREE, f"--table_out={folder / 'table.parquet'}")) == 0
    return folder


def stable(folder):
    return records.read(folder, stable=True)


def test_epochs_before_the_last_are_measured_with_the_same_training(whole, digits_dir):
    frame = records.read(whole)
    assert len(frame) == 2 * 3 * 3
    assert set(frame.status) == {"ok"}
    arch = frame.arch[0]
    found = frame[frame.arch == arch].set_index("proxy")
    graph = spaces.get("nasbench201").layer_graph(arch, width=4, depth=1, input_shape=(8, 8, 1), classes=10)
    seed = seeds.derive_seed(0, "train", 0)
    trainer = training.Trainer(graph, training.Recipe(epochs=3, batch_size=32, flip=False, crop=0))
    trainer.start(weights.initialize(graph, "torch", seed))
    images, held_out, test = (
        data.load("digits", split, data_dir=digits_dir) for split in ("train[:128]", "train[128:256]", "test")
    )
    for epoch in trainer.run(images, seed=seed):
        end = "" if epoch.epoch == 3 else f"_epoch{epoch.epoch}"
        assert found.score[f"train_accuracy{end}"] == 100 * epoch.train_accuracy
        assert found.score[f"val_accuracy{end}"] == 100 * trainer.evaluate(held_out)
        assert found.score[f"test_accuracy{end}"] == 100 * trainer.evaluate(test)
        details = json.loads(found.details[f"test_accuracy{end}"])
        assert details == {"epochs": epoch.epoch, "train_loss": epoch.train_loss}
    seconds = [found.seconds[f"test_accuracy{end}"] for end in ("_epoch1", "_epoch2", "")]
    assert seconds == sorted(seconds)


def test_the_table_has_a_column_for_each_measured_epoch(whole):
    table = tables.read(whole / "table.parquet")
    frame = records.read(whole).set_index(["arch", "proxy"]).score
    for row in table.frame.itertuples():
        assert row.test_accuracy_epoch2 == frame[row.arch, "test_accuracy_epoch2"]
        assert row.accuracy == frame[row.arch, "test_accuracy"]
    assert table.units["test_accuracy_epoch2"] == "percent"


def test_measured_epochs_add_records_and_change_none(whole, tmp_path, digits_dir):
    command = flags(tmp_path, digits_dir, "--num_archs=2", "--epochs=3", "--val_split=train[128:256]")
    assert train.main(command) == 0
    first = stable(tmp_path)
    assert len(first) == 2 * 3
    assert train.main(flags(tmp_path, digits_dir, *THREE)) == 0
    pd.testing.assert_frame_equal(stable(tmp_path), stable(whole), check_names=False)
    before = set(first.itertuples(index=False, name=None))
    assert before <= set(stable(tmp_path).itertuples(index=False, name=None))


def test_a_training_that_ends_early_says_why(tmp_path, digits_dir):
    more = ["--num_archs=1", "--epochs=9", "--measured_epochs=1,8", "--stop_accuracy=0.11", "--learning_rate=0.05"]
    assert train.main(flags(tmp_path, digits_dir, *more)) == 0
    frame = records.read(tmp_path).set_index("proxy")
    reached = json.loads(frame.details.test_accuracy)["epochs"]
    assert 1 <= reached < 8
    assert json.loads(frame.details.test_accuracy)["stopped"] == "train_accuracy has reached 0.11"
    assert frame.score.train_accuracy >= 11
    assert frame.status.test_accuracy_epoch1 == "ok"
    assert frame.status.test_accuracy_epoch8 == "nan"
    assert frame.message.test_accuracy_epoch8 == f"ended after epoch {reached}: train_accuracy has reached 0.11"


@pytest.mark.parametrize("more", [["--stop_patience=1", "--stop_on=val_accuracy"], ["--stop_seconds=1e-9"]])
def test_other_rules_end_trainings_too(more, tmp_path, digits_dir):
    small = ["--num_archs=1", "--epochs=40", "--val_split=train[128:160]", "--learning_rate=0.3"]
    assert train.main(flags(tmp_path, digits_dir, *small, *more)) == 0
    details = json.loads(records.read(tmp_path).details[0])
    assert details["epochs"] < 40
    assert details["stopped"].startswith(
        "val_accuracy is no better" if "--stop_patience=1" in more else "1e-09 seconds"
    )


def interrupted(monkeypatch, command, steps, main=train.main):
    """Exit code of a run that Ctrl-C ends after so many steps, and the steps that are left to another."""
    original, left = training.Trainer.step, iter([None] * steps)

    def step(self, *arguments):
        if next(left, 0) == 0:
            raise KeyboardInterrupt
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training.Trainer, "step", step)
        return main(command)


def counted(monkeypatch, command, main=train.main):
    """Exit code and number of steps of a run."""
    original, steps = training.Trainer.step, []
    with monkeypatch.context() as patch:
        patch.setattr(training.Trainer, "step", lambda self, *args: (steps.append(0), original(self, *args))[1])
        return main(command), len(steps)


@pytest.mark.parametrize("steps", [6, 17])
def test_a_training_goes_on_in_its_middle_and_ends_the_same(steps, whole, tmp_path, digits_dir, monkeypatch):
    """Of two architectures with three epochs of four steps."""
    command = flags(tmp_path, digits_dir, *THREE)
    assert interrupted(monkeypatch, command, steps) == 130
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
    assert counted(monkeypatch, command) == (0, 24 - steps)
    pd.testing.assert_frame_equal(stable(tmp_path), stable(whole), check_names=False)
    assert not (tmp_path / "checkpoints").exists()


def test_without_checkpoints_it_begins_again(whole, tmp_path, digits_dir, monkeypatch):
    command = flags(tmp_path, digits_dir, *THREE, "--checkpoint_seconds=0")
    assert interrupted(monkeypatch, command, 6) == 130
    assert not (tmp_path / "checkpoints").exists()
    assert counted(monkeypatch, command) == (0, 24)
    pd.testing.assert_frame_equal(stable(tmp_path), stable(whole), check_names=False)


def test_a_damaged_state_costs_its_training_and_nothing_else(whole, tmp_path, digits_dir, monkeypatch, capsys):
    command = flags(tmp_path, digits_dir, *THREE)
    assert interrupted(monkeypatch, command, 6) == 130
    (path,) = (tmp_path / "checkpoints").iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    capsys.readouterr()
    assert counted(monkeypatch, command) == (0, 24)
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "checkpoints" in line)
    assert f"{path}: not a whole state of a training; the training begins anew" in line
    pd.testing.assert_frame_equal(stable(tmp_path), stable(whole), check_names=False)


def test_the_state_of_a_longer_training_is_not_taken_for_a_shorter_one(tmp_path, digits_dir, monkeypatch):
    assert interrupted(monkeypatch, flags(tmp_path, digits_dir, *THREE), 6) == 130
    (kept,) = (tmp_path / "checkpoints").iterdir()
    assert counted(monkeypatch, flags(tmp_path, digits_dir, "--num_archs=1", "--epochs=1")) == (0, 4)
    assert list((tmp_path / "checkpoints").iterdir()) == [kept]


def test_states_of_others_in_the_folder_are_left_alone(whole, tmp_path, digits_dir):
    """With a state before every step and one after the training; another shard has one, too."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "other.state").write_bytes(b"of another shard")
    assert train.main(flags(tmp_path, digits_dir, *THREE, "--checkpoint_seconds=1e-9")) == 0
    pd.testing.assert_frame_equal(stable(tmp_path), stable(whole), check_names=False)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["other.state"]


def test_kill_9_in_the_middle_loses_no_more_than_the_steps_since_the_last_state(
    whole, tmp_path, digits_dir, monkeypatch
):
    command = flags(tmp_path, digits_dir, *THREE, "--checkpoint_seconds=1e-9")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-m", "launch.train", *command], cwd=ROOT, env=environment)
    try:
        for _ in range(3000):
            if list(tmp_path.glob("checkpoints/*.state")) or process.poll() is not None:
                break
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list(tmp_path.glob("checkpoints/*.state")), "it was killed too late"
    code, _ = counted(monkeypatch, command)
    assert code == 0
    pd.testing.assert_frame_equal(stable(tmp_path), stable(whole), check_names=False)
    assert not (tmp_path / "checkpoints").exists()


def test_a_recipe_sets_what_no_flag_does(tmp_path, digits_dir):
    more = ["--num_archs=1", "--recipe=mnas", "--epochs=2", "--momentum=0.5", "--output=ignored"]
    assert train.main([*more, *flags(tmp_path, digits_dir)]) == 0
    row = records.read(tmp_path).iloc[0]
    options = json.loads(row.options)
    expected = {"optimizer": "rmsprop", "momentum": 0.5, "epochs": 2, "ema": 0.9999, "label_smoothing": 0.1}
    assert {key: options[key] for key in expected} == expected
    assert row.batch_size == 32


def test_the_last_cells_alone_are_trained(tmp_path, digits_dir, monkeypatch):
    made, original = [], training.Trainer.__init__

    def init(self, graph, recipe, **more):
        made.append(more)
        original(self, graph, recipe, **more)

    monkeypatch.setattr(training.Trainer, "__init__", init)
    more = ["--num_archs=1", "--epochs=1", "--train_last=1", "--precision=float64", "--jit", "--nosynchronized_bn"]
    assert train.main(flags(tmp_path, digits_dir, *more)) == 0
    ((settings),) = made
    assert {"classifier", "lastact.0"} < settings["trained"]
    assert all(name.startswith(("cells.4", "classifier", "lastact", "global")) for name in settings["trained"])
    assert (settings["precision"], settings["jit"], settings["synchronized"]) == ("float64", True, False)
    assert json.loads(records.read(tmp_path).options[0])["train_last"] == 1


def test_a_strategy_on_one_device_says_so_and_changes_no_record(whole, tmp_path, digits_dir, capsys):
    assert train.main(flags(tmp_path, digits_dir, *THREE, "--strategy=mirrored")) == 0
    assert "there is one device, which does all the work" in capsys.readouterr().err
    pd.testing.assert_frame_equal(stable(tmp_path), stable(whole), check_names=False)


def test_more_cells_than_there_are_fail_in_their_records(tmp_path, digits_dir, capsys):
    assert train.main(flags(tmp_path, digits_dir, "--num_archs=1", "--epochs=1", "--train_last=9")) == 2
    assert "has 5 cells to choose the last from. Received: 9" in capsys.readouterr().err
