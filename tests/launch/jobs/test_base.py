"""The loop of every job: the same records whatever the order, the shard, the workers and the interruptions."""

import collections
import dataclasses
import errno
import os

import pandas as pd
import pytest

from launch.flags.execution import Execution
from launch.jobs import base
from tests.launch.jobs.counting import PROXIES, CountingJob, calls
from tfnas import environment
from tfnas.errors import InputError
from tfnas.runs import records

ARCHS = [f"|{'x' * i}|{'y' * (i % 3)}" for i in range(12)]


@pytest.fixture(autouse=True)
def no_tensorflow(monkeypatch):
    monkeypatch.setattr(environment, "start_tensorflow", lambda threads: None)
    monkeypatch.setattr(environment, "device", lambda: "test")


@pytest.fixture
def notes(tmp_path):
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


def run(folder, job, archs=ARCHS, **settings):
    base.run(job, archs, Execution(output=str(folder), **settings))
    return records.read(folder, stable=True)


def same(left, right):
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    return True


def shards(archs, count):
    """Shards that some of the architectures are in."""
    return sorted({i for arch in archs for i in range(count) if base.in_shard(arch, i, count)})


def test_every_record_of_every_task(tmp_path, notes):
    frame = run(tmp_path / "out", CountingJob(str(notes), repetitions=2))
    assert len(frame) == 12 * 2 * 2
    assert set(frame.status) == {"ok"}
    for row in frame.itertuples():
        expected = len(row.arch) if row.proxy == "length" else 2
        assert row.score == expected + 0.1 * row.repeat
    whole = records.read(tmp_path / "out")
    assert set(whole.device) == {"test"}
    assert set(whole.tensorflow_version) == {environment.version("tensorflow")}
    assert sorted(calls(notes)) == sorted((arch, str(r), "length+bars") for arch in ARCHS for r in range(2))


def test_order_shards_resume_and_added_records_change_nothing(tmp_path, notes):
    job = CountingJob(str(notes), repetitions=2)
    whole = run(tmp_path / "whole", job)
    assert same(run(tmp_path / "backwards", job, ARCHS[::-1]), whole)
    for shard in ("1/3", "0/3", "2/3"):
        sharded = run(tmp_path / "shards", job, shard=shard)
    assert same(sharded, whole)
    run(tmp_path / "grown", CountingJob(str(notes), ("bars",)), ARCHS[5:])
    run(tmp_path / "grown", CountingJob(str(notes), ("length",), repetitions=2), ARCHS[:7])
    assert same(run(tmp_path / "grown", job), whole)


@pytest.mark.parametrize(("whole", "again"), [(False, "bars"), (True, "length+bars")])
def test_only_what_is_missing_is_computed(tmp_path, notes, whole, again):
    """Or the task anew, where all of its records come from one computation; what is there stays as it is."""
    run(tmp_path / "out", CountingJob(str(notes), ("length",)), ARCHS[:2])
    first = records.read(tmp_path / "out")
    job = CountingJob(str(notes), whole=whole)
    run(tmp_path / "out", job, ARCHS[:3])
    names = collections.Counter(names for *_, names in calls(notes))
    assert names == collections.Counter({"length": 2, again: 2}) + collections.Counter({"length+bars": 1})
    assert sum(len(pd.read_parquet(path)) for path in (tmp_path / "out").glob("part-*")) == 6
    assert records.read(tmp_path / "out").merge(first).shape[0] == 2
    parts = sorted((tmp_path / "out").iterdir())
    run(tmp_path / "out", job, ARCHS[:3])
    assert len(calls(notes)) == 5
    assert sorted((tmp_path / "out").iterdir()) == parts


