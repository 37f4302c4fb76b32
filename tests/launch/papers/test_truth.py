"""Which architectures an experiment is about, with which accuracies."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import spaces
from launch.flags.execution import Workers
from launch.flags.reproduction import Reproduction
from launch.papers import run, truth
from launch.papers.registry import EXPERIMENTS
from tests.launch.papers.cases import ARCHS, write_table
from tfnas import tables
from tfnas.errors import InputError

FIG1, TABLE2 = EXPERIMENTS["nngp_fig1"], EXPERIMENTS["gs_table5_2"]


def cells(path, **columns):
    return write_table(path, "nasbench101", (), **columns)


@pytest.mark.parametrize(
    ("scale", "count"), [("small", 32), ("paper", 15625), ("0.1", 1562), ("1", 15625), ("1e-9", 8)]
)
def test_scales(scale, count):
    request = Reproduction(scale=scale)
    assert request.count(TABLE2.small_size, TABLE2.paper_size, 10**6) == count
    assert request.count(TABLE2.small_size, TABLE2.paper_size, 10) == min(count, 10)


@pytest.mark.parametrize(("scale", "repeats"), [("small", 4), ("paper", 10), ("0.5", 5), ("1", 10), ("1e-9", 1)])
def test_shares_of_repeats(tmp_path, scale, repeats):
    """As large as they are said to be: there is no least number of them as of networks."""

    class Asked(Exception):
        pass

    def make(inputs):
        raise Asked(inputs.repeats)

    experiment = dataclasses.replace(EXPERIMENTS["gs_tableA_1"], make=make)
    table = write_table(tmp_path / "table.csv", names=("cifar10_test_200",))
    request = Reproduction(scale=scale, table=str(table), datasets=("cifar10",))
    with pytest.raises(Asked, match=f"^{repeats}$"):
        run.run(request, experiment, str(tmp_path / "out"), Workers())


def test_accuracies_are_in_percent_and_prefer_validation(tmp_path):
    accuracies = np.linspace(0.5, 0.6, 24)
    accuracies[-1] = np.nan
    sizes = np.arange(24)
    path = cells(tmp_path / "t.csv", test_108=accuracies, params=sizes)
    found = truth.load(Reproduction(table=str(path)), FIG1)
    assert found.notes[0] == f"truth: test_108 of {path}: columns parted by commas, decimal points"
    assert found.frame["cifar10"].tolist() == pytest.approx(100 * accuracies[:-1])
    assert found.space is spaces.get("nasbench101")
    runs = {"val_4_0": np.linspace(0.1, 1, 24), "val_half_4_0": accuracies, "hash": [str(i) for i in range(24)]}
    path = cells(tmp_path / "t.csv", test_108=accuracies, params=sizes, val_108=np.linspace(93, 94, 24), **runs)
    found = truth.load(Reproduction(table=str(path)), FIG1)
    assert found.notes[0].startswith(f"truth: val_108 of {path}: ")
    assert found.frame["cifar10"].tolist() == pytest.approx(np.linspace(93, 94, 24))
    assert found.frame["val_4_0"].tolist() == pytest.approx(np.linspace(10, 100, 24))
    assert list(found.frame) == ["cifar10", "params", "val_4_0", "hash"]
    named = Reproduction(table=str(path), datasets=("cifar10",), targets=("test_108",))
    assert truth.load(named, FIG1).frame["cifar10"].tolist() == pytest.approx(100 * accuracies[:-1])


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["test_108", "val_108"], "val_108"),
        (["test_108", "val_4"], "test_108"),
        (["test_acc_108_mean"], "test_acc_108_mean"),
        (["top1"], "top1"),  # the only one that can be meant
        (["top1", "top5"], None),
    ],
)
@pytest.mark.parametrize("name", ["nngp_fig1", "np_mse"])
def test_nasbench101_prefers_validation_accuracy(tmp_path, name, names, taken):
    path = write_table(tmp_path / "table.csv", "nasbench101", names)
    request = Reproduction(table=str(path))
    if taken is None:
        with pytest.raises(InputError, match="No column val_108 or test_108 or test_acc_108_mean"):
            truth.load(request, EXPERIMENTS[name])
        return
    found = truth.load(request, EXPERIMENTS[name])
    assert found.frame["cifar10"].to_dict() == pd.read_csv(path).set_index("arch")[taken].to_dict()
    assert found.notes[0].startswith(f"truth: {taken} of {path}: ")


@pytest.mark.parametrize("name", ["gs_table5_1", "np_fig3"])
def test_papers_of_test_accuracies_take_no_others(tmp_path, name):
    path = write_table(tmp_path / "table.csv", "nasbench101", ["val_108", "test_108"])
    found = truth.load(Reproduction(table=str(path)), EXPERIMENTS[name])
    assert found.frame["cifar10"].to_dict() == pd.read_csv(path).set_index("arch")["test_108"].to_dict()


def test_several_data_sets_need_their_own_columns(tmp_path):
    path = write_table(tmp_path / "table.csv")
    with pytest.raises(InputError, match=r"No column cifar10_test_200_v1_0 in .*--targets.* Columns: one, two"):
        truth.load(Reproduction(table=str(path)), TABLE2)
    with pytest.raises(InputError, match=r"No column is known to be digits's in .*--targets"):
        truth.load(Reproduction(table=str(path), datasets=("digits",)), TABLE2)
    both = Reproduction(table=str(path), datasets=("cifar10", "cifar100"), targets=("two", "one"))
    found = truth.load(both, TABLE2)
    known = pd.read_csv(path).set_index("arch")
    assert found.frame["cifar10"].to_dict() == known["two"].to_dict()
    assert found.frame["cifar100"].to_dict() == known["one"].to_dict()


def test_columns_for_some_of_the_data_sets_alone_are_refused(tmp_path):
    path = write_table(tmp_path / "table.csv")
    for targets in (("one",), ("one", "two")):
        with pytest.raises(InputError, match=rf"cifar10, cifar100, .*--datasets.* Received: {', '.join(targets)}$"):
            truth.load(Reproduction(table=str(path), targets=targets), TABLE2)


def test_networks_without_one_of_the_accuracies_are_left_out(tmp_path):
    path = write_table(tmp_path / "table.csv")
    frame = pd.read_csv(path)
    frame.loc[3, "one"] = frame.loc[5, "two"] = np.nan
    frame.to_csv(path, index=False)
    both = Reproduction(table=str(path), datasets=("cifar10", "cifar100"), targets=("one", "two"))
    assert truth.load(both, TABLE2).frame.index.tolist() == frame["arch"].drop([3, 5]).tolist()


def test_a_sample_is_as_large_as_the_scale_says_and_depends_on_the_seed(tmp_path):
    path = write_table(tmp_path / "table.csv", names=("one",))
    small = dataclasses.replace(TABLE2, small_size=9)
    request = Reproduction(table=str(path), datasets=("cifar10",), targets=("one",))
    known = truth.load(request, small)
    first = known.drawn(request, small).frame
    assert len(first) == 9
    assert known.drawn(request, small).frame.equals(first)
    assert not known.drawn(dataclasses.replace(request, seed=1), small).frame.equals(first)
    assert first["cifar10"].to_dict().items() <= known.frame["cifar10"].to_dict().items()


def test_runs_and_accuracies_of_mixed_units_are_refused(tmp_path):
    good = np.linspace(80, 94, 24)
    mixed = np.where(np.arange(24) % 2, good, good / 100)
    for columns in ({"test_108": mixed}, {"test_108": good, "val_4_0": mixed}):
        path = cells(tmp_path / "t.csv", params=np.arange(24), **columns)
        name = list(columns)[-1]
        with pytest.raises(InputError, match=rf"{name} of .*t\.csv mixes fractions and percent\. Received: 12 values"):
            truth.load(Reproduction(table=str(path)), FIG1)


def test_recorded_units_decide_what_is_percent(tmp_path):
    low = np.linspace(0.2, 0.9, 24)
    frame = pd.DataFrame({"arch": ARCHS["nasbench101"], "val_108": low, "val_4_0": low, "val_12_0": low})
    recorded = {"val_108": "percent", "val_4_0": "fraction"}
    tables.write(tables.Table(frame, recorded, "made for a test", "nasbench101"), tmp_path / "t.parquet")
    found = truth.load(Reproduction(table=str(tmp_path / "t.parquet")), FIG1).frame
    assert found["cifar10"].tolist() == low.tolist()
    assert found["val_4_0"].tolist() == found["val_12_0"].tolist() == (100 * low).tolist()


def test_networks_of_another_space_are_told(tmp_path):
    path = write_table(tmp_path / "table.csv", names=("one",))
    frame = pd.read_csv(path)
    frame.loc[5, "arch"] = "conv3x3~0|output~1"
    frame.to_csv(path, index=False)
    request = Reproduction(table=str(path), datasets=("synthetic",), targets=("one",), scale="paper")
    with pytest.raises(InputError, match="conv3x3"):
        truth.load(request, TABLE2).drawn(request, TABLE2)


def test_without_accuracies_networks_come_from_the_table_or_the_space(tmp_path):
    figure = EXPERIMENTS["nngp_figS2"]
    found = truth.load(Reproduction(), dataclasses.replace(figure, small_size=5))
    assert (len(found.frame), found.space.name, found.datasets) == (5, "nasbench101", ())
    path = write_table(tmp_path / "table.csv")
    found = truth.load(Reproduction(table=str(path)), figure)
    assert sorted(found.frame.index) == sorted(ARCHS["nasbench201"])
    assert found.space.name == "nasbench201"
