"""launch.score after training: one training for all epochs and scores, the same bits as by hand, FEAR, states."""

import dataclasses
import json
import math

import pandas as pd
import pytest

import proxies
import spaces
from launch import correlate, score
from launch.flags.architectures import sample_architectures
from tests.launch.test_train_epochs import counted as counted_by
from tests.launch.test_train_epochs import interrupted as interrupted_by
from tfnas import data, seeds, training
from tfnas.networks import weights
from tfnas.runs import records
from tfnas.training.threshold import SHALLOW, hog_threshold

SPACE = spaces.get("nasbench201")
ARCHS = sample_architectures(SPACE, 2, seed=0)
SMALL = ["--num_archs=2", "--width=2", "--depth=1", "--batch_size=8", "--noise_repeats=1", "--train_split=train[:128]"]
SHORT = ["--recipe=lga", "--train_batch_size=32", "--crop=0", "--after_epochs=0,1,3"]
SOME = "--proxies=snip,lga,zico,zen,linear_regions"
FEAR = ["--proxies=fear", "--train_batch_size=32", "--fear_batch_size=64", "--crop=0", "--fear_threshold=0.3"]
FEAR += ["--fear_cells=2", "--fear_epochs=2"]
RECIPE = dataclasses.replace(training.RECIPES["lga"], batch_size=32, crop=0)


def flags(folder, digits_dir, *more):
    return [f"--output={folder}", f"--data_dir={digits_dir}", *SMALL, *more]


def run(folder, digits_dir, *more):
    assert score.main(flags(folder, digits_dir, *more)) == 0
    return records.read(folder, stable=True)


def same(left, right):
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True), check_exact=True)
    return True


def of_networks(frame):
    return frame[frame.proxy != "time_to_threshold"]


def interrupted(monkeypatch, command, steps):
    return interrupted_by(monkeypatch, command, steps, score.main)


def counted(monkeypatch, command):
    return counted_by(monkeypatch, command, score.main)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, digits_dir):
    """An undisturbed run of two networks after 0, 1 and 3 epochs."""
    folder = tmp_path_factory.mktemp("whole")
    return run(folder, digits_dir, *SHORT, SOME)


@pytest.fixture(scope="module")
def stages(tmp_path_factory, digits_dir):
    """FEAR of two networks."""
    folder = tmp_path_factory.mktemp("stages")
    return run(folder, digits_dir, *FEAR)


def setup(arch, digits_dir):
    """Graph, initial weights, seed of the network, training images and a batch with a second one."""
    graph = SPACE.layer_graph(arch, width=2, depth=1, input_shape=(8, 8, 1), classes=10)
    seed = seeds.derive_seed(0, "nasbench201", arch, 0)
    images = data.load("digits", "train[:128]", data_dir=digits_dir)
    both, labels = data.batch("digits", "train", 16, 0, data_dir=digits_dir)
    batches = (both[:8], labels[:8]), (both[8:], labels[8:])
    return graph, weights.initialize(graph, SPACE.init, seed), seed, images, batches


def by_hand(arch, digits_dir):
    """Scores after 0, 1 and 3 epochs, by the name of their record."""
    graph, start, seed, images, ((batch, labels), second) = setup(arch, digits_dir)
    names, found = ["snip", "lga", "zico"], {}

    def look(now, end):
        options = proxies.Options(seed=seed, init=SPACE.init)
        outcomes = proxies.evaluate(graph, now, batch, labels, names, options, second=second)
        found.update({f"{name}{end}": outcomes[name].score for name in names})

    look(start, "")
    trainer = training.Trainer(graph, RECIPE)
    trainer.start(start)
    for epoch in trainer.run(images, seed=seeds.derive_seed(0, "train", 0)):
        if epoch.epoch in (1, 3):
            look(trainer.weights(), f"_after{epoch.epoch}")
            found[f"shortreg_after{epoch.epoch}"] = epoch.train_accuracy
        if epoch.epoch == 3:
            return found


def test_scores_are_those_of_a_trainer_and_its_weights(whole, digits_dir):
    assert set(whole.status) == {"ok"}
    for arch in ARCHS:
        found, expected = whole[whole.arch == arch].set_index("proxy").score, by_hand(arch, digits_dir)
        assert {name: found[name] for name in expected} == expected
        assert len({expected[f"snip{end}"] for end in ("", "_after1", "_after3")}) == 3


def test_what_no_training_changes_is_scored_once_under_its_own_name(whole, tmp_path, digits_dir):
    trained = {f"{name}_after{t}" for name in ("snip", "lga", "zico", "shortreg") for t in (1, 3)}
    assert set(whole.proxy) == {"snip", "lga", "zico", "zen", "linear_regions", "params", "flops"} | trained
    more = ["--recipe=lga", "--train_batch_size=32", "--crop=0", "--after_epochs=1", "--proxies=snip,zen"]
    frame = run(tmp_path, digits_dir, *more, "--noprescribed_init")
    assert set(frame.proxy) == {"snip_after1", "zen_after1", "shortreg_after1", "params", "flops"}
    frame = run(tmp_path / "drawn", digits_dir, *more)
    assert set(frame.proxy) == {"snip_after1", "zen", "shortreg_after1", "params", "flops"}


