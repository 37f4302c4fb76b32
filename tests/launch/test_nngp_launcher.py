"""launch.nngp from the command line."""

import pytest

import proxies.nngp
from launch import app, nngp
from tests.launch.jobs.test_inference import ARCHS, DEAD
from tfnas.runs import records

FLAGS = ["--dataset=synthetic", "--width=4", "--depth=1", "--train_split=train", "--val_split=test", "--bn_batch=10"]
FLAGS += ["--n_train=10,20", "--n_val=30"]


@pytest.fixture
def command(tmp_path):
    (tmp_path / "archs.txt").write_text("\n".join([*ARCHS, DEAD]))
    return [
        *FLAGS,
        f"--archs={tmp_path / 'archs.txt'}",
        f"--output={tmp_path / 'out'}",
        "--n_train=10,20",
        "--n_val=30",
    ]


def test_the_summary_shows_every_size_what_is_no_number_and_what_comes_next(command, tmp_path, capsys):
    assert nngp.main([*command, "--ensemble=1,2"]) == 0
    out = capsys.readouterr().out
    for text in ("nngp_10_30_1", "nngp_20_30_2", "over 3 architectures", "nan (singular", "launch.correlate"):
        assert text in out
    assert len(records.read(tmp_path / "out")) == 3 * (2 * 2 + 2)
    assert nngp.main([*command, "--ensemble=1,2"]) == 0
    assert "3 of 3 networks are done" in capsys.readouterr().out


def test_shards_in_one_folder_say_what_is_missing(command, tmp_path, capsys):
    for shard in (0, 1):
        assert nngp.main([*command, f"--shard={shard}/2"]) == 0
    first, last = capsys.readouterr().out.split("next:")[:2]
    assert "records are missing: other shards" in first
    assert "missing" not in last
    assert len(records.read(tmp_path / "out")) == 3 * 4


def test_everything_failed_is_an_exit_code(command, monkeypatch, capsys):
    def fail(*_, **__):
        raise MemoryError("all of it")

    monkeypatch.setitem(proxies.nngp.MEMBERS, "nngp", fail)
    assert nngp.main(command) == app.FAILED
    assert "12 failed; the same command with --retry" in capsys.readouterr().out
    monkeypatch.undo()
    assert nngp.main([*command, "--retry"]) == 0
    assert "--retry" not in capsys.readouterr().out
