"""Paths of every launcher: homes, blanks and addresses; what cannot be written; what is printed for people to type."""

import dataclasses
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import threading

import pandas as pd
import pytest
from etils import epath

from launch import app, correlate, prepare, score
from tests.conftest import ROOT
from tests.launch import contract
from tests.launch.papers.cases import fake_workers
from tests.launch.test_launchers import one_line_of_error
from tfnas import paths, tables

# What is wrong with a place, and what is told.
UNWRITABLE = {
    "": "The path is empty",
    "FILES/archs.txt": "There has to be a folder",
    "FILES/archs.txt/below": "There has to be a folder",
    "FORBIDDEN/x": "No permission to write",
    "http://host/x": "Not a path",
    "file://host/x": "Not a path",
    "~nobody-of-this-name/x": "no such user",
}
REPRODUCE = "--experiment=gs_table5_2 --scale=1e-9 --datasets=digits --targets=accuracy --table=FILES/table.csv"
PATHS = [
    (name, field.name)
    for name in contract.LAUNCHERS
    for field in dataclasses.fields(contract.module(name).Config)
    if field.metadata.get("path")
]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with what the small jobs read; the working folder is another."""
    folder, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    for name in contract.LAUNCHERS:
        contract.small_job(name, folder, folder / "some files")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(elsewhere)
    return folder


def command(name, out, files):
    """The small job of a launcher, with paths as they are written."""
    small = f"{REPRODUCE} --output=OUT" if name == "reproduce" else contract.WORKS[name]
    return [word.replace("OUT", out).replace("FILES", files) for word in small.split()]


@pytest.mark.parametrize("name", contract.LAUNCHERS)
def test_a_job_reads_and_writes_where_a_path_says(name, home, monkeypatch, capsys):
    fake_workers(monkeypatch)
    assert contract.module(name).main(command(name, f"file://{home}/an 'output'", "~/some files")) == 0
    assert any(path.is_file() for path in (home / "an 'output'").rglob("*"))
    assert not list(pathlib.Path.cwd().iterdir()), "nothing lands in the working folder"
    assert f"{home}/an'output'" in "".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("place", UNWRITABLE)
@pytest.mark.parametrize("name", contract.LAUNCHERS)
def test_a_place_that_cannot_be_written_is_told_before_the_work(name, place, home, monkeypatch, capsys):
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(home / "forbidden") and access(path, mode))
    (home / "forbidden").mkdir()
    monkeypatch.setattr(contract.module(name), "run", None)
    flag = f"--output={place.replace('FILES', '~/some files').replace('FORBIDDEN', '~/forbidden')}"
    if name == "prepare":  # which writes a file
        flag = flag.replace("--output", "--out") + "/x.parquet" * bool(place)
    assert contract.module(name).main([*command(name, "~/out", "~/some files"), flag]) == app.USAGE_ERROR
    told = UNWRITABLE[place] if place or name != "prepare" else "--table needs --out=FILE.parquet"
    assert told in one_line_of_error(capsys)
    assert not list(pathlib.Path.cwd().iterdir())
    assert not list((home / "forbidden").iterdir())


@pytest.mark.parametrize(("name", "flag"), PATHS)
def test_a_bucket_that_does_not_answer_is_one_line(name, flag, home, monkeypatch, capsys):
    over = threading.Event()

    class Silent:
        def __init__(self, path):
            assert path == "gs://bucket/x y.parquet"
            self.exists = over.wait

    given = command(name, "~/out", "~/some files")
    with monkeypatch.context() as patch:
        patch.setattr(paths, "BUCKET_SECONDS", 0.01)
        patch.setattr(epath, "Path", Silent)
        code = contract.module(name).main([*given, f"--{flag}=gs://bucket/x y.parquet"])
    over.set()
    assert code == app.USAGE_ERROR
    error = one_line_of_error(capsys)
    assert f"--{flag}: The bucket does not answer" in error
    assert error.endswith("Received: gs://bucket/x y.parquet\n")


def test_a_process_ends_while_a_bucket_is_asked(tmp_path):
    """In one of the network's own errors, where there is none; by the clock, where it says nothing."""
    script = (
        "import sys\nfrom launch import score\nfrom tfnas import paths\npaths.BUCKET_SECONDS = 0.1\n"
        "sys.exit(score.main(['--num_archs=1', '--output=gs://tfnas-no-such-bucket/x']))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == app.USAGE_ERROR
    assert done.stderr.startswith("error: --output: The bucket ")
    assert done.stderr.count("\n") == 1


class TestPrinted:
    def test_the_next_step_quotes_its_paths_and_runs(self, home, capsys):
        table = home / "some files" / "a 'table'; $HOME.tsv"
        archs = tables.load("nasbench201_digits").head(4)
        archs[["arch", "accuracy"]].to_csv(table, sep="\t", index=False)
        more = ["--dataset=synthetic", "--width=2", "--depth=1", "--batch_size=4", "--proxies=snip"]
        assert score.main([f"--archs={table}", "--output=~/an & out", *more]) == 0
        words = shlex.split(capsys.readouterr().out.splitlines()[-1].removeprefix("next: "))
        assert words[:3] == ["python", "-m", "launch.correlate"]
        assert f"--table={table}" in words
        assert correlate.main(words[3:]) == 0
        assert (home / "an & out" / "evidence" / "correlations.csv").exists()

    def test_what_prepares_a_data_set_quotes_its_folder(self, home, capsys):
        flags = ["--num_archs=1", "--dataset=cifar10", "--data_dir=~/my $data", "--output=~/out"]
        assert score.main(flags) == app.USAGE_ERROR
        words = shlex.split(one_line_of_error(capsys).partition("Prepare it with: ")[2])
        assert words[:3] == ["python", "-m", "launch.prepare"]
        config = app.parse(prepare.Config, words[3:])
        assert (config.dataset, config.data_dir) == ("cifar10", f"{home}/my $data")


BROKEN = {
    "empty": b"",
    "cut": None,
    "no object": b"[]",
    "other fields": b'{"name": 3, "splits": "none"}',
    "no text": b"\xff\xfe\x00\x01",
}


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("name", ["score", "nngp", "train"])
def test_a_broken_description_of_a_data_set_is_one_line(name, how, file, home, digits_dir, capsys):
    shutil.copytree(digits_dir, home / "data")
    (path,) = (home / "data").rglob(file)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if BROKEN[how] is None else BROKEN[how])
    more = ["--dataset=digits", "--data_dir=~/data", "--output=~/out"]
    assert contract.module(name).main([*command(name, "~/out", "~/some files"), *more]) == app.USAGE_ERROR
    error = one_line_of_error(capsys)
    assert str(home / "data") in error
    assert not (home / "out").exists()


