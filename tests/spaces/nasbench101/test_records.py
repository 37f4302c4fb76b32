"""Records of published files: what comes out is what was put in, and what is missing is counted."""

import base64
import collections
import dataclasses
import json
import math
import random

import pandas as pd
import pytest

from spaces.nasbench101 import records
from tests import nasbench101_cases as cases
from tests.spaces.nasbench101.cases import SPACE, assert_same, expected, read
from tfnas import tables


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.tfrecord"


@pytest.mark.parametrize("epochs", [(108,), (4, 12, 36, 108), (36,)])
def test_every_value_of_every_record_arrives(tmp_path, path, epochs):
    runs = cases.make_runs(6, epochs)
    table = read(path, runs)
    assert len(table.frame.columns) == 3 + len(epochs) * (3 + 3 * 7)
    assert_same(table.frame, expected(runs))
    tables.write(table, tmp_path / "table.parquet")
    back = tables.read(tmp_path / "table.parquet")
    pd.testing.assert_frame_equal(back.frame, table.frame)
    assert (back.units, back.facts, back.space) == (table.units, table.facts, "nasbench101")


def test_missing_runs_are_nan_and_counted(path):
    runs = cases.make_runs(4, (12, 108))
    gone = {(run.hash, run.epochs) for run in runs[:2]}
    runs = runs[2:]
    table = read(path, runs)
    assert_same(table.frame, expected(runs))
    lacking = collections.Counter(epochs for _, epochs in gone)
    words = ", ".join(f"{count} ({epochs} epochs)" for epochs, count in sorted(lacking.items()))
    assert table.facts["cells with fewer than 3 runs"] == words
    assert table.facts["epochs that the file lacks"] == "4, 36"
    assert table.facts["values that runs lack"] == "0"


def test_a_cell_without_any_run_of_some_epochs(path):
    short, both = cases.sample_cells(2)
    rng = random.Random(0)
    runs = [cases.make_run(short, 4, rng), cases.make_run(both, 4, rng), cases.make_run(both, 108, rng)]
    table = read(path, runs)
    assert_same(table.frame, expected(runs))
    row = table.frame.set_index("arch").loc[str(short)]
    assert row[[column for column in table.frame if "_108" in column]].isna().all()
    assert table.facts["cells with fewer than 3 runs"] == "2 (4 epochs), 2 (108 epochs)"


def test_absent_values_are_nan_and_counted(path):
    run = cases.make_runs(1)[0]
    start, half, end = (each.message() for each in (run.start, run.half, run.end))
    message = cases.text(1, start) + cases.text(1, half[:36]) + cases.text(1, end) + cases.varint(16)
    row = [*run.fields()[:4], base64.b64encode(message + cases.varint(run.params)).decode()]
    table = read(path, [json.dumps(row).encode()])
    assert table.facts["values that runs lack"] == "1"
    assert math.isnan(table.frame["test_half_108_0"][0])
    assert table.frame["val_half_108_0"][0] == run.half.val
    assert table.frame["test_108"][0] == run.end.test


def test_the_order_of_records_changes_the_order_of_repeats_alone(tmp_path):
    runs = cases.make_runs(5, (4, 108))
    first = read(tmp_path / "a.tfrecord", runs).frame
    for seed in range(3):
        mixed = random.Random(seed).sample(runs, len(runs))
        other = read(tmp_path / "b.tfrecord", mixed).frame
        assert list(other) == list(first)
        runs_of = [column for column in first if column[-2:] in ("_0", "_1", "_2")]
        pd.testing.assert_frame_equal(other.drop(columns=runs_of), first.drop(columns=runs_of))
        for epochs in (4, 108):
            for i in range(len(first)):
                triples = [
                    sorted(
                        tuple(frame[f"{name}_{epochs}_{repeat}"][i] for name in records.MEASURED) for repeat in range(3)
                    )
                    for frame in (first, other)
                ]
                assert triples[0] == triples[1]


def test_many_cells_outgrow_the_first_arrays(path, monkeypatch):
    monkeypatch.setattr(records, "_FIRST_CAPACITY", 2)
    runs = cases.make_runs(9, (36, 108))
    assert_same(read(path, runs).frame, expected(runs))


def test_metrics_as_protobuf_writes_them(path):
    """A second writer: protobuf itself, with a field that this reader does not know and lines in the base64."""
    pytest.importorskip("google.protobuf")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="m.proto", syntax="proto2")
    field = descriptor_pb2.FieldDescriptorProto
    kinds = {"double": field.TYPE_DOUBLE, "int32": field.TYPE_INT32, "string": field.TYPE_STRING}

    def message(name, *fields):
        out = file.message_type.add(name=name)
        for number, (label, kind) in enumerate(fields, start=1):
            out.field.add(name=label, number=number, label=field.LABEL_OPTIONAL, type=kinds[kind])
        return out

    names = ("epoch", "seconds", "train", "val", "test")
    message("Evaluation", *((name, "double") for name in names), ("path", "string"))
    metrics = file.message_type.add(name="Metrics")
    metrics.field.add(
        name="evaluations", number=1, label=field.LABEL_REPEATED, type=field.TYPE_MESSAGE, type_name=".Evaluation"
    )
    metrics.field.add(name="params", number=2, label=field.LABEL_OPTIONAL, type=field.TYPE_INT32)
    metrics.field.add(name="seconds", number=3, label=field.LABEL_OPTIONAL, type=field.TYPE_DOUBLE)
    metrics.field.add(name="later", number=99, label=field.LABEL_OPTIONAL, type=field.TYPE_FLOAT)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    build = message_factory.GetMessageClass(pool.FindMessageTypeByName("Metrics"))
    runs, content = cases.make_runs(3, (4, 108)), []
    for run in runs:
        whole = build(params=run.params, seconds=2.5, later=1.5)
        for each in (run.start, run.half, run.end):
            whole.evaluations.add(**dataclasses.asdict(each) | {"path": "gs://bucket/model.ckpt-16875" * 9})
        encoded = base64.encodebytes(whole.SerializeToString()).decode()
        content.append(json.dumps([*run.fields()[:4], encoded]).encode())
    assert_same(read(path, content).frame, expected(runs))


def test_another_numbering_of_the_vertices_is_counted(path):
    a, b = SPACE.parse("conv3x3~0|conv1x1~0|output~12"), SPACE.parse("conv1x1~0|conv3x3~0|output~12")
    assert SPACE.canonical(a) == SPACE.canonical(b)
    rng = random.Random(0)
    runs = [cases.make_run(a, 108, rng), cases.make_run(b, 108, rng)]
    table = read(path, runs)
    assert table.frame["arch"].tolist() == [str(a)]
    assert table.frame[["val_108_0", "val_108_1"]].to_numpy().tolist() == [[run.end.val for run in runs]]
    assert table.facts["records with another numbering of their cell's vertices"] == "1"
