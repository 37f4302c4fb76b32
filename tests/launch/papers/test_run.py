"""launch.reproduce: from flags to files, for every experiment."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import proxies
import spaces
from launch import app, reproduce
from launch.papers import printing
from launch.papers.after import After
from launch.papers.facts import facts
from launch.papers.registry import EXPERIMENTS
from launch.papers.scored import Scored
from tests.launch.papers.cases import fake_workers, write_table
from tests.launch.papers.nngp import cases as nngp
from tfnas.evidence import plots, statistics
from tfnas.runs import kept, records, sources

SCORED = [name for name, experiment in EXPERIMENTS.items() if isinstance(experiment.jobs, Scored)]
# Figure 7 trains, which tests/launch/papers/nngp/test_mnas.py runs.
OF_NNGP = [name for name in EXPERIMENTS if name.startswith("nngp_") and name != "nngp_fig7"]
INFERRED = [name for name in OF_NNGP if EXPERIMENTS[name].jobs]


@pytest.fixture
def fake(monkeypatch):
    fake_workers(monkeypatch)


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing takes most of the time, and is done for every experiment once."""
    monkeypatch.setattr(plots, "save", lambda figure, path: None)


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path / "table.csv")


@pytest.fixture
def full(tmp_path):
    """A whole table of NAS-Bench-101 and a folder of records for every figure."""
    rng = np.random.default_rng(11)
    table = nngp.table_of(rng)
    return nngp.whole_table(tmp_path, table), nngp.all_records(tmp_path / "records", table, rng)


def flags(tmp_path, name, *more):
    return [f"--experiment={name}", f"--output={tmp_path / name}", *more]


def on(table, *datasets):
    targets = ",".join(("one", "two")[: len(datasets)])
    return [f"--table={table}", f"--datasets={','.join(datasets)}", f"--targets={targets}"]


class Printed(str):
    """What was printed, in which a text may be broken anywhere: paths are longer than lines."""

    def __contains__(self, text):
        return "".join(text.split()) in "".join(self.split())


def printed(capsys):
    return Printed(capsys.readouterr().out)


# Scores --------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("name", SCORED)
def test_scored_experiments_write_their_files_and_their_numbers_are_those_of_the_records(tmp_path, name, capsys):
    experiment = EXPERIMENTS[name]
    table = write_table(tmp_path / "table.csv", experiment.space)
    assert reproduce.main(flags(tmp_path, name, *on(table, "synthetic"))) == 0
    out = tmp_path / name
    expected = {f"{name}.png", "config.json", "environment.json", "recipe.json", "results.csv", "scores"}
    assert {path.name for path in out.iterdir()} >= expected
    assert json.loads((out / "recipe.json").read_text())["jobs"]["proxies"] == list(experiment.jobs.proxies)
    result = pd.read_csv(out / "results.csv")
    assert set(experiment.jobs.proxies) <= {method.partition(",")[0] for method in result["method"]}
    told = printed(capsys)
    assert name in told
    assert f"truth: one of {table}: columns parted by commas, decimal points" in told
    assert (result["paper"].isna() == result["difference"].isna()).all()
    if "init" not in result or name == "gs_table5_4":  # whose own tests know the numbers
        return
    truth = pd.read_csv(table).set_index("arch")["one"]
    scores = records.read(out / "scores")
    for row in result.to_dict("records"):
        mine = scores[(scores.proxy == row["method"]) & (scores.init == row["init"])]
        measure = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}[row["measure"]]
        assert row["ours"] == pytest.approx(measure(mine.score, truth[mine.arch])[0], rel=1e-4)
        assert row["n"] == len(mine) == 24
        assert row["low"] <= row["ours"] <= row["high"]


@pytest.mark.usefixtures("fake", "no_pictures")
@pytest.mark.parametrize("name", SCORED)
def test_records_of_a_folder_give_the_same_rows_as_computed_ones(tmp_path, name):
    table = write_table(tmp_path / "table.csv", EXPERIMENTS[name].space)
    assert reproduce.main(flags(tmp_path, name, *on(table, "synthetic"), "--scale=paper")) == 0
    given = [f"--scores={tmp_path / name / 'scores'}", *on(table, "synthetic"), "--scale=paper"]
    assert reproduce.main(flags(tmp_path / "given", name, *given)) == 0
    computed, found = (pd.read_csv(folder / name / "results.csv") for folder in (tmp_path, tmp_path / "given"))
    order = [label for label in ("dataset", "init", "method") if label in computed]
    pd.testing.assert_frame_equal(
        computed.sort_values(order, ignore_index=True), found.sort_values(order, ignore_index=True)
    )


