"""Records: nothing lost, nothing invented, whatever happens to the run or the folder."""

import dataclasses
import errno
import itertools
import os
import signal
import struct
import subprocess
import sys
import textwrap
import time

import pandas as pd
import pytest

from tests.conftest import ROOT
from tfnas import files
from tfnas.runs import records
from tfnas.runs.records import Record


def record(arch="a", proxy="p", score=1.0, **values):
    return Record("space", arch, "digits", proxy, score, **values)


def write(folder, rows, shard="0of1", **settings):
    with records.Writer(folder, shard, **settings) as writer:
        for row in rows:
            writer.add([row])


def parts(folder):
    return sorted(path.name for path in folder.glob("part-*.parquet"))


def test_a_record_comes_back_as_it_was(tmp_path):
    row = record(
        score=1 / 3,
        message='a "quoted", ünïcode\nmessage',
        seed=2**62 + 1,
        repeat=3,
        init="torch",
        bn="batch",
        batch_size=64,
        width=16,
        depth=5,
        flavour="tiny",
        options=records.dump_options({"b": 1, "a": [1, None]}),
        seconds=0.1,
        tfnas_version="1",
        tensorflow_version="2",
        keras_version="3",
        device="CPU",
    )
    write(tmp_path, [row])
    (found,) = records.read(tmp_path).to_dict("records")
    assert found == dataclasses.asdict(row)
    assert records.done(tmp_path) == {row.key}


@pytest.mark.parametrize("score", [float("inf"), float("-inf"), 5e-324, -0.0, 1e308])
def test_every_float_is_kept_to_the_bit(tmp_path, score):
    write(tmp_path, [record(score=score)])
    assert records.read(tmp_path).score[0].hex() == score.hex()


def test_nan_is_a_status_and_stays_nan(tmp_path):
    write(tmp_path, [record(score=float("nan"), status="nan", message="all paths are cut")])
    frame = records.read(tmp_path)
    assert frame.score.isna().all()
    assert frame.status.tolist() == ["nan"]


def test_options_do_not_depend_on_their_order():
    settings = {"kernel": "trace", "split": "train", "n": 3}
    orders = itertools.permutations(settings.items())
    assert len({records.dump_options(dict(order)) for order in orders}) == 1


def test_key_and_host_columns_are_columns_and_apart():
    assert set(records.KEY) | set(records.HOST) < set(records.COLUMNS)
    assert not set(records.KEY) & set(records.HOST)
    assert {"score", "status", "message", "details"} == set(records.COLUMNS) - set(records.KEY) - set(records.HOST)


@pytest.mark.parametrize("column", records.KEY)
def test_each_setting_in_the_key_makes_another_record(tmp_path, column):
    first = record()
    old = getattr(first, column)
    second = dataclasses.replace(first, score=2.0, **{column: old + 1 if isinstance(old, int) else old + "x"})
    write(tmp_path, [first, second])
    assert sorted(records.read(tmp_path).score) == [1.0, 2.0]


def test_order_of_writing_and_number_of_parts_do_not_matter(tmp_path):
    rows = [record(arch, proxy, score=i) for i, (arch, proxy) in enumerate(itertools.product("cab", "yx"))]
    write(tmp_path / "one", rows)
    write(tmp_path / "many", rows[::-1], every=1)
    assert len(parts(tmp_path / "one")) == 1
    assert len(parts(tmp_path / "many")) == len(rows)
    pd.testing.assert_frame_equal(records.read(tmp_path / "one"), records.read(tmp_path / "many"))


def test_shards_together_equal_one_run(tmp_path):
    rows = [record(f"a{i}", score=i, seconds=i) for i in range(10)]
    write(tmp_path / "whole", rows)
    for shard in range(3):
        write(tmp_path / "parts", rows[shard::3], shard=f"{shard}of3", every=2)
    whole, merged = (records.read(tmp_path / name, stable=True) for name in ("whole", "parts"))
    pd.testing.assert_frame_equal(whole, merged)


def test_stable_drops_what_time_and_host_decide(tmp_path):
    for name, seconds, device in (("x", 1.0, "CPU"), ("y", 2.0, "GPU")):
        write(tmp_path / name, [record(seconds=seconds, device=device)])
    frames = [records.read(tmp_path / name, stable=True) for name in "xy"]
    pd.testing.assert_frame_equal(*frames)
    assert not set(records.HOST) & set(frames[0])


def test_first_part_wins_whatever_the_listing_order(tmp_path, monkeypatch):
    write(tmp_path, [record(score=1.0)], shard="0of2")
    write(tmp_path, [record(score=2.0)], shard="1of2")
    path_type = type(records.epath.Path(tmp_path))
    listing = sorted(records.epath.Path(tmp_path).iterdir())
    for order in (listing, listing[::-1]):
        monkeypatch.setattr(path_type, "iterdir", lambda self, order=order: iter(order))
        assert records.read(tmp_path).score.tolist() == [1.0]


@pytest.mark.parametrize("failure", records.FAILURES)
def test_a_score_replaces_a_failure_and_retry_asks_for_it(tmp_path, failure):
    write(tmp_path, [record(score=float("nan"), status=failure), record("b")])
    assert records.done(tmp_path) == {record().key, record("b").key}
    assert records.done(tmp_path, retry=True) == {record("b").key}
    write(tmp_path, [record(score=7.0)])
    assert records.read(tmp_path).score.tolist() == [7.0, 1.0]


