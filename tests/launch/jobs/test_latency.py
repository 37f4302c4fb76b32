"""Latency as a job: what is recorded, what is computed again, and what measuring does beside."""

import dataclasses
import json

import pytest

from launch.flags.execution import Execution
from launch.flags.latency import Latency
from launch.jobs import base, latency, operations
from launch.jobs.latency import LatencyJob
from tests.launch.jobs.test_scores import ARCHS
from tfnas import environment
from tfnas.errors import InputError
from tfnas.latency import litert, table
from tfnas.latency import operations as ops
from tfnas.latency.litert import Timing
from tfnas.networks import flops
from tfnas.runs import records

SMALL = {"space": "nasbench201", "dataset": "synthetic", "width": 2, "depth": 1}


def settings(**more):
    return Latency(**SMALL | more)


def run(folder, archs=ARCHS, execution=None, **more):
    job = LatencyJob(settings(**more), str(folder))
    base.run(job, archs, Execution(output=str(folder), **execution or {}))
    return job.results(archs, str(folder)).set_index("arch")


@pytest.fixture
def timed(monkeypatch):
    """The first model takes 1 ms and is measured badly, the next 2 ms, ...; gives what was measured."""
    measured = []

    def measure(content, *, repeats, warm_up):
        measured.append(content)
        return Timing(float(len(measured)), 0.0, 0.5 if len(measured) == 1 else 0.01, repeats, 1)

    monkeypatch.setattr(litert, "require", lambda: None)
    monkeypatch.setattr(litert, "measure", measure)
    monkeypatch.setattr(latency, "converted", lambda graph, scheme: str(graph.count_params()).encode())
    return measured


def test_macs_are_those_of_the_network(tmp_path):
    found = run(tmp_path)
    assert set(found.proxy) == {"latency_macs"}
    for arch in ARCHS:
        assert found.score[arch] == flops.multiply_adds(settings().layer_graph(arch))


def test_the_image_may_be_larger_than_those_of_the_data_set(tmp_path):
    small, large = run(tmp_path), run(tmp_path, latency_size=64)
    assert (large.score > 3 * small.score).all()
    assert len(records.read(tmp_path)) == 2 * len(ARCHS)
    assert json.loads(large.options.iloc[0])["input_shape"] == [64, 64, 3]


def test_a_table_is_summed_and_another_table_is_another_record(tmp_path):
    graphs = {arch: settings().layer_graph(arch) for arch in ARCHS}
    names = sorted({name for graph in graphs.values() for name in ops.count(graph)})
    times = {name: 1.0 + index for index, name in enumerate(names)}
    path = tmp_path / "times.csv"
    table.write(times, path)
    found = run(tmp_path / "out", latency=str(path))
    for arch, graph in graphs.items():
        assert found.score[arch] == sum(times[ops.signature(graph, node)] for node in ops.timed(graph))
    assert json.loads(found.options.iloc[0])["operations"] == ops.VERSION
    table.write({name: 2 * value for name, value in times.items()}, path)
    assert (run(tmp_path / "out", latency=str(path)).score == 2 * found.score).all()
    assert len(records.read(tmp_path / "out")) == 2 * len(ARCHS)
    table.write(dict(list(times.items())[1:]), path)
    with pytest.raises(InputError, match="lacks 1 of"):
        run(tmp_path / "out", latency=str(path))


def test_measured_once_with_the_model_kept_and_goes_on(tmp_path, timed):
    found = run(tmp_path, ARCHS[:1], latency="litert", litert_repeats=7)
    options, details = (json.loads(found[name].iloc[0]) for name in ("options", "details"))
    assert {key: options[key] for key in ("repeats", "warm_up", "threads")} == {
        "repeats": 7,
        "warm_up": 5,
        "threads": 1,
    }
    assert options["cpu"] == environment.cpu_model()
    assert (tmp_path / details["model"]).read_bytes() == timed[0]
    assert (found.score.iloc[0], details["spread"]) == (1, 0.5)
    again = run(tmp_path, latency="litert", litert_repeats=7)
    assert len(timed) == len(ARCHS)
    assert again.score[ARCHS[0]] == found.score[ARCHS[0]]
    assert len(list((tmp_path / "models").iterdir())) == len(ARCHS)