@pytest.mark.usefixtures("fake", "no_pictures")
def test_a_table_is_no_stand_in(tmp_path, table, capsys):
    assert reproduce.main(flags(tmp_path, "gs_tableA_2", *on(table, "synthetic"))) == 0
    assert "No reproduction" not in capsys.readouterr().out
    assert reproduce.main(flags(tmp_path, "nngp_figS2", "--scale=1e-9")) == 0  # looks at no accuracies
    assert "No reproduction" not in capsys.readouterr().out


@pytest.mark.usefixtures("fake", "no_pictures")
@pytest.mark.parametrize("columns", [80, 200])
def test_rows_stand_on_one_line_each_and_columns_without_numbers_are_left_out(
    tmp_path, table, capsys, monkeypatch, columns
):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert reproduce.main(flags(tmp_path, "gs_table5_2", *on(table, "synthetic"))) == 0
    out = capsys.readouterr().out
    (heading,) = [line.split() for line in out.splitlines() if line.split()[:1] == ["method"]]
    assert heading == ["method", "n", "ours", "low", "..", "high"]  # nothing failed, the paper knows no such data
    assert "the paper prints no number of these" in out
    assert max(map(len, out.splitlines())) <= columns + len(str(tmp_path))
    capsys.readouterr()
    monkeypatch.setattr(printing, "_PRINTED", 3)
    rows = pd.read_csv(tmp_path / "gs_table5_2" / "results.csv")
    rows[["paper", "difference"]] = [0.25, 0.125]
    rows.loc[0, "left_out"] = 7
    printing.show(EXPERIMENTS["gs_table5_2"], rows, (), "here")
    out = capsys.readouterr().out
    (line,) = [line.split() for line in out.splitlines() if line.split()[:1] == [rows["method"][0]]]
    assert line[-2:] == ["0.250", "0.125"]
    assert "7" in line
    assert f"{len(rows) - 3} more rows" in out


@pytest.mark.usefixtures("fake", "no_pictures")
def test_a_second_run_computes_nothing_and_gives_the_same(tmp_path, table, monkeypatch):
    arguments = flags(tmp_path, "gs_tableA_2", *on(table, "synthetic"))
    assert reproduce.main(arguments) == 0
    first = (tmp_path / "gs_tableA_2" / "results.csv").read_bytes()
    monkeypatch.setattr("launch.jobs.scores.ScoreJob.worker", None)
    assert reproduce.main(arguments) == 0
    assert (tmp_path / "gs_tableA_2" / "results.csv").read_bytes() == first


@pytest.mark.usefixtures("fake", "no_pictures")
def test_data_that_are_not_at_hand_are_left_out_with_a_line(tmp_path, table, capsys):
    nowhere = f"--data_dir={tmp_path / 'empty'}"
    assert reproduce.main(flags(tmp_path, "gs_tableA_2", *on(table, "synthetic", "cifar10"), nowhere)) == 0
    assert "cifar10 is left out: " in capsys.readouterr().err
    assert set(pd.read_csv(tmp_path / "gs_tableA_2" / "results.csv")["dataset"]) == {"synthetic"}

    assert reproduce.main(flags(tmp_path, "gs_figA_1", *on(table, "cifar10"), nowhere)) == app.USAGE_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert "launch.prepare --dataset=cifar10" in line
    assert reproduce.main(flags(tmp_path, "gs_figA_1", *on(table, "cifar10", "cifar100"), nowhere)) == app.USAGE_ERROR
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[-1] == "error: None of the data sets is at hand: cifar10, cifar100"


# Scores after training ------------------------------------------------------------------------------------------------

TRAINED = [name for name, experiment in EXPERIMENTS.items() if isinstance(experiment.jobs, After)]


