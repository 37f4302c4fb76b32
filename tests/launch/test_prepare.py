import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import spaces
from launch import prepare
from spaces.nasbench101 import cells as nasbench101
from tests import conftest, nasbench101_cases
from tfnas import data, tables
from tfnas.errors import InputError


def told(capsys):
    """The one line that a launcher says on bad input."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture
def published(tmp_path):
    """A foreign CSV with five architectures."""
    archs = [str(arch) for arch in spaces.get("nasbench201").sample_distinct(np.random.default_rng(0), 5)]
    frame = pd.DataFrame({"arch_str": archs, "acc": [90.0, 91.5, 10.0, 93.25, 88.0], "params": [1, 2, 3, 4, 5]})
    path = tmp_path / "published.csv"
    frame.to_csv(path, index=False)
    return path, frame


def import_flags(path, out, *more):
    return [f"--table={path}", f"--out={out}", "--arch_column=arch_str", "--provenance=typed in by hand", *more]


def test_digits_are_prepared_into_the_folder(tmp_path, capsys):
    folder = tmp_path / "tfds"
    assert prepare.main(["--dataset=digits", f"--data_dir={folder}"]) == 0
    assert "train 1437, test 360" in capsys.readouterr().out
    (version,) = (folder / "digits").iterdir()
    before = {path.name: path.stat().st_mtime_ns for path in version.iterdir()}
    assert prepare.main(["--dataset=digits", f"--data_dir={folder}"]) == 0
    assert before == {path.name: path.stat().st_mtime_ns for path in version.iterdir()}, "what is there stays"


def test_what_is_prepared_is_found_without_a_network(shared, capsys):
    folder = shared / "data" / "tfds"
    assert prepare.main(["--dataset=cifar10", f"--data_dir={folder}"]) == 0
    sizes = {split: data.split_size("cifar10", split, data_dir=folder) for split in ("train", "test")}
    assert f"train {sizes['train']}, test {sizes['test']}" in capsys.readouterr().out


def test_synthetic_data_need_nothing(capsys):
    assert prepare.main(["--dataset=synthetic"]) == 0
    assert "nothing to prepare" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("job", "other"),
    [
        ("dataset=synthetic", "out=DIR/t.parquet"),
        ("table=DIR/t.csv", "digits=7"),
        ("table=DIR/t.csv", "data_dir=DIR"),
        ("scores=DIR", "columns=acc"),
        ("scores=DIR", "arch_column=net"),
    ],
)
def test_flags_of_another_job_are_told(tmp_path, capsys, job, other):
    given = [f"--{flag}".replace("DIR", str(tmp_path)) for flag in (job, other)]
    needed = [] if job.startswith("dataset") else [f"--out={tmp_path / 'o.parquet'}", "--provenance=x"]
    assert prepare.main([*given, *needed]) == 2
    names = [flag.partition("=")[0] for flag in (job, other)]
    assert "does not go with --{}. Received: --{}. ".format(*names) in told(capsys)
    assert not list(tmp_path.iterdir())


def test_no_network_is_one_line(tmp_path, capsys, monkeypatch):
    import requests

    def refuse(*args, **kwargs):
        raise requests.exceptions.ConnectionError("Failed to resolve the host")

    monkeypatch.setattr(requests.Session, "get", refuse)
    assert prepare.main(["--dataset=cifar10", f"--data_dir={tmp_path}"]) == 2
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("error:"))
    assert "cifar10 could not be downloaded; is there a network? Failed to resolve the host" in line
    with pytest.raises(InputError, match="is not prepared"):
        data.split_size("cifar10", "train", data_dir=tmp_path)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert prepare.main(["--dataset=digits", f"--data_dir={tmp_path / 'file' / 'tfds'}"]) == 2
    assert "digits could not be prepared in" in capsys.readouterr().err


def test_a_table_is_imported_from_end_to_end(tmp_path, published, capsys):
    path, frame = published
    out = tmp_path / "table.parquet"
    assert prepare.main(import_flags(path, out, "--columns=acc:accuracy,params", "--units=accuracy:percent")) == 0
    assert "5 architectures of nasbench201, accuracy, params" in capsys.readouterr().out
    table = tables.read(out)
    assert table.frame["arch"].tolist() == frame["arch_str"].tolist()
    assert table.frame["accuracy"].tolist() == frame["acc"].tolist()
    assert (table.units["accuracy"], table.provenance, table.space) == ("percent", "typed in by hand", "nasbench201")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--columns=acc:x,params:x"], "--columns names a column once. Received twice: 'x'"),
        (["--columns=acc:x,acc:y"], "--columns names a column once. Received twice: 'acc'"),
        (["--columns=acc,params:acc"], "--columns names a column once. Received twice: 'acc'"),
        (["--columns=acc:arch"], "a table has its architectures in 'arch'. Received as a name: 'arch'"),
        (["--columns=acc", "--units=acc:percent,acc:fraction"], "--units names a column once. Received twice: 'acc'"),
    ],
)
def test_a_name_is_given_once(tmp_path, published, capsys, flags, told):
    assert prepare.main(import_flags(published[0], tmp_path / "t.parquet", *flags)) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert told in line
    assert not (tmp_path / "t.parquet").exists()


def test_the_space_of_a_table_is_found_and_recorded(tmp_path, capsys):
    """By its strings in a foreign file, by what it says in one of the common form."""
    for name in spaces.names():
        archs = [str(arch) for arch in spaces.get(name).sample_distinct(np.random.default_rng(0), 4)]
        path, out, again = (tmp_path / f"{name}{end}" for end in (".csv", "_1.parquet", "_2.parquet"))
        pd.DataFrame({"arch": archs, "top1": [1.0, 2, 3, 4]}).to_csv(path, index=False)
        assert prepare.main([f"--table={path}", f"--out={out}", "--provenance=by hand"]) == 0
        assert f"4 architectures of {name}, top1" in capsys.readouterr().out
        assert prepare.main([f"--table={out}", f"--out={again}", "--provenance=by hand"]) == 0
        assert tables.read(out).space == tables.read(again).space == name
        other = next(other for other in spaces.names() if other != name)
        capsys.readouterr()
        assert prepare.main([f"--table={out}", f"--out={again}", "--provenance=by hand", f"--space={other}"]) == 2
        assert archs[0] in told(capsys)


@pytest.mark.parametrize("name", ["table.parquet", "./table.parquet", "link.parquet", "nasbench201_digits"])
def test_a_table_is_never_written_over_its_source(tmp_path, published, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tables.paths, "_EMBEDDED", tmp_path)
    out = tmp_path / "table.parquet"
    if name == "nasbench201_digits":
        out = tmp_path / f"{name}.parquet"
    published[1].rename(columns={"arch_str": "arch"}).to_parquet(out)
    (tmp_path / "link.parquet").symlink_to(out)
    before = out.read_bytes()
    assert prepare.main([f"--table={name}", f"--out={out}", "--provenance=typed in by hand"]) == 2
    assert f"--out would overwrite the file that --table names. Received: --out={out}" in told(capsys)
    assert out.read_bytes() == before
    assert prepare.main([f"--table={name}", "--out=other.parquet", "--provenance=typed in by hand"]) == 0
    assert tables.read("other.parquet").space == "nasbench201"


def test_all_columns_of_numbers_are_taken_by_default(tmp_path, published):
    path, _ = published
    assert prepare.main(import_flags(path, tmp_path / "table.parquet")) == 0
    assert tables.read(tmp_path / "table.parquet").frame.columns.tolist() == ["arch", "acc", "params"]


def test_a_published_table_is_imported(tmp_path, shared):
    source = shared / "data" / "tables" / "nb201_accuracy.parquet"
    known = pd.read_parquet(source)
    column = next(name for name in known if name.endswith("_test_200"))
    out = tmp_path / "nb201.parquet"
    flags = [f"--table={source}", f"--out={out}", f"--columns={column}", "--provenance=NATS-Bench"]
    assert prepare.main(flags) == 0
    frame = tables.read(out).frame
    pd.testing.assert_series_equal(frame[column], known[column])
    assert frame["arch"].tolist() == known["arch"].tolist()


@pytest.fixture
def recorded(tmp_path):
    """A small file in the form of NAS-Bench-101's own, and its flags."""
    path = tmp_path / "runs.tfrecord"
    runs = nasbench101_cases.make_runs(3, (36, 108))
    digest = nasbench101_cases.write(path, runs)
    out = tmp_path / "table.parquet"
    return [f"--table={path}", f"--sha256={digest}", f"--out={out}", "--space=nasbench101"], runs, out


