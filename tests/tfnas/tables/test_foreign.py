"""Foreign CSV and Parquet files: loading and importing."""

import pandas as pd
import pytest

from tests.tfnas.tables.cases import one_line
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
