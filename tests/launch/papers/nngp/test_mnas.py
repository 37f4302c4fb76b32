"""Selection in the MNAS space: figure 7 on networks with a known answer, and all of its stages in one command."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import spaces
from launch import app, reproduce
from launch.flags.architectures import sample_architectures
from launch.papers.base import Inputs
from launch.papers.nngp import mnas
from launch.papers.registry import EXPERIMENTS
from tests.launch.papers.cases import fake_workers
from tests.launch.papers.nngp.cases import known_answer, one
from tfnas import data
from tfnas.errors import InputError
from tfnas.evidence import plots
from tfnas.runs import records

SPACE, N = spaces.get("mnas"), 60
ARCHS = sample_architectures(SPACE, N, seed=5)
FIG7 = EXPERIMENTS["nngp_fig7"]
COMMON = {"space": "mnas", "dataset": "cifar100", "width": 32, "depth": 1, "flavour": "mnasnet", "init": "mnas"}


def recorded(folder, *, epochs=5, archs=ARCHS, labels=20, split="train[35%:]", **scores):
    """Records of all networks by what they are called; trainings are of `epochs`, the others of `labels` classes.

    `split` is where accuracies are validated.
    """
    written = []
    for name, values in scores.items():
        options = {"classes": labels, "input_shape": (32, 32, 3), "regularizers": [0.1] * 20, "bn_momentum": 0.997}
        if name.endswith("_accuracy"):
            options = {"classes": 100, "input_shape": (32, 32, 3), "epochs": epochs, "train_split": "train[:35%]"}
            options["split"] = split if name.startswith("val") else "test"
        mine = records.dump_options(options)
        for arch, value in zip(archs, values, strict=True):
            written.append(records.Record(arch=arch, proxy=name, score=float(value), options=mine, **COMMON))
    with records.Writer(folder, "0of1", every=10**6) as writer:
        writer.add(written)
    return folder


def inputs_of(folder):
    frame = pd.DataFrame(index=pd.Index(ARCHS, name="arch"))
    return Inputs(FIG7, SPACE, frame, (), records.read(folder), seed=42)


@pytest.fixture
def known(rng):
    """Accuracies in percent, NNGP accuracies as fractions, latencies."""
    val = 30 + rng.permutation(N) / 2
    return {
        "val_accuracy": val,
        "test_accuracy": val + rng.normal(size=N),
        "latency_macs": 1e6 * np.exp(rng.normal(size=N)),
        "params": 1e6 + 1e4 * rng.permutation(N),
        "flops": 1e6 * np.exp(rng.normal(size=N)),
        "nngp_500_1000_4": val / 200 + rng.normal(size=N) / 40,
    }


@known_answer("fig7")
def test_fig7_correlates_and_selects_as_defined(tmp_path, known):
    made = mnas.fig7(inputs_of(recorded(tmp_path, **known)))
    val, test, inferred = (known[name] for name in ("val_accuracy", "test_accuracy", "nngp_500_1000_4"))
    reward = val / 100 * (np.median(known["latency_macs"]) / known["latency_macs"]) ** 0.07
    names = {"accuracy, 5 epochs": val, "reward, 5 epochs": reward, "NNGP(20, 500, 1000, 4)": inferred}
    for name, values in names.items():
        best = test[np.argsort(-values)[:10]]
        mean = one(made.rows, "mean test accuracy of the selected", name)
        assert (mean["ours"], mean["n"]) == (pytest.approx(best.mean()), 10)
        assert mean["high"] - mean["ours"] == pytest.approx(stats.sem(best))
        assert one(made.rows, "best test accuracy of the selected", name)["ours"] == pytest.approx(best.max())
    compared = {
        "NNGP(20, 500, 1000, 4)": inferred,
        "parameters": known["params"],
        "multiply-adds": known["latency_macs"],
    }
    for name, values in compared.items():
        for against, truth in (("reward", reward), ("accuracy", val)):
            kendall = one(made.rows, f"kendall with {against}", name)
            assert kendall["ours"] == pytest.approx(stats.kendalltau(values, truth)[0])
            assert kendall["low"] < kendall["ours"] < kendall["high"]
            assert one(made.rows, f"pearson with {against}", name)["ours"] == pytest.approx(
                stats.pearsonr(values, truth)[0]
            )
    worst = one(made.rows, "worst", "accuracy, 5 epochs")
    assert worst[["ours", "paper"]].tolist() == [30, 23.69]
    assert one(made.rows, "mean test accuracy of the selected", "random")["n"] == 10
    assert [len(axes.lines) > 0 for axes in made.figure.axes] == [True] * 3


def test_networks_are_judged_by_their_longest_training_and_selected_by_their_shortest(tmp_path, known):
    folder = recorded(tmp_path, **known)
    chosen = mnas.selected(inputs_of(folder), "cifar100")
    by = (known["val_accuracy"], known["nngp_500_1000_4"])
    assert set(chosen) > {ARCHS[place] for values in by for place in np.argsort(-values)[:10]}
    assert len(chosen) < N
    places = [ARCHS.index(arch) for arch in chosen]
    longer = {name: known[name][places] * 1.5 for name in ("val_accuracy", "test_accuracy")}
    inputs = inputs_of(recorded(tmp_path, epochs=400, archs=chosen, **longer))
    assert mnas.selected(inputs, "cifar100") == chosen
    rows = mnas.fig7(inputs).rows
    best = known["test_accuracy"][np.argsort(-known["val_accuracy"])[:10]]
    mean = one(rows, "mean test accuracy of the selected", "accuracy, 5 epochs")
    assert mean["ours"] == pytest.approx(1.5 * best.mean())


def test_subsets_of_labels_stand_apart(tmp_path, known):
    recorded(tmp_path, **known)
    more = {"nngp_1000_5000_4": known["nngp_500_1000_4"], "nngp_8000_5000_4": -known["nngp_500_1000_4"]}
    recorded(tmp_path, labels=100, params=known["params"], flops=known["flops"], **more)
    recorded(tmp_path, labels=50, params=known["params"], flops=known["flops"], nngp_500_1000_4=known["params"] / 1e7)
    rows = mnas.fig7(inputs_of(tmp_path)).rows
    names = [name for name in rows["metric"].unique() if name.startswith("NNGP")]
    assert names == [
        "NNGP(20, 500, 1000, 4)",
        "NNGP(50, 500, 1000, 4)",
        "NNGP(100, 1000, 5000, 4)",
        "NNGP(100, 8000, 5000, 4)",
    ]
    positive, negative = (one(rows, "kendall with accuracy", name)["ours"] for name in names[2:])
    assert positive == pytest.approx(-negative)
    assert positive > 0


def test_networks_that_failed_are_left_out(tmp_path, known):
    known["val_accuracy"][3] = known["test_accuracy"][3] = np.nan
    rows = mnas.fig7(inputs_of(recorded(tmp_path, **known))).rows
    assert one(rows, "kendall with reward", "parameters")["n"] == N - 1
    best = np.argsort(-np.nan_to_num(known["val_accuracy"]))[:10]
    mean = one(rows, "mean test accuracy of the selected", "accuracy, 5 epochs")["ours"]
    assert mean == pytest.approx(known["test_accuracy"][best].mean())


def test_networks_that_were_not_trained_yet_do_not_count(tmp_path, known):
    trained = {name: known.pop(name)[:18] for name in ("val_accuracy", "test_accuracy")}
    recorded(tmp_path, **known)
    rows = mnas.fig7(inputs_of(recorded(tmp_path, archs=ARCHS[:18], **trained))).rows
    assert one(rows, "kendall with reward", "NNGP(20, 500, 1000, 4)")["n"] == 18
    for metric in ("random", "accuracy, 5 epochs", "NNGP(20, 500, 1000, 4)"):
        assert one(rows, "mean test accuracy of the selected", metric)["n"] == 3
    best = np.argsort(-known["nngp_500_1000_4"][:18])[:3]
    mean = one(rows, "mean test accuracy of the selected", "NNGP(20, 500, 1000, 4)")["ours"]
    assert mean == pytest.approx(trained["test_accuracy"][best].mean())


@pytest.mark.parametrize(
    ("missing", "told"),
    [("val_accuracy", "val_accuracy"), ("latency_macs", "one kind of latency"), ("nngp_500_1000_4", "inference")],
)
def test_missing_records_end_in_one_line(tmp_path, known, missing, told, capsys):
    del known[missing]
    folder = recorded(tmp_path / "records", **known)
    arguments = ["--experiment=nngp_fig7", f"--scores={folder}", f"--output={tmp_path / 'out'}"]
    assert reproduce.main(arguments) == app.USAGE_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_sizes_without_records_are_counted(tmp_path, known):
    few, short = ARCHS[:6], {name: values[:6] for name, values in known.items() if name not in ("params", "flops")}
    found = mnas.read(inputs_of(recorded(tmp_path, archs=few, **short)))
    network = {"width": 32, "depth": 1, "flavour": "mnasnet", "classes": 20, "input_shape": (32, 32, 3)}
    graphs = [SPACE.layer_graph(arch, **network) for arch in found.archs]
    assert sorted(found.archs) == sorted(few)
    assert found.sizes[0].values.tolist() == [graph.count_params() for graph in graphs]
    assert found.context.flops == pytest.approx(2 * np.mean([graph.flops() for graph in graphs]))


def test_images_that_train_and_validate_are_told(tmp_path, known):
    for split, expected in (("train[35%:]", "validated on train[35%:]"), ("train[:35%]", "the same images: none is")):
        (first, *_) = mnas.read(inputs_of(recorded(tmp_path / split[6:8], split=split, **known))).notes
        assert first.startswith("trained on train[:35%] of cifar100 for 5 epochs and validated on ")
        assert expected in first


def test_scores_of_the_other_kernel_alone_are_no_figure(tmp_path, known):
    known["ntk_500_1000_4"] = known.pop("nngp_500_1000_4")
    with pytest.raises(InputError, match=r"No inference scores\. Received proxies: .*ntk_500_1000_4"):
        mnas.fig7(inputs_of(recorded(tmp_path, **known)))


def test_given_records_say_which_networks_they_are_of(tmp_path, known):
    folder = recorded(tmp_path / "records", **known)
    arguments = ["--experiment=nngp_fig7", f"--scores={folder}", f"--output={tmp_path / 'out'}"]
    assert reproduce.main(arguments) == 0
    found = pd.read_csv(tmp_path / "out" / "results.csv")
    assert one(found, "kendall with accuracy", "parameters")["n"] == N
    assert (tmp_path / "out" / "nngp_fig7.png").exists()


def test_one_command_runs_all_stages_and_a_second_one_computes_nothing(tmp_path, monkeypatch, capsys):
    import dataclasses

    from launch.papers.nngp import trained

    fake_workers(monkeypatch)
    monkeypatch.setattr(plots, "save", lambda figure, path: None)
    monkeypatch.setattr(trained, "DIGITS", dataclasses.replace(trained.DIGITS, full=9, held_out=False))
    arguments = ["--experiment=nngp_fig7", "--datasets=digits", f"--output={tmp_path / 'out'}"]
    assert reproduce.main(arguments) == 0
    out, err = capsys.readouterr()
    told = " ".join(out.split())
    assert "60 networks on TrainJob on digits" in told
    assert "trained on train[:50%] of digits for 5 epochs and validated on the same images: none is held out" in told
    assert "inference trains and validates on the same images, train[:50%] of digits" in told
    shared = data.split_size("digits", "train[:50%]")
    assert f"warning: digits: --train_split=train[:50%] and --val_split=train[:50%] share {shared} images" in err
    found = records.read(tmp_path / "out" / "scores")
    epochs = found["options"].map(lambda text: json.loads(text).get("epochs"))
    counts = found[found["proxy"] == "test_accuracy"].groupby(epochs)["arch"].nunique()
    assert counts[5] == 60
    assert 10 <= counts[9] <= 40
    recipe = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert (recipe["jobs"]["kind"], recipe["second"]) == ("Compared", {"kind": "Trained", "full": True})
    first = (tmp_path / "out" / "results.csv").read_bytes()
    monkeypatch.setattr("launch.jobs.training.TrainJob.worker", None)
    assert reproduce.main(arguments) == 0
    assert (tmp_path / "out" / "results.csv").read_bytes() == first
