"""launch.train: records, tables, resume, what diverges or fails."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import spaces
from launch import app, train
from launch.flags.architectures import sample_architectures
from launch.flags.training import Training
from tfnas import data, tables, training
from tfnas.errors import InputError
from tfnas.runs import records
from tfnas.runs.shards import in_shard

SMALL = ["--width=4", "--depth=1", "--epochs=1", "--batch_size=32", "--noflip", "--crop=0", "--train_split=train[:64]"]


@pytest.fixture(scope="module")
def digits_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    data.prepare_digits(folder)
    return folder


def flags(folder, digits_dir, *more):
    return [f"--output={folder}", f"--data_dir={digits_dir}", *SMALL, *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, digits_dir):
    """An undisturbed run of three architectures, two repeats each, with its table."""
    folder = tmp_path_factory.mktemp("whole")
    more = ["--num_archs=3", "--repeats=2", "--val_split=train[64:128]", f"--table_out={folder / 'table.parquet'}"]
    assert train.main(flags(folder, digits_dir, *more)) == 0
    return folder


def stable(folder):
    return records.read(folder, stable=True)


def test_a_record_for_each_training_and_accuracy(whole):
    frame = records.read(whole)
    assert len(frame) == 3 * 2 * 3
    assert set(frame.proxy) == {"test_accuracy", "train_accuracy", "val_accuracy"}
    assert set(frame.status) == {"ok"}
    assert frame.score.between(0, 100).all()
    assert (frame.seconds > 0).all()
    assert {(row.width, row.depth, row.batch_size, row.dataset) for row in frame.itertuples()} == {(4, 1, 32, "digits")}
    options = [json.loads(text) for text in frame.options]
    assert {entry["train_split"] for entry in options} == {"train[:64]"}
    assert {entry["epochs"] for entry in options} == {1}


def test_a_record_is_what_training_by_hand_gives(whole, digits_dir):
    from tfnas import seeds
    from tfnas.networks import keras_model, weights

    row = stable(whole).query("proxy == 'test_accuracy' and repeat == 1").iloc[0]
    space = spaces.get("nasbench201")
    graph = space.layer_graph(space.parse(row.arch), width=4, depth=1, input_shape=(8, 8, 1), classes=10)
    seed = seeds.derive_seed(0, "train", 1)
    recipe = training.Recipe(epochs=1, batch_size=32, flip=False, crop=0)
    trainer = training.Trainer(graph, recipe)
    trainer.start(weights.initialize(graph, "torch", seed))
    list(trainer.run(data.load("digits", "train[:64]", data_dir=digits_dir), seed=seed))
    model = keras_model.to_keras(graph, trainer.weights())
    images, labels = data.load("digits", "test", data_dir=digits_dir)
    accuracy = np.mean(model.predict(images, verbose=0).argmax(1) == labels)
    assert row.score == pytest.approx(100 * accuracy, abs=0.3), "one image of 360 may fall either way"


def test_images_that_train_and_judge_are_warned_of(tmp_path, digits_dir, capsys):
    small = ["--num_archs=1", "--seed=3"]
    assert train.main(flags(tmp_path, digits_dir, *small, "--val_split=train[60:100]", "--test_split=test[:20]")) == 0
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("warning"))
    assert line == (
        "warning: --train_split=train[:64] and --val_split=train[60:100] share 4 images; "
        "accuracies are not those of images held out"
    )
    assert train.main(flags(tmp_path, digits_dir, *small, "--test_split=train[:10]")) == 0
    assert "--train_split=train[:64] and --test_split=train[:10] share 10 images" in capsys.readouterr().err


@pytest.mark.parametrize("split", ["train[100%:]", "train[5:5]", "test[:0]"])
@pytest.mark.parametrize("flag", ["train_split", "val_split", "test_split"])
@pytest.mark.parametrize("dataset", ["digits", "synthetic"])
def test_an_empty_split_is_refused_before_anything_is_trained(tmp_path, digits_dir, capsys, dataset, flag, split):
    more = ["--num_archs=1", f"--dataset={dataset}", f"--{flag}={split}"]
    assert train.main(flags(tmp_path, digits_dir, *more)) == app.USAGE_ERROR
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error == f"error: A split needs an image at least. Received: {split}, which is empty"
    assert records.read(tmp_path).empty


def test_the_table_has_the_means(whole):
    table = tables.read(whole / "table.parquet")
    frame = records.read(whole)
    space = spaces.get("nasbench201")
    assert len(table.frame) == 3
    for row in table.frame.itertuples():
        mine = frame[(frame.arch == row.arch) & (frame.proxy == "test_accuracy")].set_index("repeat")
        assert (row.test_accuracy_0, row.test_accuracy_1) == (mine.score[0], mine.score[1])
        assert row.accuracy == pytest.approx((mine.score[0] + mine.score[1]) / 2)
        assert row.train_seconds == pytest.approx(mine.seconds.mean())
        graph = space.layer_graph(space.parse(row.arch), width=4, depth=1, input_shape=(8, 8, 1))
        assert (row.params, row.flops) == (graph.count_params(), graph.flops())
    assert table.units["accuracy"] == "percent"
    assert table.space == "nasbench201"
    assert {"command", "hardware", "cores", "date", "config", "recipe", "tensorflow_version"} <= set(table.facts)
    assert json.loads(table.facts["recipe"])["epochs"] == 1
    expected = stats.kendalltau(table.frame.test_accuracy_0, table.frame.test_accuracy_1).statistic
    assert float(table.facts["kendall_between_repeats"]) == pytest.approx(expected, abs=5e-4)


def test_a_run_that_was_cut_goes_on_and_ends_the_same(whole, tmp_path, digits_dir, monkeypatch):
    original, count = training.Trainer.run, iter(range(100))

    def cut(self, *args, **kwargs):
        if next(count) == 3:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    command = flags(tmp_path, digits_dir, "--num_archs=3", "--repeats=2", "--val_split=train[64:128]")
    monkeypatch.setattr(training.Trainer, "run", cut)
    assert train.main(command) == 130
    assert len(records.read(tmp_path)) == 3 * 3
    monkeypatch.setattr(training.Trainer, "run", original)
    assert train.main(command) == 0
    pd.testing.assert_frame_equal(stable(tmp_path), stable(whole), check_names=False)


def test_shards_together_equal_one_run(whole, tmp_path, digits_dir, capsys):
    archs = sorted(set(records.read(whole).arch))
    count = next(n for n in range(2, 99) if len({in_shard(arch, 0, n) for arch in archs}) == 2)
    more = ["--num_archs=3", "--repeats=2", "--val_split=train[64:128]", f"--table_out={tmp_path / 't.parquet'}"]
    assert train.main(flags(tmp_path, digits_dir, *more, f"--shard=0/{count}")) == 2
    assert "--table_out needs all trainings" in capsys.readouterr().err
    ends = [train.main(flags(tmp_path, digits_dir, *more, f"--shard={i}/{count}")) for i in range(1, count)]
    assert ends[-1] == 0
    pd.testing.assert_frame_equal(stable(tmp_path), stable(whole), check_names=False)
    drop = ["train_seconds"]
    mine, theirs = (tables.read(path).frame for path in (tmp_path / "t.parquet", whole / "table.parquet"))
    pd.testing.assert_frame_equal(mine.drop(columns=drop), theirs.drop(columns=drop))


def test_what_diverges_is_a_status(tmp_path, digits_dir):
    more = ["--num_archs=1", "--learning_rate=1e30", "--epochs=2"]
    assert train.main(flags(tmp_path, digits_dir, *more)) == 0
    frame = records.read(tmp_path)
    assert set(frame.status) == {"nan"}
    assert frame.score.isna().all()
    assert set(frame.message) == {"the training diverged"}


def test_weights_that_diverge_in_the_last_step_have_no_accuracy_but_that_of_training(tmp_path, digits_dir):
    assert train.main(flags(tmp_path, digits_dir, "--num_archs=1", "--learning_rate=1e30", "--batch_size=64")) == 0
    frame = records.read(tmp_path).set_index("proxy")
    assert frame.status.to_dict() == {"test_accuracy": "nan", "train_accuracy": "ok"}
    assert frame.message.test_accuracy == "logits are not finite"


def test_one_that_fails_does_not_end_the_others_and_is_trained_again_with_retry(
    whole, tmp_path, digits_dir, monkeypatch, capsys
):
    """The second architecture runs out of memory in both repeats; nothing of its trainer is used again."""
    archs = list(dict.fromkeys(records.read(whole).arch))
    (tmp_path / "archs.txt").write_text("\n".join(archs))
    original, count = training.Trainer.run, iter(range(100))

    def fail(self, *args, **kwargs):
        if next(count) in (2, 3):
            raise MemoryError("all of it")
        return original(self, *args, **kwargs)

    more = [f"--archs={tmp_path / 'archs.txt'}", "--repeats=2", "--val_split=train[64:128]"]
    command = flags(tmp_path / "out", digits_dir, *more)
    monkeypatch.setattr(training.Trainer, "run", fail)
    assert train.main(command) == 0
    frame = records.read(tmp_path / "out")
    assert set(frame[frame.arch == archs[1]].status) == {"oom"}
    assert set(frame[frame.arch != archs[1]].status) == {"ok"}
    assert "6 failed; the same command with --retry" in capsys.readouterr().out
    monkeypatch.setattr(training.Trainer, "run", lambda *_, **__: pytest.fail("trained again"))
    assert train.main(command) == 0
    monkeypatch.setattr(training.Trainer, "run", original)
    assert train.main([*command, "--retry"]) == 0
    pd.testing.assert_frame_equal(stable(tmp_path / "out"), stable(whole), check_names=False)


def test_where_all_fail_the_exit_code_says_so(tmp_path, digits_dir, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("broken")

    monkeypatch.setattr(training.Trainer, "run", fail)
    assert train.main(flags(tmp_path, digits_dir, "--num_archs=2")) == app.FAILED
    assert set(records.read(tmp_path).status) == {"error"}


def test_the_all_none_cell_is_trained_too(tmp_path, digits_dir):
    (tmp_path / "archs.txt").write_text("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|\n")
    assert train.main(flags(tmp_path / "out", digits_dir, f"--archs={tmp_path / 'archs.txt'}")) == 0
    frame = records.read(tmp_path / "out").set_index("proxy")
    assert frame.status.test_accuracy == "ok"
    assert frame.score.test_accuracy < 20, "all images get one answer"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--num_archs=2", "--repeats=0"], "--repeats must be at least 1. Received: 0"),
        (["--num_archs=2", "--epochs=0"], "epochs=0"),
        (["--num_archs=2", "--init=zeros"], "Received: 'zeros'"),
        (["--num_archs=2", "--shard=2/2"], "Received: '2/2'"),
        (["--num_archs=2", "--dataset=mnist"], "Received: 'mnist'"),
        (["--num_archs=2", "--space=nb"], "Received: 'nb'"),
        (["--num_archs=2", "--test_split=validation"], "Unknown split of digits. Received: 'validation'"),
        (["--num_archs=2", "--batch_size=65"], "Received: 64 images, batch_size=65"),
        (["--num_archs=2", "--table_out=table.csv"], "Received: 'table.csv'"),
        ([], "Which architectures?"),
    ],
)
def test_bad_input_is_one_line(tmp_path, digits_dir, capsys, more, message):
    assert train.main(flags(tmp_path / "out", digits_dir, *more)) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not list((tmp_path / "out").glob("*.parquet"))


def embedded_rows():
    frame = tables.read("nasbench201_digits").frame
    return frame.sort_values("params").iloc[[0, len(frame) // 2]].to_dict("records")


def test_the_embedded_table_is_whole():
    path = tables.embedded("nasbench201_digits")
    table = tables.read(path)
    frame, space = table.frame, spaces.get("nasbench201")
    assert path.stat().st_size < 200_000
    assert len(set(frame.arch)) == len(frame) >= 200
    runs = frame.filter(regex=r"^test_accuracy_\d$")
    assert runs.shape[1] >= 2
    np.testing.assert_allclose(frame.accuracy, sum(runs[name] for name in runs) / runs.shape[1])
    assert frame.accuracy.between(0, 100).all()
    for row in frame.itertuples():
        graph = space.layer_graph(space.parse(row.arch), width=16, depth=1, input_shape=(8, 8, 1))
        assert (row.params, row.flops) == (graph.count_params(), graph.flops())
        assert str(space.parse(row.arch)) == row.arch
    assert {"command", "recipe", "hardware", "cores", "date", "kendall_between_repeats"} <= set(table.facts)


def test_the_embedded_architectures_are_those_of_their_seed():
    table = tables.read("nasbench201_digits")
    config = json.loads(table.facts["config"])
    space = spaces.get(table.space)
    drawn = sample_architectures(space, config["num_archs"], config["seed"])
    assert drawn == table.frame.arch.tolist()


@pytest.mark.parametrize("row", [0, 1])
def test_an_embedded_accuracy_comes_out_again(row, tmp_path, digits_dir):
    """The recipe in the table, run again; another processor rounds otherwise, which moves a few images of 1,697."""
    row = embedded_rows()[row]
    config = json.loads(tables.read("nasbench201_digits").facts["config"])
    (tmp_path / "archs.txt").write_text(row["arch"])
    given = {"output": tmp_path, "data_dir": digits_dir, "archs": tmp_path / "archs.txt", "repeats": 1}
    left_out = {"num_archs", "table_out", "provenance", "shard", "all", "val_split"}
    command = [f"--{key}={value}" for key, value in (config | given).items() if key not in left_out and value != ""]
    assert train.main(command) == 0
    found = records.read(tmp_path).set_index("proxy").score
    assert found.test_accuracy == pytest.approx(row["test_accuracy_0"], abs=2)


def test_a_rate_of_dropout_is_for_networks_that_have_such_layers():
    settings = Training(space="mnas", dataset="synthetic", width=8, batch_size=32, dropout=0.5)
    settings.check()
    assert (settings.to_recipe().dropout, settings.options()["dropout"]) == (0.5, 0.5)
    with pytest.raises(InputError, match=r"it has none\. Received: dropout=0\.5"):
        dataclasses.replace(settings, flavour="mnasnet_small").check()
