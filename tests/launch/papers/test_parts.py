"""Parts of experiments that are kept."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from launch.papers.parts import Parts, digest
from tfnas.predictor.settings import PAPER


class Made:
    """Arrays that tell how often they were made."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self):
        self.times += 1
        return {"random search, b": np.full((2, 3), float(self.times)), "a": np.array([np.nan, np.inf])}


@pytest.fixture
def parts(tmp_path):
    return Parts(str(tmp_path / "parts"), {"seed": 1})


def test_a_part_is_made_once(parts):
    make = Made()
    first, second = (parts.get(make, repeats=[0, 1], settings=PAPER) for _ in range(2))
    assert make.times == 1
    assert list(second) == list(first) == ["random search, b", "a"]
    for name, values in first.items():
        np.testing.assert_array_equal(second[name], values)


def test_what_a_part_depends_on_tells_it_from_others(parts):
    make = Made()
    parts.get(make, repeats=[0], settings=PAPER)
    parts.get(make, repeats=[1], settings=PAPER)
    parts.get(make, repeats=[0], settings=dataclasses.replace(PAPER, width=7))
    dataclasses.replace(parts, common={"seed": 2}).get(make, repeats=[0], settings=PAPER)
    assert make.times == 4
    for truth in (pd.DataFrame({"x": [1.0, 2.0]}), pd.DataFrame({"x": [1.0, 3.0]})):
        for order in ([0, 1], [1, 0]):
            dataclasses.replace(parts, truth=truth.iloc[order]).get(make, repeats=[0], settings=PAPER)
    assert make.times == 6


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make = Made()
    for _ in range(2):
        Parts().get(make)
    assert make.times == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nothing", None])
def test_a_damaged_part_is_made_again(parts, tmp_path, damage, capsys):
    make = Made()
    parts.get(make)
    (file,) = (tmp_path / "parts").iterdir()
    content = file.read_bytes()
    middle = len(content) // 3
    file.write_bytes(
        content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :] if damage is None else damage
    )
    assert parts.get(make)["random search, b"][0, 0] == 2
    assert f"{file} cannot be used" in capsys.readouterr().err
    assert parts.get(make)["random search, b"][0, 0] == 2


def test_a_folder_that_cannot_be_written_costs_a_line(tmp_path, capsys):
    (tmp_path / "parts").write_text("a file")
    assert "a" in Parts(str(tmp_path / "parts")).get(Made())
    err = capsys.readouterr().err
    assert "cannot be written" in err
    assert "Traceback" not in err


def test_the_digest_of_a_table_is_of_its_rows_in_any_order():
    frame = pd.DataFrame({"x": [1.0, 2.0, np.nan], "hash": ["p", "q", "r"]}, index=["a", "b", "c"])
    assert digest(frame) == digest(frame.iloc[[2, 0, 1]])
    others = [frame.rename(columns={"x": "y"}), frame.rename(index={"a": "d"}), frame.assign(x=[1.0, 2.0, 3.0])]
    others += [frame.iloc[:2], frame.set_axis(["b", "a", "c"])]
    assert len({digest(frame), *map(digest, others)}) == 6
