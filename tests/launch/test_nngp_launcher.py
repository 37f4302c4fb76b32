"""launch.nngp from the command line."""

import json

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


def test_one_device_is_told_where_several_were_to_share(command, tmp_path, capsys):
    for strategy in ("cpu", "mirrored"):
        assert nngp.main([*command, "--num_archs=1", f"--strategy={strategy}", f"--output={tmp_path / strategy}"]) == 0
        told = capsys.readouterr().err
        assert ("there is one device" in told) == (strategy == "mirrored")
    cpu, mirrored = (records.read(tmp_path / name, stable=True) for name in ("cpu", "mirrored"))
    assert cpu.equals(mirrored)


def test_labels_are_in_the_keys_of_their_records_alone(command, tmp_path):
    assert nngp.main(command) == 0
    assert nngp.main([*command, "--labels=4"]) == 0
    frame = records.read(tmp_path / "out")
    options = frame.options.map(json.loads)
    inferred = frame.proxy.str.startswith("nngp")
    few = options.map(lambda values: values.get("classes") == 4)
    assert few.sum() == len(frame) // 2
    assert options[inferred & few].map(lambda values: values["labels"]).eq(4).all()
    assert not options[~(inferred & few)].map(lambda values: "labels" in values).any()


def test_images_of_both_splits_are_told(command, capsys):
    assert nngp.main([*command, "--num_archs=1"]) == 0
    assert "share" not in capsys.readouterr().err
    assert nngp.main([*command, "--val_split=train"]) == 0
    assert "--train_split=train and --val_split=train share 4096 images" in capsys.readouterr().err
