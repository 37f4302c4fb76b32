"""Layer graphs as Keras models, against PyTorch's definitions written out in numpy."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tests.engine_cases import keras_model
from tests.tfnas.networks import cases
from tfnas.errors import InputError
from tfnas.networks.activations import ACTIVATIONS
from tfnas.networks.builder import GraphBuilder
from tfnas.networks.keras_model import _LAYERS, to_keras


def _single(op, shape, *args, **attrs):
    """The Keras model in float64 and the weights of one operation, called as the GraphBuilder method."""
    b = GraphBuilder(shape)
    graph = b.finish(getattr(b, op)("node", "input", *args, **attrs))
    arrays = cases.random_weights(graph)
    return keras_model(graph, arrays), {
        key.partition(".")[2]: value.astype(np.float64) for key, value in arrays.items()
    }


def images(*args, **options):
    return cases.images(*args, **options).astype(np.float64)


def _convolution(x, kernel, strides, pads, dilation, groups):
    """PyTorch's convolution as a loop over pixels: `pads` is (before, after) of height and width."""
    kh, kw, per_group, filters = kernel.shape
    x = np.pad(x, ((0, 0), *pads, (0, 0)))
    height = (x.shape[1] - dilation * (kh - 1) - 1) // strides + 1
    width = (x.shape[2] - dilation * (kw - 1) - 1) // strides + 1
    out = np.zeros((len(x), height, width, filters))
    for i in range(height):
        for j in range(width):
            rows = i * strides + dilation * np.arange(kh)
            columns = j * strides + dilation * np.arange(kw)
            window = x[:, rows][:, :, columns]
            for f in range(filters):
                first = f // (filters // groups) * per_group
                part = window[..., first : first + per_group]
                out[:, i, j, f] = np.sum(part * kernel[..., f], axis=(1, 2, 3))
    return out