def test_after_no_epoch_scores_are_the_plain_ones(whole, tmp_path, digits_dir, capsys):
    plain = run(tmp_path, digits_dir, SOME)
    assert same(plain, whole[~whole.proxy.str.contains("_after")])
    capsys.readouterr()
    assert same(run(tmp_path, digits_dir, *SHORT, SOME), whole)
    assert "2 of 2 networks are done" in capsys.readouterr().out


def test_scores_do_not_depend_on_what_else_is_asked_for(whole, tmp_path, digits_dir):
    base = SHORT[:-1]
    for more in (
        ["--after_epochs=3", "--proxies=snip", "--shard=1/2"],
        ["--after_epochs=3", "--proxies=snip", "--shard=0/2"],
        ["--after_epochs=1", "--proxies=zico,lga,shortreg"],
        ["--after_epochs=3,0", SOME, "--checkpoint_seconds=0"],
    ):
        run(tmp_path, digits_dir, *base, *more)
    assert same(
        records.read(tmp_path, stable=True).query("proxy != 'snip_after1'"), whole.query("proxy != 'snip_after1'")
    )
    assert same(run(tmp_path, digits_dir, *SHORT, SOME), whole)


def test_short_training_alone_needs_no_batch(tmp_path, digits_dir, whole):
    frame = run(tmp_path, digits_dir, *SHORT, "--proxies=shortreg")
    assert set(frame.proxy) == {"shortreg_after1", "shortreg_after3", "params", "flops"}
    assert same(frame, whole[whole.proxy.isin(frame.proxy)])


@pytest.mark.parametrize("steps", [6, 17])
def test_a_training_goes_on_in_its_middle_with_the_scores_of_epochs_that_have_passed(
    steps, whole, tmp_path, digits_dir, monkeypatch
):
    """Of two networks, each three epochs of four steps."""
    command = flags(tmp_path, digits_dir, *SHORT, SOME)
    assert interrupted(monkeypatch, command, steps) == 130
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
    assert counted(monkeypatch, command) == (0, 24 - steps)
    assert same(records.read(tmp_path, stable=True), whole)
    assert not (tmp_path / "checkpoints").exists()


def test_a_state_before_every_step_changes_nothing(whole, tmp_path, digits_dir):
    assert same(run(tmp_path, digits_dir, *SHORT, SOME, "--checkpoint_seconds=1e-9"), whole)
    assert not (tmp_path / "checkpoints").exists()


def test_a_failure_is_computed_again_from_the_start_and_costs_no_other_score(whole, tmp_path, digits_dir, monkeypatch):
    """The state that waits for its records has no score that failed."""
    entry = proxies.get("snip")

    def fail(passes):
        raise RuntimeError("no luck")

    command = flags(tmp_path, digits_dir, *SHORT, SOME, "--checkpoint_seconds=1e-9")
    with monkeypatch.context() as patch:
        patch.setitem(proxies.base._REGISTRY, "snip", dataclasses.replace(entry, compute=fail))
        assert score.main(command) == 0
    frame = records.read(tmp_path, stable=True)
    assert set(frame.proxy[frame.status == "error"]) == {"snip", "snip_after1", "snip_after3"}
    assert same(frame[frame.status == "ok"], whole[~whole.proxy.str.startswith("snip")])
    assert counted(monkeypatch, [*command, "--retry"]) == (0, 24)
    assert same(records.read(tmp_path, stable=True), whole)


def test_a_training_that_diverges_has_no_scores_from_then_on(tmp_path, digits_dir):
    more = ["--learning_rate=1e30", "--train_batch_size=32", "--crop=0", "--after_epochs=1,2", "--proxies=l2_norm"]
    frame = run(tmp_path, digits_dir, *more).set_index("proxy")
    trained = frame[frame.index.str.contains("_after")]
    assert set(trained.status) == {"nan"}
    assert trained.message.str.fullmatch("ended after epoch [12]: the training diverged").all()
    assert trained.score.isna().all()


def test_float64_trains_in_float64_and_has_records_of_its_own(tmp_path, digits_dir):
    more = ["--train_batch_size=32", "--crop=0", "--after_epochs=1", "--proxies=l2_norm", "--num_archs=1"]
    run(tmp_path, digits_dir, *more)
    frame = run(tmp_path, digits_dir, *more, "--dtype=float64")
    both = frame[frame.proxy == "l2_norm_after1"].score
    assert len(both) == 2
    assert both.iloc[0] != both.iloc[1]
    assert math.isclose(*both, rel_tol=1e-3)


