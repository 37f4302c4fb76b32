"""NAS-Bench-101's published files: what comes out is what was put in, and everything that can be wrong with them."""

import base64
import collections
import dataclasses
import hashlib
import json
import math
import random
import statistics
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import spaces
from spaces.nasbench101 import published as records
from spaces.nasbench101.space import to_bits
from tests import conftest
from tests import nasbench101_cases as cases
from tfnas import tables
from tfnas.errors import InputError
from tfnas.tables import tfrecord

SPACE = spaces.get("nasbench101")


def read(path, content):
    return records.read(path, sha256=cases.write(path, content))


def refused(path, content, **read_options):
    """The one line that a file is refused with."""
    digest = cases.write(path, content)
    with pytest.raises(InputError) as error:
        records.read(path, **{"sha256": digest} | read_options)
    text = str(error.value)
    assert "\n" not in text
    assert str(path) in text
    return text


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.tfrecord"


def expected(runs):
    """{hash: {column: value}} by plain dictionaries and lists."""
    rows, seen = {}, collections.Counter()
    for run in runs:
        row = rows.setdefault(run.hash, {"arch": str(run.cell), "hash": run.hash, "params": run.params})
        place = f"{run.epochs}_{seen[run.hash, run.epochs]}"
        seen[run.hash, run.epochs] += 1
        row |= {f"{name}_{place}": getattr(run.end, name) for name in ("val", "test", "train", "seconds")}
        row |= {f"{name}_half_{place}": getattr(run.half, name) for name in ("val", "test", "seconds")}
    for key, epochs in seen:
        for name in ("val", "test", "seconds"):
            values = [rows[key][f"{name}_{epochs}_{repeat}"] for repeat in range(seen[key, epochs])]
            rows[key][f"{name}_{epochs}"] = pytest.approx(statistics.fmean(values), rel=1e-15)
    return rows


def assert_same(frame, rows):
    assert frame["hash"].tolist() == sorted(rows)
    for row in frame.to_dict("records"):
        known = rows[row["hash"]]
        assert known.keys() <= row.keys()
        for column, value in row.items():
            assert value == known[column] if column in known else math.isnan(value), column


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


def test_units_provenance_and_what_is_missing_are_recorded(path):
    runs = cases.make_runs(3)
    table = read(path, runs)
    assert {table.units[name] for name in ("val_108", "test_half_108_2", "train_108_0")} == {"fraction"}
    assert {table.units[name] for name in ("seconds_108", "seconds_half_108_1")} == {"seconds"}
    assert (table.units["params"], table.units["hash"]) == ("count", "text")
    assert set(table.units) == set(table.frame.columns) - {"arch"}
    assert hashlib.sha256(path.read_bytes()).hexdigest() in table.provenance
    assert "runs.tfrecord, not a published file" in table.provenance
    assert table.facts == {
        "runs": "9",
        "cells": "3 of 423624",
        "epochs": "108",
        "epochs that the file lacks": "4, 12, 36",
        "cells with fewer than 3 runs": "none",
        "values that runs lack": "0",
        "records with another numbering of their cell's vertices": "0",
    }


def test_a_published_checksum_needs_no_other_and_names_its_source(path, monkeypatch):
    digest = cases.write(path, cases.make_runs(2))
    monkeypatch.setitem(records.PUBLISHED, "nasbench_full.tfrecord", digest)
    origin = "nasbench_full.tfrecord of google-research/nasbench, https://storage.googleapis.com/nasbench/"
    assert records.read(path).provenance.startswith(origin)


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


# --- framing


@pytest.mark.parametrize(
    ("data", "crc"),
    [  # RFC 3720, B.4, and the check value of the catalogues
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"", 0),
    ],
)
def test_checksums_of_the_standard(data, crc):
    assert cases.crc32c(data) == crc
    assert tfrecord.masked_crcs(b"xy" + data + b"....", [2], [len(data)]).tolist() == [cases.masked(crc)]