def test_records_of_nasbench101_are_imported_from_end_to_end(recorded, capsys):
    flags, runs, out = recorded
    assert prepare.main([flag for flag in flags if not flag.startswith("--space")]) == 0
    text = capsys.readouterr().out
    assert "in the format nasbench101_tfrecord\n" in text
    assert "3 architectures of nasbench101, hash, params, val_36," in text
    assert "epochs that the file lacks: 4, 12\n" in text
    assert "cells with fewer than 3 runs: none\n" in text
    table = tables.read(out)
    assert sorted(table.frame["arch"]) == sorted({str(run.cell) for run in runs})
    assert table.space == "nasbench101"
    assert len(table.frame.columns) == 51
    assert table.units["seconds_36_0"] == "seconds"
    assert table.provenance.startswith("runs.tfrecord, not a published file, sha256 ")


def test_columns_of_records_are_chosen_and_renamed(recorded):
    flags, runs, out = recorded
    assert prepare.main([*flags, "--columns=test_108:accuracy,params", "--provenance=a sample"]) == 0
    table = tables.read(out)
    assert list(table.frame) == ["arch", "accuracy", "params"]
    assert table.units == {"accuracy": "fraction", "params": "count"}
    assert table.provenance.startswith("a sample; runs.tfrecord")
    cell = str(runs[0].cell)
    known = np.mean([run.end.test for run in runs if str(run.cell) == cell and run.epochs == 108])
    assert table.frame.set_index("arch")["accuracy"][cell] == pytest.approx(known, rel=1e-15)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--sha256=" + "0" * 64], "Expected: " + "0" * 64),
        (["--sha256="], "(nasbench_only108.tfrecord) or 3d64db8180fb1b02"),
        (["--space=nasbench201"], "need --space=nasbench101. Received: --space=nasbench201"),
        (
            ["--units=params:one"],
            "--units does not go with tables of this format. Received: nasbench101_tfrecord.",
        ),
        (
            ["--arch_column=hash"],
            "--arch_column does not go with tables of this format. Received: nasbench101_t",
        ),
        (["--columns=accuracy"], "No column 'accuracy' in"),
        (["--columns=arch"], "No column 'arch' in"),
        (["--table=nasbench_full.tfrecord"], "No such file: nasbench_full.tfrecord. nasbench_full.tfrecord (1.95 GB"),
        (
            ["--table=a.csv", "--provenance=x"],
            "--sha256 does not go with tables of this format. Received: columns.",
        ),
        (["--format=columns", "--sha256=", "--provenance=x"], "Tables are .csv, .tsv or .parquet files. Received: "),
    ],
)
def test_bad_input_of_records_is_one_line(recorded, capsys, more, message):
    flags, _, out = recorded
    assert prepare.main([*flags, *more]) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error:"))
    assert message in line
    assert not out.exists()


