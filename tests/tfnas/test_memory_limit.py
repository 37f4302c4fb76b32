"""What fits into memory, and what is refused."""

import gc

import pytest

from tfnas import memory


class Owner:
    pass


@pytest.fixture(autouse=True)
def nothing_is_held(monkeypatch):
    gc.collect()
    monkeypatch.setattr(memory, "_held", 0)  # other tests of this process may keep networks


def test_what_is_held_counts_until_its_owner_is_gone():
    with memory.limit(1000):
        owner = Owner()
        memory.hold(owner, 700)
        assert memory.left() == 300
        memory.require(300, "a thing")
        with pytest.raises(MemoryError, match="a thing: about 1 MB needed"):
            memory.require(301, "a thing")
        del owner
        gc.collect()
        assert memory.left() == 1000


def test_limits_end_with_their_context():
    with pytest.raises(RuntimeError), memory.limit(5):
        raise RuntimeError
    assert memory.left() > 5


@pytest.mark.parametrize(("wanted", "fixed", "expected"), [(3, 0, 3), (20, 0, 10), (20, 500, 5), (20, 900, 1)])
def test_block(wanted, fixed, expected):
    with memory.limit(1000):
        assert memory.block(wanted, fixed, 100, "images") == expected


def test_block_refuses_where_not_one_fits():
    with memory.limit(1000), pytest.raises(MemoryError, match="images"):
        memory.block(20, 901, 100, "images")


@pytest.mark.parametrize("free", [1 << 20, 100 << 30])
def test_share_leaves_a_reserve(monkeypatch, free):
    monkeypatch.setattr(memory, "available", lambda: free)
    for processes in (1, 4):
        assert 0 < memory.share(processes) * processes < free


def test_control_groups_bound_what_is_free(monkeypatch, tmp_path):
    (tmp_path / "memory.stat").write_text("inactive_file 5\n")
    (tmp_path / "memory.max").write_text("100\n")
    (tmp_path / "memory.current").write_text("60\n")
    names = ("memory.max", "memory.current", "inactive_file")
    assert list(memory._group_limit(tmp_path, *names)) == [45]
    (tmp_path / "memory.max").write_text("max\n")
    assert list(memory._group_limit(tmp_path, *names)) == []
