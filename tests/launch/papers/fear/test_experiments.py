"""launch.reproduce on the experiments of FEAR: from flags to files, and real trainings on the digits."""

import dataclasses
import json
import math

import pandas as pd
import pytest

from launch import app, reproduce, score
from launch.flags.reproduction import Reproduction
from launch.jobs.after import AfterJob
from launch.jobs.base import Worker
from launch.jobs.fear import FearJob
from launch.jobs.scores import ScoreJob
from launch.papers import after
from launch.papers.after import After
from launch.papers.fear import bins, trainings
from launch.papers.fear.trainings import Setting
from launch.papers.registry import EXPERIMENTS
from tests.launch.papers.cases import write_table
from tests.launch.papers.fear import cases
from tfnas import evidence, seeds
from tfnas.evidence import plots
from tfnas.runs import kept, records

FEAR = [experiment for name, experiment in EXPERIMENTS.items() if name.startswith("fear_")]
# Of experiments that differ in their data sets alone, the last; tests of the runner have those of scores after epochs.
NAMES = list({(of.make, of.jobs): of.id for of in FEAR if not isinstance(of.jobs, After)}.values())
TINY = Setting(
    (2,),
    (64,),
    (2, 64),
    flags={"crop": 0, "flip": False, "train_split": "train[:256]"},
    network={"width": 4, "depth": 1, "flavour": "tiny"},
    stages={"epochs": 8, "train_batch_size": 64, "fear_batch_size": 64, "fear_epochs": 1, "fear_cells": 1},
)


class Fake(Worker):
    """Numbers of the architecture and of what is asked for, with times, and no network."""

    def compute(self, task):
        found = []
        for blank in task.blanks:
            value = seeds.derive_seed(0, task.arch, blank.proxy, blank.options) % 1000 / 1000
            found.append({"score": value, "seconds": 1 + value, "details": '{"epochs":3}'})
        return found


def flags(tmp_path, name, *more):
    return [f"--experiment={name}", f"--output={tmp_path / name}", *more]


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_writes_its_files_and_records_serve_again(tmp_path, name, monkeypatch, capsys):
    for job in (ScoreJob, AfterJob, FearJob):
        monkeypatch.setattr(job, "worker", lambda self: Fake())
    monkeypatch.setattr(bins, "_RESAMPLES", 50)
    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, path: drawn.append(path.name))
    table = write_table(tmp_path / "table.csv")
    on = [f"--table={table}", "--datasets=digits", "--targets=one"]
    assert reproduce.main(flags(tmp_path, name, *on)) == 0
    out = tmp_path / name
    assert drawn == [f"{name}.png"]
    assert {path.name for path in out.iterdir()} == {
        "config.json",
        "environment.json",
        "recipe.json",
        "results.csv",
        "scores",
    }
    rows = pd.read_csv(out / "results.csv")
    assert rows["ours"].notna().any()
    assert (rows["paper"].isna() == rows["difference"].isna()).all()
    told = "".join(capsys.readouterr().out.split())
    for note in ("at--scale=small", f"truth:oneof{''.join(str(table).split())}"):
        assert note in told
    assert ("durationsaresecondsofwallclock" in told) == (name != "fear_table2")
    if name == "fear_fig7":
        return  # has the rows of tables, and more
    assert reproduce.main(flags(tmp_path / "again", name, *on, f"--scores={out / 'scores'}")) == 0
    again = pd.read_csv(tmp_path / "again" / name / "results.csv")
    order = ["method", "measure"]
    pd.testing.assert_frame_equal(*(frame.sort_values(order, ignore_index=True) for frame in (rows, again)))


def jobs_of(name, **given):
    request = Reproduction(table="table.csv", **given)
    datasets = tuple(EXPERIMENTS[name].columns)
    return EXPERIMENTS[name].jobs.of(EXPERIMENTS[name], request, "nasbench201", datasets)


