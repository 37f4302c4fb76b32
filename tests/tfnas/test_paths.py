"""Paths as people write them: what they stand for, what is refused, and that every function takes them so."""

import os
import pathlib
import threading

import pytest
from etils import epath

from tests.tfnas.tables.cases import make
from tfnas import data, evidence, files, paths, tables
from tfnas.errors import InputError
from tfnas.evidence import units
from tfnas.runs import records


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home that is the working folder, too."""
    folder = tmp_path / "a home's"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("~", "{home}"),
        ("~/a 'b' \"c\"", "{home}/a 'b' \"c\""),
        ("a/~", "a/~"),
        ("./~x", "./~x"),
        (pathlib.Path("~/x"), "{home}/x"),
        ("../x y/é", "../x y/é"),
        (" x", " x"),
        ("file:///a/b", "/a/b"),
        ("file:///a%20b/%C3%A9", "/a b/é"),
        ("file://localhost/a", "/a"),
        ("file:a", "file:a"),
        ("gs://bucket", "gs://bucket"),
        ("gs://bucket/~/a b", "gs://bucket/~/a b"),
    ],
)
def test_what_a_path_stands_for(path, expected, home):
    assert paths.expand(path) == expected.replace("{home}", str(home))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "The path is empty"),
        (" \t", "The path is empty"),
        ("a\0b", "characters that no path can have"),
        ("a\udcffb", "characters that no path can have"),
        ("file:///a%00b", "characters that no path can have"),
        ("~nobody-of-this-name", r"no such user.*is \./~nobody-of-this-name"),
        ("http://host/x", "Allowed: local paths, file:///PATH, gs://BUCKET/PATH"),
        ("file://host/x", "Allowed: local paths"),
        ("file://", "Allowed: local paths"),
        ("gs://", "Allowed: local paths"),
        ("gs:///x", "Allowed: local paths"),
    ],
)
def test_what_is_no_path(path, message):
    with pytest.raises(InputError, match=message) as error:
        paths.expand(path)
    assert "\n" not in str(error.value)


class TestWhereFilesGo:
    def test_a_folder_to_come_and_one_that_is_there(self, home):
        for path in (".", "a/b/c", str(home)):
            paths.check_folder(path)
            paths.check_file(f"{path}/file")
        assert not list(home.iterdir()), "checking makes nothing"

    @pytest.mark.parametrize("path", ["file", "file/below", "file/far/below", "link", "link/below"])
    def test_no_folder_is_a_file_or_below_one(self, path, home):
        (home / "file").touch()
        (home / "link").symlink_to("nowhere")
        with pytest.raises(InputError, match=r"There has to be a folder. Received: .* is none"):
            paths.check_folder(path)
        with pytest.raises(InputError, match="There has to be a folder"):
            paths.check_file(f"{path}/x")

    def test_no_file_is_a_folder(self, home):
        with pytest.raises(InputError, match="which is a folder"):
            paths.check_file(str(home))

    def test_permission(self, home, monkeypatch):
        asked = []
        monkeypatch.setattr(os, "access", lambda path, mode: asked.append((path, mode)))
        for check in (paths.check_folder, paths.check_file):
            with pytest.raises(InputError, match="No permission to write"):
                check("new/folder")
        assert asked == [(str(home), os.W_OK | os.X_OK)] * 2

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
    def test_a_read_only_folder(self, home):
        (home / "mine").mkdir(mode=0o500)
        with pytest.raises(InputError, match="No permission to write"):
            paths.check_folder("mine/new")


class TestBuckets:
    def test_nothing_is_asked_about_local_paths(self, monkeypatch):
        monkeypatch.setattr(epath, "Path", None)
        paths.check_bucket("x")

    def test_one_that_answers(self, monkeypatch):
        monkeypatch.setattr(epath, "Path", lambda path: pathlib.Path("/no/such/path"))
        for check in (paths.check_bucket, paths.check_folder, paths.check_file):
            check("gs://bucket/x")

    def test_one_that_does_not(self, monkeypatch):
        over = threading.Event()

        class Silent:
            def __init__(self, path):
                self.exists = over.wait

        monkeypatch.setattr(epath, "Path", Silent)
        monkeypatch.setattr(paths, "BUCKET_SECONDS", 0.01)
        for check in (paths.check_bucket, paths.check_folder, paths.check_file):
            with pytest.raises(InputError, match=r"does not answer within 0.01 s.*Received: gs://bucket/x"):
                check("gs://bucket/x")
        over.set()

    def test_one_that_is_not_for_this_user(self, monkeypatch):
        class Forbidden:
            def __init__(self, path):
                raise RuntimeError("no\nway")

        monkeypatch.setattr(epath, "Path", Forbidden)
        with pytest.raises(InputError, match=r"cannot be used. Received: gs://bucket/x: no$"):
            paths.check_bucket("gs://bucket/x")


# Functions that read a table, or a folder of records, given at this path.
READERS = {
    "table": [
        lambda path: str(tables.resolve(path)),
        lambda path: tables.read(path).provenance,
        lambda path: tables.load(path)["arch"].tolist(),
        tables.columns,
        tables.recorded_space,
        tables.describe,
        lambda path: tables.as_table(path, provenance="x").space,
        lambda path: tables.is_same_file(path, "table.parquet"),
        lambda path: tables.is_same_file("table.parquet", path),
        units.recorded,
        lambda path: evidence.load_truth(path, target="small").attrs["target"],
        lambda path: evidence.load_scores(path, proxies=["small"])["score"].tolist(),
    ],
    "folder": [
        lambda path: records.read(path)["proxy"].tolist(),
        records.done,
        lambda path: evidence.load_scores(path)["score"].tolist(),
        lambda path: str(records.Writer(path).folder.resolve()),
    ],
}
# Functions that write there.
WRITERS = [
    lambda path: tables.write(make(), path),
    lambda path: files.write_atomic(path, b"x"),
    lambda path: records.Writer(path),
]


@pytest.fixture
def known(home):
    """A table and a folder of records in a home."""
    tables.write(make(), home / "table.parquet")
    record = records.Record(space="s", arch="a", dataset="digits", proxy="p", score=1.0)
    with records.Writer(home / "folder") as writer:
        writer.add([record])
    return {"table": "table.parquet", "folder": "folder"}


CASES = [(kind, index) for kind, functions in READERS.items() for index in range(len(functions))]


@pytest.mark.parametrize(("kind", "index"), CASES)
def test_every_function_that_reads_takes_every_form(kind, index, known, home):
    read = READERS[kind][index]
    absolute = home / known[kind]
    expected = read(absolute)
    assert expected
    for path in (str(absolute), f"~/{known[kind]}", pathlib.Path(f"~/{known[kind]}"), epath.Path(absolute).as_uri()):
        assert read(path) == expected, path
    assert not (home / "~").exists()
    assert not (home / "file:").exists()


@pytest.mark.parametrize(("kind", "index"), CASES)
@pytest.mark.parametrize(("path", "message"), [("", "The path is empty"), ("http://host/x", "Not a path")])
def test_every_function_that_reads_refuses_what_is_no_path(kind, index, path, message, known):
    with pytest.raises(InputError, match=message):
        READERS[kind][index](path)


@pytest.mark.parametrize("write", WRITERS)
def test_every_function_that_writes_takes_every_form(write, home):
    for number, form in enumerate(("~/new/{}.parquet", "file://{home}/new/{}.parquet", "new/{}.parquet")):
        write(form.format(number, home=home))
        assert (home / "new" / f"{number}.parquet").exists(), form
    assert [path.name for path in home.iterdir()] == ["new"]
    for path in ("", "http://host/x"):
        with pytest.raises(InputError, match=r"path is empty|Not a path"):
            write(path)
    assert [path.name for path in home.iterdir()] == ["new"]


def test_data_sets_in_a_home(digits_dir, monkeypatch, home):
    (home / "data").symlink_to(digits_dir)
    for path in ("~/data", "data", f"file://{home}/data"):
        assert data.split_size("digits", "train", data_dir=path) == 1437
    assert [path.name for path in home.iterdir()] == ["data"]
    with pytest.raises(InputError, match="Not a path"):
        data.split_size("digits", "train", data_dir="http://host/x")
