"""What every importer must do, whatever it reads."""

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import spaces
from spaces import importers
from spaces.importers import Importer, Options
from spaces.mobile.mnas import accel
from spaces.nasbench101 import published
from spaces.nasbench101.cells import to_bits
from spaces.nasbench101.published import GRAPH_COLUMNS
from tests import nasbench101_cases
from tests.conftest import needed
from tfnas import tables
from tfnas.errors import InputError

SPACE = spaces.get("nasbench101")
MNAS = spaces.get("mnas")


def _columns(folder):
    archs = [str(arch) for arch in SPACE.sample_distinct(np.random.default_rng(0), 4)]
    pd.DataFrame({"arch": archs, "top1": [1.0, 2, 3, 4], "note": list("abcd")}).to_csv(folder / "a.csv", index=False)
    return folder / "a.csv", archs, {"provenance": "by hand"}


def _graphs(folder):
    cells = nasbench101_cases.sample_cells(4)
    frame = pd.DataFrame([to_bits(cell) for cell in cells], columns=list(GRAPH_COLUMNS))
    frame.assign(top1=[1.0, 2, 3, 4]).to_parquet(folder / "a.parquet")
    return folder / "a.parquet", [str(cell) for cell in cells], {"provenance": "by hand"}


def _hashes(folder):
    """Of the first cells, as all are gone through until all are found."""
    cells = list(itertools.islice(SPACE.enumerate(), 4))
    frame = pd.DataFrame({"hash": [SPACE.canonical(cell) for cell in cells], "top1": [1.0, 2, 3, 4]})
    frame.to_csv(folder / "a.csv", index=False)
    return folder / "a.csv", list(map(str, cells)), {"provenance": "by hand"}


def _tfrecord(folder):
    runs = nasbench101_cases.make_runs(4)
    digest = nasbench101_cases.write(folder / "a.tfrecord", runs)
    return folder / "a.tfrecord", list(dict.fromkeys(str(run.cell) for run in runs)), {"sha256": digest}


def _accel(folder):
    blocks = [[(6 - 2 * (i == j), 3, 1, i != j) for j in range(7)] for i in range(4)]
    archs = [accel.architecture(each) for each in blocks]
    frame = pd.DataFrame([np.ravel(each) for each in blocks], columns=list(accel.COLUMNS))
    graphs = [MNAS.layer_graph(arch) for arch in archs]
    frame = frame.assign(
        val_top1=[61.5, 62, 63, 64],
        params=[graph.count_params() / 1e6 for graph in graphs],
        macs=[accel.macs(graph) / 1e6 for graph in graphs],
    )
    frame.to_parquet(folder / "a.parquet")
    return folder / "a.parquet", list(map(str, archs)), {}


@dataclasses.dataclass(frozen=True)
class _Case:
    """What the tests need to know of a format.

    Attributes:
        make: folder -> (a small file of the format in it, its architectures, the options to read it with).
        column: a column of the file.
        space: whose architectures they are.
    """

    make: Callable
    column: str = "top1"
    space: spaces.Space = SPACE


_CASES = {
    "accel_nasbench": _Case(_accel, "val_top1", MNAS),
    "columns": _Case(_columns),
    "nasbench101_graphs": _Case(_graphs),
    "nasbench101_hashes": _Case(_hashes),
    "nasbench101_tfrecord": _Case(_tfrecord, "test_108"),
}
# A value for each option that not every importer takes.
_SPECIAL = {"arch_column": "cell", "units": {"top1": "percent"}, "sha256": "0" * 64}


def test_every_registered_importer_is_covered():
    assert set(_CASES) == set(importers.names())


@pytest.fixture(params=importers.names())
def name(request):
    return request.param


@pytest.fixture
def importer(name):
    return importers.get(name)


@pytest.fixture
def made(name, tmp_path):
    return _CASES[name].make(tmp_path)


@pytest.fixture
def registered(monkeypatch):
    """Formats that are registered for one test."""
    monkeypatch.setattr(importers, "_IMPORTERS", dict(importers._IMPORTERS))
    return importers.register


