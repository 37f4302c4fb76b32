"""Records and rows that an earlier version made: the same records must give the same rows, digit for digit.

`kept/` holds them: invented accuracies of 48 cells and inference on 24 of them (kernels NNGP and NTK, BN momenta 0 and
.997, width 4, digits), and the records that `launch.reproduce` itself computed for the others; `rows/<id>.csv` is the
results.csv of each.
"""

import pathlib
import shutil

import pytest

from launch import reproduce
from launch.jobs import base
from launch.papers.registry import EXPERIMENTS
from tfnas.evidence import plots

KEPT = pathlib.Path(__file__).parent / "kept"
TABLE = f"--table={KEPT / 'table.parquet'}"
OF_DIGITS = ["--table=nasbench201_digits", "--datasets=digits", "--targets=accuracy"]
# Those whose records the experiment itself computed, and with which flags.
COMPUTED = {
    name: OF_DIGITS * (name == "gs_tableA_2")
    for name in ("gs_table5_1", "gs_table5_2", "gs_table5_4", "gs_tableA_2", "gs_figA_1", "lga_fig4")
}
# Younger than what is kept.
LATER = {"nngp_fig7", "gs_tableA_1", *(name for name in EXPERIMENTS if name.startswith("np_"))}
LATER |= {name for name in EXPERIMENTS if name.startswith(("lga_", "fear_"))} - {"lga_fig4"}


@pytest.fixture(autouse=True)
def nothing_is_drawn_or_computed(monkeypatch):
    def compute(*_):
        raise AssertionError("records that are there were computed again")

    monkeypatch.setattr(plots, "save", lambda figure, path: None)
    monkeypatch.setattr(base.Start, "__call__", compute)


def rows_of(folder, name, *more):
    assert reproduce.main([f"--experiment={name}", f"--output={folder}", *more]) == 0
    return (folder / "results.csv").read_text()


def kept_rows(name):
    return (KEPT / "rows" / f"{name}.csv").read_text()


def test_every_experiment_has_kept_rows():
    assert {path.stem for path in (KEPT / "rows").iterdir()} == {*EXPERIMENTS, "nngp_fig5_computed"} - LATER


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in LATER.union(COMPUTED)])
def test_given_records_give_the_rows_of_before(tmp_path, name):
    more = [f"--scores={KEPT / 'nngp'}"] if EXPERIMENTS[name].jobs else []
    table = [TABLE] if EXPERIMENTS[name].columns else []
    assert rows_of(tmp_path, name, *table, *more) == kept_rows(name)


@pytest.mark.parametrize("name", COMPUTED)
def test_resumed_records_give_the_rows_of_before(tmp_path, name):
    shutil.copytree(KEPT / name, tmp_path / "scores")
    assert rows_of(tmp_path, name, *COMPUTED[name]) == kept_rows(name)


@pytest.mark.parametrize("name", COMPUTED)
def test_given_scores_give_the_rows_of_before_as_well(tmp_path, name):
    found = rows_of(tmp_path, name, f"--scores={KEPT / name}", *COMPUTED[name])
    assert sorted(found.splitlines()) == sorted(kept_rows(name).splitlines())


def test_resumed_inference_gives_the_rows_of_before(tmp_path):
    shutil.copytree(KEPT / "nngp_fig5_computed", tmp_path / "scores")
    assert rows_of(tmp_path, "nngp_fig5") == kept_rows("nngp_fig5_computed")
