"""launch.prepare --scores: folders of records as one file that says where they come from."""

import json

import pandas as pd
import pytest

from launch import correlate, prepare
from tests.launch.contract import CELL
from tfnas.runs import kept, records, sources

OTHER = CELL.replace("none", "skip_connect")


@pytest.fixture
def folder(tmp_path):
    """Records of a cell, with the config and the environment of the run."""
    scored(tmp_path / "scores", [CELL])
    config = {"launcher": "launch.score", "space": "nasbench201", "num_archs": None, "all": True, "unique": True,
              "proxies": ["snip", "zen"], "output": "/home/me/scores", "data_dir": "/data", "seed": 3,
              "archs": "/home/me/list.txt", "retry": False, "prescribed_init": False, "momentum": 0.0,
              "width": None}  # fmt: skip
    (tmp_path / "scores" / "config.json").write_text(json.dumps(config))
    environment = {"cpu": "Fast", "cores": 2, "command": ["python", "--output=/home/me"], "git": "abc"}
    (tmp_path / "scores" / "environment.json").write_text(json.dumps(environment))
    return tmp_path


def scored(folder, archs, proxy="snip"):
    with records.Writer(folder) as writer:
        for i, arch in enumerate(archs):
            made = {"seconds": 0.123, "tfnas_version": "0.1.0", "device": "CPU: Fast"}
            writer.add([records.Record("nasbench201", arch, "digits", proxy, i + 1 / 3, seed=3, **made)])


def keep(folder, *more, scores="scores"):
    return prepare.main([f"--scores={folder / scores}", f"--out={folder / 'k.parquet'}", "--provenance=ours", *more])


def test_records_are_kept_with_what_is_known_of_them(folder, capsys):
    assert keep(folder) == 0
    out = capsys.readouterr().out
    assert "1 records of 1 architectures of nasbench201 (1 classes) and 1 proxies" in out
    found = kept.read(folder / "k.parquet")
    assert found.attrs["sha256"] in out
    told = found.attrs["provenance"]
    (run,) = told["runs"]
    assert run["command"] == (
        "python -m launch.score --all --archs=list.txt --momentum=0.0 --noprescribed_init --proxies=snip,zen --seed=3 "
        "--space=nasbench201 --unique"
    )
    assert (run["cpu"], run["git"]) == ("Fast", "abc")
    assert "/home/me" not in json.dumps(told)
    assert {key: told[key] for key in ("text", "records", "seeds", "datasets", "devices", "spaces")} == {
        "text": "ours", "records": 1, "seeds": [3], "datasets": ["digits"], "devices": ["CPU: Fast"],
        "spaces": {"nasbench201": {"architectures": 1, "classes": 1, "of": 15625}},
    }  # fmt: skip
    (day,) = told["dates"]
    assert pd.Timestamp(day) <= pd.Timestamp.now(tz=None) + pd.Timedelta(days=1)
    pd.testing.assert_frame_equal(
        found.drop(columns="seconds"), records.read(folder / "scores").drop(columns="seconds")
    )


def test_a_longer_folder_replaces_the_file(folder):
    assert keep(folder) == 0
    scored(folder / "scores", [CELL, OTHER])
    assert keep(folder) == 0
    assert len(kept.read(folder / "k.parquet")) == 2


def test_a_kept_file_and_a_folder_make_another_with_the_runs_of_both(folder):
    assert keep(folder) == 0
    scored(folder / "more", [OTHER], "zen")
    out = f"--out={folder / 'both.parquet'}"
    assert prepare.main([f"--scores={folder / 'k.parquet'},{folder / 'more'}", out, "--provenance=both"]) == 0
    found = kept.read(folder / "both.parquet")
    assert set(found["proxy"]) == {"snip", "zen"}
    assert [run["cpu"] for run in found.attrs["provenance"]["runs"]] == ["Fast"]


