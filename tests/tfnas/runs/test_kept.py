"""Records in one small file: what is written is read, and what is damaged is told."""

import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from tfnas.errors import InputError
from tfnas.runs import kept, records

VALUES = [1.0, -math.inf, math.inf, math.nan, 1e300, -1e-300, 123456789.0, math.pi, 0.0]


def made(count=9, **changes):
    """Records of some networks, sorted by key."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        for proxy in ("a", "b"):
            status = "nan" if math.isnan(VALUES[i % len(VALUES)]) else "ok"
            common = {"space": "nasbench201", "dataset": "digits", "seed": 3, "device": "CPU: é", "status": status}
            record = records.Record(arch=f"|net{i}|", proxy=proxy, score=VALUES[i % 9], **common | changes)
            rows.append({field: getattr(record, field) for field in records.COLUMNS} | {"seconds": rng.random()})
    return pd.DataFrame(rows).sort_values(list(records.KEY), ignore_index=True)


def test_what_is_kept_is_read(tmp_path):
    frame = made()
    digest = kept.write(frame.sample(frac=1, random_state=1), tmp_path / "k.parquet", {"text": "made", "seeds": [3]})
    found = kept.read(tmp_path / "k.parquet")
    assert found.attrs == {"provenance": {"text": "made", "seeds": [3]}, "sha256": digest, "skipped": []}
    pd.testing.assert_frame_equal(found.drop(columns="seconds"), frame.drop(columns="seconds"), check_dtype=False)
    # Every bit of a score, two digits of a time.
    assert found["score"].to_numpy().tobytes() == frame["score"].to_numpy().tobytes()
    assert found["seconds"].to_numpy() == pytest.approx(frame["seconds"].to_numpy(), rel=0.005)
    assert kept.is_kept(tmp_path / "k.parquet")


def test_the_same_records_make_the_same_file(tmp_path):
    for name in "ab":
        kept.write(made(), tmp_path / name, {"text": "made"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("digits", [2, 7, 15])
def test_digits_bound_the_relative_error_and_leave_whole_numbers(digits):
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=500) * 10.0 ** rng.integers(-200, 200, 500), VALUES])
    found = kept.rounded(values, digits)
    finite = np.isfinite(values)
    assert found[~finite].tobytes() == values[~finite].tobytes()
    np.testing.assert_allclose(found[finite], values[finite], rtol=0.5 * 10**-digits, atol=0)
    whole = np.array([0.0, 3.0, 1289226.0, -99999999.0])
    assert (kept.rounded(whole, digits) == whole).all()
    if digits < 15:
        assert (found[:500] != values[:500]).any()


def test_digits_of_scores_are_kept(tmp_path):
    kept.write(made(), tmp_path / "k.parquet", {}, digits=4)
    score = kept.read(tmp_path / "k.parquet").query("arch == '|net7|'")["score"].iloc[0]
    assert score != math.pi
    assert score == pytest.approx(math.pi, rel=0.5e-4)


def test_constant_columns_cost_next_to_nothing(tmp_path):
    long = "x" * 2000
    kept.write(made(400), tmp_path / "short.parquet", {})
    kept.write(made(400, options=long, message=long), tmp_path / "long.parquet", {})
    assert (tmp_path / "long.parquet").stat().st_size < (tmp_path / "short.parquet").stat().st_size + 600


def altered(path, column, value, row=3):
    """The file with another value and the checksum of before."""
    table = parquet.read_table(path)
    values = table.column(column).to_pylist()
    values[row] = value
    place = table.schema.get_field_index(column)
    changed = table.set_column(place, table.schema.field(column), pa.array(values, table.schema.field(column).type))
    parquet.write_table(changed, path)


@pytest.mark.parametrize(("column", "value"), [("score", 1.5), ("arch", "|other|"), ("seed", 4), ("status", "nan")])
def test_an_altered_value_is_told(tmp_path, column, value):
    path = tmp_path / "k.parquet"
    kept.write(made(), path, {})
    altered(path, column, value)
    with pytest.raises(InputError, match="does not match its checksum"):
        kept.read(path)


def test_altered_provenance_is_told(tmp_path):
    path = tmp_path / "k.parquet"
    kept.write(made(), path, {"text": "ours"})
    table = parquet.read_table(path)
    header = json.loads(table.schema.metadata[b"tfnas.kept"])
    header["provenance"]["text"] = "theirs"
    parquet.write_table(table.replace_schema_metadata({b"tfnas.kept": json.dumps(header)}), path)
    with pytest.raises(InputError, match="does not match its checksum"):
        kept.read(path)


@pytest.mark.parametrize("cut", [0, 10, 200, -8])
def test_a_torn_file_is_told(tmp_path, cut):
    path = tmp_path / "k.parquet"
    kept.write(made(), path, {})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"Cannot read kept scores .*k\.parquet"):
        kept.read(path)
    assert not kept.is_kept(path)


def test_flipped_bytes_never_pass(tmp_path):
    path = tmp_path / "k.parquet"
    kept.write(made(), path, {"text": "made"})
    content, whole = path.read_bytes(), kept.read(path)
    for place in range(4, len(content) - 8, 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x5A]) + content[place + 1 :])
        try:
            found = kept.read(path)
        except InputError:
            continue
        pd.testing.assert_frame_equal(found, whole)  # a byte that nothing is made of


def test_other_files_and_versions_are_told(tmp_path):
    path = tmp_path / "k.parquet"
    parquet.write_table(pa.table({"arch": ["a"]}), path)
    with pytest.raises(InputError, match="Not a file of kept scores"):
        kept.read(path)
    kept.write(made(), path, {})
    table = parquet.read_table(path)
    header = json.loads(table.schema.metadata[b"tfnas.kept"]) | {"version": 2}
    parquet.write_table(table.replace_schema_metadata({b"tfnas.kept": json.dumps(header)}), path)
    with pytest.raises(InputError, match=r"version 2 of kept scores\. Allowed: 1"):
        kept.read(path)
    with pytest.raises(InputError, match="No such file"):
        kept.read(tmp_path / "none.parquet")
