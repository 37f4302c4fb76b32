"""Large data sets: looked through once, then read by the places of their examples."""

import os
import shutil

import numpy as np
import pytest

from tfnas import data
from tfnas.data import index
from tfnas.errors import InputError


@pytest.fixture
def passes(monkeypatch):
    """The files that are passed over."""
    seen, original = [], index._pass_over
    monkeypatch.setattr(index, "_pass_over", lambda shards: seen.extend(shards) or original(shards))
    return seen


def batch(folder, split="train"):
    return data.batch("pictures", split, 12, 0, data_dir=folder, balanced=True)


def test_every_file_is_passed_over_once(pictures, pictures_dirs, large, passes):
    folder = pictures_dirs[3]
    first = batch(folder)
    assert len(passes) == 3
    large()
    second = batch(folder)
    assert len(passes) == 3
    np.testing.assert_array_equal(first[0], second[0])
    data.batch("pictures", "validation", 4, 0, data_dir=folder)
    assert len(passes) == 6


def test_a_part_of_a_split_needs_its_files_alone(pictures, pictures_dirs, large, passes):
    data.batch("pictures", "train[:20]+validation[:1]", 4, 0, data_dir=pictures_dirs[3])
    assert [os.path.basename(path)[:14] for path, _ in passes] == ["pictures-train", "pictures-valid"]


@pytest.mark.parametrize("spoil", [lambda content: content[:50], lambda content: b"", lambda content: b"\0" * 200])
def test_a_spoilt_cache_is_made_anew(pictures, large, passes, tmp_path, spoil):
    expected = batch(pictures)
    (kept,) = (tmp_path / "cache" / "index").iterdir()
    content = kept.read_bytes()
    kept.write_bytes(spoil(content))
    large()
    np.testing.assert_array_equal(batch(pictures)[0], expected[0])
    assert len(passes) == 2
    assert kept.read_bytes() == content


def test_a_cache_that_cannot_be_written_is_done_without(pictures, large, passes, tmp_path):
    (tmp_path / "cache").write_text("")
    for count in (1, 2):
        large()
        assert len(batch(pictures)[1]) == 12
        assert len(passes) == count


def test_files_that_changed_or_are_torn_are_told(pictures, large, tmp_path):
    shutil.copytree(pictures, tmp_path / "changed")
    (file,) = tmp_path.glob("changed/pictures/*/*train*")
    content = file.read_bytes()
    batch(tmp_path / "changed")
    file.write_bytes(content[:100] + content[:-100])
    with pytest.raises(InputError, match=r"pictures in .* cannot be read: .*has changed: no example of \d+ bytes at"):
        batch(tmp_path / "changed")
    large()
    file.write_bytes(content[:-5])
    with pytest.raises(InputError, match=r"pictures in .* cannot be read"):
        batch(tmp_path / "changed")
    large()
    file.write_bytes(b"")
    with pytest.raises(InputError, match=r"does not hold the examples .* Received: 0. Expected: 60"):
        batch(tmp_path / "changed")