def _same_pads(length, size, strides, dilation):
    total = max((-(-length // strides) - 1) * strides + dilation * (size - 1) + 1 - length, 0)
    return total // 2, total - total // 2


class TestLayers:
    def test_all_operations_are_here(self, everything):
        graph, _, _ = everything
        assert {node.op for node in graph.nodes} == {"input", *_LAYERS}

    @pytest.mark.parametrize("padding", ["same", "valid"])
    @pytest.mark.parametrize(
        ("size", "strides", "dilation", "groups"),
        [((3, 3), 1, 1, 1), ((1, 3), 2, 1, 1), ((3, 2), 1, 2, 2), ((3, 3), 2, 1, 4), ((1, 1), 2, 1, 1)],
    )
    def test_convolution(self, size, strides, dilation, groups, padding):
        options = {"strides": strides, "dilation": dilation, "groups": groups}
        model, arrays = _single("conv", (8, 7, 4), 8, size, padding=padding, use_bias=True, **options)
        pads = [
            _same_pads(length, window, strides, dilation) if padding == "same" else (0, 0)
            for length, window in zip((8, 7), size, strict=True)
        ]
        x = images((8, 7, 4))
        expected = _convolution(x, arrays["kernel"], pads=pads, **options) + arrays["bias"]
        np.testing.assert_allclose(model(x), expected, atol=1e-12)

    @pytest.mark.parametrize("multiplier", [1, 3])
    @pytest.mark.parametrize(("strides", "dilation"), [(1, 1), (2, 1), (1, 2)])
    def test_depthwise_convolution_is_one_group_a_channel(self, strides, dilation, multiplier):
        options = {"strides": strides, "dilation": dilation, "multiplier": multiplier}
        model, arrays = _single("depthwise_conv", (8, 8, 4), 3, use_bias=True, **options)
        pads = [_same_pads(8, 3, strides, dilation)] * 2
        x = images((8, 8, 4))
        kernel = arrays["kernel"].reshape(3, 3, 1, 4 * multiplier)
        expected = _convolution(x, kernel, strides, pads, dilation, groups=4) + arrays["bias"]
        np.testing.assert_allclose(model(x), expected, atol=1e-12)

    @pytest.mark.parametrize("kind", ACTIVATIONS)
    def test_activation(self, kind):
        x = np.linspace(-8, 8, 65).reshape(1, 65)
        logistic = 1 / (1 + np.exp(-x))
        expected = {
            "relu": np.maximum(x, 0),
            "relu6": np.clip(x, 0, 6),
            "hard_swish": x * np.clip(x + 3, 0, 6) / 6,
            "hard_sigmoid": np.clip(x + 3, 0, 6) / 6,
            "swish": x * logistic,
            "sigmoid": logistic,
            "tanh": np.tanh(x),
            "gelu": x * (1 + scipy.special.erf(x / np.sqrt(2))) / 2,
            "elu": np.where(x > 0, x, np.exp(x) - 1),
            "leaky_relu": np.where(x > 0, x, 0.2 * x),
        }[kind]
        model, _ = _single("activation", (65,), kind)
        # TensorFlow rounds the root of two in the one and the slope in the other to float32.
        exact = 1e-7 if kind in ("gelu", "leaky_relu") else 1e-12
        np.testing.assert_allclose(model(x), expected, rtol=0, atol=exact)

    @pytest.mark.parametrize(("kind", "reduce"), [("max", np.max), ("avg", np.mean)])
    @pytest.mark.parametrize(("size", "strides", "padding"), [(3, 1, "same"), (3, 2, "same"), (2, 2, "valid")])
    def test_pooling_never_counts_padding(self, kind, reduce, size, strides, padding):
        model, _ = _single(f"{kind}_pool", (6, 6, 2), size, strides=strides, padding=padding)
        x = images((6, 6, 2))
        before = _same_pads(6, size, strides, 1)[0] if padding == "same" else 0
        out = model(x)
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                (top, bottom), (left, right) = ((k * strides - before, k * strides - before + size) for k in (i, j))
                window = x[:, max(top, 0) : bottom, max(left, 0) : right]
                np.testing.assert_allclose(out[:, i, j], reduce(window, axis=(1, 2)), atol=1e-12)

    @pytest.mark.parametrize("moving", [True, False])
    @pytest.mark.parametrize(("scale", "center"), [(True, True), (True, False), (False, True), (False, False)])
    def test_batch_norm(self, moving, scale, center):
        options = {"momentum": 0.7, "epsilon": 0.01, "scale": scale, "center": center, "moving": moving}
        model, arrays = _single("batch_norm", (4, 4, 3), **options)
        x = images((4, 4, 3), batch=5) + 1

        def normalise(mean, variance):
            return (x - mean) / np.sqrt(variance + 0.01) * arrays.get("gamma", 1) + arrays.get("beta", 0)

        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        at_inference = normalise(arrays["moving_mean"], arrays["moving_variance"]) if moving else None
        batch = normalise(mean, variance)
        np.testing.assert_allclose(model(x, training=False), at_inference if moving else batch, atol=1e-12)
        np.testing.assert_allclose(model(x, training=True), batch, atol=1e-12)
        if moving:
            layer = model.get_layer("node")
            kept = 0.7 * arrays["moving_variance"] + 0.3 * variance
            np.testing.assert_allclose(layer.moving_variance.numpy(), kept, rtol=1e-12)
        else:
            assert not model.non_trainable_variables

    def test_second_derivative_of_batch_statistics(self):
        """Against finite differences of the first derivative."""
        b = GraphBuilder((2, 2, 2))
        options = {"momentum": 0.9, "epsilon": 1e-3, "moving": False}
        b.activation("act", b.batch_norm("norm", "input", **options), "swish")
        graph = b.finish("act")
        model = keras_model(graph, cases.random_weights(graph))
        x, direction = (tf.constant(images((2, 2, 2))) for _ in range(2))

        def gradient(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.reduce_sum(model(x) ** 2)
            return tape.gradient(y, x)

        with tf.GradientTape() as tape:
            tape.watch(x)
            slope = tf.reduce_sum(gradient(x) * direction)
        step = 1e-5
        expected = (gradient(x + step * direction) - gradient(x - step * direction)) / (2 * step)
        np.testing.assert_allclose(tape.gradient(slope, x), expected, atol=1e-7 * np.abs(expected).max())

    def test_rearrangements(self):
        x = images((6, 5, 4))
        amount = (1, 2, 0, 3)
        padded = np.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)), constant_values=-np.inf)
        for op, args, expected in [
            ("pad", (amount, float("-inf")), padded),
            ("pad", (amount,), np.where(np.isinf(padded), 0, padded)),
            ("crop", (amount,), x[:, 1:4, 0:2]),
            ("subsample", (2,), x[:, ::2, ::2]),
            ("slice_channels", (3,), x[..., :3]),
            ("flatten", (), x.reshape(3, -1)),
            ("reshape", ((5, 24),), x.reshape(3, 5, 24)),
            ("identity", (), x),
            ("zero", (), 0 * x),
            ("global_avg_pool", (), x.mean((1, 2))),
        ]:
            model, _ = _single(op, (6, 5, 4), *args)
            np.testing.assert_allclose(model(x), expected, atol=1e-12, err_msg=op)

    def test_dropout_is_of_training_alone(self):
        x = np.ones((1, 2000))
        models = [_single("dropout", (2000,), 0.25)[0] for _ in range(2)]
        first, again = (model(x, training=True).numpy() for model in models)
        np.testing.assert_array_equal(first, again)
        kept = first != 0
        assert abs(kept.mean() - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 2000)
        np.testing.assert_allclose(first[kept], 1 / 0.75)
        np.testing.assert_array_equal(models[0](x, training=False), x)


class TestToKeras:
    def test_names_shapes_and_counts(self, everything):
        graph, arrays, model = everything
        for node in graph.nodes:
            layer = model.get_layer(node.name)
            assert layer.output.shape == (None, *node.shape)
            for param, _ in node.params:
                assert np.array_equal(getattr(layer, param).numpy(), arrays[f"{node.name}.{param}"])
        assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == graph.count_params()

    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in Keras' own loading
    def test_saving(self, everything, tmp_path):
        _, _, model = everything
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        x = cases.images((9, 9, 3))
        for training in (False, True):
            np.testing.assert_array_equal(again(x, training=training), model(x, training=training))

    def test_wrong_weights(self, everything):
        graph, arrays, _ = everything
        with pytest.raises(InputError, match=r"'classifier\.bias' is only in one"):
            to_keras(graph, {k: v for k, v in arrays.items() if k != "classifier.bias"})
        with pytest.raises(InputError, match=r"'more\.bias' is only in one"):
            to_keras(graph, {**arrays, "more.bias": np.zeros(1)})
        with pytest.raises(InputError, match=r"'classifier\.bias'. Received: \(1,\). Allowed: \(4,\)"):
            to_keras(graph, {**arrays, "classifier.bias": np.zeros(1)})

    def test_strides_with_dilation(self):
        with pytest.raises(InputError, match="strides=2, dilation=2"):
            _single("conv", (8, 8, 2), 2, 3, strides=2, dilation=2)
