import numpy as np
import pytest
from scipy import stats

from tfnas.errors import InputError
from tfnas.networks import weights
from tfnas.networks.builder import GraphBuilder


@pytest.fixture(scope="module")
def graph():
    """Every kind of parameter, in layers large enough for moments."""
    b = GraphBuilder((8, 8, 64))
    x = b.conv("conv", "input", 96, 3, use_bias=True)
    x = b.conv("grouped", x, 192, (3, 1), groups=2)
    x = b.depthwise_conv("depthwise", x, 7, use_bias=True)
    x = b.batch_norm("norm", x, momentum=0.9, epsilon=1e-5)
    x = b.batch_norm("bare_norm", x, momentum=0.9, epsilon=1e-5, scale=False, center=False, moving=False)
    return b.finish(b.dense("dense", b.global_avg_pool("pool", x), 60))


# By hand: kernel area times input channels (outputs) of a group; fan_out counts all groups.
_FANS = {"conv": (9 * 64, 9 * 96), "grouped": (3 * 48, 3 * 192), "depthwise": (49, 49 * 192), "dense": (192, 60)}
_VARIANCES = {
    "torch": lambda fan_in, fan_out: 1 / (3 * fan_in),
    "kaiming_normal": lambda fan_in, fan_out: 2 / fan_in,
    "kaiming_normal_fan_out": lambda fan_in, fan_out: 2 / fan_out,
    "xavier": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "gaussian": lambda fan_in, fan_out: 1.0,
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
    "tensorflow": lambda fan_in, fan_out: 1 / fan_in,  # of convolutions
    "mnas": lambda fan_in, fan_out: 2 / fan_out,  # of convolutions that are not depthwise
    "proxylessnas": lambda fan_in, fan_out: 2 / fan_out,  # of convolutions
}
_TRUNCATED = stats.truncnorm(-2, 2)


def _law(scheme, layer):
    """The distribution of a scheme's kernels, by scipy."""
    scale = np.sqrt(_VARIANCES[scheme](*_FANS[layer]))
    if scheme == "tensorflow" and layer == "dense":
        limit = np.sqrt(6 / sum(_FANS[layer]))
        return stats.uniform(-limit, 2 * limit)
    if scheme == "mnas" and layer == "dense":
        return stats.uniform(-1 / np.sqrt(60), 2 / np.sqrt(60))
    if scheme == "mnas" and layer == "depthwise":
        return stats.norm(scale=np.sqrt(2 / 49))
    if scheme == "proxylessnas" and layer == "dense":
        return _law("torch", layer)
    if scheme == "torch":
        return stats.uniform(-np.sqrt(3) * scale, 2 * np.sqrt(3) * scale)
    if scheme in ("lecun", "tensorflow"):
        return stats.truncnorm(-2, 2, scale=scale / _TRUNCATED.std())
    return stats.norm(scale=scale)


def test_every_scheme_is_covered():
    assert set(weights.SCHEMES) == set(_VARIANCES)


@pytest.mark.parametrize("scheme", weights.SCHEMES)
class TestSchemes:
    def test_keys_shapes_and_type(self, graph, scheme):
        arrays = weights.initialize(graph, scheme)
        assert list(arrays) == [key for node in graph.nodes for key in node.param_keys()]
        shapes = {f"{node.name}.{param}": shape for node in graph.nodes for param, shape in node.params}
        assert {key: value.shape for key, value in arrays.items()} == shapes
        assert {value.dtype for value in arrays.values()} == {np.dtype(np.float32)}

    @pytest.mark.parametrize("layer", _FANS)
    def test_kernels_follow_the_law(self, graph, scheme, layer):
        kernel = weights.initialize(graph, scheme, seed=3)[f"{layer}.kernel"].ravel()
        law = _law(scheme, layer)
        assert stats.kstest(kernel, law.cdf).pvalue > 1e-3
        low, high = law.support()
        assert low - 1e-6 <= kernel.min()
        assert kernel.max() <= high + 1e-6

    def test_constants_and_biases(self, graph, scheme):
        arrays = weights.initialize(graph, scheme)
        for param, value in {"gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1}.items():
            assert np.all(arrays[f"norm.{param}"] == value)
        for layer in ("conv", "depthwise", "dense"):
            bias = arrays[f"{layer}.bias"]
            if scheme == "torch":
                limit = 1 / np.sqrt(_FANS[layer][0])
                assert stats.kstest(bias, stats.uniform(-limit, 2 * limit).cdf).pvalue > 1e-3
            else:
                assert not bias.any()

    def test_seed(self, graph, scheme):
        first, again, other = (weights.initialize(graph, scheme, seed) for seed in (1, 1, 2))
        for key in first:
            assert np.array_equal(first[key], again[key])
        for layer in _FANS:
            assert not np.array_equal(first[f"{layer}.kernel"], other[f"{layer}.kernel"])


def test_layers_are_independent():
    b = GraphBuilder((4, 4, 32))
    x = b.conv("b", b.conv("a", "input", 32, 3), 32, 3)
    arrays = weights.initialize(b.finish(x))
    correlation = np.corrcoef(arrays["a.kernel"].ravel(), arrays["b.kernel"].ravel())[0, 1]
    assert abs(correlation) < 4 / np.sqrt(arrays["a.kernel"].size)


def test_tensorflow_is_that_of_keras_layers():
    """The bounds of Keras' own initialisers, which NAS-Bench-101 leaves at their defaults."""
    import keras

    b = GraphBuilder((8, 8, 16))
    graph = b.finish(b.dense("dense", b.global_avg_pool("pool", b.conv("conv", "input", 256, 3)), 100))
    arrays = weights.initialize(graph, "tensorflow")
    kernels = {
        "conv": keras.initializers.VarianceScaling(seed=0)((3, 3, 16, 256)),
        "dense": keras.initializers.GlorotUniform(seed=0)((256, 100)),
    }
    for layer, values in kernels.items():
        ours, theirs = arrays[f"{layer}.kernel"].ravel(), np.ravel(values)
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-3
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=1e-3)
    assert not arrays["dense.bias"].any()


def test_unknown_scheme(graph):
    with pytest.raises(InputError, match=r"Unknown initialisation scheme.*'he'.*Allowed: gaussian, kaiming_normal"):
        weights.initialize(graph, "he")