@pytest.mark.parametrize(
    ("arch", "status", "message"),
    [("|error|", "error", "RuntimeError: broken layer"), ("|memory|", "oom", "MemoryError: all of it")],
)
@pytest.mark.parametrize("whole", [False, True])
def test_a_failure_is_a_status_and_can_be_retried(tmp_path, notes, monkeypatch, arch, status, message, whole):
    job, archs = CountingJob(str(notes), whole=whole), [ARCHS[0], arch, ARCHS[1]]
    frame = run(tmp_path / "out", job, archs).set_index(["arch", "proxy"])
    for name in PROXIES:
        assert frame.loc[(arch, name), ["status", "message"]].tolist() == [status, message]
        assert frame.score[arch, name] != frame.score[arch, name]
    assert set(frame.status[frame.index.get_level_values("arch") != arch]) == {"ok"}
    before = len(calls(notes))
    run(tmp_path / "out", job, archs)
    assert len(calls(notes)) == before, "a failure counts as done"
    assert run(tmp_path / "out", job, archs, retry=True).status.isin(records.FAILURES).sum() == 2
    monkeypatch.setattr("tests.launch.jobs.counting.Counter.compute", lambda self, task: [{"score": 7.0}] * 2)
    frame = run(tmp_path / "out", job, archs, retry=True).set_index(["arch", "proxy"])
    assert set(frame.status) == {"ok"}
    assert frame.score[arch, "bars"] == 7.0
    assert frame.score[ARCHS[0], "bars"] == 2.0, "only failures are computed again"


def test_an_interruption_within_c_code_ends_the_run_and_leaves_no_record(tmp_path, notes, monkeypatch):
    """It comes as an error of that code, with the interruption as its cause."""
    error = SystemError("returned a result with an exception set")
    error.__cause__ = KeyboardInterrupt()

    def interrupted(self, task):
        raise error

    monkeypatch.setattr("tests.launch.jobs.counting.Counter.compute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", CountingJob(str(notes)), ARCHS[:2])
    assert not list((tmp_path / "out").glob("part-*"))


def test_bad_input_found_late_ends_the_run_and_keeps_what_is_there(tmp_path, notes):
    with pytest.raises(InputError, match="labels do not fit"):
        run(tmp_path / "out", CountingJob(str(notes)), [*ARCHS[:2], "|bad|", ARCHS[2]])
    assert set(records.read(tmp_path / "out").arch) == set(ARCHS[:2])


def test_a_disk_that_fills_up_keeps_what_is_there_and_the_run_goes_on_later(tmp_path, notes, monkeypatch, capsys):
    job, real, written = CountingJob(str(notes)), records.files.write_atomic, []

    def filling(path, data, **more):
        written.append(path)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, data, **more)

    with monkeypatch.context() as patch:
        patch.setattr(records.files, "write_atomic", filling)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            run(tmp_path / "out", job)
    assert len(records.read(tmp_path / "out")) == 4
    capsys.readouterr()
    assert same(run(tmp_path / "out", job), run(tmp_path / "whole", job))
    assert "4 records found; 2 of 12 strings are done" in capsys.readouterr().out


def test_a_process_that_does_not_lead_writes_nothing(tmp_path, notes):
    assert run(tmp_path / "out", CountingJob(str(notes), leads=False)).empty
    assert len(calls(notes)) == len(ARCHS)


def test_results_are_those_asked_for_and_how_many_are_missing(tmp_path, notes):
    job = CountingJob(str(notes), repetitions=2)
    first, *_ = shards(ARCHS, 3)
    run(tmp_path / "out", job, shard=f"{first}/3")
    run(tmp_path / "out", CountingJob(str(notes), ("other",)), [], shard="0/1")
    frame = job.results(ARCHS, str(tmp_path / "out"))
    mine = [arch for arch in ARCHS if base.in_shard(arch, first, 3)]
    assert set(frame.arch) == set(mine)
    assert frame.attrs["asked"] == 12 * 2 * 2
    assert len(frame) == len(mine) * 2 * 2
    few = CountingJob(str(notes), ("bars",)).results(mine[:1], str(tmp_path / "out"))
    assert few[["arch", "proxy", "repeat"]].to_numpy().tolist() == [[mine[0], "bars", 0]]


def test_tasks_share_their_blanks(notes):
    """A whole space times all proxies would fill the memory otherwise."""
    tasks = CountingJob(str(notes), repetitions=3).tasks(ARCHS)
    assert len({id(task.blanks) for task in tasks}) == 1
    assert len({id(base._left(task, set(), False).blanks) for task in tasks}) == 1
    assert len({task.fill(blank).key for task in tasks for blank in task.blanks}) == len(tasks) * 2


def test_a_folder_that_cannot_be_made_is_told(notes):
    with pytest.raises(OSError, match="/dev/null"):
        run("/dev/null/out", CountingJob(str(notes)))


def test_narrow_takes_the_fields_of_a_group():
    @dataclasses.dataclass(frozen=True)
    class Config(Execution):
        more: int = 0

    assert base.narrow(Config(output="o", workers=3, more=1), Execution) == Execution(output="o", workers=3)
