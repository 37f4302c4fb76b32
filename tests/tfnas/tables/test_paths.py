"""Files and embedded tables: what a path stands for, and what is said where it stands for nothing."""

import pytest

from tests.tfnas.tables.cases import make, one_line
from tfnas import tables
from tfnas.errors import InputError
from tfnas.tables import paths


def test_missing_file_says_where_and_how(tmp_path):
    path = tmp_path / "none.parquet"
    for reader in (tables.read, tables.load):
        with pytest.raises(InputError, match="No such table") as error:
            reader(path)
        text = one_line(error)
        assert str(path) in text
        assert "launch.prepare" in text
        assert "embedded" in text


def test_folder_and_unknown_kind(tmp_path):
    with pytest.raises(InputError, match="folder"):
        tables.load(tmp_path)
    (tmp_path / "table.xlsx").write_text("x")
    with pytest.raises(InputError, match=r"\.csv, \.tsv or \.parquet"):
        tables.load(tmp_path / "table.xlsx")


def test_embedded(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "_EMBEDDED", tmp_path)
    assert tables.embedded_names() == []
    tables.write(make(), tmp_path / "fruit.parquet")
    assert tables.embedded_names() == ["fruit"]
    assert tables.embedded("fruit") == tmp_path / "fruit.parquet"
    assert len(tables.load("fruit")) == len(tables.read("fruit").frame) == 3
    with pytest.raises(InputError, match=r"'fruits'.*Allowed: fruit"):
        tables.embedded("fruits")
    with pytest.raises(InputError, match="embedded table: fruit"):
        tables.load("fruits")


def test_every_embedded_table_is_whole():
    for name in tables.embedded_names():
        table = tables.read(name)
        assert len(table.frame)
        assert table.provenance
        assert table.space


def test_one_file_by_several_names(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "_EMBEDDED", tmp_path)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "fruit.parquet"
    assert tables.is_same_file(file, str(file))  # a file to come, too
    tables.write(make(), file)
    (tmp_path / "link.parquet").symlink_to(file)
    for name in (file, "fruit.parquet", "../" + tmp_path.name + "/fruit.parquet", "link.parquet", "fruit"):
        assert tables.is_same_file(name, file), name
    tables.write(make(), "copy.parquet")
    for name in ("copy.parquet", "none.parquet", "gs://bucket/fruit.parquet"):
        assert not tables.is_same_file(name, file), name
    assert tables.is_same_file("gs://bucket/fruit.parquet", "gs://bucket/fruit.parquet")