def test_checksums_of_many_stretches_are_those_of_each():
    rng = np.random.default_rng(0)
    lengths = [0, 1, 3, 0, 700, 12, 5, 0, 64]
    gaps = rng.integers(4, 30, size=len(lengths))
    starts = (np.cumsum(gaps) + np.concatenate([[0], np.cumsum(lengths)[:-1]])).tolist()
    data = rng.bytes(starts[-1] + lengths[-1] + 4)
    single = [cases.masked(cases.crc32c(data[a : a + n])) for a, n in zip(starts, lengths, strict=True)]
    assert tfrecord.masked_crcs(data, starts, lengths).tolist() == single


def contents(path):
    return [record for block in tfrecord.blocks(path) for record in block]


@pytest.mark.parametrize("block", [1, 13, 16, 17, 400, 1 << 20])
def test_records_do_not_depend_on_the_blocks_they_are_read_in(path, monkeypatch, block):
    wanted = [b"", b"a", b"bc" * 300, b"", bytes(13)]
    cases.write(path, wanted)
    monkeypatch.setattr(tfrecord, "_BLOCK", block)
    assert contents(path) == wanted
    assert tfrecord.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_records_that_tensorflow_writes(path):
    import tensorflow as tf

    wanted = [b"", b"one", np.random.default_rng(0).bytes(5000), b"x" * 17]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in wanted:
            writer.write(record)
    assert contents(path) == wanted
    whole = path.read_bytes()
    cases.write(path, wanted)
    assert path.read_bytes() == whole


def test_a_cut_file_says_where(path):
    wanted = [b"first", b"", b"the third"]
    cases.write(path, wanted)
    whole = path.read_bytes()
    bounds = np.cumsum([0, *(16 + len(record) for record in wanted)]).tolist()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        if size in bounds:
            assert contents(path) == wanted[: bounds.index(size)]
            continue
        number = sum(bound < size for bound in bounds) - 1
        message = f"ends within record {number}, which starts at byte {bounds[number]}, {size - bounds[number]} bytes"
        with pytest.raises(InputError, match=message):
            contents(path)


def test_a_flipped_bit_is_found_wherever_it_is(path):
    wanted = [b"first", b"", b"the third"]
    cases.write(path, wanted)
    whole = path.read_bytes()
    bounds = np.cumsum([0, *(16 + len(record) for record in wanted)]).tolist()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        number = sum(bound <= place for bound in bounds) - 1
        what = "the length of" if place - bounds[number] < 12 else "the data of"
        with pytest.raises(InputError, match=f"damaged: {what} record {number} at byte {bounds[number]} do"):
            contents(path)


def test_a_record_that_is_too_long(path):
    cases.write(path, [b"a", bytes(tfrecord.MAX_LENGTH + 1)])
    with pytest.raises(InputError, match=r"record 1 at byte 17 has 65537 bytes. Allowed: 65536"):
        contents(path)


# --- files that are not what they should be


def test_another_checksum_names_both_and_what_came(path):
    digest = cases.write(path, cases.make_runs(1))
    for given, wanted in (({}, records.PUBLISHED.values()), ({"sha256": "0" * 64}, ["0" * 64])):
        with pytest.raises(InputError, match="Its records are whole: if you trust it, give its own sha256") as error:
            records.read(path, **given)
        assert all(text in str(error.value) for text in (digest, *wanted))
    assert len(records.read(path, sha256=f" {digest.upper()}\n").frame) == 1
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        records.read(path, sha256="abc")


def test_a_damaged_file_of_the_right_name_says_where(path):
    cases.write(path, cases.make_runs(2))
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"its sha256 is .*Expected: .*it ends within record 5, which starts at byte"):
        records.read(path)
    damaged = bytearray(whole)
    damaged[100] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"Expected: .*the data of record 0 at byte 0 do not match"):
        records.read(path)
    # The same without the checksum of the file in the way.
    with pytest.raises(InputError, match="damaged: the data of record 0 at byte 0 do not match"):
        records.read(path, sha256=hashlib.sha256(damaged).hexdigest())