@pytest.fixture
def graphs():
    """Cells of NAS-Bench-101 as numbers instead of strings."""
    cells = nasbench101_cases.sample_cells(30)
    frame = pd.DataFrame(
        [nasbench101.to_bits(cell) for cell in cells], columns=["num_vertices", "adj_bits", "op_labels"]
    )
    frame = frame.assign(hash=[spaces.get("nasbench101").canonical(cell) for cell in cells])
    return [str(cell) for cell in cells], frame.assign(accuracy=np.linspace(0, 1, len(cells)))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_graphs_as_numbers_are_imported(tmp_path, graphs, suffix, capsys):
    archs, frame = graphs
    path, out = tmp_path / f"graphs.{suffix}", tmp_path / "table.parquet"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    flags = [f"--table={path}", f"--out={out}", "--space=nasbench101", "--provenance=by hand"]
    assert prepare.main([*flags, "--units=accuracy:fraction"]) == 0
    assert "30 architectures of nasbench101, accuracy" in capsys.readouterr().out
    table = tables.read(out)
    assert list(table.frame) == ["arch", "accuracy"]
    assert table.frame["arch"].tolist() == archs
    assert table.frame["accuracy"].tolist() == frame["accuracy"].tolist()
    assert (table.units, table.provenance) == ({"accuracy": "fraction"}, "by hand")
    assert prepare.main([*flags, "--columns=accuracy:top1,hash,num_vertices"]) == 0
    table = tables.read(out)
    assert list(table.frame) == ["arch", "top1", "hash", "num_vertices"]
    assert table.frame["hash"].tolist() == frame["hash"].tolist()


