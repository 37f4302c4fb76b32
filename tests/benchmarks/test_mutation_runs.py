"""What becomes of planted bugs, on a tree of one function and its tests."""

import os
import pathlib

import pytest

from benchmarks import mutation

TESTS = """
from thing import double

def test_double():
    assert double(3) == 6

def test_of_two():
    assert double(2) == 4

def test_that_fails_anyway():
    assert double(1) == 3
"""


@pytest.fixture
def tree(tmp_path, monkeypatch):
    (tmp_path / "thing.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "test_thing.py").write_text(TESTS)
    monkeypatch.setitem(os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return tmp_path


def bug(test, old="2 * x", new="x * x"):
    return mutation.Mutation("thing.py", old, new, "squares", (f"test_thing.py::{test}",))


def test_bugs_are_noticed_or_survive_and_leave_the_tree_as_it_was(tree):
    before = (tree / "thing.py").read_text()
    assert mutation.plant(bug("test_double"), tree) == "noticed"
    assert mutation.plant(bug("test_of_two"), tree) == "survived"
    assert mutation.plant(bug("test_of_none"), tree) == "broken"
    assert mutation.plant(bug("test_double", old="3 * x"), tree) == "broken"
    assert (tree / "thing.py").read_text() == before


def test_what_fails_anyway_is_told_before_anything_is_planted(tree, monkeypatch):
    assert mutation.failing([bug("test_double"), bug("test_of_two"), bug("test_double")], tree) == ""
    chosen = [bug("test_double"), bug("test_that_fails_anyway")]
    assert "test_that_fails_anyway" in mutation.failing(chosen, tree)
    assert mutation.plant(chosen[1], tree) == "noticed"  # it would be of no bug
    planted = []
    monkeypatch.setattr(mutation, "read", lambda: chosen)
    monkeypatch.setattr(mutation, "ROOT", tree)
    monkeypatch.setattr(mutation, "_FOLDERS", ())
    monkeypatch.setattr(mutation, "plant", lambda *of: planted.append(of))
    for name, value in (("only", []), ("first", 0), ("count", 0)):
        monkeypatch.setattr(mutation, name.upper(), type("Flag", (), {"value": value}))
    with pytest.raises(SystemExit, match="these fail without any bug"):
        mutation.main([])
    assert not planted
    assert pathlib.Path(tree, "thing.py").exists()