def test_what_is_no_record_is_refused_and_nothing_is_written(folder, capsys):
    (folder / "empty").mkdir()
    assert keep(folder, scores="empty") == 2
    assert "No records in" in capsys.readouterr().err
    assert keep(folder, scores="nowhere") == 2
    assert "No such scores" in capsys.readouterr().err
    pd.DataFrame({"arch": [CELL]}).to_parquet(folder / "scores" / "foreign.parquet")
    assert keep(folder) == 2
    error = capsys.readouterr().err
    assert "foreign.parquet" in error
    assert error.count("\n") == 1
    assert not (folder / "k.parquet").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--provenance="], "--scores needs --provenance"),
        (["--out=k.csv"], "--scores needs --out=FILE.parquet"),
        (["--digits=-1"], "--digits must be at least 0"),
        (["--digits=18"], "--digits must be at most 17"),
        (["--table=a.csv"], "Give either"),
    ],
)
def test_bad_input_is_one_line(folder, capsys, flags, message):
    assert keep(folder, *flags) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_scores_are_read_by_name_alone_and_beside_others(folder, monkeypatch, capsys):
    monkeypatch.setattr(sources, "FOLDER", folder)
    scored(folder / "scores", [CELL, OTHER])
    assert keep(folder) == 0
    pd.DataFrame({"arch": [CELL, OTHER], "accuracy": [50.0, 60.0]}).to_csv(folder / "table.csv", index=False)
    pd.DataFrame({"arch": [CELL, OTHER], "mine": [2.0, 1.0]}).to_csv(folder / "mine.csv", index=False)
    scored(folder / "more", [OTHER], "zen")
    common = [f"--table={folder / 'table.csv'}", f"--output={folder / 'out'}", "--bootstrap=0"]
    assert correlate.main([f"--scores=atlas:k,{folder / 'more'},{folder / 'mine.csv'}", *common]) == 0
    summary = pd.read_csv(folder / "out" / "correlations.csv").set_index("proxy")
    assert summary["n"].to_dict() == {"snip": 2, "zen": 1, "mine": 2}
    assert summary["kendall"].dropna().to_dict() == {"snip": 1, "mine": -1}
    capsys.readouterr()
    assert correlate.main(["--scores=atlas:c", *common]) == 2
    assert "Received: 'atlas:c'. Allowed: atlas:k" in capsys.readouterr().err


def test_scores_of_a_file_are_not_averaged_with_records(folder, capsys):
    pd.DataFrame({"arch": [CELL], "snip": [2.0]}).to_csv(folder / "mine.csv", index=False)
    pd.DataFrame({"arch": [CELL], "accuracy": [50.0]}).to_csv(folder / "table.csv", index=False)
    flags = [f"--scores={folder / 'scores'},{folder / 'mine.csv'}", f"--table={folder / 'table.csv'}"]
    assert correlate.main([*flags, f"--output={folder / 'out'}"]) == 2
    assert "Scores of snip are in" in capsys.readouterr().err


def test_unpacked_records_are_those_that_were_kept_and_are_put_in_once(folder, capsys):
    keep(folder)
    unpack = [f"--scores={folder / 'k.parquet'}", f"--unpack={folder / 'again'}"]
    assert prepare.main(unpack) == 0
    assert "1 records more" in capsys.readouterr().out
    pd.testing.assert_frame_equal(records.read(folder / "again"), records.read(folder / "scores"), rtol=1e-2)
    assert records.done(folder / "again") == records.done(folder / "scores")
    assert prepare.main(unpack) == 0
    assert "0 records more" in capsys.readouterr().out
    assert len(list((folder / "again").glob("*.parquet"))) == 1


def test_a_kept_score_takes_the_place_of_a_failure(folder, capsys):
    keep(folder)
    failed = records.read(folder / "scores").assign(status="oom", score=float("nan"))
    with records.Writer(folder / "again") as writer:
        writer.add([records.Record(**row) for row in failed.to_dict("records")])
    assert prepare.main([f"--scores={folder / 'k.parquet'}", f"--unpack={folder / 'again'}"]) == 0
    assert "1 records more" in capsys.readouterr().out
    assert records.read(folder / "again")["status"].tolist() == ["ok"]


def test_a_run_goes_on_from_unpacked_records(folder, capsys):
    """What is kept is not scored again, and what is kept anew tells of both runs."""
    keep(folder)
    prepare.main([f"--scores={folder / 'k.parquet'}", f"--unpack={folder / 'again'}"])
    scored(folder / "again", [OTHER])
    (folder / "again" / "config.json").write_text(json.dumps({"launcher": "launch.score", "seed": 4}))
    assert keep(folder, scores=f"k.parquet,{folder / 'again'}") == 0
    found = kept.read(folder / "k.parquet")
    assert sorted(found.arch) == sorted([CELL, OTHER])
    commands = [run["command"] for run in found.attrs["provenance"]["runs"]]
    assert len(commands) == 2
    assert commands[0] == "python -m launch.score --seed=4"


@pytest.mark.parametrize("more", [["--out=k.parquet"], ["--table=a.csv"]])
def test_unpacking_takes_nothing_else(tmp_path, capsys, more):
    given = [f"--unpack={tmp_path / 'f'}", *more]
    assert prepare.main(given if more[0].startswith("--table") else [f"--scores={tmp_path}", *given]) == 2
    assert "--unpack=FOLDER takes --scores and no --out" in capsys.readouterr().err


def test_what_is_no_architecture_is_refused_and_foreign_spaces_are_counted(folder, capsys):
    scored(folder / "bad", ["|net1|"])
    assert keep(folder, scores="bad") == 2
    assert "No NAS-Bench-201 architecture" in capsys.readouterr().err
    with records.Writer(folder / "foreign") as writer:
        writer.add([records.Record("mine", "net", "digits", "snip", 1.0)])
    assert keep(folder, scores="foreign") == 0
    assert kept.read(folder / "k.parquet").attrs["provenance"]["spaces"] == {"mine": {"architectures": 1}}
