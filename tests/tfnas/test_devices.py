"""Strategies by name: what each needs, and the same features under all of them."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import distributed_worker, float32
from tests.conftest import ROOT
from tfnas import devices
from tfnas.errors import InputError
from tfnas.inference import features


@pytest.fixture(scope="module")
def alone():
    return distributed_worker.all_features(None)


def run(jobs):
    """Runs workers side by side, given as (arguments, environment), and ends them whatever happens."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.distributed_worker", *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": ""} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for arguments, environment in jobs
    ]
    try:
        for process in processes:
            output, _ = process.communicate(timeout=400)
            assert process.returncode == 0, output[-3000:]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    found = []
    for arguments, _ in jobs:
        with np.load(arguments[-1]) as arrays:
            found.append(dict(arrays))
    return found


def kernel(z):
    return z @ z.T / z.shape[1]


def assert_same_kernel(found, expected):
    assert (found.shape, found.dtype) == (expected.shape, np.float64)
    for value, other in ((found, expected), (kernel(found), kernel(expected))):
        np.testing.assert_allclose(value, other, rtol=0, atol=1e-12 * np.abs(other).max())


@pytest.fixture(scope="module")
def logical(tmp_path_factory):
    (found,) = run([(("logical", tmp_path_factory.mktemp("logical") / "out.npz"), {})])
    return found


@pytest.mark.parametrize("count", ["0", "1", "2", "3"])
def test_any_number_of_logical_devices_gives_the_same_kernel(logical, alone, count):
    assert_same_kernel(logical[count], alone)


@pytest.mark.parametrize("count", [1, 5, 9, 12])
def test_any_number_of_images_on_three_devices(logical, count):
    assert_same_kernel(logical[f"first {count}"], logical[f"alone {count}"])


def test_members_of_an_ensemble_share_a_trace_and_not_their_weights(logical):
    for found, expected in zip(logical["members"], logical["members alone"], strict=True):
        assert_same_kernel(found, expected)
    assert np.abs(logical["members"][0] - logical["members"][1]).max() > 0.01


def test_float32_on_three_devices(logical):
    graph, arrays, images = distributed_worker.network()

    def compute(arrays, images):
        return {"features": distributed_worker.extract(graph, arrays, images)}

    expected = compute(arrays, images)
    assert logical["float32"].dtype == np.float32
    allowed = float32.allowed(float32.spread(compute, arrays, images), expected)
    float32.check({"features": logical["float32"]}, expected, allowed)


def test_mirrored_takes_all_devices(logical):
    assert logical["mirrored"] == 3
    assert logical["first"]


def test_tpu_where_there_is_none(logical):
    assert "Strategy tpu found no TPU (NotFoundError" in str(logical["tpu"])
    assert "\n" not in str(logical["tpu"])


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def test_two_workers_end_with_the_features_of_all_images_and_one_set_of_statistics(tmp_path, alone):
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    places = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}) for index in range(2)]
    found = run([(("worker", tmp_path / f"{i}.npz"), {"TF_CONFIG": place}) for i, place in enumerate(places)])
    graph, arrays, images = distributed_worker.network()
    moved = features.calibrate(graph, arrays, images, dtype="float64")
    assert [bool(worker["first"]) for worker in found] == [True, False]
    for worker in found:
        assert worker["replicas"] == 2
        assert_same_kernel(worker["features"], alone)
        statistics = {key.removeprefix("moved "): value for key, value in worker.items() if key.startswith("moved ")}
        assert statistics
        for key, value in statistics.items():
            np.testing.assert_array_equal(value, found[0][f"moved {key}"])
            np.testing.assert_allclose(value, moved[key], rtol=0, atol=1e-12 * np.abs(moved[key]).max())


def test_one_device_needs_no_strategy():
    assert devices.strategy("cpu") is None
    assert devices.is_first(None)
    if len(tf.config.list_logical_devices("GPU")) < 2 and len(tf.config.list_logical_devices("CPU")) == 1:
        assert devices.strategy("mirrored") is None


def test_unknown_strategy():
    with pytest.raises(
        InputError, match=r"Unknown strategy\. Received: 'gpu'\. Allowed: cpu, mirrored, multiworker, tpu"
    ):
        devices.strategy("gpu")


WORKERS = {"worker": ["localhost:1", "localhost:2"]}


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{",
        "[]",
        "{}",
        json.dumps({"cluster": WORKERS}),
        json.dumps({"cluster": {}, "task": {"type": "worker", "index": 0}}),
        json.dumps({"cluster": {"ps": ["localhost:1"]}, "task": {"type": "ps", "index": 0}}),
        json.dumps({"cluster": WORKERS, "task": {"type": "worker", "index": 2}}),
        json.dumps({"cluster": WORKERS, "task": {"type": "worker", "index": "0"}}),
        json.dumps({"cluster": WORKERS, "task": {"type": "chief", "index": 0}}),
    ],
)
def test_multiworker_needs_a_place_in_a_cluster(monkeypatch, text):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=r"TF_CONFIG, another index on each worker\. Received: .*Allowed: ") as error:
        devices.strategy("multiworker")
    assert repr(text or "") in str(error.value)


def test_a_place_in_a_cluster():
    devices.check_cluster(json.dumps({"cluster": WORKERS, "task": {"type": "worker", "index": 1}}))
    with_chief = {"chief": ["localhost:3"], **WORKERS}
    devices.check_cluster(json.dumps({"cluster": with_chief, "task": {"type": "chief", "index": 0}}))


def test_tpu_that_no_one_knows(monkeypatch):
    def refuse(tpu):
        raise ValueError(f"no such TPU: {tpu}\nnot here")

    monkeypatch.setenv("TPU_NAME", "mine")
    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", refuse)
    expected = (
        r"found no TPU \(ValueError: no such TPU: mine not here\)\. Received: TPU_NAME='mine'\. Allowed: .*multiworker$"
    )
    with pytest.raises(InputError, match=expected):
        devices.strategy("tpu")
