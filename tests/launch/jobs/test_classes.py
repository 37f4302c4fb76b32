"""Scores of one architecture for all of its class: who gets which, and what is said of it."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import spaces
from launch import correlate
from launch.jobs import classes
from tfnas import evidence
from tfnas.runs import kept, records, sources

SPACE = spaces.get("nasbench201")


def members(count=3, smallest=2):
    """Some classes with several architectures, each as a list of strings."""
    found = {}
    for arch in SPACE.enumerate():
        found.setdefault(SPACE.canonical(arch), []).append(str(arch))
    return [archs for archs in found.values() if smallest <= len(archs) <= 6][:count]


def frame(rows):
    return pd.DataFrame(rows, columns=["arch", "proxy", "score"])


def test_a_score_is_that_of_all_of_the_class_and_its_own_comes_first():
    first, second, third = members()
    scores = frame([(first[1], "p", 1.0), (second[0], "p", 2.0), (second[1], "p", 3.0), (first[0], "q", 4.0)])
    found, note = classes.spread(scores, [*third, *second, *first], SPACE)
    given = {(row.proxy, row.arch): row.score for row in found.itertuples()}
    expected = (
        {("p", arch): 1.0 for arch in first} | {("p", arch): 2.0 for arch in second} | {("q", a): 4.0 for a in first}
    )
    assert given == expected | {("p", second[1]): 3.0}
    assert not found.duplicated(["proxy", "arch"]).any()
    # Equal within a class and different between them.
    groups = found.groupby("arch")[evidence.GROUP].unique().map(list)
    assert [len(set(map(tuple, groups[archs]))) for archs in (first, second)] == [1, 1]
    assert groups[first[0]] != groups[second[0]]
    assert note.startswith(f"scores of 4 networks stand for {len(first) + len(second)}, ")
    assert note.endswith("intervals draw 2 classes")


def test_what_failed_stands_for_no_class_that_has_a_score():
    first, second, _ = members()
    scores = frame([(first[0], "p", math.nan), (first[1], "p", 1.0), (second[0], "p", math.nan)])
    scores["status"] = ["oom", "ok", "oom"]
    found, note = classes.spread(scores, [*first, *second, "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"], SPACE)
    given = found.set_index("arch")["score"]
    assert given[list(first[1:])].tolist() == [1.0] * (len(first) - 1)
    assert given[[first[0], *second]].isna().all()
    assert f"({len(first) + len(second) - 3} have none of their own)" in note


def test_repeats_stay_repeats_and_foreign_classes_stay():
    first, second, _ = members()
    scores = frame([(first[0], "p", 1.0), (first[0], "p", 2.0), (second[0], "p", 5.0)])
    found, _ = classes.spread(scores, first, SPACE)
    assert found.groupby("arch")["score"].apply(list).to_dict() == {arch: [1.0, 2.0] for arch in first} | {
        second[0]: [5.0]
    }


def test_where_every_network_has_its_own_score_nothing_changes():
    first, *_ = members()
    scores = frame([(arch, "p", float(i)) for i, arch in enumerate(first)])
    found, _ = classes.spread(scores, first, SPACE)
    pd.testing.assert_frame_equal(found[["arch", "proxy", "score"]], scores)


@pytest.mark.parametrize("name", ["nasbench201_cifar10", "nasbench201_cifar100"])
def test_scores_that_come_with_this_clone_stand_for_the_whole_space(name):
    """The map of all 15,625 strings to those that were scored."""
    found = sources.read([f"atlas:{name}"])
    found = found[found["proxy"] == "snip"].drop_duplicates("arch").reset_index(drop=True)
    every = list(map(str, SPACE.enumerate()))
    spread, note = classes.spread(found, every, SPACE)
    assert sorted(spread["arch"]) == sorted(every)
    assert note.endswith("intervals draw 6466 classes")
    score = dict(zip(found["arch"], found["score"], strict=True))
    sources_of = {SPACE.canonical(SPACE.parse(arch)): arch for arch in reversed(list(score))}
    for row in spread.iloc[::500].itertuples():
        own = row.arch if row.arch in score else sources_of[SPACE.canonical(SPACE.parse(row.arch))]
        assert row.score == score[own]


def test_sizes_are_those_of_each_architecture():
    """Layers that nothing depends on count as parameters, and are no part of the class."""
    every = members(10_000)
    archs = max(every, key=lambda archs: len(set(SPACE.sizes(archs)["params"])))
    config = {"width": 4, "depth": 1, "flavour": "zcnas", "dataset": "cifar100"}
    rows = [(archs[0], "params", 5.0), (archs[0], "flops", 6.0), (archs[0], "p", 7.0)]
    found, _ = classes.spread(frame(rows).assign(**config), archs, SPACE)
    wide = found.pivot(index="arch", columns="proxy", values="score")
    assert wide.loc[archs[0]].to_dict() == {"params": 5.0, "flops": 6.0, "p": 7.0}, "its own"
    for arch in archs[1:]:
        graph = SPACE.layer_graph(arch, width=4, depth=1, flavour="zcnas", classes=100)
        assert wide.loc[arch].to_dict() == {"params": graph.count_params(), "flops": graph.flops(), "p": 7.0}
    assert wide["params"][1:].nunique() > 1
    # Without settings nothing can be computed, and nothing is made up.
    without, _ = classes.spread(frame(rows), archs, SPACE)
    assert without.groupby("proxy").size().to_dict() == {"flops": 1, "params": 1, "p": len(archs)}


@pytest.fixture
def case(tmp_path):
    """Kept scores of one of each of 30 classes, and the accuracies of all of their architectures."""
    rng = np.random.default_rng(0)
    chosen = members(30)
    with records.Writer(tmp_path / "scores") as writer:
        for i, archs in enumerate(chosen):
            common = {"space": "nasbench201", "arch": archs[0], "dataset": "cifar10", "width": 4, "depth": 1}
            writer.add([records.Record(**common, flavour="tiny", proxy="p", score=i + 5 * rng.normal())])
    kept.write(records.read(tmp_path / "scores"), tmp_path / "kept.parquet", {"runs": []})
    rows = [(arch, 50 + i + rng.normal()) for i, archs in enumerate(chosen) for arch in archs]
    table = pd.DataFrame(rows, columns=["arch", "accuracy"]).sample(frac=1, random_state=0)
    table.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path, chosen, table.set_index("arch")["accuracy"]


def test_correlate_takes_all_of_a_class_and_draws_classes(case, capsys):
    folder, chosen, truth = case
    flags = [f"--scores={folder / 'kept.parquet'}", f"--table={folder / 'table.csv'}", f"--output={folder / 'out'}"]
    assert correlate.main([*flags, "--bootstrap=200"]) == 0
    assert f"{len(truth) - 30} more networks of the table are isomorphic" in capsys.readouterr().out
    alone = pd.read_csv(folder / "out" / "correlations.csv").set_index("proxy").loc["p"]
    assert correlate.main([*flags, "--bootstrap=200", "--isomorphic"]) == 0
    assert f"scores of 30 networks stand for {len(truth)}, " in capsys.readouterr().out
    every = pd.read_csv(folder / "out" / "correlations.csv").set_index("proxy").loc["p"]
    assert (alone["n"], every["n"]) == (30, len(truth))
    score = records.read(folder / "scores").set_index("arch")["score"]
    both = pd.DataFrame([(score[archs[0]], truth[arch]) for archs in chosen for arch in archs])
    assert every["kendall"] == pytest.approx(stats.kendalltau(both[0], both[1]).statistic, rel=1e-5)
    # More strings of the same classes say hardly more.
    widths = [row["kendall_hi"] - row["kendall_lo"] for row in (alone, every)]
    assert 0.7 < widths[1] / widths[0] < 1.4


def test_scores_without_a_space_take_that_of_the_table(case):
    folder, chosen, truth = case
    pd.DataFrame({"arch": [archs[0] for archs in chosen], "mine": range(30)}).to_csv(folder / "mine.csv", index=False)
    flags = [f"--scores={folder / 'mine.csv'}", f"--table={folder / 'table.csv'}", f"--output={folder / 'out'}"]
    assert correlate.main([*flags, "--bootstrap=0", "--isomorphic"]) == 0
    assert pd.read_csv(folder / "out" / "correlations.csv")["n"].tolist() == [len(truth)]


def test_architectures_of_no_space_are_one_line(case, capsys):
    folder, *_ = case
    pd.DataFrame({"arch": ["a", "b"], "accuracy": [1.0, 2.0]}).to_csv(folder / "table.csv", index=False)
    flags = [f"--scores={folder / 'kept.parquet'}", f"--table={folder / 'table.csv'}", f"--output={folder / 'out'}"]
    assert correlate.main([*flags, "--isomorphic"]) == 2
    error = capsys.readouterr().err
    assert "No NAS-Bench-201 architecture" in error
    assert error.count("\n") == 1
