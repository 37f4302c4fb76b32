"""Records of the version before jobs and flags had their present form: found, resumed, correlated, computed again.

The folder old_records holds parts as that version wrote them, on digits with networks of width 16 and depth 1, and
the configs of its commands; `kept` holds the features of one network.
"""

import dataclasses
import functools
import json
import pathlib
import shutil

import numpy as np
import pandas as pd
import pytest

import proxies
from launch import correlate, nngp, score, train
from tests import float32
from tfnas import seeds
from tfnas.runs import records

OLD = pathlib.Path(__file__).parent / "old_records"
NETWORKS = ["--width=16", "--depth=1"]
SCORE = ["--num_archs=3", "--batch_size=16", "--ntk_batch_size=8", "--noise_repeats=2", "--proxies=all"]
# The names of two flags are new here: --ntk_logits was --kernel and --ntk_params was --params. Synflow is left out: it
# was computed with --synflow_kept_bn=reduction, of which the network has no layer, and which is refused now.
SETTINGS = ["--ntk_logits=trace", "--ntk_params=all", "--noprescribed_init"]
MORE = ["--num_archs=2", "--batch_size=16", "--repeats=2", "--seed=1", "--bn=inference", *SETTINGS]
MORE += ["--proxies=fnorm,ntk_mean,ncn,lga,zen,swap,aznas_expressivity,gradsign,zico"]
NNGP = ["--num_archs=3", "--n_train=20,60", "--n_val=50", "--ensemble=1,2"]
NTK = ["--num_archs=2", "--n_train=20", "--n_val=30", "--kernel=ntk", "--regularizers=0.001,0.1"]
TRAIN = ["--num_archs=2", "--epochs=1", "--repeats=2", "--crop=0"]
TRAIN += ["--train_split=train[:256]", "--val_split=train[256:400]"]

# Folder, launcher, flags, records of this command.
COMMANDS = {
    "score": ("score", score, SCORE, 3 * 27),
    "score, other settings": ("score", score, MORE, 4 * 11),
    "nngp": ("nngp", nngp, NNGP, 3 * 6),
    "ntk": ("nngp", nngp, NTK, 2 * 3),
    "train": ("train", train, TRAIN, 4 * 3),
}


@pytest.fixture
def costs(monkeypatch):
    """Gives, for the seed of a network that has been scored, its scores in float64 and what float32 may cost them."""
    calls, score_network = {}, proxies.evaluate

    def evaluate(graph, arrays, images, labels, names, options, *, second, thin):
        batches = {"first": images} | ({"second": second[0]} if second else {})

        def in_float64(arrays, batches):
            double = dataclasses.replace(options, dtype="float64")
            other = (batches["second"], second[1]) if second else None
            outcomes = score_network(graph, arrays, batches["first"], labels, names, double, second=other, thin=thin)
            return {name: outcome.score for name, outcome in outcomes.items()}

        calls[options.seed] = in_float64, arrays, batches
        return score_network(graph, arrays, images, labels, names, options, second=second, thin=thin)

    @functools.cache
    def costs_of(seed):
        in_float64, *inputs = calls[seed]
        expected = in_float64(*inputs)
        return expected, float32.allowed(float32.spread(in_float64, *inputs, draws=2), expected)

    monkeypatch.setattr(proxies, "evaluate", evaluate)
    return costs_of


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    return tmp_path / "old"


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_left_to_do(folder, command, capsys):
    name, launcher, flags, count = COMMANDS[command]
    before = {path: path.read_bytes() for path in folder.rglob("*.parquet")}
    assert launcher.main([*NETWORKS, *flags, f"--output={folder / name}"]) == 0
    out, error = capsys.readouterr()
    assert error == ""
    assert f"{count} records ({count} ok)" in out
    assert "missing" not in out
    assert {path: path.read_bytes() for path in folder.rglob("*.parquet")} == before