def test_measuring_again_takes_the_model_that_is_kept(tmp_path, timed, monkeypatch):
    first = run(tmp_path, latency="litert")
    monkeypatch.setattr(latency, "converted", None)
    again = run(tmp_path, latency="litert", litert_repeats=9)
    assert len(timed) == 2 * len(ARCHS)
    assert timed[: len(ARCHS)] == timed[len(ARCHS) :]
    assert (again.score > first.score).all()
    monkeypatch.undo()
    assert len(list((tmp_path / "models").iterdir())) == len(ARCHS)


def test_measurements_never_run_beside_each_other(tmp_path, timed, capsys, monkeypatch):
    def refuse(self):
        raise AssertionError("started processes")

    monkeypatch.setattr("tfnas.runs.processes.Processes.__init__", refuse)
    run(tmp_path, latency="litert", execution={"workers": 2})
    assert (
        "warning: latencies are found by one process: several would disturb one another. Received: --workers=2"
        in capsys.readouterr().err
    )
    assert len(timed) == len(ARCHS)


def test_a_busy_machine_is_said_and_recorded(tmp_path, timed):
    found = run(tmp_path, latency="litert")
    assert (found.status == "ok").all()
    assert [message[:4] for message in found.message.sort_values()] == ["", "busy"]
    (told,) = LatencyJob(settings(latency="litert"), str(tmp_path)).warnings(found.reset_index())
    assert "busy with something else: the runs of 1 of 2 networks" in told
    assert LatencyJob(settings(), str(tmp_path)).warnings(run(tmp_path).reset_index()) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"latency": "column:throughput_tpuv3"}, "Allowed: --latency=throughput:throughput_tpuv3"),
        ({"latency": ""}, "--latency is empty"),
        ({"litert_warm_up": -1}, "--litert_warm_up must be at least 0"),
    ],
)
def test_bad_settings_are_one_line(changes, told):
    with pytest.raises(InputError) as error:
        settings(**changes).check()
    assert told in str(error.value)


def test_without_litert_nothing_starts(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(InputError, match="pip install ai-edge-litert"):
        settings(latency="litert").check()


class TestOperations:
    @pytest.fixture
    def counted(self, monkeypatch):
        """Every operation takes as long as it is many calls since the start; gives how many there were."""
        calls = []
        monkeypatch.setattr(operations, "_time", lambda model, _: calls.append(model) or Timing(len(calls), 0, 0, 2, 1))
        return calls

    def test_every_operation_is_measured_once_less_the_call(self, tmp_path, counted):
        path = str(tmp_path / "ops.csv")
        operations.measure(settings(), ARCHS, path)
        wanted = {name for arch in ARCHS for name in ops.count(settings().layer_graph(arch))}
        found = table.read(path)
        assert set(found.times) == wanted | {"network"}
        # The call took 1, the operations 2, 3, ...
        assert found.times["network"] == 1
        assert sorted(found.times[name] for name in wanted) == list(range(1, len(wanted) + 1))
        assert all(found.latency(settings().layer_graph(arch)) > 0 for arch in ARCHS)

    def test_what_the_file_has_is_kept(self, tmp_path, counted):
        path = str(tmp_path / "ops.csv")
        operations.measure(settings(), ARCHS[:1], path)
        before, calls = table.read(path).times, len(counted)
        operations.measure(settings(), ARCHS, path)
        after = table.read(path).times
        assert {name: after[name] for name in before} == before
        assert len(counted) - calls == len(after) - len(before)

    def test_a_file_that_is_no_table_is_not_overwritten(self, tmp_path, counted):
        path = tmp_path / "notes.csv"
        path.write_text("name,value\na,1\n")
        with pytest.raises(InputError, match="No column 'operation'"):
            operations.measure(settings(), ARCHS, str(path))
        assert path.read_text() == "name,value\na,1\n"


def test_it_measures_for_real(tmp_path):
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    small = {"latency": "litert", "litert_repeats": 2, "litert_warm_up": 1}
    found = run(tmp_path, ARCHS[:1], **small)
    assert (found.status == "ok").all()
    assert (found.score > 0).all()
    path = str(tmp_path / "ops.csv")
    operations.measure(dataclasses.replace(settings(), **small), ARCHS[:1], path)
    assert table.read(path).latency(settings().layer_graph(ARCHS[0])) > 0