def test_correlate_shows_all_epochs_side_by_side(tmp_path, digits_dir):
    run(tmp_path, digits_dir, *SHORT, "--proxies=snip")
    out = tmp_path / "evidence"
    assert correlate.main([f"--scores={tmp_path}", "--table=nasbench201_digits", f"--output={out}"]) == 0
    shown = set(pd.read_csv(out / "correlations.csv").proxy)
    assert {"snip", "snip_after1", "snip_after3", "shortreg_after1", "shortreg_after3", "params"} <= shown


# FEAR ----------------------------------------------------------------------------------------------------------------


def test_fear_is_that_of_the_trainings_by_hand(stages, tmp_path, digits_dir):
    assert set(stages.proxy) == {"fear", "time_to_threshold", "params", "flops"}
    assert set(stages.status) == {"ok"}
    first, second = (
        dataclasses.replace(training.RECIPES[f"fear_stage{stage}"], crop=0, batch_size=32 * stage, epochs=epochs)
        for stage, epochs in ((1, 200), (2, 2))
    )
    for arch in ARCHS:
        graph, start, _, images, _ = setup(arch, digits_dir)
        settings = training.Fear(0.3, 2, first, second)
        hand = training.fear_score(graph, start, images, settings, seed=seeds.derive_seed(0, "train", 0))
        found = stages[stages.arch == arch].set_index("proxy")
        assert found.score.fear == hand.accuracy
        assert json.loads(found.details.fear) == {"epochs": hand.epochs}
        assert found.score.time_to_threshold < 0


def test_the_time_to_the_threshold_is_what_stage_1_took(tmp_path, digits_dir):
    run(tmp_path, digits_dir, *FEAR, "--num_archs=1")
    frame = records.read(tmp_path).set_index("proxy")
    assert frame.score.time_to_threshold == -frame.seconds.time_to_threshold
    assert frame.seconds.fear > frame.seconds.time_to_threshold > 0


@pytest.mark.parametrize("more", [["--epochs=1"], ["--fear_seconds=1e-9"]])
def test_networks_that_do_not_reach_the_threshold_have_no_score(more, tmp_path, digits_dir):
    frame = run(tmp_path, digits_dir, *FEAR, "--fear_threshold=1", *more).set_index("proxy")
    frame = frame.loc[["fear", "time_to_threshold"]]
    assert set(frame.status) == {"nan"}
    assert set(frame.message) == {"stage 1 has not reached 1 in 1 epochs"}


def test_a_threshold_is_found_once_and_kept_beside_the_records(tmp_path, digits_dir, monkeypatch, capsys):
    pytest.importorskip("skimage", reason="the extra fear is not installed")
    made = []

    def small(images, classes, seed):
        made.append((len(images[1]), classes, seed))
        return hog_threshold(images, classes, recipe=dataclasses.replace(SHALLOW, epochs=6), units=32, seed=seed)

    monkeypatch.setattr("tfnas.training.threshold.hog_threshold", small)
    command = [*FEAR, "--num_archs=1", "--epochs=1", "--fear_threshold=0"]
    frame = run(tmp_path, digits_dir, *command).set_index("proxy")
    images = data.load("digits", "train[:128]", data_dir=digits_dir)
    found = round(small(images, 10, 0), 3)
    assert made == [(128, 10, 0)] * 2
    assert json.loads(frame.options.fear)["threshold"] == found
    assert f"--fear_threshold={found:g}, which a shallow network" in capsys.readouterr().out
    assert len(run(tmp_path, digits_dir, *command, f"--fear_threshold={found}")) == len(frame)
    assert len(run(tmp_path, digits_dir, *command)) == len(frame)
    assert len(made) == 2
    (path,) = tmp_path.glob("threshold-*.json")
    path.write_text('{"threshold": "high"}')
    assert score.main(flags(tmp_path, digits_dir, *command)) == 2
    assert f"No threshold of fear. Received: {path}" in capsys.readouterr().err


def test_without_scikit_image_one_line_says_what_to_do(tmp_path, digits_dir, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert score.main(flags(tmp_path, digits_dir, *FEAR, "--fear_threshold=0")) == 2
    assert "Allowed: --fear_threshold=0.6 or the like, or pip install" in capsys.readouterr().err


def test_each_stage_goes_on_where_it_was(stages, tmp_path, digits_dir, monkeypatch):
    command = flags(tmp_path, digits_dir, *FEAR)
    code, steps = counted(monkeypatch, flags(tmp_path / "whole", digits_dir, *FEAR))
    assert code == 0
    details = stages.set_index(["arch", "proxy"]).details
    first = 4 * json.loads(details[ARCHS[0], "fear"])["epochs"]
    for place in (2, first + 1):  # in stage 1 and stage 2 of the first network
        folder = tmp_path / str(place)
        command = flags(folder, digits_dir, *FEAR)
        assert interrupted(monkeypatch, command, place) == 130
        assert (folder / "checkpoints").is_dir()
        assert counted(monkeypatch, command) == (0, steps - place)
        assert same(of_networks(records.read(folder, stable=True)), of_networks(stages))
        assert not (folder / "checkpoints").exists()