def test_a_missing_or_empty_folder_has_no_records(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        frame = records.read(folder)
        assert frame.empty
        assert list(frame.columns) == list(records.COLUMNS)
        assert records.done(folder) == set()


SCORE = 0.123456789


def foreign_files(folder, part):
    """Things that may lie in a folder of records, by name, and are none."""
    whole = (folder / part).read_bytes()
    pd.DataFrame({"arch": ["z"], "score": [1.0]}).to_parquet(folder / "foreign.parquet")
    (folder / "part-0of1-90000.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "part-0of1-90001.parquet").write_bytes(b"")
    (folder / "part-0of1-90002.parquet").write_bytes(whole[:-30] + b"\0" * 26 + whole[-4:])
    (folder / "part-0of1-90003.parquet.123.tmp").write_bytes(whole)
    (folder / "part-0of1-90004.parquet").mkdir()
    # One bit of the score itself: only a checksum can tell.
    position = whole.index(struct.pack("<d", SCORE))
    (folder / "part-0of1-90005.parquet").write_bytes(
        whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
    )
    return ["foreign.parquet", *(f"part-0of1-9000{i}.parquet" for i in (0, 1, 2, 4, 5))]


def test_torn_and_foreign_files_are_named_skipped_and_kept(tmp_path):
    write(tmp_path, [record(score=SCORE)])
    names = foreign_files(tmp_path, parts(tmp_path)[0])
    (tmp_path / "config.json").write_text("{}")
    before = {path.name for path in tmp_path.iterdir()}
    frame = records.read(tmp_path)
    assert len(frame) == 1
    assert records.done(tmp_path) == {record().key}
    skipped = frame.attrs["skipped"]
    assert sorted(line.partition(": ")[0] for line in skipped) == sorted(str(tmp_path / name) for name in names)
    assert all("\n" not in line for line in skipped)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_new_writer_never_touches_older_parts(tmp_path):
    write(tmp_path, [record("a", score=SCORE)])
    foreign_files(tmp_path, parts(tmp_path)[0])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    write(tmp_path, [record("b"), record("c")], every=1)
    assert len(records.read(tmp_path)) == 3
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_two_writers_of_one_shard_do_not_overwrite_each_other(tmp_path):
    with records.Writer(tmp_path) as first, records.Writer(tmp_path) as second:
        for writer, arch in ((first, "a"), (second, "b"), (first, "c")):
            writer.add([record(arch)])
            writer.flush()
    assert records.read(tmp_path).arch.tolist() == ["a", "b", "c"]


def test_time_alone_flushes(tmp_path):
    writer = records.Writer(tmp_path, every=10**6, seconds=0.0)
    writer.add([record()])
    assert len(records.read(tmp_path)) == 1


def test_records_added_together_land_in_one_part(tmp_path):
    with records.Writer(tmp_path, every=2) as writer:
        writer.add([record("a", proxy) for proxy in "xyz"])
        writer.add([record("b", proxy) for proxy in "xyz"])
    assert [len(pd.read_parquet(tmp_path / name)) for name in parts(tmp_path)] == [3, 3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_an_exception_still_flushes(tmp_path, error):
    """Also an OSError that is not of flushing: a reader of the progress that goes away, for one."""

    def fail():
        with records.Writer(tmp_path) as writer:
            writer.add([record()])
            raise error

    with pytest.raises(error):
        fail()
    assert len(records.read(tmp_path)) == 1


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_full_disk_loses_nothing_that_was_written(tmp_path, monkeypatch, step):
    write(tmp_path, [record("a")])

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class FullFile:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            self.file.write(data[:10])
            full()

    path_type = type(records.epath.Path(tmp_path))
    with monkeypatch.context() as patch:
        if step == "write":
            real = path_type.open
            patch.setattr(path_type, "open", lambda self, mode="r", **more: FullFile(real(self, mode, **more)))
        elif step == "fsync":
            patch.setattr(files.os, "fsync", full)
        else:
            patch.setattr(files.os, "link", full)
            patch.setattr(path_type, "replace", full)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            write(tmp_path, [record("b")])
    frame = records.read(tmp_path)
    assert frame.arch.tolist() == ["a"]
    assert frame.attrs["skipped"] == []
    write(tmp_path, [record("b")])
    assert records.read(tmp_path).arch.tolist() == ["a", "b"]


def test_kill_9_loses_at_most_the_part_in_flight(tmp_path):
    script = textwrap.dedent(
        """
        import sys, time
        from tfnas.runs.records import Record, Writer
        with Writer(sys.argv[1], every=2) as writer:
            for i in range(10**6):
                writer.add([Record("space", f"{i:06d}", "digits", "p", i / 7)])
                print(i, flush=True)
                time.sleep(0.002)
        """
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 120
            while len(parts(tmp_path)) < 5:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            os.kill(process.pid, signal.SIGKILL)
        added = len(process.communicate()[0].split())
    frame = records.read(tmp_path)
    assert len(frame) >= 10
    assert len(frame) >= added - 2
    assert frame.score.tolist() == [i / 7 for i in range(len(frame))]