@pytest.mark.usefixtures("fake", "no_pictures")
@pytest.mark.parametrize("name", TRAINED)
def test_experiments_that_train_write_their_files_and_take_their_records_as_given(tmp_path, name, monkeypatch):
    experiment = EXPERIMENTS[name]
    assert reproduce.main(flags(tmp_path, name)) == 0
    out = tmp_path / name
    result = pd.read_csv(out / "results.csv")
    assert result["ours"].notna().any()
    assert json.loads((out / "recipe.json").read_text())["jobs"]["recipe"] == experiment.jobs.recipe
    assert records.read(out / "scores")["arch"].nunique() == experiment.small_size
    monkeypatch.setattr("launch.jobs.base.Start.__call__", None)
    assert reproduce.main(flags(tmp_path / "given", name, f"--scores={out / 'scores'}")) == 0
    given = pd.read_csv(tmp_path / "given" / name / "results.csv")
    order = [label for label in ("dataset", "method", "measure") if label in result]
    first, second = (of.sort_values(order, ignore_index=True) for of in (result, given))
    pd.testing.assert_frame_equal(first, second)


# Inference -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_NNGP)
def test_figures_of_inference_write_their_files_and_are_printed_beside_the_paper(tmp_path, full, name, capsys):
    experiment = EXPERIMENTS[name]
    more = [f"--table={full[0]}"] + [f"--scores={full[1]}"] * (experiment.jobs is not None)
    assert reproduce.main(flags(tmp_path, name, *more)) == 0
    out = tmp_path / name
    expected = {"results.csv", "recipe.json", f"{name}.png", "config.json", "environment.json"}
    assert {path.name for path in out.iterdir()} == expected
    found = pd.read_csv(out / "results.csv")
    assert (found["experiment"] == name).all()
    assert found["ours"].notna().any()
    assert (found["paper"].isna() == found["difference"].isna()).all()
    told = printed(capsys)
    assert facts()[name]["title"].split()[0] in told
    if experiment.columns:
        assert f"truth: val_108 of {full[0]}" in told
    assert "left out, as" not in told


@pytest.mark.usefixtures("no_pictures")
def test_the_same_command_gives_the_same_rows(tmp_path, full):
    found = []
    for folder in ("one", "two"):
        arguments = flags(tmp_path / folder, "nngp_fig3", f"--table={full[0]}", f"--scores={full[1]}")
        assert reproduce.main(arguments) == 0
        found.append((tmp_path / folder / "nngp_fig3" / "results.csv").read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("nngp_fig8", "val_12_0, val_36_0"),
        ("nngp_fig9", "val_4_0, val_12_0"),
        ("nngp_figS4", "val_4_0, val_12_0, val_36_0"),
        ("nngp_text_worst", "val_4_0, val_12_0, val_36_0, val_108_0"),
    ],
)
def test_missing_columns_end_in_one_line(tmp_path, full, name, columns, capsys):
    bare = tmp_path / "bare.csv"
    pd.DataFrame({"arch": nngp.ARCHS, "test_108": np.linspace(0.8, 0.9, nngp.N), "params": 5}).to_csv(bare, index=False)
    more = [f"--scores={full[1]}"] * (EXPERIMENTS[name].jobs is not None)
    assert reproduce.main(flags(tmp_path, name, f"--table={bare}", *more)) == app.USAGE_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {name} needs {columns}, which {bare} has not.")
    assert "https://storage.googleapis.com/nasbench/nasbench_full.tfrecord" in line
    assert "python -m launch.prepare --table=nasbench_full.tfrecord --space=nasbench101 --out=" in line


CURVES = [name for name, experiment in EXPERIMENTS.items() if experiment.shown and not experiment.required]


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", CURVES)
def test_curves_without_columns_are_left_out_with_a_note(tmp_path, full, name, capsys):
    bare = tmp_path / "bare.csv"
    pd.DataFrame({"arch": nngp.ARCHS, "test_108": np.linspace(0.8, 0.9, nngp.N)}).to_csv(bare, index=False)
    assert reproduce.main(flags(tmp_path, name, f"--table={bare}", f"--scores={full[1]}")) == 0
    told = printed(capsys)
    assert f"left out, as {bare} has no {', '.join(EXPERIMENTS[name].shown)}" in told
    assert "launch.prepare --table=nasbench_full.tfrecord" in told
    assert f"truth: test_108 of {bare}" in told
    found = pd.read_csv(tmp_path / name / "results.csv")
    assert not found[found["measure"] != "PFLOP a network"]["metric"].str.fullmatch(r"\d+ epochs").any() or (
        name == "nngp_fig4"  # whose truth is 108 epochs
    )


