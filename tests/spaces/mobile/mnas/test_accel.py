"""The networks of Accel-NASBench, against its table and by hand."""

import numpy as np
import pandas as pd
import pytest

import spaces
from spaces import importers
from spaces.importers import Options
from spaces.mobile.mnas import accel
from spaces.mobile.mnas.strings import Block
from tests.conftest import needed, shared_path
from tfnas import tables
from tfnas.errors import InputError
from tfnas.networks.builder import GraphBuilder

SPACE = spaces.get("mnas")
TABLE = shared_path() / "data/tables/accel_nasbench_imagenet_mnasnet_space.parquet"
BLOCKS = [(1, 3, 2, True), *[(6, 5, 1, False)] * 5, (4, 3, 4, True)]


def small_table(folder, **changes):
    """Two networks, with numbers that are theirs."""
    blocks = [BLOCKS, BLOCKS[::-1]]
    graphs = [SPACE.layer_graph(accel.architecture(each)) for each in blocks]
    frame = pd.DataFrame([np.ravel(each) for each in blocks], columns=list(accel.COLUMNS)).assign(
        val_top1=[60.5, 61.5],
        params=[graph.count_params() / 1e6 for graph in graphs],
        macs=[accel.macs(graph) / 1e6 for graph in graphs],
        note=["a", "b"],
    )
    for column, value in changes.items():
        frame[column] = value
    frame.to_parquet(folder / "table.parquet")
    return folder / "table.parquet"


class TestArchitectures:
    def test_channels_and_strides(self):
        first, *others = accel.architecture(BLOCKS).blocks
        assert first == Block(2, 3, 1, 1, 32, 16, 0.25)
        assert others[0] == Block(1, 5, 2, 6, 16, 24)
        assert others[-1] == Block(4, 3, 1, 4, 192, 320, 0.25)

    @pytest.mark.parametrize(
        ("blocks", "message"),
        [
            (BLOCKS[:6], "Received: 6"),
            ([(2, 3, 1, True), *BLOCKS[1:]], r"'e' of a block.*Received: 2\. Allowed: \(1, 4, 6\)"),
            ([(1, 7, 1, True), *BLOCKS[1:]], "'k' of a block"),
            ([(1, 3, 0, True), *BLOCKS[1:]], "'l' of a block"),
        ],
    )
    def test_blocks_of_no_network(self, blocks, message):
        with pytest.raises(InputError, match=message):
            accel.architecture(blocks)


def test_counter_by_hand():
    b = GraphBuilder((4, 4, 3))
    x = b.batch_norm("bn", b.conv("conv", "input", 5, 3, strides=2), momentum=0.9, epsilon=1e-3)
    graph = b.finish(b.dense("dense", b.global_avg_pool("pool", x), 7))
    assert accel.macs(graph) == 2 * 2 * 9 * 3 * 5 + 4 * 2 * 2 * 5 + (2 * 2 + 1) * 5 + 5 * 7


class TestImporter:
    def test_golden_table(self):
        """The whole table: strings, columns and units."""
        needed(TABLE)
        table = importers.read(TABLE, Options(space="mnas"), "accel_nasbench")
        known = pd.read_parquet(TABLE)
        key = known[list(accel.COLUMNS)].astype(str).agg("|".join, axis=1)
        for column in ("val_top1", "throughput_tpuv3.throughput_mean"):
            expected = known[column].groupby(key, sort=False).mean()
            np.testing.assert_allclose(table.frame[column], expected, rtol=1e-12)
        assert len(table.frame) == len(set(key))
        assert not [column for column in table.frame if column.startswith("block")]
        assert table.units.keys() == set(table.frame) - {"arch"}
        assert {table.units[name] for name in ("val_top1", "params", "latency_zcu102.latency_mean")} == {
            *("percent", "other:millions", "other:ms")
        }

    def test_repeated_architectures_are_one_row(self, tmp_path):
        path = small_table(tmp_path)
        frame = pd.read_parquet(path)
        again = frame.assign(val_top1=[62.5, 0], note=["c", "d"]).iloc[:1]
        pd.concat([again, frame]).to_parquet(path)
        table = importers.read(path, Options())
        assert table.frame["val_top1"].tolist() == [61.5, 61.5]
        assert table.frame["params"].tolist() == frame["params"].tolist()
        assert table.facts["rows"].startswith("3, 1 of which repeat an architecture")
        assert importers.read(path, Options(columns={"note": "note"})).frame["note"].tolist() == ["c", "b"]
        tables.write(table, tmp_path / "out.parquet")

    def test_columns_and_provenance(self, tmp_path):
        path = small_table(tmp_path)
        table = importers.read(path, Options(columns={"val_top1": "top1", "note": "note"}, provenance="mine"))
        assert table.frame.columns.tolist() == ["arch", "top1", "note"]
        assert table.units == {"top1": "percent"}
        assert table.provenance.startswith("mine; Accel-NASBench")
        tables.write(table, tmp_path / "out.parquet")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"params": 3.5}, r"row 0 \(from 0\) is not the network.*Received: 3\.5 million params"),
            ({"macs": np.nan}, "Received: nan million macs"),
            ({"block3_e": 5}, r"Row 0 \(from 0\): 'e' of a block of Accel-NASBench\. Received: 5"),
            ({"block0_k": "x"}, "'k' of a block"),
            ({"block6_se": None}, "'se' of a block"),
        ],
    )
    def test_tables_that_contradict_themselves(self, tmp_path, changes, message):
        with pytest.raises(InputError, match=message) as error:
            importers.read(small_table(tmp_path, **changes), Options(), "accel_nasbench")
        assert "\n" not in str(error.value)

    def test_a_table_without_its_columns(self, tmp_path):
        path = small_table(tmp_path)
        pd.read_parquet(path).drop(columns="block2_l").to_parquet(path)
        with pytest.raises(InputError, match="No column 'block2_l'"):
            importers.read(path, Options(), "accel_nasbench")


def differing(rows):
    """Rows whose parameters or MACs are not those of their networks."""
    found = []
    for row in rows.itertuples():
        values = [tuple(getattr(row, f"block{i}_{name}") for name in accel.VALUES) for i in range(7)]
        graph = SPACE.layer_graph(str(accel.architecture(values)))
        sizes = (graph.count_params(), accel.macs(graph))
        if sizes != (round(row.params * 1e6), round(row.macs * 1e6)):
            found.append(row.Index)
    return found


def test_golden_sizes_of_a_spread():
    rows = pd.read_parquet(needed(TABLE)).sort_values("params")
    assert differing(rows.iloc[np.linspace(0, len(rows) - 1, 100).astype(int)]) == []


@pytest.mark.slow
def test_golden_sizes_of_all():
    rows = pd.read_parquet(needed(TABLE))
    assert len(rows) == 5138
    assert differing(rows) == []
