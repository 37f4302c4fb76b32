"""What killed writers leave behind."""

import os
import time

import pytest

from tfnas.runs import records


@pytest.mark.parametrize(
    ("name", "age", "stays"),
    [
        ("part-0of1-a-00000.parquet.0123abcd.tmp", 2, False),
        ("config-12345678.json.0123abcd.tmp", 2, False),
        ("part-0of1-a-00000.parquet.0123abcd.tmp", 0.5, True),
        ("notes.tmp", 2, True),
        ("part-0of1-a-00000.parquet", 2, True),
    ],
)
def test_temporary_files_of_dead_runs_are_removed_and_nothing_else(tmp_path, name, age, stays):
    path = tmp_path / name
    path.write_bytes(b"half")
    then = time.time() - age * 3600
    os.utime(path, (then, then))
    with records.Writer(tmp_path) as writer:
        writer.add([records.Record("space", "a", "digits", "p", 1.0)])
    assert path.exists() == stays
    frame = records.read(tmp_path)
    assert len(frame) == 1
    assert len(frame.attrs["skipped"]) == name.endswith(".parquet")
