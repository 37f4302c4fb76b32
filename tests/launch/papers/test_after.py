"""Scores after epochs of training: the jobs at each scale, and rank correlations counted pair by pair."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import proxies
import spaces
from launch.flags.reproduction import Reproduction
from launch.jobs.after import AfterJob, name_after, parse_after
from launch.jobs.scores import ScoreJob
from launch.papers import after
from launch.papers.after import After
from launch.papers.registry import EXPERIMENTS
from tests.launch.papers.cases import frame_of, inputs_of, tau
from tfnas import training
from tfnas.errors import InputError

FIG6 = EXPERIMENTS["lga_fig6"]
JOBS = After(("lga", "snip"), (0, 1, 3), (0, 1), untrained=("naswot",), recipe="lga", held_out=True, flavour="tiny")


def jobs_of(jobs=JOBS, space="nasbench201", datasets=("synthetic",), **request):
    request = Reproduction(table="some.parquet", **request)
    return jobs.of(FIG6, request, space, datasets)


@pytest.mark.parametrize("name", [name for name, of in EXPERIMENTS.items() if isinstance(of.jobs, After)])
def test_experiments_name_things_that_exist(name):
    jobs = EXPERIMENTS[name].jobs
    assert {*jobs.trained, *jobs.untrained} <= {*proxies.names(), *proxies.names("training")}
    assert jobs.flavour in ("", *spaces.get(EXPERIMENTS[name].space).flavours)
    horizon = jobs.horizon or training.RECIPES[jobs.recipe].epochs
    for epochs in (jobs.epochs, jobs.small_epochs or jobs.epochs):
        assert list(epochs) == sorted(set(epochs))
        assert epochs[-1] <= horizon


def test_names_and_epochs_are_each_others_inverse():
    for name in ("lga", "l2_norm", "nngp_100_200_1", "fnorm_aftermath"):
        for epochs in (0, 1, 10):
            assert parse_after(name_after(name, epochs)) == (name, epochs)


def test_jobs_at_the_papers_scale():
    untrained, trained = jobs_of(scale="paper")
    assert isinstance(untrained, ScoreJob)
    assert isinstance(trained, AfterJob)
    assert {blank.proxy for blank in untrained.blanks()} == {"naswot", "lga", "snip", "params", "flops"}
    names = {blank.proxy for blank in trained.blanks()}
    assert names == {name_after(name, time) for name in ("lga", "snip", "shortreg") for time in (1, 3)}
    settings = trained.settings
    assert (settings.network().width, settings.network().depth, settings.network().flavour) == (16, 5, "tiny")
    assert (settings.split, settings.train_split, settings.short().batch_size) == ("test", "train", 1024)
    assert (settings.short().learning_rate, settings.short().epochs) == (0.025, 10)
    # The same batch and the same weights before training as on its way.
    (before,) = [blank for blank in untrained.blanks() if blank.proxy == "lga"]
    (later,) = [blank for blank in trained.blanks() if blank.proxy == "lga_after1"]
    changed = {"proxy": "lga_after1", "options": later.options}
    assert dataclasses.replace(before, **changed) == dataclasses.replace(later, score=before.score)
    assert json.loads(before.options).items() <= json.loads(later.options).items()


def test_small_jobs_train_small_networks_on_few_images_and_the_digits_whole():
    (_, trained) = jobs_of()
    assert {blank.proxy for blank in trained.blanks()} == {"lga_after1", "snip_after1", "shortreg_after1"}
    assert (trained.settings.depth, trained.settings.train_split) == (1, "train[:10%]")
    assert trained.settings.short().batch_size == 256
    (_, trained) = JOBS.of(FIG6, Reproduction(), "nasbench201", ("digits",))
    assert (trained.settings.depth, trained.settings.train_split) == (1, "train")
    assert (trained.settings.short().batch_size, trained.settings.short().crop) == (64, 0)
    trained.settings.check()
    (_, trained) = jobs_of(datasets=("digits",))
    assert (trained.settings.depth, trained.settings.short().batch_size) == (1, 64)
    (_, trained) = jobs_of(datasets=("digits",), scale="paper")
    assert (trained.settings.depth, trained.settings.short().batch_size) == (None, 64)


def test_networks_of_another_space_than_the_papers_have_their_own_flavour():
    for job in jobs_of(space="nasbench101", scale="paper"):
        assert job.settings.network().flavour == "nasbench"


def test_without_zero_epochs_sizes_alone_are_scored_before_training():
    untrained, _ = jobs_of(After(("shortreg", "lga"), (3,)))
    assert {blank.proxy for blank in untrained.blanks()} == {"params", "flops"}
    untrained, trained = jobs_of(After(("shortreg",), (2, 4), horizon=4))
    assert {blank.proxy for blank in trained.blanks()} == {"shortreg_after2", "shortreg_after4"}
    assert trained.settings.short().epochs == 4


def test_correlations_are_those_of_the_records_counted_pair_by_pair():
    rng = np.random.default_rng(0)
    archs, truth = [f"a{i}" for i in range(12)], rng.integers(0, 8, 12).astype(float)
    columns = {name: rng.integers(0, 6, 12).astype(float) for name in ("lga", "lga_after3", "lga_after10", "snip")}
    columns["lga_after3"][4] = np.nan
    inputs = inputs_of(FIG6, frame_of(columns, archs), {"digits": pd.Series(truth, archs)})
    rows = after.correlations(inputs, ["lga"], "kendall")
    assert rows["method"].tolist() == ["lga", "lga_after3", "lga_after10"]
    assert rows["epochs"].tolist() == [0, 3, 10]
    assert rows["n"].tolist() == [12, 11, 12]
    assert rows["left_out"].tolist() == [0, 1, 0]
    for row in rows.itertuples():
        known = ~np.isnan(columns[row.method])
        assert row.ours == pytest.approx(tau(columns[row.method][known], truth[known]))
        assert row.low <= row.ours <= row.high
    mixed = dataclasses.replace(inputs, records=inputs.records.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(after.correlations(mixed, ["lga"], "kendall"), rows)
    figure = after.over_epochs(rows, "tau")
    assert [line.get_label() for line in figure.axes[0].get_lines()][:1] == ["lga"]
    assert figure.axes[0].get_lines()[0].get_xdata().tolist() == [0, 3, 10]


def test_records_of_other_data_or_other_proxies_end_in_one_line():
    archs = ["a", "b", "c"]
    records = frame_of({"snip": [1.0, 2.0, 3.0]}, archs)
    with pytest.raises(InputError, match=r"No records of cifar100\. Received: records of digits"):
        after.parts(inputs_of(FIG6, records, {"cifar100": pd.Series([1.0, 2.0, 3.0], archs)}))
    with pytest.raises(InputError, match=r"No records of lga\. Received: snip"):
        after.correlations(inputs_of(FIG6, records, {"digits": pd.Series([1.0, 2.0, 3.0], archs)}), ["lga"], "kendall")
    both = pd.concat([records, frame_of({"snip": [1.0, 2.0, 3.0]}, archs, width=8)])
    with pytest.raises(InputError, match="snip differ in width"):
        after.parts(inputs_of(FIG6, both, {"digits": pd.Series([1.0, 2.0, 3.0], archs)}))


def test_notes_say_which_networks_and_which_training():
    options = '{"training":{"epochs":10,"batch_size":256}}'
    records = pd.concat([frame_of({"lga": [1.0]}, ["a"]), frame_of({"lga_after1": [1.0]}, ["a"], options=options)])
    networks, trained = after.notes(records, spaces.get("nasbench201"))
    assert networks == "networks: width 4, 1 cells a stage (tiny); published are width 16 and 5 cells"
    assert trained == "trained by batch_size=256, epochs=10"
    assert len(after.notes(records[:1], spaces.get("nasbench201"))) == 1
