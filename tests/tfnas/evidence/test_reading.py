"""Scores and accuracies from files: what is meant, and what cannot be."""

import numpy as np
import pandas as pd
import pytest

from tests.tfnas.evidence.cases import long
from tfnas import evidence
from tfnas.errors import InputError
from tfnas.runs import records


def test_wide_and_long_files_say_the_same(tmp_path):
    wide = pd.DataFrame({"net": ["a", "b"], "seed": [0, 0], "p": [1.0, 2.0], "q": [3, 4], "name": ["n", "m"]})
    wide.to_csv(tmp_path / "wide.csv", index=False)
    rows = [("a", "p", 1.0), ("b", "p", 2.0), ("a", "q", 3.0), ("b", "q", 4.0)]
    long(rows).to_parquet(tmp_path / "long.parquet")
    first = evidence.load_scores(tmp_path / "wide.csv", arch_column="net")
    second = evidence.load_scores(tmp_path / "long.parquet")
    assert first[["arch", "proxy", "score"]].values.tolist() == second.values.tolist() == [list(row) for row in rows]
    only = evidence.load_scores(tmp_path / "long.parquet", proxies=["q"])
    assert only["proxy"].unique().tolist() == ["q"]
    with pytest.raises(InputError, match=r"'z'.*Allowed: p, q"):
        evidence.load_scores(tmp_path / "long.parquet", proxies=["q", "z"])


def test_scores_under_several_settings_are_not_mixed(tmp_path):
    path = tmp_path / "scores.csv"
    rows = [("a", "p", 1.0, "digits", 0), ("a", "p", 3.0, "digits", 1), ("a", "p", 9.0, "cifar10", 0)]
    long(rows, ["arch", "proxy", "score", "dataset", "seed"]).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"p differ in dataset.*cifar10, digits.*--where=dataset="):
        evidence.load_scores(path)
    scores = evidence.load_scores(path, where={"dataset": "digits"})
    assert evidence.average(scores)["score"].tolist() == [2.0]  # seeds are repeats
    with pytest.raises(InputError, match=r"dataset=mnist.*cifar10, digits"):
        evidence.load_scores(path, where={"dataset": "mnist"})
    with pytest.raises(InputError, match="No column 'data'"):
        evidence.load_scores(path, where={"data": "mnist"})


def test_target_is_found_where_only_one_can_be_meant(tmp_path):
    path = tmp_path / "table.csv"
    pd.DataFrame({"arch": ["a"], "index": [0], "top1": [0.5], "params": [3]}).to_csv(path, index=False)
    assert evidence.load_truth(path).attrs["target"] == "top1"
    pd.DataFrame({"arch": ["a"], "top1": [0.5], "accuracy": [3], "name": ["x"]}).to_csv(path, index=False)
    assert evidence.load_truth(path).attrs["target"] == "accuracy"
    assert evidence.load_truth(path, target="top1")["top1"].tolist() == [0.5]
    pd.DataFrame({"arch": ["a"], "top1": [0.5], "top5": [3], "name": ["x"]}).to_csv(path, index=False)
    for target in ("", "name", "nothing"):
        with pytest.raises(InputError, match=f"'{target}'.*Allowed: top1, top5"):
            evidence.load_truth(path, target=target)
    assert evidence.load_truth(path, prefer=("top3", "top5", "top1")).attrs["target"] == "top5"
    assert evidence.load_truth(path, target="top1", prefer=("top5",)).attrs["target"] == "top1"
    with pytest.raises(InputError, match="Allowed: top1, top5"):
        evidence.load_truth(path, prefer=("name",))


def test_scores_of_other_settings_are_not_averaged():
    frame = pd.DataFrame({"arch": ["a", "a"], "proxy": "p", "score": 0.0, "seed": [0, 1], "width": [8, 16]})
    evidence.check_settings(frame.drop(columns="width"))
    evidence.check_settings(frame.assign(proxy=["p", "q"]))
    with pytest.raises(InputError, match=r"p differ in width and cannot be averaged\. Received: 16, 8\. Drop the"):
        evidence.check_settings(frame, hint="Drop the {column}")


@pytest.mark.parametrize("column", [name for name in records.KEY if name not in ("arch", "proxy", "seed", "repeat")])
def test_every_setting_of_a_record_keeps_scores_apart(column):
    values = ["{}", '{"bn_momentum": 0.9}'] if column == "options" else ["one", "other"]
    frame = pd.DataFrame({"arch": ["a", "a"], "proxy": "p", "score": [1.0, 2.0], column: values})
    with pytest.raises(InputError, match=f"p differ in {column} and cannot be averaged"):
        evidence.check_settings(frame)
    evidence.check_settings(frame.assign(**{column: values[0]}))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"arch": ["a"], "score": [1.0]}, "has a column score, but none that names it"),
        ({"arch": ["a", "b"], "proxy": "p", "score": ["-", "1"]}, "Scores must be numbers. Received in .*: '-'"),
        ({"arch": ["a"], "name": ["b"]}, "has no scores. Needed: columns arch, proxy and score, or arch and numbers"),
        ({"arch": [], "proxy": [], "score": np.array([], float)}, "has no scores"),
    ],
)
def test_files_without_scores(tmp_path, columns, message):
    path = tmp_path / "scores.parquet"
    pd.DataFrame(columns).to_parquet(path)
    with pytest.raises(InputError, match=message):
        evidence.load_scores(path)


def test_the_truth_beside_scores_is_none(tmp_path):
    """As the scores.csv of launch.correlate has it."""
    path = tmp_path / "scores.csv"
    pd.DataFrame({"arch": ["a"], "truth": [90.0], "mine": [1.0]}).to_csv(path, index=False)
    assert evidence.load_scores(path)["proxy"].tolist() == ["mine"]


def test_sizes_of_runs_with_other_batches_go_together():
    frame = pd.DataFrame({"arch": "a", "proxy": ["params", "flops"] * 2, "score": [3.0, 7.0] * 2})
    evidence.check_settings(frame.assign(batch_size=[64, 64, 100, 100], init=["a", "a", "b", "b"]))
    with pytest.raises(InputError, match="flops differ in dataset and cannot be averaged"):
        evidence.check_settings(frame.assign(dataset=["cifar10", "cifar10", "imagenet2012", "imagenet2012"]))


def test_architectures_with_two_accuracies(tmp_path):
    path = tmp_path / "table.csv"
    frame = pd.DataFrame({"arch": ["a", "a", "b"], "epochs": [12, 200, 200], "acc": [1.0, 2.0, 3.0]})
    frame.to_csv(path, index=False)
    with pytest.raises(InputError, match="several values of acc for 'a'"):
        evidence.load_truth(path, target="acc")
    assert evidence.load_truth(path, target="acc", where={"epochs": "200"})["acc"].tolist() == [2.0, 3.0]
    frame.assign(acc=5.0).to_csv(path, index=False)  # the same value twice is no contradiction
    assert evidence.load_truth(path, target="acc")["acc"].tolist() == [5.0, 5.0]
