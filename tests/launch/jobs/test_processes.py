"""Jobs in several processes, and runs that are ended from outside."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from launch import app
from launch.flags.execution import Execution
from launch.jobs import base
from tests.conftest import ROOT
from tests.launch.jobs.counting import CountingJob, calls
from tests.launch.jobs.test_base import ARCHS
from tfnas.runs import records


class Run:
    """The launcher of tests in a process of its own, with folders beside each other for records and notes."""

    def __init__(self, folder, archs, *flags):
        self.out, self.notes = folder / "out", folder / "notes"
        self.notes.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.launch.jobs.counting", f"--archs={','.join(archs)}"]
        self.process = subprocess.Popen(
            [*command, f"--output={self.out}", f"--notes={self.notes}", *flags],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def until_called(self, count):
        deadline = time.monotonic() + 300
        while len(calls(self.notes)) < count:
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def until_recorded(self, archs):
        deadline = time.monotonic() + 300
        while not set(archs) <= set(self.records().arch):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def end(self):
        out, error = self.process.communicate(timeout=300)
        return self.process.returncode, out, error

    def records(self):
        return records.read(self.out, stable=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The undisturbed run, in this process."""
    folder = tmp_path_factory.mktemp("whole")
    base.run(CountingJob(str(folder)), ARCHS, Execution(output=str(folder / "out")))
    return records.read(folder / "out", stable=True)


def same(left, right):
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    return True


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_share_the_work_one_folder_one_bar_and_one_summary(tmp_path, whole, workers):
    with Run(tmp_path, ARCHS, f"--workers={workers}") as run:
        code, out, error = run.end()
    assert code == 0, error
    assert same(run.records(), whole)
    assert len(calls(run.notes)) == len(ARCHS)
    assert len(list(run.notes.glob("calls-*"))) > 1
    assert error.splitlines()[-1].startswith("strings: 12/12")
    assert sum("24 records (24 ok)" in line for line in out.splitlines()) == 1
    assert {path.name.split("-")[0] for path in run.out.iterdir()} == {"part", "config.json", "environment.json"}


def test_a_worker_that_dies_costs_its_architecture_at_most(tmp_path):
    archs = ["|die once|", *ARCHS[:3], "|die|", ARCHS[3]]
    with Run(tmp_path, archs, "--workers=2") as run:
        code, out, error = run.end()
    assert code == 0, error
    frame = run.records().set_index(["arch", "proxy"])
    assert set(frame.status.drop("|die|")) == {"ok"}
    assert set(frame.status["|die|"]) == {"error"}
    assert set(frame.message["|die|"]) == {"the process was ended by SIGKILL"}
    assert [arch for arch, *_ in calls(run.notes)].count("|die|") == 2
    assert "2 failed; the same command with --retry" in out
    (run.notes / "calls-0").write_text("")
    with Run(tmp_path, archs, "--retry", "--workers=2") as run:
        assert run.end()[0] == 0
    assert [arch for arch, *_ in calls(run.notes)].count("|die|") == 4, "computed again, and only that"
    assert len(calls(run.notes)) == 5 + 1 + 2 + 2


def test_everything_failed_is_an_exit_code(tmp_path):
    with Run(tmp_path, ["|error|", "|memory|"]) as run:
        code, out, _ = run.end()
    assert code == app.FAILED
    assert "4 failed; the same command with --retry" in out
    assert set(run.records().status) == {"oom", "error"}


def test_bad_input_that_a_worker_finds_is_one_line(tmp_path):
    with Run(tmp_path, [ARCHS[0], "|bad|", "|hang|"], "--workers=2") as run:
        code, _, error = run.end()
    assert code == app.USAGE_ERROR
    assert error == "error: labels do not fit\n"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("kind", "code"),
    [(signal.SIGINT, app.INTERRUPTED), (signal.SIGTERM, app.TERMINATED), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_run_that_is_ended_keeps_what_is_done_and_ends_the_same_later(tmp_path, whole, kind, code, workers):
    """It hangs in the middle until it is ended, however slow the machine is. Ctrl-C is heard by all its processes."""
    archs = [*ARCHS[:3], *["|hang|"] * workers, *ARCHS[3:]]
    archs = [arch + "x" * i if "hang" in arch else arch for i, arch in enumerate(archs)]
    with Run(tmp_path, archs, f"--workers={workers}") as run:
        run.until_called(3 + workers)
        if kind == signal.SIGKILL:
            run.until_recorded(ARCHS[:3])  # what is under way to the folder is lost
        if kind == signal.SIGINT:
            os.killpg(run.process.pid, kind)
        else:
            run.process.send_signal(kind)
        found, _, error = run.end()
    assert found == code, error
    if kind != signal.SIGKILL:
        assert error.splitlines()[-1].endswith("the same command goes on from there")
        assert "Traceback" not in error
    kept = run.records()
    assert set(kept.arch) == set(ARCHS[:3])
    assert kept.attrs["skipped"] == []
    (run.notes / "go").touch()
    with Run(tmp_path, archs, f"--workers={3 - workers}") as run:
        code, out, error = run.end()
    assert code == 0, error
    assert f"6 records found; 3 of {len(archs)} strings are done" in out
    frame = run.records()
    assert same(frame[~frame.arch.str.contains("hang")].reset_index(drop=True), whole)
    assert set(frame.status) == {"ok"}


def test_of_two_equal_commands_the_second_is_refused_and_a_shard_is_not(tmp_path):
    archs = ["|hang|", *ARCHS[:3]]
    with Run(tmp_path, archs) as first:
        first.until_called(1)
        with Run(tmp_path, archs, "--workers=2") as second:
            code, _, error = second.end()
        assert code == app.USAGE_ERROR
        assert f"process {first.process.pid}" in error
        assert error.count("\n") == 1
        with Run(tmp_path, archs[1:]) as other:
            assert other.end()[0] == 0
        (first.notes / "go").touch()
        assert first.end()[0] == 0
    frame = first.records()
    assert len(frame) == 2 * 4
    assert set(frame.status) == {"ok"}
