"""Blocks that fit the memory change no result; what does not fit is refused before it runs."""

import tracemalloc

import numpy as np
import pytest

import proxies
from tfnas import memory
from tfnas.engine import Network, ntk, tangent_kernel
from tfnas.inference import features
from tfnas.networks import weights
from tfnas.networks.builder import GraphBuilder

COUNT = 12


def small(channels=8):
    b = GraphBuilder((8, 8, 3))
    x = "input"
    for i in range(2):
        x = b.conv(f"conv{i}", x, channels, 3)
        x = b.activation(f"relu{i}", b.batch_norm(f"bn{i}", x, momentum=0.9, epsilon=1e-5), "relu")
    pooled = b.global_avg_pool("pool", x)
    return b.finish(b.dense("head", pooled, 4), pooled)


@pytest.fixture(scope="module")
def graph():
    return small()


@pytest.fixture(scope="module")
def arrays(graph):
    return weights.initialize(graph)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).standard_normal((COUNT, 8, 8, 3)).astype(np.float32)


def limits(run):
    """Results of `run` under falling limits, until it is refused."""
    found, size = [], 1 << 24
    while True:
        try:
            with memory.limit(size):
                found.append(run())
        except MemoryError:
            return found
        size = size * 3 // 4


@pytest.mark.parametrize("bn", ["inference", "batch"])
def test_tangent_kernels_do_not_depend_on_memory(graph, arrays, images, bn):
    found = limits(lambda: tangent_kernel(Network(graph, arrays, dtype="float64"), images, bn))
    assert len(found) > 3
    for kernel in found:
        np.testing.assert_allclose(kernel, found[0], rtol=1e-9, atol=1e-12 * np.abs(found[0]).max())


def test_features_and_gradsign_do_not_depend_on_memory(graph, arrays, images):
    found = limits(lambda: features.extract(graph, arrays, images, batch_size=10**7, dtype="float64"))
    assert len(found) > 3
    for values in found:
        np.testing.assert_allclose(values, found[0], rtol=1e-9)

    def gradsign():
        outcome = proxies.evaluate(graph, arrays, images, np.arange(COUNT) % 4, ["gradsign"])["gradsign"]
        if outcome.status == "oom":
            raise MemoryError(outcome.message)
        assert outcome.status == "ok"
        return outcome.score

    scores = limits(gradsign)
    assert len(scores) > 3
    assert set(scores) == {scores[0]}


def test_what_fits_in_no_block_is_oom(graph, arrays, images):
    with memory.limit(40_000):
        found = proxies.evaluate(graph, arrays, images, np.arange(COUNT) % 4, ["params", "fnorm", "jacob_cov"])
    assert found["params"].status == "ok"
    for name in ("fnorm", "jacob_cov"):
        assert found[name].status == "oom"
        assert "MB needed" in found[name].message


def test_weights_are_refused_before_they_are_drawn():
    with memory.limit(1 << 20), pytest.raises(MemoryError, match="the weights"):
        weights.initialize(small(channels=1024))


def test_estimates_hold_what_a_pass_keeps(graph, arrays, images):
    """Bytes of the tensors that a forward pass keeps, counted on the tensors themselves."""
    network = Network(graph, arrays)
    for keep in (True, False):
        run = network.forward(images, "batch", keep=keep)
        tensors = [value for value in run.values.values() if value is not None]
        tensors += [saved.output for saved in run.saved.values() if saved.output is not None]
        held = sum(tensor.numpy().nbytes for tensor in {id(tensor): tensor for tensor in tensors}.values())
        estimate, most = (COUNT * each for each in network.footprint.forward(keep))
        assert held / 2 <= estimate <= 2 * held
        assert most > estimate


def test_kernels_of_many_logits_are_summed_as_they_come():
    """Two parts of a network and 30 logits, whose Gram matrices are ones: there are never more than a few of them."""
    order, logits = 200, 30

    class Ones:
        def numpy(self):
            return np.ones((order, order))

    class Network:
        def forward(self, images, bn, dead_branches):
            return None

        def example_gradients(self, run, cotangents, gram, params):
            return {"first": Ones(), "second": Ones()}

    cotangents = np.zeros((order, logits, logits))
    tracemalloc.start()
    found = ntk._gram_of(Network(), None, "inference", cotangents, "all", None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found == 2 * logits).all()
    assert peak < 6 * found.nbytes


def test_endless_networks_are_not_built(monkeypatch):
    monkeypatch.setattr("tfnas.networks.builder.MOST_LAYERS", 5)
    with pytest.raises(MemoryError, match="more than 5 layers"):
        small()
