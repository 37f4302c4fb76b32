"""Latency as a sum over a table: against sums by hand, and every way in which a table may be wrong."""

import numpy as np
import pandas as pd
import pytest

import spaces
from tfnas.errors import InputError
from tfnas.latency import operations, table
from tfnas.networks.builder import GraphBuilder


@pytest.fixture
def graph():
    b = GraphBuilder((4, 4, 3))
    x = b.conv("a", "input", 8, 3)
    x = b.conv("c", b.activation("relu", b.conv("b", x, 8, 3)), 8, 3)
    return b.finish(b.dense("dense", b.global_avg_pool("pool", x), 2))


TIMES = {
    "conv 4x4x3>4x4x8 k3x3 s1": 2.0,
    "conv 4x4x8>4x4x8 k3x3 s1": 3.0,
    "global_avg_pool 4x4x8>8": 0.5,
    "dense 8>2": 0.25,
    "never seen": 100.0,
}


def test_a_sum_by_hand(graph):
    assert table.LatencyTable(TIMES).latency(graph) == 2 + 2 * 3 + 0.5 + 0.25
    assert table.LatencyTable(TIMES | {"network": 4.0}).latency(graph) == 4 + 8.75


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "mnas"])
def test_it_is_additive_over_nodes(name):
    space, rng = spaces.get(name), np.random.default_rng(0)
    graphs = [space.layer_graph(arch) for arch in space.sample_distinct(rng, 3)]
    signatures = sorted({operations.signature(graph, node) for graph in graphs for node in operations.timed(graph)})
    times = dict(zip(signatures, rng.uniform(0.1, 1, len(signatures)), strict=True))
    for graph in graphs:
        total = 0.0
        for node in operations.timed(graph):
            total += times[operations.signature(graph, node)]
        assert table.LatencyTable(times).latency(graph) == pytest.approx(total, rel=1e-12)


def test_a_missing_operation_is_named_in_one_line(graph):
    times = {key: value for key, value in TIMES.items() if key != "dense 8>2"}
    with pytest.raises(InputError) as error:
        table.LatencyTable(times, "phone.csv").latency(graph)
    assert "phone.csv lacks 1 of 4 operations" in str(error.value)
    assert "Received: 'dense 8>2'" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "tsv", "CSV", "PARQUET"])
def test_what_is_written_is_read(tmp_path, suffix):
    times = TIMES | {"add 4x4x8,4x4x8>4x4x8": 0.1 + 0.2}
    table.write(times, tmp_path / f"t.{suffix}")
    assert table.read(tmp_path / f"t.{suffix}").times == times


def test_the_checksum_is_of_the_content_alone(tmp_path):
    backwards = dict(reversed(TIMES.items()))
    table.write(TIMES, tmp_path / "a.csv")
    table.write(backwards, tmp_path / "b.parquet")
    first, second = (table.read(tmp_path / name).checksum for name in ("a.csv", "b.parquet"))
    assert first == second
    assert table.LatencyTable(TIMES | {"dense 8>2": 0.26}).checksum != first


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        ({"op": ["a"], "ms": [1.0]}, "No column 'operation'"),
        ({"operation": ["a"], "time": [1.0]}, "No column 'ms'"),
        ({"operation": ["a", "a"], "ms": [1.0, 2.0]}, "an operation twice. Received: 'a'"),
        ({"operation": ["a", "b"], "ms": [1.0, -2.0]}, "Received: -2.0 for 'b'"),
        ({"operation": ["a", "b"], "ms": [1.0, None]}, "Received: nan for 'b'"),
        ({"operation": ["a", "b"], "ms": [np.inf, 1.0]}, "Received: inf for 'a'"),
        ({"operation": ["a", "b"], "ms": pd.array([1.0, None], dtype="Float64")}, "<NA> for 'b'"),
        ({"operation": ["a", "b"], "ms": pd.array([1, None], dtype="Int64")}, "<NA> for 'b'"),
        ({"operation": ["a"], "ms": ["slow"]}, "Received: slow for 'a'"),
        ({"operation": [], "ms": []}, "has no operations"),
    ],
)
def test_a_wrong_table_is_one_line(tmp_path, frame, told):
    pd.DataFrame(frame).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError) as error:
        table.read(tmp_path / "t.parquet")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_no_table_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"missing\.csv"):
        table.read(tmp_path / "missing.csv")