@pytest.mark.usefixtures("fake", "no_pictures")
@pytest.mark.parametrize("name", [name for name in INFERRED if not EXPERIMENTS[name].required])
def test_without_scores_and_table_the_digits_stand_in(tmp_path, name, capsys):
    assert reproduce.main(flags(tmp_path, name)) == 0
    out, size = capsys.readouterr().out, EXPERIMENTS[name].small_size
    told = " ".join(out.split())
    assert f"{size} networks on digits, kernel nngp, BN momentum" in told
    # First of all, and once more on top of the table.
    warning = "No reproduction of the paper's numbers: networks and accuracies are those on the UCI digits"
    assert out.startswith(warning)
    assert f"{warning}, not the paper's. Give --table for one {name}: " in told
    assert told.count(warning) == 2
    found = pd.read_csv(tmp_path / name / "results.csv")
    # Figure 4 counts networks by their connections.
    counts = found.groupby("metric")["n"].sum() if name == "nngp_fig4" else found["n"]
    assert counts.max() == size


@pytest.mark.usefixtures("fake", "no_pictures")
def test_only_what_was_asked_for_is_read_of_a_folder(tmp_path):
    assert reproduce.main(flags(tmp_path, "nngp_fig1", "--seed=1")) == 0
    assert reproduce.main(flags(tmp_path, "nngp_fig1", "--seed=2")) == 0
    both = pd.read_csv(tmp_path / "nngp_fig1" / "results.csv")
    assert reproduce.main([*flags(tmp_path / "alone", "nngp_fig1"), "--seed=2"]) == 0
    pd.testing.assert_frame_equal(both, pd.read_csv(tmp_path / "alone" / "nngp_fig1" / "results.csv"))


@pytest.mark.usefixtures("no_pictures")
def test_the_whole_path_with_real_inference(tmp_path, monkeypatch, capsys):
    import dataclasses

    small = dataclasses.replace(EXPERIMENTS["nngp_fig1"], small_size=4)
    monkeypatch.setitem(EXPERIMENTS, "nngp_fig1", small)
    assert reproduce.main(flags(tmp_path, "nngp_fig1")) == 0
    found = pd.read_csv(tmp_path / "nngp_fig1" / "results.csv")
    scores = records.read(tmp_path / "nngp_fig1" / "scores")
    assert set(scores["proxy"]) == {"nngp_100_200_1", "nngp_100_200_2", "params", "flops"}
    from launch.papers.nngp import cost
    from tfnas import evidence

    truth = evidence.load_truth("nasbench201_digits")["accuracy"]
    ok = scores[(scores["proxy"] == "nngp_100_200_2") & (scores["status"] == "ok")]
    row = nngp.one(found, "kendall", "NNGP(100, 200, 2)")
    assert row["ours"] == pytest.approx(statistics.kendall(ok["score"], truth[ok["arch"]]), rel=1e-5)
    mean = scores[scores["proxy"] == "flops"]["score"].mean() * 2
    pflop = cost.nngp_flops(mean, 100, 200, 2, features=64) / cost.PFLOP
    assert row["pflop"] == pytest.approx(pflop, rel=1e-5)
    before = sorted(path.name for path in (tmp_path / "nngp_fig1" / "scores").iterdir())
    assert reproduce.main(flags(tmp_path, "nngp_fig1")) == 0
    assert "4 of 4 networks are done" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "nngp_fig1" / "scores").iterdir()) == before


