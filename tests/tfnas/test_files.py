"""Files that are whole or not there."""

import errno
import os
import threading

import numpy as np
import pytest

from tfnas import files


def test_replaces_whole_files_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "sub" / "file"
    for content in (b"first", b"second"):
        files.write_atomic(path, content)
        assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_is_there_stays_if_it_is_not_to_be_replaced(tmp_path, monkeypatch, links):
    if not links:  # as in a bucket

        def link(*_):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", link)
    files.write_atomic(tmp_path / "file", b"first", replace=False)
    with pytest.raises(FileExistsError):
        files.write_atomic(tmp_path / "file", b"second", replace=False)
    assert (tmp_path / "file").read_bytes() == b"first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_of_many_writers_of_one_name_one_succeeds(tmp_path):
    barrier, won = threading.Barrier(8), []

    def write(index):
        barrier.wait()
        try:
            files.write_atomic(tmp_path / "file", bytes([index]) * 1000, replace=False)
        except FileExistsError:
            return
        won.append(index)

    threads = [threading.Thread(target=write, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert (tmp_path / "file").read_bytes() == bytes(won) * 1000
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        files.write_atomic(tmp_path / "file", b"content")
    assert not list(tmp_path.iterdir())


def test_arrays_come_back_as_they_were():
    arrays = {
        "empty": np.zeros((0, 3), np.float32),
        "names": np.array(["a", "bcd"]),
        "half": np.float16(0.5) * np.eye(2),
    }
    found = files.from_npz(files.to_npz(arrays))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_arrays_are_never_unpickled():
    with pytest.raises(ValueError, match="allow_pickle"):
        files.from_npz(files.to_npz({"objects": np.array([{}], object)}))
