"""Scores by place: folders, files and names, alone and together."""

import math

import pandas as pd
import pytest

from tfnas.errors import InputError
from tfnas.runs import kept, records, sources


def record(arch, proxy="p", score=1.0, **more):
    return records.Record(space="nasbench201", arch=arch, dataset="digits", proxy=proxy, score=score, **more)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with one record, a file with two, and the atlas with the names a and b."""
    monkeypatch.setattr(sources, "FOLDER", tmp_path / "atlas")
    with records.Writer(tmp_path / "folder") as writer:
        writer.add([record("x")])
    for name, archs in {"file": "yz", "atlas/a": "xy", "atlas/b": "w"}.items():
        with records.Writer(tmp_path / f"of {name}") as writer:
            writer.add([record(arch, score=2.0) for arch in archs])
        kept.write(records.read(tmp_path / f"of {name}"), tmp_path / f"{name}.parquet", {"text": name})
    return tmp_path


def scores(frame):
    return dict(zip(frame["arch"], frame["score"], strict=True))


def test_each_place_alone_and_all_together(place):
    folder, file = str(place / "folder"), str(place / "file.parquet")
    assert scores(sources.read([folder])) == {"x": 1}
    assert scores(sources.read([file])) == {"y": 2, "z": 2}
    found = sources.read(["atlas:a"])
    assert scores(found) == {"x": 2, "y": 2}
    assert found.attrs["provenance"] == {"atlas:a": {"text": "atlas/a"}}
    # x and y are in two places: the first counts.
    every = sources.read(["atlas:b", folder, "atlas:a", file])
    assert scores(every) == {"w": 2, "x": 1, "y": 2, "z": 2}
    assert set(every.attrs["provenance"]) == {"atlas:a", "atlas:b", file}
    assert every["arch"].tolist() == sorted(every["arch"])


def test_a_folder_and_its_kept_file_read_alike(place):
    folder = place / "of atlas" / "a"
    pd.testing.assert_frame_equal(sources.read([str(folder)]), sources.read(["atlas:a"]))


def test_a_failure_yields_to_a_score_of_a_later_place(place):
    with records.Writer(place / "failed") as writer:
        writer.add([record("x", score=math.nan, status="oom")])
    assert scores(sources.read([str(place / "failed"), "atlas:a"])) == {"x": 2, "y": 2}


def test_unknown_names_list_what_there_is(place):
    with pytest.raises(InputError, match=r"Received: 'atlas:c'. Allowed: atlas:a, atlas:b"):
        sources.read(["atlas:c"])
    with pytest.raises(InputError, match=r"Allowed: atlas:a, atlas:b"):
        sources.locate("atlas:../atlas/a")


def test_without_a_clone_it_is_said_what_to_do(place, monkeypatch):
    monkeypatch.setattr(sources, "FOLDER", place / "nowhere")
    with pytest.raises(InputError, match=r"'atlas:a'\. Work in a clone.*nowhere.*or give a folder"):
        sources.read(["atlas:a"])


def test_what_is_no_place_of_records(place):
    (place / "empty").mkdir()
    pd.DataFrame({"arch": ["x"], "p": [1.0]}).to_parquet(place / "table.parquet")
    (place / "table.csv").write_text("arch,p\nx,1\n")
    for name, message in {
        "empty": "No records in",
        "none": "No such scores",
        "table.parquet": "Not a file of kept scores",
        "table.csv": "Cannot read kept scores",
    }.items():
        with pytest.raises(InputError, match=message):
            sources.read([str(place / "folder"), str(place / name)])
        assert sources.holds_records(str(place / name)) == (name == "empty")
    assert sources.holds_records("atlas:a")


def test_the_folder_is_that_of_this_clone():
    from tests.conftest import ROOT

    assert sources.FOLDER == ROOT / "results" / "atlas"


@pytest.mark.parametrize("name", sources.names())
def test_what_comes_with_this_clone_is_whole(name):
    frame = sources.read([f"atlas:{name}"])
    told = frame.attrs["provenance"][f"atlas:{name}"]
    assert len(frame) == told["records"]
    assert told["text"]
    assert sum(path.stat().st_size for path in sources.FOLDER.glob("*.parquet")) < 4e6