class TestEveryImporter:
    def test_name_is_the_key(self, name, importer):
        assert isinstance(importer, Importer)
        assert importer.name == name
        assert importer.space in ("", *spaces.names())
        assert importer.takes <= _SPECIAL.keys()

    def test_is_told_in_a_line(self, importer):
        assert importer.text.strip() == importer.text
        assert importer.text
        assert "\n" not in importer.text

    def test_recognises_its_file(self, name, made):
        path, _, options = made
        assert importers.find(path, Options(**options)).name == name
        assert importers.find(path, Options(**options, space=_CASES[name].space.name)).name == name
        assert importers.find(path, Options(**options), name).name == name

    def test_reads_a_table_of_the_common_form(self, name, made, tmp_path):
        path, archs, options = made
        table = importers.read(path, Options(**options))
        assert sorted(table.frame["arch"]) == sorted(archs)
        assert table.space == _CASES[name].space.name
        assert table.provenance
        tables.write(table, tmp_path / "out.parquet")
        back = tables.read(tmp_path / "out.parquet")
        pd.testing.assert_frame_equal(back.frame, table.frame)
        assert (back.space, back.provenance) == (table.space, table.provenance)
        assert importers.read(path, Options(**options), name).frame.equals(table.frame)

    def test_takes_columns_under_new_names(self, name, made):
        path, _, options = made
        whole = importers.read(path, Options(**options)).frame
        column = _CASES[name].column
        table = importers.read(path, Options(**options, columns={column: "new"}))
        assert table.frame.equals(whole[["arch", column]].rename(columns={column: "new"}))
        assert set(table.units) <= {"new"}
        for wrong in ("loss", "arch"):
            with pytest.raises(InputError, match=f"No column '{wrong}' in ") as error:
                importers.read(path, Options(**options, columns={wrong: "new"}))
            assert "\n" not in str(error.value)

    def test_provenance_is_kept(self, made):
        path, _, options = made
        table = importers.read(path, Options(**options | {"provenance": "seen on a tablet"}))
        assert table.provenance.startswith("seen on a tablet")

    def test_needs_provenance_unless_it_tells_it(self, importer, made):
        path, _, options = made
        options = Options(**options | {"provenance": ""})
        if importer.tells_provenance:
            assert importers.read(path, options).provenance
            return
        with pytest.raises(InputError, match=f"{importer.name} need --provenance"):
            importers.find(path, options)

    def test_refuses_options_that_it_does_not_take(self, name, importer, made):
        path, _, options = made
        for option, value in _SPECIAL.items():
            if option in importer.takes:
                continue
            others = ", ".join(other for other in importers.names() if option in importers.get(other).takes)
            with pytest.raises(InputError) as error:
                importers.find(path, Options(**options | {option: value}), name)
            assert f"--{option} does not go with tables of this format. Received: {name}. Allowed: {others}" in str(
                error.value
            )

    def test_refuses_another_space(self, name, importer, made):
        path, archs, options = made
        with pytest.raises(InputError) as error:
            importers.read(path, Options(**options, space="nasbench201"), name)
        assert "\n" not in str(error.value)
        wanted = f"need --space={importer.space}. Received: --space=nasbench201" if importer.space else f"{archs[0]!r}"
        assert wanted in str(error.value)
        with pytest.raises(InputError, match=r"Unknown search space\. Received: 'nasbench'"):
            importers.find(path, Options(**options, space="nasbench"), name)


@pytest.mark.parametrize("cells", [{"arch": "output~0"}, {"num_vertices": 2, "adj_bits": 1, "op_labels": ""}])
def test_a_file_without_a_column_of_numbers_is_told(tmp_path, cells):
    path = tmp_path / "a.csv"
    pd.DataFrame([cells]).assign(top1="91,5 to 92").to_csv(path, index=False)
    with pytest.raises(InputError, match=r"No column of numbers in .*a\.csv"):
        importers.read(path, Options(provenance="x"))
    table = importers.read(path, Options(provenance="x", columns={"top1": "note"}))
    assert table.frame.to_dict("list") == {"arch": ["output~0"], "note": ["91,5 to 92"]}


class TestGraphs:
    def test_a_column_of_strings_goes_before_numbers(self, tmp_path):
        path, archs, options = _graphs(tmp_path)
        frame = pd.read_parquet(path)
        for column in ("arch", "cell"):
            frame.assign(**{column: archs[::-1]}).to_parquet(path)
            given = Options(**options, arch_column=column)
            assert importers.read(path, given).frame["arch"].tolist() == archs[::-1]
        assert importers.read(path, Options(**options)).frame["arch"].tolist() == archs

    def test_golden_graphs(self, tmp_path, shared):
        source = needed(shared / "data" / "tables" / "nb101_all_test108.parquet")
        known = pd.read_parquet(source).iloc[::1000].reset_index(drop=True)
        known.to_parquet(tmp_path / "some.parquet")
        columns = {"test_acc_108_mean": "accuracy", "hash": "hash"}
        frame = importers.read(tmp_path / "some.parquet", Options(provenance="x", columns=columns)).frame
        assert frame["accuracy"].tolist() == known["test_acc_108_mean"].tolist()
        assert [SPACE.canonical(SPACE.parse(arch)) for arch in frame["arch"]] == known["hash"].tolist()


