"""The notebook runs from its first cell to its last, and holds no outputs."""

import json
import subprocess
import types

import matplotlib
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.docs.documents import commands
from tests.docs.session import Session

NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def cells():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def sources(cells, kind):
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


@pytest.fixture
def nothing_is_installed(monkeypatch):
    run = subprocess.run  # which libraries call too, for the fonts of a fresh machine, say

    def watched(command, *rest, **more):
        assert "pip" not in command
        return run(command, *rest, **more)

    monkeypatch.setattr(subprocess, "run", watched)


@pytest.mark.usefixtures("nothing_is_installed")
def test_cells_run_in_order_and_show_what_the_words_promise(cells):
    matplotlib.use("agg")
    from matplotlib import pyplot

    notebook = types.ModuleType("notebook")
    for number, source in enumerate(sources(cells, "code")):
        exec(compile(source, f"cell {number}", "exec"), notebook.__dict__)
    drawn = [pyplot.figure(number) for number in pyplot.get_fignums()]
    assert [len(figure.axes) for figure in drawn] == [2, 6]
    pyplot.close("all")
    assert set(notebook.models) == {"nasbench101", "nasbench201"}
    assert notebook.scores.shape == (12, 6)
    assert np.isfinite(notebook.scores.to_numpy()).all()
    assert notebook.ranks["params"] == pytest.approx(
        notebook.scores["params"].corr(notebook.truth, method="kendall"), abs=1e-9
    )


def test_there_are_no_outputs(cells):
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_commands_in_its_words_run(cells, session: Session):
    lines = [line.strip() for text in sources(cells, "markdown") for line in text.splitlines()]
    found = commands("\n".join(line for line in lines if line.startswith("python -m ")))
    assert len(found) == 2
    for command in found:
        session.run(command)
