"""Foreign CSV and Parquet files: loading and importing."""

import pandas as pd
import pytest

from tests.conftest import needed
from tests.tfnas.tables.cases import make, one_line
from tfnas import tables
from tfnas.errors import InputError


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
def test_a_row_without_an_architecture_is_told(tmp_path, suffix):
    path = tmp_path / f"gaps.{suffix}"
    frame = pd.DataFrame({"key": ["|x|", None, "|y|", None], "top1": [1.0, 2.0, 3.0, 4.0]})
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    for read in (tables.load, lambda *args, **more: tables.as_table(*args, **more, provenance="x")):
        with pytest.raises(InputError, match=r"2 of 4 rows of .* in column key.*row 1 \(from 0\)") as error:
            read(path, arch_column="key")
        one_line(error)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_architectures_are_text(tmp_path, suffix):
    path = tmp_path / f"numbers.{suffix}"
    frame = pd.DataFrame({"arch": [7, 8], "top1": [1.0, 2.0]})
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    assert tables.load(path)["arch"].tolist() == ["7", "8"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_foreign_file_as_a_table(tmp_path, suffix):
    source = tmp_path / f"source.{suffix}"
    frame = pd.DataFrame({"key": ["|x|", "|y|"], "top1": [0.5, 0.25], "name": ["n", "m"], "flops": [3, 4]})
    frame.to_csv(source, index=False) if suffix == "csv" else frame.to_parquet(source)
    common = {"arch_column": "key", "provenance": "test"}
    table = tables.as_table(source, columns={"top1": "accuracy"}, units={"accuracy": "fraction"}, **common)
    assert table.frame.to_dict("list") == {"arch": ["|x|", "|y|"], "accuracy": [0.5, 0.25]}
    assert (table.units, table.provenance, table.space) == ({"accuracy": "fraction"}, "test", "")
    assert list(tables.as_table(source, **common).frame) == ["arch", "top1", "flops"]  # every column of numbers
    assert tables.as_table(source, columns=["name"], **common).frame["name"].tolist() == ["n", "m"]
    for wrong in ({"columns": ["loss"]}, {"columns": ["arch"]}, {"arch_column": "loss"}):
        with pytest.raises(InputError, match=r"No column '(loss|arch)' in .*top1, name, flops") as error:
            tables.as_table(source, **common | wrong)
        one_line(error)
    tables.write(table, tmp_path / "out.parquet")
    assert tables.read(tmp_path / "out.parquet").units == table.units


def test_a_table_of_the_common_form_keeps_its_space(tmp_path):
    tables.write(make(), tmp_path / "table.parquet")
    assert tables.as_table(tmp_path / "table.parquet", provenance="again").space == make().space


def test_taken_columns_bring_their_units():
    table = tables.take(make(), {"params": "size", "note": "note"}, "here")
    assert table.frame.equals(make().frame[["arch", "params", "note"]].rename(columns={"params": "size"}))
    assert table.units == {"size": make().units["params"]}
    assert (table.space, table.provenance, table.facts) == (make().space, make().provenance, make().facts)


def test_golden_accuracies_import(shared):
    source = needed(shared / "data" / "tables" / "nb201_accuracy.parquet")
    frame = tables.as_table(source, columns={"cifar10_test_200": "cifar10"}, provenance="NATS-Bench").frame
    assert len(frame) == 15_625
    assert frame["cifar10"].max() == pytest.approx(94.37, abs=0.005)
