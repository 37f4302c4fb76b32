"""Executors: every task once, whatever dies; what is raised ends it; nobody is left behind."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tests.conftest import ROOT
from tests.tfnas.runs.executor_cases import Constant, Squares
from tfnas import environment
from tfnas.errors import InputError
from tfnas.runs.executor import Died, Serial
from tfnas.runs.processes import Processes

EXECUTORS = pytest.mark.parametrize("executor", [Serial(), Processes(1), Processes(3)], ids=["serial", "one", "three"])


def is_alive(pid):
    """Whether a process runs; a zombie does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@EXECUTORS
class TestEveryExecutor:
    def test_gives_every_task_once_with_its_result(self, executor, tmp_path):
        start = Squares(tmp_path)
        assert sorted(executor.map(start, range(10))) == [(number, number**2) for number in range(10)]
        assert all(len(start.tries(number)) == 1 for number in range(10))

    def test_no_tasks_are_no_work(self, executor, tmp_path):
        assert list(executor.map(Squares(tmp_path), [])) == []

    def test_what_is_raised_ends_it(self, executor, tmp_path):
        with pytest.raises(InputError, match="no 2"):
            list(executor.map(Squares(tmp_path, raises=(2,)), range(5)))

    def test_it_may_be_left_early(self, executor, tmp_path):
        start = Squares(tmp_path)
        results = executor.map(start, range(10))
        next(results)
        results.close()
        others = set(start.processes()) - {os.getpid()}
        wait_until(lambda: not any(map(is_alive, others)))


class TestProcesses:
    def test_are_as_many_as_asked_for_or_as_there_is_work_for(self, tmp_path):
        for workers, tasks in ((2, 6), (5, 2)):
            (folder := tmp_path / str(workers)).mkdir()
            start = Squares(folder)
            list(Processes(workers).map(start, range(tasks)))
            assert len(start.processes()) == 2
            assert os.getpid() not in start.processes()

    def test_share_out_the_threads(self, tmp_path):
        cores = environment.usable_cores()
        assert [Processes(n).threads for n in (1, cores, 2 * cores)] == [cores, 1, 1]
        start = Squares(tmp_path)
        list(Processes(2, threads=7).map(start, range(2)))
        assert set(start.processes().values()) == {"7"}

    def test_one_that_dies_is_replaced_and_its_task_tried_again(self, tmp_path):
        start = Squares(tmp_path, dies_once=(0, 3, 5))
        assert sorted(Processes(2).map(start, range(6))) == [(number, number**2) for number in range(6)]
        assert [len(start.tries(number)) for number in range(6)] == [2, 1, 1, 2, 1, 2]
        assert len(start.processes()) == 5

    @pytest.mark.parametrize("workers", [1, 2])
    def test_a_task_that_kills_twice_is_given_up_and_no_other(self, tmp_path, workers):
        start = Squares(tmp_path, dies=(1,), exits=(4,))
        results = dict(Processes(workers).map(start, range(5)))
        assert results.pop(1) == Died("the process was ended by SIGKILL")
        assert results.pop(4) == Died("the process ended with code 3")
        assert results == {0: 0, 2: 4, 3: 9}
        assert [len(start.tries(number)) for number in range(5)] == [1, 2, 1, 1, 2]

    def test_what_is_raised_brings_the_trace_of_its_process(self, tmp_path):
        with pytest.raises(InputError) as raised:
            list(Processes(1).map(Squares(tmp_path, raises=(0,)), [0]))
        assert "executor_cases.py" in "".join(raised.value.__notes__)

    def test_a_result_that_cannot_travel_is_an_error(self):
        with pytest.raises(TypeError, match="stays here"):
            list(Processes(1).map(Constant(), [0]))

    def test_busy_ones_are_ended_when_one_raises(self, tmp_path):
        start = Squares(tmp_path, raises=(1,), hangs=(0,))
        with pytest.raises(InputError):
            list(Processes(2).map(start, range(2)))
        assert not any(map(is_alive, start.processes()))


PARENT = """
import pathlib, signal, sys
from tests.tfnas.runs.executor_cases import Squares
from tfnas.runs.processes import Processes

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which the shell of a background job has switched off
    list(Processes(2).map(Squares(pathlib.Path(sys.argv[1]), hangs=(0, 1)), range(2)))
"""


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_nobody_outlives_the_parent(tmp_path, kind):
    """Also in the middle of a task; a Ctrl-C, which the whole group hears, leaves nothing but the parent's trace."""
    start = Squares(tmp_path)
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT))
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        try:
            wait_until(lambda: start.tries(0) and start.tries(1))
            if kind == signal.SIGKILL:
                parent.kill()
            else:
                os.killpg(parent.pid, kind)
            error = parent.communicate()[1]
        finally:
            parent.kill()
    wait_until(lambda: not any(map(is_alive, start.processes())))
    assert len(start.processes()) == 2
    if kind == signal.SIGINT:
        assert error.count("Traceback") == 1
        assert "KeyboardInterrupt" in error
