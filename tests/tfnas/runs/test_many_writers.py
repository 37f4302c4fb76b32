"""Many writers in one folder, killed at any moment: nothing that was written is lost, nothing is there twice."""

import contextlib
import os
import random
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT
from tfnas.runs import records

# Takes numbers from standard input and writes a record of each that the folder lacks; tells each that is on the disk.
WRITER = """
import sys
from tfnas.runs.records import Record, Writer, done
folder, shard = sys.argv[1:]
with Writer(folder, shard, every=3) as writer:
    known = done(folder)
    waiting = []
    print("ready", flush=True)
    for line in sys.stdin:
        record = Record("space", line.strip(), "digits", "p", int(line) / 7)
        if record.key in known:
            continue
        writer.add([record])
        waiting.append(line.strip())
        if not writer._waiting:
            print(*waiting, sep="\\n", flush=True)
            waiting = []
print(*waiting, "end", sep="\\n", flush=True)
"""


class Child:
    """A writer in a process of its own, fed with numbers."""

    def __init__(self, folder, shard="0of1"):
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(folder), shard],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.told = []
        self.reader = threading.Thread(target=lambda: self.told.extend(map(str.strip, self.process.stdout)))
        assert self.process.stdout.readline() == "ready\n"
        self.reader.start()

    def feed(self, numbers):
        for number in numbers:
            self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()

    def finish(self, *, kill):
        """Numbers that it has told to be on the disk."""
        if kill:
            self.process.kill()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.reader.join()
        self.process.stdout.close()
        self.process.wait()
        assert kill or self.told.pop() == "end"
        return [int(number) for number in self.told if number]


def on_disk(folder):
    """Every row of every whole part, double ones too."""
    frames = [pd.read_parquet(path) for path in sorted(folder.glob("part-*.parquet"))]
    return sorted(int(arch) for frame in frames for arch in frame.arch)


def test_writers_that_are_killed_lose_nothing_that_was_written(tmp_path):
    rng, total, told = random.Random(0), 150, []
    for last in (False, False, True):
        # Writers of one command share a shard's name; none of the numbers goes to two writers of one round.
        numbers = rng.sample(range(total), total)
        few, *many = [numbers[:15]] + [numbers[start::3] for start in (15, 16, 17)]
        first, *others = [Child(tmp_path) for _ in range(4)]
        for child, given in zip((*others, first), (*many, few), strict=True):
            child.feed(given)
        told += first.finish(kill=False)  # the others are somewhere in the middle now
        for child in others:
            told += child.finish(kill=not last)
        found = on_disk(tmp_path)
        assert set(told) <= set(found)
        assert len(found) == len(set(found)), "one record was written twice"
    assert found == list(range(total))
    frame = records.read(tmp_path)
    assert frame.arch.astype(int).sort_values().tolist() == found
    assert np.array_equal(frame.score, frame.arch.astype(int) / 7)
    assert frame.attrs["skipped"] == []


def test_equal_records_of_many_writers_count_once(tmp_path):
    children = [Child(tmp_path) for _ in range(3)]
    for child in children:
        child.feed(range(30))
    for child in children:
        child.finish(kill=False)
    frame = records.read(tmp_path)
    assert sorted(frame.arch.astype(int)) == list(range(30))
    assert len(records.done(tmp_path)) == 30
    assert len(list(tmp_path.glob("part-*"))) == len({path.name for path in tmp_path.iterdir()}) == 3 * 10


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupt_while_flushing_loses_nothing_and_doubles_nothing_that_counts(tmp_path, monkeypatch, moment):
    """Ctrl-C may arrive before the part has its name, or when it has and the writer does not know yet."""
    real, calls = records.files.write_atomic, []

    def interrupted(path, data, **more):
        calls.append(path)
        if len(calls) > 1 or moment == "after":
            real(path, data, **more)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(records.files, "write_atomic", interrupted)
    with pytest.raises(KeyboardInterrupt), records.Writer(tmp_path, every=1) as writer:
        writer.add([records.Record("space", "a", "digits", "p", 1.0)])
    assert len(calls) == len(set(calls)) == 2
    frame = records.read(tmp_path)
    assert frame.score.tolist() == [1.0]
    assert frame.attrs["skipped"] == []


def test_names_are_unique_though_clock_and_process_are_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(records.time, "strftime", lambda *_: "now")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    writers = [records.Writer(tmp_path) for _ in range(20)]
    for index, writer in enumerate(writers):
        writer.add([records.Record("space", str(index), "digits", "p", 1.0)])
        writer.flush()
    assert len(records.read(tmp_path)) == 20
