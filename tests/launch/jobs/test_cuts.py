"""Which cuts are made of which data, and what launch.correlate says of them."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from launch import correlate
from launch.jobs import cuts
from spaces.nasbench201.space import OPS
from tfnas.runs import records

ARCHS = [f"|net{i}|" for i in range(40)]


@pytest.fixture
def case(tmp_path):
    """Scores of 40 networks under three seeds, and a table with sizes and single trainings."""
    rng = np.random.default_rng(0)
    accuracy = rng.normal(size=40) + 90
    table = pd.DataFrame(
        {"arch": ARCHS, "accuracy": accuracy, "accuracy_one_random_seed": accuracy + rng.normal(size=40)}
    )
    table["params"] = np.exp(accuracy - 90 + rng.normal(size=40))
    table.to_csv(tmp_path / "table.csv", index=False)
    with records.Writer(tmp_path / "scores") as writer:
        for seed in range(3):
            for arch, value in zip(ARCHS, accuracy, strict=True):
                common = {"space": "made up", "arch": arch, "dataset": "digits", "seed": seed}
                writer.add([records.Record(**common, proxy="good", score=value + rng.normal())])
                writer.add([records.Record(**common, proxy="noise", score=rng.normal())])
    return tmp_path


def launch(case, *flags, scores="scores"):
    files = [f"--scores={case / scores}", f"--table={case / 'table.csv'}", f"--output={case / 'out'}"]
    return correlate.main([*files, "--target=accuracy", "--bootstrap=20", *flags])


def made(case):
    return {path.stem for path in (case / "out").glob("*.csv")} - {"correlations", "scores"}


def read(case, name):
    return pd.read_csv(case / "out" / f"{name}.csv").set_index("proxy")


def test_all_that_can_be_made_is_made_and_told(case, capsys):
    assert launch(case) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert made(case) == {"bands", "size", "similarity", "seeds"}
    for text in ("at fixed size", "best 50%", "between seeds", "limit by seeds", "seeds.csv", "seeds.png"):
        assert text in out
    table = pd.read_csv(case / "table.csv").set_index("arch")
    run = stats.spearmanr(table["accuracy"], table["accuracy_one_random_seed"]).statistic
    assert f"(accuracy_one_random_seed) reaches {run:.3f}" in out
    # All of one set of numbers: means over the seeds, but for what is of single seeds.
    scores = records.read(case / "scores").query("proxy == 'good'").pivot(index="arch", columns="seed", values="score")
    truth = table["accuracy"].reindex(scores.index)
    whole = stats.spearmanr(scores.mean(axis=1), truth).statistic
    bands = read(case, "bands")
    assert bands[bands["percent"] == 100].loc["good", "spearman"] == pytest.approx(whole, rel=1e-4)
    assert read(case, "size").loc["good", "spearman"] == pytest.approx(whole, rel=1e-4)
    seeds = read(case, "seeds").loc["good"]
    assert seeds["spearman"] == pytest.approx(whole, rel=1e-4)
    one = np.mean([stats.spearmanr(scores[seed], truth).statistic for seed in range(3)])
    assert seeds["spearman_one"] == pytest.approx(one, rel=1e-4)
    between = [stats.spearmanr(scores[a], scores[b]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
    assert seeds["between_seeds"] == pytest.approx(np.mean(between), rel=1e-4)
    assert set(read(case, "similarity").index) == {"good", "noise", "params"}
    assert set(read(case, "size").index) == {"good", "noise"}


def test_some_or_none_are_made_where_that_is_said(case):
    assert launch(case, "--cuts=") == 0
    assert made(case) == set()
    assert launch(case, "--cuts=size,bands") == 0
    assert made(case) == {"size", "bands"}


def test_what_cannot_be_made_is_told_and_refused_where_it_is_named(case, capsys):
    frame = pd.DataFrame({"arch": ARCHS[:5], "mine": range(5)})
    frame.to_csv(case / "few.csv", index=False)
    table = pd.read_csv(case / "table.csv").drop(columns=["params", "accuracy_one_random_seed"])
    table.to_csv(case / "table.csv", index=False)
    assert launch(case, scores="few.csv") == 0
    out = capsys.readouterr().out
    assert made(case) == set()
    for text in (
        "no bands (rank correlation among the best networks): fewer than 10 networks",
        "no size (rank correlation at fixed size): no parameters or FLOPs (--size_column)",
        "no similarity (correlations between scores, clustered): one score alone",
        "no seeds (how much of a score is luck): no network has several seeds or repeats",
        "no classes (what isomorphic networks share): the space of the networks is unknown",
        "no against (other scores of the same networks): no other scores (--against)",
    ):
        assert text in out
    assert launch(case, "--cuts=seeds", scores="few.csv") == 2
    assert "--cuts=seeds cannot be made: no network has several" in capsys.readouterr().err


def test_networks_that_share_no_two_seeds_tell_nothing_of_luck(case, capsys):
    rows = [(arch, "mine", float(i + seed), seed) for i, arch in enumerate(ARCHS) for seed in (2 * i, 2 * i + 1)]
    pd.DataFrame(rows, columns=["arch", "proxy", "score", "seed"]).to_csv(case / "apart.csv", index=False)
    assert launch(case, scores="apart.csv") == 0
    assert "no two networks have scores under the same two seeds or repeats" in capsys.readouterr().out
    assert "seeds" not in made(case)


def test_sizes_beside_several_batches_are_no_seeds(case, capsys):
    with records.Writer(case / "twice") as writer:
        for batch in (64, 100):
            for i, arch in enumerate(ARCHS):
                common = {"space": "made up", "arch": arch, "dataset": "digits", "batch_size": batch}
                writer.add([records.Record(**common, proxy="params", score=float(i))])
                writer.add([records.Record(**common, proxy=f"of {batch}", score=float(i * i))])
    assert launch(case, scores="twice") == 0
    out = capsys.readouterr().out
    assert "no seeds (how much of a score is luck): no network has several seeds or repeats" in out
    assert "averaged" not in out
    assert launch(case, "--size_column=params", scores="twice") == 0
    assert read(case, "size").loc["of 64", "spearman"] < 1


def test_another_column_of_single_trainings(case, capsys):
    table = pd.read_csv(case / "table.csv").rename(columns={"accuracy_one_random_seed": "once"})
    table.to_csv(case / "table.csv", index=False)
    assert launch(case) == 0
    assert "one training of each network" not in capsys.readouterr().out
    assert launch(case, "--run_column=once") == 0
    assert "one training of each network (once) reaches" in capsys.readouterr().out
    assert launch(case, "--run_column=twice") == 2
    assert "'twice'" in capsys.readouterr().err


def test_scores_without_any_value_break_no_cut(case):
    with records.Writer(case / "scores") as writer:
        for arch in ARCHS:
            failed = {"score": math.nan, "status": "nan"}
            writer.add([records.Record(space="made up", arch=arch, dataset="digits", proxy="broken", **failed)])
    assert launch(case) == 0
    assert math.isnan(read(case, "size").loc["broken", "partial_spearman"])
    assert math.isnan(read(case, "similarity").loc["broken", "good"])
    assert "broken" not in read(case, "seeds").index


def score_strings(case, scores):
    """Records of five strings of each of four classes: `scores` gives those of one by its number and its text."""
    # Two paths that end in nothing: the same network, whatever stands before.
    archs = [f"|{a}~0|+|none~0|none~1|+|{b}~0|none~1|none~2|" for a in OPS for b in OPS[1:]]
    pd.DataFrame({"arch": archs, "accuracy": np.arange(len(archs), dtype=float)}).to_csv(case / "table.csv")
    with records.Writer(case / "strings") as writer:
        for i, arch in enumerate(archs):
            common = {"space": "nasbench201", "arch": arch, "dataset": "digits"}
            for name, score in scores(i, arch).items():
                writer.add([records.Record(**common, proxy=name, score=float(score))])


def test_isomorphic_networks_that_are_all_scored(case):
    score_strings(case, lambda i, _: {"of the class": i % 4, "of the string": i})
    assert launch(case, "--cuts=classes", scores="strings") == 0
    rows = read(case, "classes")
    assert rows.loc["of the class", ["classes", "strings", "equal"]].tolist() == [4, 20, 1]
    assert rows.loc["of the string", "equal"] == 0
    assert rows.loc["of the class", "string"] < rows.loc["of the string", "string"]


def test_strings_of_a_class_that_differ_in_size_alone(case):
    def scores(i, arch):
        counted = arch.startswith("|nor_conv_3x3")
        return {"params": 1000 * counted + i % 4, "counts dead layers": i % 4 + 10 * counted}

    score_strings(case, scores)
    assert launch(case, "--cuts=classes", scores="strings") == 0
    rows = pd.read_csv(case / "out" / "classes.csv").set_index(["proxy", "sizes"]).loc["counts dead layers"]
    # One string of each class has the dead convolution, and is no class of several among those of one size.
    assert rows[["classes", "strings", "equal"]].T.to_dict("list") == {"any": [4, 20, 0], "equal": [4, 16, 1]}
    assert rows["string"].tolist() == [pytest.approx(0.6, abs=0.3), 0]


def test_other_scores_of_the_same_networks(case, capsys):
    with records.Writer(case / "zcnas") as writer:
        for i, arch in enumerate(ARCHS):
            common = {"space": "made up", "arch": arch, "dataset": "digits", "flavour": "zcnas"}
            writer.add([records.Record(**common, proxy="good", score=float(i))])
    places = f"--against={case / 'zcnas'},{case / 'scores'}"
    assert launch(case, places, "--against_target=params", "--where=seed=0") == 0
    out = capsys.readouterr().out
    rows = pd.read_csv(case / "out" / "against.csv")
    assert rows[["against", "proxy"]].to_numpy().tolist() == [
        ["zcnas", "good"],
        ["scores", "good"],
        ["scores", "noise"],
    ]
    assert "flavour=zcnas not none" in rows["changed"][0]
    table = pd.read_csv(case / "table.csv")
    assert rows["other"][0] == pytest.approx(stats.spearmanr(range(40), table["params"]).statistic, rel=1e-4)
    assert "Spearman rho against other scores" in out
    pd.DataFrame({"arch": ARCHS, "another": np.arange(40.0)}).to_csv(case / "else.csv", index=False)
    assert launch(case, f"--against={case / 'else.csv'}", "--cuts=against") == 2
    assert "--cuts=against cannot be made: none of these scores in else.csv" in capsys.readouterr().err
    two = pd.DataFrame({"arch": ARCHS, "proxy": "good", "score": 1.0, "flavour": ["a", "b"] * 20})
    two.to_csv(case / "two.csv", index=False)
    assert launch(case, f"--against={case / 'two.csv'}") == 2
    assert "Received: a, b. Give a folder for each flavour to --against" in capsys.readouterr().err
    assert launch(case, f"--against={case / 'two.csv'}", "--against_where=flavour=b", "--cuts=against") == 0
    assert pd.read_csv(case / "out" / "against.csv")["n"].tolist() == [20]
    assert launch(case, "--cuts=against") == 2
    assert "--cuts=against cannot be made: no other scores (--against)" in capsys.readouterr().err
    assert launch(case, places, "--against_target=parms") == 2
    assert "'parms'" in capsys.readouterr().err
    assert launch(case, "--against_target=params") == 2
    assert "--against_target is for --against" in capsys.readouterr().err
    assert launch(case, f"--against={case / 'missing'}") == 2
    assert "No such scores" in capsys.readouterr().err


def test_scores_that_have_another_name_elsewhere(case, capsys):
    """Published ones do: there `good` stands for something else, and what is meant goes by another name."""
    scores = records.read(case / "scores").groupby(["arch", "proxy"]).score.mean().unstack()
    theirs = pd.DataFrame({"arch": ARCHS, "their_good": scores["good"].reindex(ARCHS).to_numpy(), "good": 1.0})
    theirs.to_csv(case / "theirs.csv", index=False)
    scores.reset_index()[["arch", "noise"]].to_csv(case / "more.csv", index=False)
    places = f"--against={case / 'theirs.csv'},{case / 'more.csv'}"
    assert launch(case, places, "--against_names=good=their_good", "--cuts=against") == 0
    rows = pd.read_csv(case / "out" / "against.csv")
    assert rows[["against", "proxy"]].to_numpy().tolist() == [["theirs.csv", "good"], ["more.csv", "noise"]]
    assert rows["agreement"].tolist() == pytest.approx([1, 1])
    assert launch(case, places, "--against_names=good=god") == 2
    told = capsys.readouterr().err
    assert "score of --against (--against_names). Received: 'god'" in told
    assert "good, noise, their_good" in told


def test_names_may_be_exchanged():
    frame = pd.DataFrame({"arch": ["x", "x", "y"], "proxy": ["a", "b", "c"], "score": [1.0, 2.0, 3.0]})
    found = cuts.renamed({"there": frame}, {"a": "b", "b": "a"})["there"]
    assert dict(zip(found["proxy"], found["score"], strict=True)) == {"b": 1, "a": 2, "c": 3}


def test_several_scores_may_be_held_against_the_same_one():
    frame = pd.DataFrame({"arch": ["x", "x", "y"], "proxy": ["a", "b", "c"], "score": [1.0, 2.0, 3.0]})
    found = cuts.renamed({"there": frame}, {"a": "b", "d": "b"})["there"]
    assert dict(zip(found["proxy"], found["score"], strict=True)) == {"a": 2, "d": 2, "c": 3}