def test_a_file_that_is_no_tfrecord(path):
    path.write_text("arch,accuracy\noutput~0,0.5\n")
    with pytest.raises(InputError, match="length of record 0 at byte 0 does not match its checksum, or it is no TFR"):
        records.read(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_an_empty_file_a_folder_and_none(tmp_path):
    empty = tmp_path / "nasbench_full.tfrecord"
    empty.touch()
    with pytest.raises(InputError, match=r"is empty.*1.95 GB"):
        records.read(empty)
    with pytest.raises(InputError, match="No such file"):
        records.read(tmp_path)
    for name, size, digest in (
        ("nasbench_only108.tfrecord", "499 MB", "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1"),
        ("nasbench_full.tfrecord", "1.95 GB", "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c"),
    ):
        with pytest.raises(InputError) as error:
            records.read(tmp_path / "nowhere" / name)
        text = str(error.value)
        assert "\n" not in text
        assert f"{name} ({size}, sha256 {digest}) comes from https://storage.googleapis.com/nasbench/{name}" in text
        with pytest.raises(InputError, match=size):
            records.read(tmp_path / "other.tfrecord")


RUN = cases.make_run(SPACE.parse("conv3x3~0|conv1x1~01|output~12"), 108, random.Random(0))


def altered(place, value):
    fields = RUN.fields()
    fields[place] = value
    return fields


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (RUN.record()[:-1], "not JSON"),
        (b"[" * 50_000, "not JSON"),
        ({}, "JSON of dict instead of"),
        ([], r"JSON of \[\] instead of"),
        (RUN.fields()[:4], "JSON of .* instead of"),
        (altered(0, 7), "'int', 'int'"),
        (altered(0, "xyz"), "the hash is 'xyz'"),
        (altered(1, "108"), "'str', 'str'"),
        (altered(1, True), "'str', 'bool'"),
        (altered(1, 108.0), "'str', 'float'"),
        (altered(1, 200), "200 epochs instead of one of 4, 12, 36, 108"),
        (altered(2, "01"), "matrix of 2 digits"),
        (altered(2, ""), "square matrix"),
        (altered(2, "0110001100010002"), "holds 0 and 1"),
        (altered(2, "011000110001000é"), "matrix"),
        (altered(2, "0110001100011000"), "0 on and below its diagonal"),
        (altered(2, "0000001100010000"), "no path"),
        (altered(2, "0110000000010000"), "is not pruned"),
        (altered(2, ["0", "1"]), "'list'"),
        (altered(3, "input,conv3x3-bn-relu,output"), "3 labels"),
        (altered(3, "input,conv3x3-bn-relu,conv5x5,output"), "conv5x5"),
        (altered(3, None), "'NoneType'"),
        (altered(4, None), "'NoneType'"),
        (altered(4, "?"), "not base64"),
        (altered(4, "AAA"), "not base64"),
        (altered(4, ""), "None trainable parameters"),
    ],
)
def test_a_record_of_another_form_is_one_line(path, payload, message):
    record = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    text = refused(path, [RUN, record])
    assert "record 1 is not one of NAS-Bench-101: " in text
    with pytest.raises(InputError, match=message):
        records.read(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def message_of(params=b"\x10\x05", evaluations=3, **changes):
    end = dataclasses.replace(RUN.end, **changes).message()
    return b"".join(cases.text(1, each) for each in [RUN.half.message()] * (evaluations - 1) + [end]) + params


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (message_of(evaluations=2), "2 evaluations instead of 3"),
        (message_of(evaluations=4), "4 evaluations instead of 3"),
        (message_of(params=b""), "None trainable parameters"),
        (message_of(params=b"\x10\x00"), "0 trainable parameters"),
        (message_of(params=b"\x10" + cases.varint(2**64 - 5)), "trainable parameters"),
        (message_of(params=b"\x10" + b"\xff" * 10), "too long"),
        (message_of(params=b"\x10"), "end within a number"),
        (message_of(params=cases.double(2, 5.0)), "field 2 of the metrics has wire type 1 instead of 0"),
        (message_of(params=b"\x08\x05"), "field 1 of the metrics has wire type 0 instead of 2"),
        (message_of(params=b"\x13"), "field of wire type 3"),
        (message_of()[:-3], "end within a field"),
        (message_of() + b"\x19\x00\x00", "end within a field"),
        (message_of() + b"\x22\x7f", "end within a field"),
        (message_of(val=1.5), "an accuracy of 1.5"),
        (message_of(test=93.2), "an accuracy of 93.2"),
        (message_of(train=-0.5), "an accuracy of -0.5"),
        (message_of(seconds=-1.0), "-1.0 seconds"),
        (message_of(seconds=math.inf), "inf seconds"),
    ],
)
def test_metrics_of_another_form_are_one_line(path, message, reason):
    record = json.dumps(altered(4, base64.b64encode(message).decode())).encode()
    text = refused(path, [record])
    assert "record 0 is not one of NAS-Bench-101: " in text
    with pytest.raises(InputError, match=reason):
        records.read(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_an_accuracy_of_the_wrong_wire_type(path):
    broken = cases.varint(4 << 3) + cases.varint(1)
    message = b"".join(cases.text(1, each) for each in (b"", b"", broken)) + b"\x10\x05"
    text = refused(path, [json.dumps(altered(4, base64.b64encode(message).decode())).encode()])
    assert "field 4 of the metrics has wire type 0 instead of 1" in text


def test_a_fourth_run(path):
    assert f"record 3 is not one of NAS-Bench-101: more than 3 runs of {RUN.hash} for 108" in refused(path, [RUN] * 4)


def test_cells_that_are_not_what_earlier_records_say(path):
    other = cases.sample_cells(3)[2]
    text = refused(path, [RUN, dataclasses.replace(RUN, cell=other)])
    assert f": record 1 is not one of NAS-Bench-101: {other} under the hash {RUN.hash}" in text
    assert f", which is that of {RUN.cell}" in text
    text = refused(path, [RUN, dataclasses.replace(RUN, params=5)])
    assert f"5 parameters of {RUN.cell}, which has {RUN.params}" in text


def test_another_numbering_of_the_vertices_is_counted(path):
    a, b = SPACE.parse("conv3x3~0|conv1x1~0|output~12"), SPACE.parse("conv1x1~0|conv3x3~0|output~12")
    assert SPACE.canonical(a) == SPACE.canonical(b)
    rng = random.Random(0)
    runs = [cases.make_run(a, 108, rng), cases.make_run(b, 108, rng)]
    table = read(path, runs)
    assert table.frame["arch"].tolist() == [str(a)]
    assert table.frame[["val_108_0", "val_108_1"]].to_numpy().tolist() == [[run.end.val for run in runs]]
    assert table.facts["records with another numbering of their cell's vertices"] == "1"


def test_hashes_and_parameters_are_computed_again(path):
    runs = cases.make_runs(3)
    for changes in ({"hash": "0" * 32}, {"params": 7}):
        wrong = dataclasses.replace(RUN, **changes)
        text = refused(path, [*runs, wrong])
        assert f"{RUN.cell} has hash {RUN.hash} and {RUN.params} parameters. Received: " in text
        assert f"Received: {wrong.hash}, {wrong.params}" in text


def test_known_cells():
    """The cells that the publication's own texts give hashes and parameters of."""
    known = {
        "output~0": ("043721b9c7fe8c5fad811d47d83132ec", 882_570),
        "conv1x1~0|conv3x3~0|conv3x3~0|conv3x3~3|maxpool3x3~0|output~1245": (
            "28cfc7874f6d200472e1a9dcd8650aa0",
            2_694_282,
        ),
    }
    for arch, (key, params) in known.items():
        run = cases.make_run(SPACE.parse(arch), 108, random.Random(0))
        assert (run.hash, run.params) == (key, params)


# --- graphs as numbers


def graph_frame(cells):
    return pd.DataFrame([to_bits(cell) for cell in cells], columns=list(records.GRAPH_COLUMNS))


def test_graphs_as_numbers():
    chosen = cases.sample_cells(60)
    frame = graph_frame(chosen)
    assert records.archs(frame) == [str(cell) for cell in chosen]
    assert records.archs(graph_frame([SPACE.parse("conv3x3~0|conv1x1~01|output~12")]).iloc[:1]) == [
        "conv3x3~0|conv1x1~01|output~12"
    ]


def test_digits_that_a_reader_of_csv_took_for_numbers(tmp_path):
    chosen = [cell for cell in cases.sample_cells(60) if len(cell.ops) > 2]
    wanted = [str(cell) for cell in chosen]
    frame = graph_frame(chosen)
    assert any(labels.startswith("0") for labels in frame["op_labels"])
    frame.to_csv(tmp_path / "a.csv", index=False)
    whole = pd.read_csv(tmp_path / "a.csv")
    assert whole["op_labels"].dtype.kind == "i"
    assert records.archs(whole) == wanted
    graph_frame([*chosen, SPACE.parse("output~0")]).to_csv(tmp_path / "b.csv", index=False)
    gaps = pd.read_csv(tmp_path / "b.csv")
    assert gaps["op_labels"].dtype.kind == "f"
    assert records.archs(gaps) == [*wanted, "output~0"]


@pytest.mark.parametrize(
    ("vertices", "bits", "labels"),
    [
        (1, 0, ""),
        (8, 0, "000000"),
        (math.nan, 1, ""),
        (2.5, 1, ""),
        (None, 1, ""),
        ("2", 1, ""),
        (math.inf, 1, ""),
        (2, 2, ""),
        (2, -1, ""),
        (2, math.nan, ""),
        (3, 5, ""),
        (3, 5, None),
        (3, 5, math.nan),
        (3, 5, "00"),
        (3, 5, "3"),
        (3, 5, "x"),
        (3, 5, 12),
        (3, 5, 0.5),
        (3, 5, -1),
        (2, 1, 0),
    ],
)
def test_rows_that_are_no_graphs_are_one_line(vertices, bits, labels):
    frame = pd.DataFrame(
        {"num_vertices": [2, vertices], "adj_bits": [1, bits], "op_labels": ["", labels]}, dtype=object
    )
    with pytest.raises(
        InputError, match=r"Row 1 \(from 0\) is no cell of NAS-Bench-101. Received: num_vertices="
    ) as error:
        records.archs(frame)
    assert "\n" not in str(error.value)


# --- real cells


@pytest.fixture(scope="module")
def published(shared):
    path = shared / "data" / "tables" / "nb101_all_test108.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return pd.read_parquet(path)


def test_golden_rows_in_the_published_form(path, published):
    some = published.iloc[:: len(published) // 40].reset_index(drop=True)
    rng = random.Random(0)
    content = []
    for row in some.itertuples():
        cell = SPACE.parse(records.archs(some.iloc[[row.Index]])[0])
        shift = rng.uniform(0, min(row.test_acc_108_mean, 1 - row.test_acc_108_mean))
        for change in (-shift, 0, shift):
            run = cases.make_run(cell, 108, rng, hash=row.hash, params=row.params)
            content.append(
                dataclasses.replace(run, end=dataclasses.replace(run.end, test=row.test_acc_108_mean + change))
            )
    rng.shuffle(content)
    frame = read(path, content).frame
    by_hash = some.sort_values("hash")
    assert frame["hash"].tolist() == by_hash["hash"].tolist()
    assert frame["params"].tolist() == by_hash["params"].tolist()
    assert frame["arch"].tolist() == records.archs(by_hash)
    np.testing.assert_allclose(frame["test_108"], by_hash["test_acc_108_mean"], rtol=1e-14)
    assert_same(frame, expected(content))


def test_golden_graphs_as_numbers(published):
    some = published.iloc[:: len(published) // 300]
    for arch, row in zip(records.archs(some), some.itertuples(), strict=True):
        cell = SPACE.parse(arch)
        assert str(cell) == arch
        assert SPACE.canonical(cell) == row.hash
        assert to_bits(cell) == (row.num_vertices, row.adj_bits, row.op_labels)
        assert sum(map(sum, cell.matrix)) == row.num_edges


@pytest.mark.slow
def test_golden_strings_of_all_cells_differ(published):
    assert len(set(records.archs(published))) == len(published) == SPACE.size


def test_nothing_heavy_is_imported():
    code = (
        "import sys, json; from spaces.nasbench101 import published as nasbench101_records;"
        "print(json.dumps(sorted({'tensorflow', 'keras', 'pandas', 'pyarrow', 'google.protobuf'} & set(sys.modules))))"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=conftest.ROOT, capture_output=True, text=True, check=True).stdout
    assert json.loads(found) == []