def test_at_the_scale_of_the_paper_trainings_are_those_of_the_paper():
    found = jobs_of("fear_fig5", scale="paper")
    (fear,) = [job for job in found if isinstance(job, FearJob)]
    stages = fear.settings.stages()
    assert (stages.threshold, stages.cells, stages.seconds) == (0.6, 4, math.inf)
    assert (stages.first.epochs, stages.first.batch_size) == (200, 256)
    assert (stages.second.epochs, stages.second.batch_size) == (5, 1024)
    short = [job.settings for job in found if isinstance(job, AfterJob)]
    lengths = [(settings.times(), settings.short().epochs, settings.short().batch_size) for settings in short]
    assert lengths == [([e], e, b) for b in (256, 512, 1024, 2048) for e in (1, 2, 4, 6, 8, 10, 20, 30)]
    for recipe in (stages.first, *(settings.short() for settings in short)):
        assert (recipe.learning_rate, recipe.schedule, recipe.weight_decay) == (0.1, "cosine_epoch", 5e-4)
        assert (recipe.clip_norm, recipe.crop, recipe.flip, recipe.nesterov) == (5.0, 4, True, True)
    network = fear.settings.network()
    assert (network.width, network.depth) == (16, 5)
    thresholds = {
        name: [job.settings.fear_threshold for job in jobs_of(name, scale="paper") if isinstance(job, FearJob)]
        for name in ("fear_fig4", "fear_table2")
    }
    assert thresholds == {"fear_fig4": [0.6, 0.3, 0.2], "fear_table2": [0.15]}
    (searched,) = [job.settings for job in jobs_of("fear_random_search", scale="1") if isinstance(job, AfterJob)]
    assert (searched.times(), searched.short().epochs, searched.short().batch_size) == ([50], 50, 256)


def test_of_other_data_no_threshold_is_known(tmp_path, capsys):
    table = write_table(tmp_path / "table.csv")
    on = [f"--table={table}", "--datasets=synthetic", "--targets=one"]
    assert reproduce.main(flags(tmp_path, "fear_fig2", *on)) == app.USAGE_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: No threshold of FEAR is known for synthetic. Known: cifar10, cifar100")


# Real trainings ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Table 1 with three real networks."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainings, "DIGITS", TINY)
        patch.setattr("launch.papers.run.truth.Truth.drawn", _three)
        assert reproduce.main(flags(folder, "fear_table1")) == 0
    return folder / "fear_table1"


def _three(self, request, experiment):
    return self.of(self.frame.index[:3])


@pytest.fixture(scope="module")
def accuracies():
    return evidence.load_truth("nasbench201_digits")["accuracy"]


def test_real_trainings_give_rows_of_their_records(trained, accuracies):
    found, rows = records.read(trained / "scores"), pd.read_csv(trained / "results.csv")
    assert len(found) == 3 * (2 + 1)  # FEAR and its time, the short training
    (small,) = rows[(rows["method"] == "fear") & (rows["measure"] == "seconds, top 100 %")].to_dict("records")
    fear = found[(found["proxy"] == "fear") & (found["status"] == "ok")]
    assert small["n"] == len(fear) >= 2
    assert small["ours"] == pytest.approx(fear["seconds"].mean(), rel=1e-4)
    archs = list(fear["arch"])
    mine = found[found["proxy"] == "shortreg_after2"].set_index("arch").loc[archs]
    nearest = "nearest: shortreg, 2 epochs, batch 64"
    assert cases.one(rows, nearest, "seconds, top 100 %")["ours"] == pytest.approx(mine["seconds"].mean(), rel=1e-4)
    expected = cases.spearman(list(mine["score"]), list(accuracies[archs] * 100), 100)
    of = rows[(rows["method"] == nearest) & (rows["measure"] == "Spearman's rho, top 100 %")]
    # Without a rho the training is on the frontier of common ratios alone.
    assert list(of["ours"]) == ([] if math.isnan(expected) else [pytest.approx(expected, rel=1e-4)])


