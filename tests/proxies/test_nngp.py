"""Inference with kernels of untrained networks: members, ensembles, prefixes, both kernels."""

import keras
import numpy as np
import pytest

import proxies
import spaces
from proxies import nngp
from tests.engine_cases import in_float64, random_weights
from tfnas.engine import Network, ntk, reference, tangent_kernel
from tfnas.errors import InputError
from tfnas.inference import ridge
from tfnas.networks import keras_model, weights
from tfnas.seeds import derive_seed

REGULARIZERS = (1e-3, 1e-1, 10.0)
CLASSES = 3
ARCH = "conv3x3~0|conv1x1~01|maxpool3x3~1|output~23"
SETTINGS = {"width": 8, "depth": 1, "stages": 2, "classes": CLASSES, "input_shape": (8, 8, 2)}


@pytest.fixture(scope="module")
def graph():
    return spaces.get("nasbench101").layer_graph(ARCH, **SETTINGS)


@pytest.fixture(scope="module")
def data(graph):
    rng = np.random.default_rng(0)
    images = rng.standard_normal((30, *graph.input_shape)).astype(np.float32)
    labels = np.arange(30) % CLASSES
    images[..., 0] += labels[:, None, None]  # something to learn
    return nngp.Data(images[:12], labels[:12], images[12:], labels[12:], CLASSES)


def arrays_of(graph, data, seed=0):
    return nngp.member_weights(graph, "tensorflow", seed, data.train[:6])


@pytest.fixture(scope="module")
def members(graph, data):
    return [
        nngp.nngp_member(graph, arrays_of(graph, data, seed), data, block_size=7, dtype="float64") for seed in range(3)
    ]


def close(found, expected):
    """Equal up to a share of the largest expected value."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def plain_accuracies(k_tt, k_vt, labels, val_labels, regularizers):
    """Algorithm 1 with numpy's general solver."""
    y = np.eye(CLASSES)[labels] - 1 / CLASSES
    mean = np.trace(k_tt) / len(k_tt)
    solved = (np.linalg.solve(k_tt + eps * mean * np.eye(len(k_tt)), y) for eps in regularizers)
    return [np.mean((k_vt @ a).argmax(1) == val_labels) for a in solved]


class TestNNGP:
    def test_equals_algorithm_1(self, data, members):
        sweep = nngp.infer(members, data, 12, 18, REGULARIZERS)
        d = members[0].train.shape[1]
        k_tt = sum(m.train.astype(float) @ m.train.T.astype(float) for m in members) / (len(members) * d)
        k_vt = sum(m.val.astype(float) @ m.train.T.astype(float) for m in members) / (len(members) * d)
        expected = plain_accuracies(k_tt, k_vt, data.train_labels, data.val_labels, REGULARIZERS)
        assert sweep.accuracies == pytest.approx(expected, abs=1e-12)
        assert sweep.accuracy == max(expected) > 0.5

    def test_smaller_sets_are_prefixes(self, graph, data, members):
        small = nngp.Data(data.train[:6], data.train_labels[:6], data.val[:9], data.val_labels[:9], CLASSES)
        alone = [
            nngp.nngp_member(graph, arrays_of(graph, data, seed), small, block_size=5, dtype="float64")
            for seed in range(2)
        ]
        expected = nngp.infer(alone, small, 6, 9, REGULARIZERS)
        assert np.array_equal(nngp.infer(members[:2], data, 6, 9, REGULARIZERS).accuracies, expected.accuracies)

    def test_members_in_any_order(self, data, members):
        first = nngp.infer(members, data, 12, 18, REGULARIZERS)
        assert np.array_equal(nngp.infer(members[::-1], data, 12, 18, REGULARIZERS).accuracies, first.accuracies)

    def test_features_in_front_of_the_classifier(self, graph, data, members):
        with in_float64():
            model = spaces.get("nasbench101").build(ARCH, **SETTINGS)
        keras_model.assign(model, arrays_of(graph, data))
        penultimate = keras.Model(model.input, model.get_layer(graph.features).output)
        close(members[0].train, penultimate(data.train, training=False))

    def test_momentum_decides_the_statistics(self, graph, data):
        def moved(momentum):
            arrays = nngp.member_weights(graph, "tensorflow", 0, data.train, momentum=momentum, dtype="float64")
            return arrays["stem.batch_normalization.moving_variance"]

        fresh = weights.initialize(graph, "tensorflow", 0)["stem.batch_normalization.moving_variance"].astype(float)
        batch = moved(0.0)
        assert np.array_equal(moved(1.0), fresh)
        close(moved(None), 0.997 * fresh + 0.003 * batch)
        # The stem's statistics, computed apart with numpy.
        conv = Network(graph, weights.initialize(graph, "tensorflow", 0), dtype="float64", fuse=False)
        seen = {}
        conv.forward(data.train, "batch", keep=False, observer=seen.__setitem__)
        close(batch, seen["stem.conv2d"].numpy().var((0, 1, 2)))