class TestClosedPipes:
    """Whoever reads the output goes away, as `head` does."""

    @pytest.fixture
    def scored(self, home):
        archs = tables.load("nasbench201_digits").arch.head(40)
        pd.DataFrame({"arch": archs, "mine": range(40)}).to_csv(home / "scores.csv", index=False)
        flags = [f"--scores={home}/scores.csv", "--table=nasbench201_digits", f"--output={home}/out", "--bootstrap=0"]
        return ["launch.correlate", *flags]

    def ended(self, arguments, lines):
        """Exit code and standard error after so many lines of output were read."""
        command = [sys.executable, "-m", *arguments]
        buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, cwd=ROOT, env=buffered, **streams) as process:
            for _ in range(lines):
                assert process.stdout.readline()
            process.stdout.close()
            error = process.stderr.read().decode()
        return process.returncode, error

    @pytest.mark.parametrize("lines", [0, 1])
    def test_correlate(self, scored, home, lines):
        code, error = self.ended(scored, lines)
        assert code in (0, 141), error
        assert error == ""
        assert {path.name for path in (home / "out").iterdir()} >= {"correlations.csv", "scatter.png"}

    @pytest.mark.parametrize("arguments", [["launch.score", "--help"], ["launch.reproduce", "--list"]])
    def test_what_only_prints(self, arguments):
        assert self.ended(arguments, 0) == (0, "")

    def test_work_that_was_not_done_is_no_success(self, home):
        table = ["launch.prepare", f"--table={home}/some files/table.csv", f"--out={home}/out.parquet"]
        assert self.ended([*table, "--provenance=x"], 0) == (app.CLOSED, "")
        assert not (home / "out.parquet").exists()