def test_one_run_serves_the_tables_and_the_search_too(tmp_path, trained, monkeypatch):
    monkeypatch.setattr(plots, "save", lambda figure, path: None)
    for name in ("fear_fig5", "fear_table2", "fear_fig2", "fear_random_search"):
        assert reproduce.main(flags(tmp_path, name, f"--scores={trained / 'scores'}")) == 0
        assert pd.read_csv(tmp_path / name / "results.csv")["ours"].notna().any()


def test_networks_that_are_really_given_up_cost_their_time_and_do_not_win(tmp_path, trained, accuracies, monkeypatch):
    """--fear_seconds ends every first stage with its first epoch, before the threshold."""
    monkeypatch.setattr(plots, "save", lambda figure, path: None)
    found = records.read(trained / "scores")
    kept.write(found[found["proxy"].str.startswith("shortreg")], tmp_path / "short.parquet", {"runs": []})
    (tmp_path / "archs.txt").write_text("\n".join(found["arch"].unique()) + "\n")
    network = ["--width=4", "--depth=1", "--flavour=tiny", "--seed=42", "--crop=0", "--noflip"]
    given = ["--proxies=fear", "--fear_threshold=1", "--fear_seconds=1e-9", "--fear_cells=1", "--train_batch_size=64"]
    given += ["--fear_batch_size=64", "--train_split=train[:256]", f"--archs={tmp_path / 'archs.txt'}"]
    assert score.main([*network, *given, f"--output={tmp_path / 'given_up'}"]) == 0
    stopped = records.read(tmp_path / "given_up")
    stage = stopped[stopped["proxy"] == "time_to_threshold"]
    assert list(stage["status"]) == ["nan"] * 3
    assert {json.loads(text)["epochs"] for text in stage["details"]} == {1}
    scores = f"--scores={tmp_path / 'given_up'},{tmp_path / 'short.parquet'}"
    assert reproduce.main(flags(tmp_path, "fear_random_search", scores)) == 0
    rows = pd.read_csv(tmp_path / "fear_random_search" / "results.csv")
    assert math.isnan(cases.one(rows, "fear", "test accuracy of the winner (%)")["ours"])
    assert cases.one(rows, "fear", "networks given up")["ours"] == 1  # half of three networks a run
    spent = cases.one(rows, "fear", "seconds of a search")["ours"]
    assert stage["seconds"].min() * 0.999 <= spent <= stage["seconds"].max() * 1.001


def test_scores_between_epochs_of_real_trainings(tmp_path, accuracies, monkeypatch):
    tiny = {"train_batch_size": 64, "crop": 0, "train_split": "train[:256]", **TINY.network}
    monkeypatch.setattr(after, "DIGITS", tiny)
    jobs = dataclasses.replace(EXPERIMENTS["fear_fig3"].jobs, trained=("snip", "synflow"), small_epochs=(0, 1, 2))
    monkeypatch.setitem(EXPERIMENTS, "fear_fig3", dataclasses.replace(EXPERIMENTS["fear_fig3"], jobs=jobs))
    monkeypatch.setattr("launch.papers.run.truth.Truth.drawn", _three)
    monkeypatch.setattr(plots, "save", lambda figure, path: None)
    assert reproduce.main(flags(tmp_path, "fear_fig3")) == 0
    found = records.read(tmp_path / "fear_fig3" / "scores")
    rows = pd.read_csv(tmp_path / "fear_fig3" / "results.csv")
    for proxy in ("snip", "snip_after2", "shortreg_after1", "synflow_after1"):
        mine = found[found["proxy"] == proxy].set_index("arch")["score"]
        expected = cases.spearman(list(mine), list(accuracies[mine.index]), 100)
        (row,) = rows[rows["method"] == proxy].to_dict("records")
        assert row["ours"] == pytest.approx(expected, rel=1e-4, nan_ok=True)