class TestNTK:
    def test_equals_the_tangent_kernel(self, graph, data):
        arrays = arrays_of(graph, data)
        member = nngp.ntk_member(graph, arrays, data, dtype="float64", block_size=5)
        both = np.concatenate([data.train, data.val])
        whole = tangent_kernel(Network(graph, arrays, dtype="float64"), both, "inference", kernel="trace") / CLASSES
        close(member.train, whole[:12, :12])
        close(member.val, whole[12:, :12])

    def test_equals_a_loop_over_logits(self):
        """Every row of the Jacobian by the reference implementation, on a model of all layer kinds the space has."""
        space = spaces.get("nasbench101")
        settings = {"width": 4, "depth": 1, "stages": 1, "classes": 2, "input_shape": (4, 4, 1)}
        text = "conv3x3~0|conv1x1~01|maxpool3x3~1|output~023"
        graph = space.layer_graph(text, **settings)
        with in_float64():
            model = space.build(text, **settings)
        arrays = random_weights(graph)
        keras_model.assign(model, arrays)
        images = np.random.default_rng(1).standard_normal((5, 4, 4, 1))
        expected = np.zeros((5, 5))
        for logit in np.eye(2):
            rows = reference.loop(model, images, np.tile(logit, (5, 1)), "inference")
            flat = np.concatenate([row.reshape(5, -1) for row in rows.values()], 1)
            expected += flat @ flat.T / 2
        data = nngp.Data(images[:2], np.zeros(2, int), images[2:], np.zeros(3, int), 2)
        member = nngp.ntk_member(graph, arrays, data, dtype="float64", block_size=2)
        close(member.train, expected[:2, :2])
        close(member.val, expected[2:, :2])

    def test_block_size_changes_nothing(self, graph, data):
        network = Network(graph, arrays_of(graph, data), dtype="float64")
        found = [
            ntk.train_val_kernels(network, data.train[:4], data.val[:7], "inference", kernel="trace", block=block)
            for block in (1, 3, 7, 0)
        ]
        for train, val in found[1:]:
            assert train == pytest.approx(found[0][0], rel=1e-10)
            assert val == pytest.approx(found[0][1], rel=1e-9)

    def test_inference(self, graph, data):
        members = [nngp.ntk_member(graph, arrays_of(graph, data, seed), data) for seed in range(2)]
        sweep = nngp.infer(members, data, 9, 18, REGULARIZERS)
        k_tt = sum(m.train[:9, :9] for m in members) / 2
        k_vt = sum(m.val[:, :9] for m in members) / 2
        expected = plain_accuracies(k_tt, k_vt, data.train_labels[:9], data.val_labels, REGULARIZERS)
        assert sweep.accuracies == pytest.approx(expected, abs=1e-12)
        assert isinstance(sweep, ridge.Sweep)


def batch_of(data):
    return np.concatenate([data.train, data.val]), np.concatenate([data.train_labels, data.val_labels])


class TestEnsemble:
    OPTIONS = proxies.Options(n_train=12, n_val=18, ensemble=2, regularizers=REGULARIZERS, init="tensorflow", seed=5)

    @pytest.mark.parametrize("kernel", nngp.MEMBERS)
    def test_of_a_batch_is_inference_with_its_members(self, graph, data, kernel):
        found = proxies.evaluate(graph, {}, *batch_of(data), [kernel], self.OPTIONS)[kernel]
        members = []
        for index in range(2):
            arrays = nngp.member_weights(graph, "tensorflow", derive_seed(5, "member", index), data.train)
            members.append(nngp.MEMBERS[kernel](graph, arrays, data))
        expected = nngp.infer(members, data, 12, 18, REGULARIZERS).accuracy
        assert (found.status, found.bn) == ("ok", "inference")
        assert found.score == pytest.approx(expected, abs=1e-12)
        assert 0 < expected <= 1

    def test_members_are_made_once_and_sweeps_are_kept(self, data, members):
        asked = []
        ensemble = nngp.Ensemble(lambda kernel, index: asked.append(index) or members[index], data, self.OPTIONS)
        assert ensemble.accuracy("nngp") == ensemble.accuracy("nngp") == ensemble.sweep("nngp").accuracy
        assert asked == [0, 1]
        assert list(ensemble.sweeps) == ["nngp"]

    def test_too_few_images_are_bad_input(self, graph, data):
        with pytest.raises(InputError, match=r"Received: 30. Needed: 100 \+ 500"):
            proxies.evaluate(graph, {}, *batch_of(data), ["nngp"])


def test_seeds_are_those_of_scoring():
    assert nngp.member_seed(3, "nasbench101", "output~0", 2) == derive_seed(3, "nasbench101", "output~0", 2)
