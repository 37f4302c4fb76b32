"""The common form of tables, foreign files, and everything that can be wrong with either."""

import hashlib
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from tfnas import tables
from tfnas.errors import InputError


def make(**changes):
    frame = pd.DataFrame(
        {
            "arch": ["|a~0|", "|b~0|", "|ü~0|"],
            "accuracy": [91.5, np.nan, -np.inf],
            "small": np.array([1, 2, 3], np.float32),
            "params": np.array([10, 20, 30], np.int64),
            "valid": [True, False, True],
            "note": ["x", None, ""],
        }
    )
    fields = {
        "units": {"accuracy": "percent", "params": "1"},
        "provenance": "made for a test",
        "space": "nasbench201",
        "facts": {"dataset": "digits"},
    }
    return tables.Table(**({"frame": frame} | fields | changes))


def edit_header(path, **changes):
    """Writes the file again with another header, the content as it was."""
    arrow = parquet.read_table(path)
    header = json.loads(arrow.schema.metadata[b"tfnas.table"]) | changes
    parquet.write_table(arrow.replace_schema_metadata({b"tfnas.table": json.dumps(header)}), path)


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_round_trip(tmp_path):
    path = tmp_path / "sub" / "table.parquet"
    written = make()
    digest = tables.write(written, path)
    back = tables.read(path)
    pd.testing.assert_frame_equal(back.frame, written.frame)
    assert (back.provenance, back.space, back.facts) == ("made for a test", "nasbench201", {"dataset": "digits"})
    assert back.units["accuracy"] == "percent"
    assert back.units["small"] == "unknown"
    header = json.loads(parquet.read_metadata(path).metadata[b"tfnas.table"])
    assert header["sha256"] == digest
    assert header["schema_version"] == tables.SCHEMA_VERSION
    assert [file.name for file in path.parent.iterdir()] == ["table.parquet"]  # no temporary file stays


def test_checksum_is_of_the_content_not_of_the_layout(tmp_path):
    path = tmp_path / "table.parquet"
    tables.write(make(), path)
    arrow = parquet.read_table(path)
    parquet.write_table(arrow, path, compression="none", row_group_size=1, use_dictionary=False)
    assert len(tables.read(path).frame) == 3


def test_checksum_by_hand():
    frame = pd.DataFrame({"arch": ["é"], "x": [1.5]})
    header = {"space": "s"}

    def block(data):
        return len(data).to_bytes(8, "little") + data

    parts = [json.dumps(header).encode(), b"arch", b"text", "é".encode(), b"x", b"<f8", np.float64(1.5).tobytes()]
    assert tables.checksum(frame, header) == hashlib.sha256(b"".join(map(block, parts))).hexdigest()


def change_a_value(arrow):
    values = arrow["accuracy"].to_pylist()
    return arrow.set_column(1, "accuracy", pa.array([values[0] + 1e-9, *values[1:]]))


@pytest.mark.parametrize(
    "damage",
    [
        change_a_value,
        lambda arrow: arrow.slice(0, 2),
        lambda arrow: arrow.take([1, 0, 2]),
        lambda arrow: arrow.rename_columns(["arch", "accuracy", "tiny", "params", "valid", "note"]),
        lambda arrow: arrow.drop_columns("note"),
    ],
)
def test_changed_content_is_found(tmp_path, damage):
    path = tmp_path / "table.parquet"
    tables.write(make(), path)
    arrow = parquet.read_table(path)
    parquet.write_table(damage(arrow).replace_schema_metadata(arrow.schema.metadata), path)
    for reader in (tables.read, tables.load):
        with pytest.raises(InputError, match="damaged") as error:
            reader(path)
        assert str(path) in one_line(error)


def test_changed_header_is_found(tmp_path):
    path = tmp_path / "table.parquet"
    tables.write(make(), path)
    edit_header(path, units={"accuracy": "fraction"})
    with pytest.raises(InputError, match="damaged"):
        tables.read(path)


