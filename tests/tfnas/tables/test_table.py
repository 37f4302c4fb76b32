"""The common form of tables, and everything that can be wrong with it."""

import dataclasses
import hashlib
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.tfnas.tables.cases import make, one_line
from tfnas import tables
from tfnas.errors import InputError


def edit_header(path, **changes):
    """Writes the file again with another header, the content as it was."""
    arrow = parquet.read_table(path)
    header = json.loads(arrow.schema.metadata[b"tfnas.table"]) | changes
    parquet.write_table(arrow.replace_schema_metadata({b"tfnas.table": json.dumps(header)}), path)


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


@pytest.mark.parametrize("dtype", ["string", "str"])
def test_text_with_gaps(tmp_path, dtype):
    """Whatever says that a value is missing; the checksum is that of a gap, not of what stands for it."""
    path, table = tmp_path / "table.parquet", make()
    text = ["a", "", *[None] * (len(table.frame) - 2)]
    gaps = dataclasses.replace(table, frame=table.frame.assign(note=pd.Series(text, dtype=dtype)))
    plain = dataclasses.replace(table, frame=table.frame.assign(note=pd.Series(text, dtype="str")))
    assert tables.write(gaps, path) == tables.write(plain, tmp_path / "plain.parquet")
    back = tables.read(path).frame.note
    assert back.iloc[:2].tolist() == ["a", ""]
    assert back.iloc[2:].isna().all()


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


@pytest.mark.parametrize("space", ["nasbench201", ""])
def test_columns_and_space_without_the_values(tmp_path, space):
    path, foreign, text = tmp_path / "table.parquet", tmp_path / "foreign.parquet", tmp_path / "table.csv"
    table = make(space=space)
    tables.write(table, path)
    table.frame.to_parquet(foreign)
    table.frame.to_csv(text, index=False)
    for file in (path, foreign, text):
        assert tables.columns(file) == list(table.frame)
    assert tables.recorded_space(path) == tables.read(path).space == space
    assert tables.recorded_space(foreign) == tables.recorded_space(text) == ""


@pytest.mark.parametrize("look", [tables.columns, tables.recorded_space])
def test_files_whose_columns_cannot_be_read(tmp_path, look):
    torn = tmp_path / "torn.parquet"
    tables.write(make(), torn)
    torn.write_bytes(torn.read_bytes()[:-1])
    (tmp_path / "table.xlsx").write_text("x")
    for name, message in (
        ("torn.parquet", "Cannot read"),
        ("table.xlsx", r"\.csv, \.tsv"),
        ("none.csv", "No such table"),
    ):
        with pytest.raises(InputError, match=message) as error:
            look(tmp_path / name)
        assert name in one_line(error)
