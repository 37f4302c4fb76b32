"""A lock: one holder at a time, none after the end of its process, nothing left in the folder."""

import os
import subprocess
import sys
import threading

import pytest
from etils import epath

from tests.conftest import ROOT
from tfnas.errors import InputError
from tfnas.runs import locks

HOLDER = """
import sys, time
from tfnas.runs import locks
with locks.only_run(sys.argv[1], "x"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_the_second_is_told_in_one_line_who_is_first(tmp_path, holder):
    message = rf"at work in {tmp_path} already \(process {holder.pid}\)"
    with pytest.raises(InputError, match=message) as raised, locks.only_run(tmp_path, "x"):
        pytest.fail("two hold it")
    assert "\n" not in str(raised.value)
    with locks.only_run(tmp_path, "y"):  # another run
        pass


def test_it_ends_with_its_process(tmp_path, holder):
    holder.kill()
    holder.wait()
    with locks.only_run(epath.Path(tmp_path), "x"):
        assert (tmp_path / ".lock-x").read_text() == str(os.getpid())
    assert not list(tmp_path.iterdir())


def test_it_ends_with_an_exception(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), locks.only_run(tmp_path, "x"):
            raise KeyError
    assert not list(tmp_path.iterdir())


def test_of_many_that_come_and_go_one_holds_it_at_a_time(tmp_path):
    """Removing the file must not let two processes, each with a file of that name, both in."""
    inside, most, entries, barrier = [], [0], [], threading.Barrier(6)

    def come_and_go():
        barrier.wait()
        for _ in range(200):
            try:
                with locks.only_run(tmp_path, "x"):
                    inside.append(1)
                    most[0] = max(most[0], len(inside))
                    entries.append(1)
                    inside.pop()
            except InputError:
                pass

    threads = [threading.Thread(target=come_and_go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert entries


@pytest.mark.parametrize("folder", ["gs://bucket/folder", "/no/such/folder"])
def test_a_folder_that_is_not_local_has_none(folder):
    with locks.only_run(folder, "x"), locks.only_run(folder, "x"):
        pass


def test_a_disk_without_locks_has_none(tmp_path, monkeypatch):
    import fcntl

    def flock(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with locks.only_run(tmp_path, "x"), locks.only_run(tmp_path, "x"):
        pass