@pytest.mark.parametrize("command", COMMANDS)
def test_the_present_code_gives_the_same_scores(folder, tmp_path, command, costs):
    """Computed anew, every old record has a present one of the same key and score."""
    name, launcher, flags, count = COMMANDS[command]
    assert launcher.main([*NETWORKS, *flags, f"--output={tmp_path / 'new'}"]) == 0
    new = records.read(tmp_path / "new", stable=True)
    both = new.merge(records.read(folder / name, stable=True), on=list(records.KEY), suffixes=("", "_old"))
    assert len(both) == len(new) == count
    assert (both.status == both.status_old).all()
    for row in both.itertuples():
        if launcher is score:
            if row.score == pytest.approx(row.score_old, rel=float32.FLOOR, nan_ok=True):
                continue
            # Another processor, then: each may be as far from the score in float64 as float32 makes it.
            expected, allowed = costs(seeds.derive_seed(row.seed, row.space, row.arch, row.repeat))
            for found in (row.score, row.score_old):
                float32.check({row.proxy: found}, {row.proxy: expected[row.proxy]}, {row.proxy: allowed[row.proxy]})
        elif row.proxy in ("params", "flops"):
            assert row.score == row.score_old
        else:  # accuracies: one image of the smallest split, in its unit
            one = {"nngp": 1 / 30, "train": 100 / 144}[name]
            assert row.score == pytest.approx(row.score_old, abs=1.01 * one), row.proxy


def test_they_are_correlated(folder, tmp_path):
    archs = records.read(folder / "score").arch.unique()
    table = pd.DataFrame({"arch": archs, "accuracy": np.arange(len(archs))})
    table.to_csv(tmp_path / "table.csv", index=False)
    for name, where in (("score", "seed=0"), ("nngp", "seed=0")):
        flags = [f"--scores={folder / name}", f"--table={tmp_path / 'table.csv'}", f"--output={tmp_path / name}"]
        assert correlate.main([*flags, f"--where={where}", "--bootstrap=0"]) == 0
    assert (tmp_path / "nngp" / "correlations.csv").read_text().count("nngp_20_50_2") == 1


def test_kept_members_of_images_that_are_unknown_are_left_alone(tmp_path):
    """The names of old ones do not tell the images."""
    shutil.copytree(OLD / "kept", tmp_path / "kept")
    before = {path: path.read_bytes() for path in (tmp_path / "kept").iterdir()}
    flags = ["--width=4", "--depth=1", "--num_archs=1", "--n_train=10", "--n_val=20", "--bn_batch=20"]
    assert nngp.main([*flags, f"--kernels={tmp_path / 'kept'}", f"--output={tmp_path / 'out'}"]) == 0
    assert set(records.read(tmp_path / "out").status) == {"ok"}
    after = {path: path.read_bytes() for path in (tmp_path / "kept").iterdir()}
    assert len(after) == len(before) + 1
    assert after.items() > before.items()


@pytest.mark.parametrize("path", sorted(OLD.glob("*/config*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_their_configs_are_replayed_or_name_the_flag_that_changed(path, tmp_path, capsys):
    launcher = {"score": score, "nngp": nngp, "train": train}[path.parent.name]
    code = launcher.main([f"--config={path}", f"--output={tmp_path / 'out'}", "--num_archs=0"])
    assert code == 2
    error = capsys.readouterr().err
    old = {"score": "--kernel has another name now: --ntk_logits", "nngp": "--batch_size has another name now"}
    assert old.get(path.parent.name, "--num_archs must be between 1 and") in error
    if path.parent.name == "nngp":  # without the flag that has another name: numbers that were strings are read
        content = {key: value for key, value in json.loads(path.read_text()).items() if key != "batch_size"}
        (tmp_path / "config.json").write_text(json.dumps(content))
        launcher.main([f"--config={tmp_path / 'config.json'}", f"--output={tmp_path / 'out'}", "--num_archs=0"])
        assert "--num_archs must be between 1 and" in capsys.readouterr().err
