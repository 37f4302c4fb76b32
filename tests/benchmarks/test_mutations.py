"""The list of planted bugs fits the tree."""

import pathlib

import pytest

from benchmarks import mutation
from tests.conftest import ROOT

GLUE = ("launch/", "tfnas/runs/", "tfnas/data/", "tfnas/files", "tfnas/seeds")


@pytest.mark.parametrize("bug", mutation.read(), ids=lambda bug: bug.what)
def test_every_bug_can_be_planted(bug):
    content = (ROOT / bug.file).read_text()
    assert content.count(bug.old) == 1
    assert bug.new != bug.old
    compile(content.replace(bug.old, bug.new), bug.file, "exec")
    assert bug.tests
    for test in bug.tests:
        path, *names = test.split("::")
        source = pathlib.Path(ROOT, path).read_text()
        assert all(f"def {name}(" in source or f"class {name}:" in source for name in names), test


def test_there_are_many_and_half_of_them_are_in_the_glue():
    bugs = mutation.read()
    assert len({bug.what for bug in bugs}) == len(bugs) >= 60
    glue = sum(bug.file.startswith(GLUE) for bug in bugs)
    assert glue >= len(bugs) / 2
    told = f"{len(bugs)} small ones, {glue} of them where parts are put together"
    assert told in (ROOT / "docs" / "reliability.md").read_text()