class TestHashes:
    def test_cells_in_any_order_and_repeats_are_averaged(self, tmp_path):
        path, archs, options = _hashes(tmp_path)
        frame = pd.read_csv(path).iloc[[3, 1, 0, 1]]
        frame.assign(top1=[4.0, 1, 0, 2], runs=[1, 2, 3, 5], note=list("abcd")).to_csv(path, index=False)
        found = importers.read(path, Options(**options)).frame.set_index("arch")
        assert found.index.tolist() == [archs[3], archs[1], archs[0]]
        assert found.to_numpy().tolist() == [[4, 1], [1.5, 3.5], [0, 3]]

    def test_percent_signs_and_tables_without_numbers(self, tmp_path):
        path, _, options = _hashes(tmp_path)
        hashes = pd.read_csv(path)[["hash"]]
        hashes.assign(top1=["91.5%", "90%", "1%", "0%"]).to_csv(path, index=False)
        assert importers.read(path, Options(**options)).units == {"top1": "percent"}
        with pytest.raises(InputError, match="top1 has percent signs"):
            importers.read(path, Options(**options | {"units": {"top1": "fraction"}}))
        hashes.assign(top1=["91.5", "none", "1", "0"]).to_csv(path, index=False)
        with pytest.raises(InputError, match="No column of numbers"):
            importers.read(path, Options(**options))

    def test_a_hash_of_no_cell(self, tmp_path, monkeypatch):
        path, archs, options = _hashes(tmp_path)
        monkeypatch.setattr(type(SPACE), "enumerate", lambda self: map(self.parse, archs[:3]))
        with pytest.raises(InputError, match=r"1 of 4 hashes .* Received: '[0-9a-f]{32}' in row 3 \(from 0\)"):
            importers.read(path, Options(**options))

    def test_graphs_go_before(self, tmp_path):
        path, archs, options = _graphs(tmp_path)
        pd.read_parquet(path).assign(hash="of another").to_parquet(path)
        assert importers.read(path, Options(**options)).frame["arch"].tolist() == archs

    @pytest.mark.slow
    def test_golden_hashes(self, shared):
        some = pd.read_parquet(needed(shared / "data" / "tables" / "nb101_all_test108.parquet")).iloc[::50_000]
        assert published.of_hashes(some["hash"].tolist()) == published.archs(some)


class TestRegistry:
    def test_unknown_name_lists_all(self):
        with pytest.raises(InputError, match=rf"Unknown format\. Received: 'csv'\. Allowed: {', '.join(_CASES)}$"):
            importers.get("csv")

    def test_names_are_taken_once(self):
        with pytest.raises(ValueError, match="'columns' is registered already"):
            importers.register(importers.get("columns"))

    def test_files_of_no_format(self, tmp_path):
        with pytest.raises(InputError, match=rf"No format has such files.*a\.pth\. Formats: {', '.join(_CASES)}$"):
            importers.find(tmp_path / "a.pth", Options(provenance="x"))


def _new(name, suffix, archs, space="nasbench101"):
    frame = pd.DataFrame({"arch": archs})
    return Importer(
        name=name,
        text="a format of somebody else's",
        recognises=lambda found, columns: found == suffix,
        read=lambda path, options: tables.Table(frame, {}, options.provenance, ""),
        space=space,
    )


class TestNewImporters:
    def test_a_new_one_needs_its_registration_alone(self, registered, tmp_path):
        registered(_new("mine", ".json", ["output~0"]))
        table = importers.read(tmp_path / "a.json", Options(provenance="x"))
        assert (table.space, table.frame["arch"].tolist()) == ("nasbench101", ["output~0"])

    def test_goes_before_one_of_any_space(self, registered, tmp_path):
        registered(_new("mine", ".csv", ["output~0"]))
        path, _, options = _columns(tmp_path)
        assert importers.find(path, Options(**options)).name == "mine"
        # Unless what is said of the file fits the other alone.
        assert importers.find(path, Options(**options, space="nasbench201")).name == "columns"
        assert importers.find(path, Options(**options, units={"top1": "percent"})).name == "columns"

    def test_several_for_one_file(self, registered, tmp_path):
        registered(_new("mine", ".json", ["output~0"]))
        registered(_new("yours", ".json", ["output~0"]))
        options = Options(provenance="x")
        with pytest.raises(InputError, match=r"Received: .*a\.json\. Give --format: mine, yours$"):
            importers.find(tmp_path / "a.json", options)
        assert importers.find(tmp_path / "a.json", options, "yours").name == "yours"

    @pytest.mark.parametrize(
        ("arch", "message"),
        [
            ("resnet50", "'resnet50'"),
            (" output~0", "not in the form of nasbench101. Received: ' output~0'. Allowed: output~0"),
        ],
    )
    @pytest.mark.parametrize("space", ["nasbench101", ""])
    def test_what_is_no_architecture_is_refused(self, registered, tmp_path, arch, message, space):
        registered(_new("mine", ".json", ["output~0", arch], space))
        with pytest.raises(InputError, match=message) as error:
            importers.read(tmp_path / "a.json", Options(provenance="x"))
        assert "\n" not in str(error.value)