def test_other_version_is_refused(tmp_path):
    path = tmp_path / "table.parquet"
    tables.write(make(), path)
    edit_header(path, schema_version=99)
    with pytest.raises(InputError, match=r"version 99.*Allowed: 1"):
        tables.load(path)


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_torn_file(tmp_path, keep):
    path = tmp_path / "table.parquet"
    tables.write(make(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="Cannot read") as error:
        tables.read(path)
    assert str(path) in one_line(error)


@pytest.mark.parametrize("name", ["table.parquet", "table.csv"])
def test_binary_rubbish(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(InputError, match="Cannot read") as error:
        tables.load(path)
    one_line(error)


def test_empty_csv(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("")
    with pytest.raises(InputError, match="Cannot read"):
        tables.load(path)


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
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        tables.load(tmp_path / "table.xlsx")


def test_foreign_parquet_is_no_common_form(tmp_path):
    path = tmp_path / "foreign.parquet"
    pd.DataFrame({"arch": ["a"], "acc": [1.0]}).to_parquet(path)
    assert tables.load(path)["acc"].tolist() == [1.0]
    with pytest.raises(InputError, match=r"launch\.prepare"):
        tables.read(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_load_foreign_columns(tmp_path, suffix):
    path = tmp_path / f"foreign.{suffix}"
    frame = pd.DataFrame({"arch": [1, 2], "key": ["|x|", "|y|"], "top1": [0.5, 0.25], "top5": [1.0, 0.75]})
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    loaded = tables.load(path, arch_column="key", columns=["top5"])
    assert loaded.to_dict("list") == {"arch": ["|x|", "|y|"], "top5": [1.0, 0.75]}
    assert list(tables.load(path, arch_column="key")) == ["arch", "top1", "top5"]
    for wrong in ({"arch_column": "nokey"}, {"columns": ["nokey"]}):
        with pytest.raises(InputError, match=r"No column 'nokey'.*arch, key, top1, top5"):
            tables.load(path, **wrong)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_import_table(tmp_path, suffix):
    source, out = tmp_path / f"source.{suffix}", tmp_path / "out.parquet"
    frame = pd.DataFrame({"key": ["|x|", "|y|"], "top1": [0.5, 0.25], "name": ["n", "m"], "flops": [3, 4]})
    frame.to_csv(source, index=False) if suffix == "csv" else frame.to_parquet(source)
    common = {"arch_column": "key", "provenance": "test", "space": "nasbench201"}
    tables.import_table(source, out, columns={"top1": "accuracy"}, units={"accuracy": "fraction"}, **common)
    back = tables.read(out)
    assert back.frame.to_dict("list") == {"arch": ["|x|", "|y|"], "accuracy": [0.5, 0.25]}
    assert back.units == {"accuracy": "fraction"}
    tables.import_table(source, out, **common)
    assert list(tables.read(out).frame) == ["arch", "top1", "flops"]  # every column of numbers
    tables.import_table(source, out, columns=["name"], **common)
    assert tables.read(out).frame["name"].tolist() == ["n", "m"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"key": ["a"]}), "text column 'arch'"),
        (pd.DataFrame({"arch": [1, 2]}), "text column 'arch'"),
        (pd.DataFrame({"arch": ["a", None]}), "without gaps"),
        (pd.DataFrame({"arch": ["a", "b", "a"]}), "1 rows repeat an architecture, the first: 'a'"),
        (pd.DataFrame({"arch": ["a"], "x": [[1, 2]]}), "numbers or text"),
        (pd.DataFrame({"arch": ["a"], "x": pd.array([None], "Int64")}), "numbers or text"),
        (pd.DataFrame({"arch": ["a"], "x": [1j]}), "numbers or text"),
    ],
)
def test_tables_that_break_the_form(tmp_path, frame, message):
    with pytest.raises(InputError, match=message) as error:
        tables.write(make(frame=frame, units={}), tmp_path / "table.parquet")
    one_line(error)
    assert not list(tmp_path.iterdir())


def test_units_of_absent_columns(tmp_path):
    with pytest.raises(InputError, match="lantency"):
        tables.write(make(units={"lantency": "ms"}), tmp_path / "table.parquet")


def test_embedded(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_EMBEDDED", tmp_path)
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


def test_golden_accuracies_import(shared, tmp_path):
    source = shared / "data" / "tables" / "nb201_accuracy.parquet"
    if not source.exists():
        pytest.skip(f"{source} is not there")
    out = tmp_path / "nb201.parquet"
    tables.import_table(
        source, out, columns={"cifar10_test_200": "cifar10"}, units={"cifar10": "percent"}, provenance="NATS-Bench",
        space="nasbench201",
    )  # fmt: skip
    frame = tables.read(out).frame
    assert len(frame) == 15_625
    assert frame["cifar10"].max() == pytest.approx(94.37, abs=0.005)