def test_a_format_may_be_named(tmp_path, graphs, capsys):
    """A file that is both: its strings win where nobody says otherwise."""
    archs, frame = graphs
    path, out = tmp_path / "both.parquet", tmp_path / "table.parquet"
    frame.assign(arch=archs[::-1]).to_parquet(path)
    flags = [f"--table={path}", f"--out={out}", "--provenance=by hand"]
    assert prepare.main(flags) == 0
    assert "in the format columns\n" in capsys.readouterr().out
    assert tables.read(out).frame["arch"].tolist() == archs[::-1]
    assert prepare.main([*flags, "--format=nasbench101_graphs"]) == 0
    assert tables.read(out).frame["arch"].tolist() == archs
    frame.drop(columns="op_labels").to_parquet(path)
    assert prepare.main([*flags, "--format=nasbench101_graphs"]) == 2
    assert "No column 'op_labels' in" in told(capsys)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adj_bits": 1 << 21}, "Row 0 (from 0) is no cell of NAS-Bench-101"),
        ({"op_labels": "00000"}, "Row 0 (from 0) is no cell of NAS-Bench-101"),
        ({"num_vertices": 7, "adj_bits": (1 << 21) - 1, "op_labels": "00000"}, "7 vertices and 21 edges"),
        ({"op_labels": None}, "No column 'arch' in"),
    ],
)
def test_bad_graphs_are_one_line(tmp_path, graphs, capsys, changes, message):
    _, frame = graphs
    for column, value in changes.items():
        if value is None:
            frame = frame.drop(columns=column)
        else:
            frame.loc[0, column] = value
    frame.to_parquet(tmp_path / "graphs.parquet")
    out = tmp_path / "table.parquet"
    flags = [f"--table={tmp_path / 'graphs.parquet'}", f"--out={out}", "--space=nasbench101", "--provenance=x"]
    assert prepare.main(flags) == 2
    assert message in told(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "either --dataset=NAME or --table=FILE"),
        (["--dataset=digits", "--table=a.csv"], "either --dataset=NAME or --table=FILE"),
        (["--dataset=mnist"], "Unknown data set. Received: 'mnist'"),
        (["--table=a.csv", "--provenance=x"], "--table needs --out=FILE.parquet"),
        (["--table=a.csv", "--out=t.csv", "--provenance=x"], "Received: 't.csv'"),
        (["--table=a.csv", "--out=t.parquet"], "need --provenance: where the numbers come from, in words"),
        (
            ["--table=a.npz", "--out=t.parquet", "--provenance=x"],
            "Received: a.npz. Formats: accel_nasbench, columns, ",
        ),
        (
            ["--table=a.csv", "--out=t.parquet", "--format=b"],
            "Unknown format. Received: 'b'. Allowed: accel_nasbench, columns, ",
        ),
        (["--table=/nowhere/a.csv", "--out=t.parquet", "--provenance=x"], "No such table: /nowhere/a.csv"),
        (["--table=a.csv", "--out=t.parquet", "--provenance=x", "--space=nasbench999"], "Received: 'nasbench999'"),
    ],
)
def test_bad_input_is_one_line(flags, message, capsys):
    assert prepare.main(flags) == 2
    assert message in told(capsys)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--columns=accuracy"], "No column 'accuracy'"),
        (["--units=acc"], "--units takes NAME:UNIT"),
        (["--units=loss:nats"], "loss"),
    ],
)
def test_bad_columns_are_one_line(tmp_path, published, capsys, more, message):
    out = tmp_path / "table.parquet"
    assert prepare.main(import_flags(published[0], out, *more)) == 2
    assert message in told(capsys)
    assert not out.exists()


def test_a_row_that_is_no_architecture_is_one_line(tmp_path, published, capsys):
    path, frame = published
    for bad in ("|conv~0|", frame["arch_str"][0] + " "):
        frame.assign(arch_str=[bad, *frame["arch_str"][1:]]).to_csv(path, index=False)
        assert prepare.main(import_flags(path, tmp_path / "table.parquet")) == 2
        assert bad.strip() in told(capsys)


def test_help_needs_no_tensorflow():
    code = (
        "import sys, json; from launch import prepare, train; prepare.main(['--help']); train.main(['--help']);"
        "print(json.dumps(sorted({'tensorflow', 'keras', 'tensorflow_datasets'} & set(sys.modules))))"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=conftest.ROOT, capture_output=True, text=True, check=True).stdout
    assert json.loads(found.splitlines()[-1]) == []
    assert "--manual_dir" in found
    for name in spaces.importers.names():
        assert f"  {name}: " in found
    assert "--table_out" in found
