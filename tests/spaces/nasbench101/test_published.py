"""The published files as files: checksums, sources and real cells; graphs as numbers; what imports need."""

import dataclasses
import hashlib
import json
import math
import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from spaces import importers
from spaces.nasbench101 import published
from spaces.nasbench101.cells import to_bits
from tests import conftest
from tests import nasbench101_cases as cases
from tests.conftest import needed
from tests.spaces.nasbench101.cases import SPACE, assert_same, expected, read, refused
from tfnas.errors import InputError

RUN = cases.make_run(SPACE.parse("conv3x3~0|conv1x1~01|output~12"), 108, random.Random(0))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.tfrecord"


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
    monkeypatch.setitem(published.PUBLISHED, "nasbench_full.tfrecord", digest)
    origin = "nasbench_full.tfrecord of google-research/nasbench, https://storage.googleapis.com/nasbench/"
    assert published.read(path).provenance.startswith(origin)


def test_another_checksum_names_both_and_what_came(path):
    digest = cases.write(path, cases.make_runs(1))
    for given, wanted in (({}, published.PUBLISHED.values()), ({"sha256": "0" * 64}, ["0" * 64])):
        with pytest.raises(InputError, match="Its records are whole: if you trust it, give its own sha256") as error:
            published.read(path, **given)
        assert all(text in str(error.value) for text in (digest, *wanted))
    assert len(published.read(path, sha256=f" {digest.upper()}\n").frame) == 1
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        published.read(path, sha256="abc")


def test_a_damaged_file_of_the_right_name_says_where(path):
    cases.write(path, cases.make_runs(2))
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"its sha256 is .*Expected: .*it ends within record 5, which starts at byte"):
        published.read(path)
    damaged = bytearray(whole)
    damaged[100] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"Expected: .*the data of record 0 at byte 0 do not match"):
        published.read(path)
    # The same without the checksum of the file in the way.
    with pytest.raises(InputError, match="damaged: the data of record 0 at byte 0 do not match"):
        published.read(path, sha256=hashlib.sha256(damaged).hexdigest())


def test_a_file_that_is_no_tfrecord(path):
    path.write_text("arch,accuracy\noutput~0,0.5\n")
    with pytest.raises(InputError, match="length of record 0 at byte 0 does not match its checksum, or it is no TFR"):
        published.read(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_an_empty_file_a_folder_and_none(tmp_path):
    empty = tmp_path / "nasbench_full.tfrecord"
    empty.touch()
    with pytest.raises(InputError, match=r"is empty.*1.95 GB"):
        published.read(empty)
    with pytest.raises(InputError, match="No such file"):
        published.read(tmp_path)
    for name, size, digest in (
        ("nasbench_only108.tfrecord", "499 MB", "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1"),
        ("nasbench_full.tfrecord", "1.95 GB", "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c"),
    ):
        with pytest.raises(InputError) as error:
            published.read(tmp_path / "nowhere" / name)
        text = str(error.value)
        assert "\n" not in text
        assert f"{name} ({size}, sha256 {digest}) comes from https://storage.googleapis.com/nasbench/{name}" in text
        with pytest.raises(InputError, match=size):
            published.read(tmp_path / "other.tfrecord")


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


def graph_frame(cells):
    return pd.DataFrame([to_bits(cell) for cell in cells], columns=list(published.GRAPH_COLUMNS))


def test_graphs_as_numbers():
    chosen = cases.sample_cells(60)
    frame = graph_frame(chosen)
    assert published.archs(frame) == [str(cell) for cell in chosen]
    assert published.archs(graph_frame([SPACE.parse("conv3x3~0|conv1x1~01|output~12")]).iloc[:1]) == [
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
    assert published.archs(whole) == wanted
    graph_frame([*chosen, SPACE.parse("output~0")]).to_csv(tmp_path / "b.csv", index=False)
    gaps = pd.read_csv(tmp_path / "b.csv")
    assert gaps["op_labels"].dtype.kind == "f"
    assert published.archs(gaps) == [*wanted, "output~0"]


def test_percent_signs_are_the_unit(tmp_path):
    path = tmp_path / "a.csv"
    graph_frame([SPACE.parse("conv3x3~0|output~1")]).assign(top1="93.5%", loss=0.25).to_csv(path, index=False)
    table = importers.read(path, importers.Options(provenance="x", columns={"top1": "val", "loss": "loss"}))
    assert table.frame["val"].tolist() == [93.5]
    assert table.units == {"val": "percent"}
    options = importers.Options(provenance="x", columns={"top1": "val"}, units={"val": "fraction"})
    with pytest.raises(InputError, match=r"val has percent signs in .*the unit 'fraction'"):
        importers.read(path, options)


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
        published.archs(frame)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def known(shared):
    return pd.read_parquet(needed(shared / "data" / "tables" / "nb101_all_test108.parquet"))


def test_golden_rows_in_the_published_form(path, known):
    some = known.iloc[:: len(known) // 40].reset_index(drop=True)
    rng = random.Random(0)
    content = []
    for row in some.itertuples():
        cell = SPACE.parse(published.archs(some.iloc[[row.Index]])[0])
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
    assert frame["arch"].tolist() == published.archs(by_hash)
    np.testing.assert_allclose(frame["test_108"], by_hash["test_acc_108_mean"], rtol=1e-14)
    assert_same(frame, expected(content))


def test_golden_graphs_as_numbers(known):
    some = known.iloc[:: len(known) // 300]
    for arch, row in zip(published.archs(some), some.itertuples(), strict=True):
        cell = SPACE.parse(arch)
        assert str(cell) == arch
        assert SPACE.canonical(cell) == row.hash
        assert to_bits(cell) == (row.num_vertices, row.adj_bits, row.op_labels)
        assert sum(map(sum, cell.matrix)) == row.num_edges


@pytest.mark.slow
def test_golden_strings_of_all_cells_differ(known):
    assert len(set(published.archs(known))) == len(known) == SPACE.size


def test_nothing_heavy_is_imported():
    code = (
        "import sys, json; from spaces.nasbench101 import published as nasbench101_records;"
        "print(json.dumps(sorted({'tensorflow', 'keras', 'pandas', 'pyarrow', 'google.protobuf'} & set(sys.modules))))"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=conftest.ROOT, capture_output=True, text=True, check=True).stdout
    assert json.loads(found) == []
