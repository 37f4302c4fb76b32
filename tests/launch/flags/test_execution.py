"""How the work is done: by which executor, with how many threads."""

import pytest

from launch.flags.execution import Execution
from tfnas import environment
from tfnas.errors import InputError
from tfnas.runs.executor import Serial
from tfnas.runs.processes import Processes


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_no_number_of_workers_is_one_for_every_two_cores(cores, expected, monkeypatch):
    monkeypatch.setattr(environment, "usable_cores", lambda: cores)
    assert Execution(output="o", workers=0).processes() == expected


def test_one_process_works_itself_and_several_share_the_cores(monkeypatch):
    monkeypatch.setattr(environment, "usable_cores", lambda: 8)
    alone = Execution(output="o", threads=3).executor()
    assert isinstance(alone, Serial)
    assert alone.threads == 3
    several = Execution(output="o", workers=4).executor()
    assert isinstance(several, Processes)
    assert (several.workers, several.threads) == (4, 2)
    assert Execution(output="o", workers=4, threads=1).executor().threads == 1


def test_the_threads_are_those_of_the_process_that_computes(monkeypatch):
    asked = []
    monkeypatch.setattr(environment, "start_tensorflow", asked.append)
    Execution(output="o", threads=3).start_tensorflow()
    Execution(output="o", threads=3, workers=2).start_tensorflow()
    assert asked == [3]


@pytest.mark.parametrize("flags", [{"workers": -1}, {"threads": -1}, {"shard": "1/1"}])
def test_bad_ones(flags):
    (name,) = flags
    with pytest.raises(InputError, match=f"--{name}.*Received: "):
        Execution(output="o", **flags).check()