@pytest.mark.usefixtures("fake", "no_pictures")
def test_kept_records_give_the_same_rows_and_serve_for_isomorphic_networks(tmp_path, monkeypatch, capsys):
    name, table = "gs_table5_2", write_table(tmp_path / "table.csv", "nasbench201")
    assert reproduce.main(flags(tmp_path, name, *on(table, "synthetic"), "--scale=paper")) == 0
    scores = tmp_path / name / "scores"
    kept.write(records.read(scores), tmp_path / "mine.parquet", {"runs": []})
    monkeypatch.setattr(sources, "FOLDER", tmp_path)
    rows = []
    for place in (scores, "atlas:mine", tmp_path / "mine.parquet"):
        assert reproduce.main(flags(tmp_path, name, *on(table, "synthetic"), f"--scores={place}")) == 0
        rows.append((tmp_path / name / "results.csv").read_text())
    assert rows[0] == rows[1] == rows[2]
    # A table that knows the other cells of the classes as well.
    space = spaces.get("nasbench201")
    wanted = {space.canonical(space.parse(arch)) for arch in records.read(scores)["arch"]}
    every = [str(arch) for arch in space.enumerate() if space.canonical(arch) in wanted]
    pd.DataFrame({"arch": every, "one": np.linspace(0, 90, len(every))}).to_csv(tmp_path / "more.csv", index=False)
    more = [*on(tmp_path / "more.csv", "synthetic"), "--scores=atlas:mine"]
    for isomorphic, count in (("--noisomorphic", 24), ("--isomorphic", len(every))):
        assert reproduce.main(flags(tmp_path, name, *more, isomorphic)) == 0
        assert set(pd.read_csv(tmp_path / name / "results.csv")["n"]) == {count}
    assert f"scores of 24 networks stand for {len(every)}" in printed(capsys)


def test_scores_of_other_settings_are_told():
    jobs = EXPERIMENTS["gs_table5_4"].jobs
    bn = proxies.get("gradsign").bn
    assert bn != "inference"
    records = pd.DataFrame({"proxy": ["gradsign", "lga"], "flavour": "tiny", "batch_size": [128, 16], "bn": [bn, "x"]})
    assert jobs.unlike(records) == []
    more = pd.DataFrame({"proxy": ["naswot"], "flavour": "zcnas", "batch_size": [64], "bn": proxies.get("naswot").bn})
    settings = [
        "the scores that are given are of flavour tiny, zcnas, not tiny",
        "the scores that are given are of batch_size 128, 64, not 128",
    ]
    assert jobs.unlike(pd.concat([records, more])) == settings
    mode = "the scores that are given are of BN mode inference (gradsign), not each proxy's own"
    assert jobs.unlike(records.assign(bn="inference")) == [mode]


# Bad input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "more", "told"),
    [
        ("nngp_fig1", ["--scores=missing"], "--scores=missing"),
        ("nngp_fig1", ["--scale=huge"], "'huge'"),
        ("nngp_fig1", ["--table=missing.parquet"], "missing.parquet"),
        ("nngp_fig1", ["--table=nasbench201_digits", "--datasets=cifar10,digits"], "one data set"),
        ("nngp_fig1", ["--targets=accuracy"], "no --table"),
        ("nngp_fig1", ["--datasets=mnist"], "'mnist'"),
        ("nngp_figS7", ["--scores=x"], "looks at no scores"),
        ("gs_table5_3", [], "not available yet"),
        ("gs_table5_2", ["--scores=x"], "--scores=x"),
        ("gs_table5_2", ["--datasets=cifar10,cifar100"], "give --table"),
        (
            "gs_table5_2",
            ["--table=nasbench201_digits", "--targets=accuracy,accuracy"],
            "which are here cifar10, cifar100",
        ),
        (
            "gs_table5_2",
            ["--table=nasbench201_digits", "--datasets=digits", "--targets=accuracy,accuracy"],
            "which are here digits;",
        ),
        ("nngp_figS2", ["--table=nasbench201_digits", "--targets=accuracy"], "looks at no accuracies"),
        (
            "gs_table5_4",
            ["--table=nasbench201_digits", "--datasets=cifar10,cifar10"],
            "--datasets names one twice. Received: cifar10,cifar10",
        ),
        ("gs_table5_2", ["--workers=-1"], "--workers must be at least 0"),
    ],
)
def test_bad_flags_end_in_one_line(tmp_path, name, more, told, capsys):
    assert reproduce.main(flags(tmp_path, name, *more)) == app.USAGE_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_records_of_something_else_end_in_one_line(tmp_path, table, capsys):
    written = nngp.write_records(tmp_path / "scores", nngp.table_of(np.random.default_rng(0))[:3], {})
    arguments = flags(tmp_path, "gs_tableA_2", *on(table, "synthetic"), f"--scores={written}")
    assert reproduce.main(arguments) == app.USAGE_ERROR
    assert f"No records of synthetic in --scores={written}" in capsys.readouterr().err
