"""From records to the pool of networks that a figure is about."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

import spaces
from launch.papers.base import Inputs
from launch.papers.nngp import pool
from launch.papers.nngp.metrics import InferenceKey
from launch.papers.registry import EXPERIMENTS
from tests.launch.papers.nngp.cases import ARCHS, NETWORK, SPACE, N, key, write_records
from tfnas.errors import InputError
from tfnas.runs import records


def test_records_become_percent_by_setting(tmp_path, table):
    columns = {key(): np.linspace(0.1, 0.5, N), key(momentum=0.0): np.full(N, 0.25)}
    for seed, shift in ((0, 0.0), (1, 0.02)):
        shifted = {of: values + shift for of, values in columns.items()}
        write_records(tmp_path / "scores", table, shifted, seed=seed)
    found = pool.from_records(records.read(tmp_path / "scores"))
    assert found.regularizers == 20
    assert found.network == NETWORK | {"classes": 10, "input_shape": (32, 32, 3)}
    assert sorted(InferenceKey(*column) for column in found.frame) == sorted(columns)
    expected = 100 * (np.linspace(0.1, 0.5, N) + 0.01)  # seeds are repeats
    assert found.frame[key()].loc[ARCHS].to_numpy() == pytest.approx(expected)
    assert found.sizes.loc[ARCHS, "params"].tolist() == table["params"].tolist()


def test_failures_are_no_scores(tmp_path, table):
    write_records(tmp_path, table, {key(): np.full(N, 0.5)})
    frame = records.read(tmp_path)
    frame.loc[(frame["arch"] == ARCHS[0]) & frame["proxy"].str.startswith("nngp"), "status"] = "nan"
    found = pool.from_records(frame).frame[key()]
    assert math.isnan(found[ARCHS[0]])
    assert found.notna().sum() == N - 1


def test_scores_that_do_not_go_together_are_refused(tmp_path, table):
    columns = {key(): np.full(N, 0.5)}
    write_records(tmp_path / "a", table, columns)
    frame = records.read(tmp_path / "a")
    with pytest.raises(InputError, match="Received proxies: flops, params"):
        pool.from_records(frame[~frame["proxy"].str.startswith("nngp")])
    other = frame.assign(dataset="cifar100")
    with pytest.raises(InputError, match="Scores differ in dataset: cifar10, cifar100"):
        pool.from_records(pd.concat([frame, other]))
    other = frame.assign(batch_size=250)
    with pytest.raises(InputError, match="differ in batch_size and cannot be averaged"):
        pool.from_records(pd.concat([frame, other]))


def inputs_of(table, folder, **changes):
    """What the runner hands over for figure 1."""
    truth = table.rename(columns={"truth": "cifar10"})
    given = {"space": SPACE, "truth": truth, "datasets": ("cifar10",), "seed": 3}
    given["records"] = records.read(folder) if folder else None
    return Inputs(**{"experiment": EXPERIMENTS["nngp_fig1"]} | given | changes)


def test_scores_and_table_are_of_the_same_networks_in_one_order(tmp_path, table):
    written = table[:9]
    write_records(tmp_path, written, {key(): np.linspace(0.1, 0.9, 9)})
    found, notes = pool.gather(inputs_of(written.sample(frac=1, random_state=0), tmp_path))
    assert found.table.index.tolist() == found.scores.index.tolist() == sorted(written.index)
    assert found.table["truth"].to_dict() == written["truth"].to_dict()
    assert found.scores[key()].to_dict() == pytest.approx(dict(zip(ARCHS, np.linspace(10, 90, 9), strict=False)))
    # Of the published size: the paper's own mean over the whole space.
    assert found.context.flops == 2.51e9
    assert "F is the paper's mean over the whole space, 2.51 GFLOP, and not the mean over the 9 scored" in notes[0]
    assert (found.context.features, found.context.seed, found.context.classes) == (512, 3, 10)
    assert [note.split(":")[0] for note in notes] == ["cost"]


@pytest.mark.parametrize("name", ["nngp_figS4", "nngp_figS7", "nngp_text_worst"])
def test_figures_of_a_table_alone_do_not_depend_on_its_order(table, name):
    """Neither means of subsets nor intervals."""
    experiment, found = EXPERIMENTS[name], []
    for truth in (table, table[::-1], table.sample(frac=1, random_state=0)):
        inputs = inputs_of(truth, "", experiment=experiment, records=None)
        found.append(experiment.make(inputs).rows)
    assert found[0]["low"].notna().any()
    pd.testing.assert_frame_equal(found[0], found[1])
    pd.testing.assert_frame_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("changed", "settings"),
    [
        ({"width": 64}, {}),
        ({"depth": 1}, {}),
        ({}, {"classes": 100}),
        ({}, {"input_shape": (16, 16, 3)}),
        ({"space": "nasbench201", "width": 16, "depth": 5, "flavour": "tiny"}, {}),
    ],
)
def test_networks_of_another_size_or_space_cost_their_own_mean(tmp_path, table, changed, settings):
    written = table[:3]
    write_records(tmp_path, written, {key(): [0.1, 0.2, 0.3]}, settings=settings, **changed)
    given = {}
    if "space" in changed:
        given["space"] = spaces.get("nasbench201")
        archs = list(map(str, itertools.islice(given["space"].enumerate(), 3)))
        frame = records.read(tmp_path).replace({"arch": dict(zip(written.index, archs, strict=True))})
        written = written.set_axis(archs)
        given["records"] = frame
    found, notes = pool.gather(inputs_of(written, tmp_path, **given))
    assert found.context.flops == pytest.approx(2 * written["flops"].mean())
    assert notes[0].startswith(f"cost: F is the mean over the 3 scored networks, {found.context.flops / 1e9:.4g} GFLOP")


def test_networks_without_a_score_are_told(tmp_path, table):
    write_records(tmp_path, table, {key(): np.full(N, 0.5)})
    frame = records.read(tmp_path)
    frame.loc[(frame["arch"] == ARCHS[0]) & frame["proxy"].str.startswith("nngp"), "status"] = "oom"
    _, notes = pool.gather(inputs_of(table, tmp_path, records=frame))
    assert notes[0].startswith(f"1 of {N} networks lack a score")


def test_sizes_without_records_are_counted(tmp_path, table):
    write_records(tmp_path, table[:3], {key(): [0.1, 0.2, 0.3]}, drop=("params", "flops"))
    found, _ = pool.gather(inputs_of(table.loc[ARCHS[:3], ["truth"]], tmp_path))
    for arch in ARCHS[:3]:
        graph = SPACE.layer_graph(arch)
        assert found.table.loc[arch, ["params", "flops"]].tolist() == [graph.count_params(), graph.flops()]


@pytest.mark.parametrize(
    ("changed", "settings"),
    [
        ({"width": 4}, {}),
        ({"depth": 1}, {}),
        ({"flavour": "other"}, {}),
        ({}, {"classes": 100}),
        ({}, {"input_shape": (16, 16, 3)}),
    ],
)
def test_sizes_of_other_networks_do_not_count(tmp_path, table, changed, settings):
    """Records of sizes in the same folder are averaged only with those of the same networks."""
    written = table[:3]
    write_records(tmp_path, written, {key(): [0.1, 0.2, 0.3]})
    write_records(tmp_path, written.assign(params=7.0, flops=5.0), {}, settings=settings, **changed)
    found, _ = pool.gather(inputs_of(written[["truth"]], tmp_path))
    for column in ("params", "flops"):
        assert found.table[column].to_dict() == written[column].to_dict()


def test_inference_that_validates_on_what_trains_is_told(tmp_path, table):
    for val, told in (("train[50%:]", 0), ("train[:50%]", 1)):
        splits = {"train_split": "train[:50%]", "val_split": val}
        folder = write_records(tmp_path / f"{told}", table[:3], {key(): [0.1, 0.2, 0.3]}, settings=splits)
        _, notes = pool.gather(inputs_of(table[:3], folder))
        assert sum("the same images, train[:50%] of cifar10: none is held out" in note for note in notes) == told
