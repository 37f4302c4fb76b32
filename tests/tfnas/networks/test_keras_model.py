"""Layer graphs as Keras models and back, against PyTorch's definitions written out in numpy."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from keras import layers

from tfnas.errors import InputError
from tfnas.networks import graph as graph_lib
from tfnas.networks import keras_model, weights
from tfnas.networks.builder import GraphBuilder

_RNG = np.random.default_rng(0)


def _random_weights(graph, seed=0):
    """Weights with no value that a mistake could hide behind, such as a scale of one."""
    rng = np.random.default_rng(seed)
    arrays = weights.initialize(graph, "torch", seed)
    for key, value in arrays.items():
        if not key.endswith("kernel"):
            arrays[key] = rng.uniform(0.5, 1.5, value.shape).astype(np.float32)
    return arrays


def _images(shape, batch=3):
    return _RNG.standard_normal((batch, *shape)).astype(np.float32)


def _all_ops():
    """A network with every operation of GraphBuilder in it."""
    b = GraphBuilder((9, 9, 3))
    norm = {"momentum": 0.9, "epsilon": 1e-3}
    stem = b.conv("stem.0", "input", 8, 3, use_bias=True)
    x = b.batch_norm("stem.1", stem, **norm)
    ends = [b.activation(f"act.{kind}", x, kind) for kind in graph_lib.ACTIVATIONS]
    x = b.add("act.sum", ends)
    grouped = b.conv("grouped", x, 8, 3, groups=4)
    dilated = b.conv("dilated", x, 8, (3, 5), dilation=2)
    x = b.batch_norm("bare", b.add("sum", [grouped, dilated, x]), **norm, scale=False, center=False, moving=False)
    x = b.concat("concat", [x, b.zero("zero", x), b.identity("identity", x)])
    x = b.slice_channels("slice", x, 20)
    x = b.depthwise_conv("depthwise", x, 3, dilation=2, use_bias=True)
    x = b.batch_norm("offset_only", x, **norm, scale=False)
    pooled = b.max_pool("max", b.pad("max_pad", x, (1, 1, 1, 1), float("-inf")), 3, strides=2)
    average = b.subsample("subsample", b.avg_pool("average", x, 3, strides=1, padding="same"), 2)
    strided = b.conv("strided", b.pad("strided_pad", x, (1, 0, 1, 1)), 20, (2, 3), strides=2, padding="valid")
    cropped = b.crop("crop", b.pad("crop_pad", strided, (1, 2, 3, 4)), (1, 2, 3, 4))
    x = b.add("merge", [pooled, average, cropped])
    gate = b.reshape("gate.1", b.global_avg_pool("gate.0", x), (1, 1, 20))
    gate = b.activation("gate.3", b.conv("gate.2", gate, 20, 1, use_bias=True), "sigmoid")
    x = b.add("alone", [b.multiply("gated", x, gate)])
    x = b.depthwise_conv("strided_depthwise", x, 3, strides=2)
    x = b.batch_norm("still", x, **norm, moving=False)
    features = b.dense("hidden", b.flatten("flatten", x), 6, use_bias=False)
    return b.finish(b.dense("classifier", features, 4), features=features)


@pytest.fixture
def everything():
    graph = _all_ops()
    arrays = _random_weights(graph)
    return graph, arrays, keras_model.to_keras(graph, arrays)


def _single(op, shape, *args, **attrs):
    """The Keras model and weights of one operation, called as the GraphBuilder method."""
    b = GraphBuilder(shape)
    graph = b.finish(getattr(b, op)("node", "input", *args, **attrs))
    arrays = _random_weights(graph)
    return keras_model.to_keras(graph, arrays), {key.partition(".")[2]: value for key, value in arrays.items()}


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
        assert {node.op for node in graph.nodes} == {"input", *keras_model._LAYERS}

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
        x = _images((8, 7, 4))
        expected = _convolution(x, arrays["kernel"], pads=pads, **options) + arrays["bias"]
        np.testing.assert_allclose(model(x), expected, atol=1e-5)

    @pytest.mark.parametrize(("strides", "dilation"), [(1, 1), (2, 1), (1, 2)])
    def test_depthwise_convolution_is_one_group_a_channel(self, strides, dilation):
        model, arrays = _single("depthwise_conv", (8, 8, 4), 3, strides=strides, dilation=dilation, use_bias=True)
        pads = [_same_pads(8, 3, strides, dilation)] * 2
        x = _images((8, 8, 4))
        kernel = arrays["kernel"].transpose(0, 1, 3, 2)
        expected = _convolution(x, kernel, strides, pads, dilation, groups=4) + arrays["bias"]
        np.testing.assert_allclose(model(x), expected, atol=1e-5)

    @pytest.mark.parametrize("kind", graph_lib.ACTIVATIONS)
    def test_activation(self, kind):
        x = np.linspace(-8, 8, 65).astype(np.float32).reshape(1, 65)
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
        np.testing.assert_allclose(model(x), expected, atol=2e-6)

    @pytest.mark.parametrize(("kind", "reduce"), [("max", np.max), ("avg", np.mean)])
    @pytest.mark.parametrize(("size", "strides", "padding"), [(3, 1, "same"), (3, 2, "same"), (2, 2, "valid")])
    def test_pooling_never_counts_padding(self, kind, reduce, size, strides, padding):
        model, _ = _single(f"{kind}_pool", (6, 6, 2), size, strides=strides, padding=padding)
        x = _images((6, 6, 2))
        before = _same_pads(6, size, strides, 1)[0] if padding == "same" else 0
        out = model(x)
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                (top, bottom), (left, right) = ((k * strides - before, k * strides - before + size) for k in (i, j))
                window = x[:, max(top, 0) : bottom, max(left, 0) : right]
                np.testing.assert_allclose(out[:, i, j], reduce(window, axis=(1, 2)), atol=1e-6)

    @pytest.mark.parametrize("moving", [True, False])
    @pytest.mark.parametrize(("scale", "center"), [(True, True), (True, False), (False, True), (False, False)])
    def test_batch_norm(self, moving, scale, center):
        options = {"momentum": 0.7, "epsilon": 0.01, "scale": scale, "center": center, "moving": moving}
        model, arrays = _single("batch_norm", (4, 4, 3), **options)
        x = _images((4, 4, 3), batch=5) + 1

        def normalise(mean, variance):
            return (x - mean) / np.sqrt(variance + 0.01) * arrays.get("gamma", 1) + arrays.get("beta", 0)

        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        at_inference = normalise(arrays["moving_mean"], arrays["moving_variance"]) if moving else None
        batch = normalise(mean, variance)
        np.testing.assert_allclose(model(x, training=False), at_inference if moving else batch, atol=1e-5)
        np.testing.assert_allclose(model(x, training=True), batch, atol=1e-5)
        if moving:
            layer = model.get_layer("node")
            kept = 0.7 * arrays["moving_variance"] + 0.3 * variance
            np.testing.assert_allclose(layer.moving_variance.numpy(), kept, rtol=1e-5)
        else:
            assert not model.non_trainable_variables

    def test_second_derivative_of_batch_statistics(self):
        """Against finite differences of the first derivative."""
        b = GraphBuilder((2, 2, 2))
        options = {"momentum": 0.9, "epsilon": 1e-3, "moving": False}
        b.activation("act", b.batch_norm("norm", "input", **options), "swish")
        graph = b.finish("act")
        model = keras_model.to_keras(graph, _random_weights(graph))
        x, direction = tf.constant(_images((2, 2, 2))), tf.constant(_images((2, 2, 2)))

        def gradient(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.reduce_sum(model(x) ** 2)
            return tape.gradient(y, x)

        with tf.GradientTape() as tape:
            tape.watch(x)
            slope = tf.reduce_sum(gradient(x) * direction)
        step = 1e-2
        expected = (gradient(x + step * direction) - gradient(x - step * direction)) / (2 * step)
        np.testing.assert_allclose(tape.gradient(slope, x), expected, atol=5e-3 * np.abs(expected).max())

    def test_rearrangements(self):
        x = _images((6, 5, 4))
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
            np.testing.assert_allclose(model(x), expected, atol=1e-6, err_msg=op)


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
        x = _images((9, 9, 3))
        for training in (False, True):
            np.testing.assert_array_equal(again(x, training=training), model(x, training=training))

    def test_wrong_weights(self, everything):
        graph, arrays, _ = everything
        with pytest.raises(InputError, match=r"'classifier\.bias' is only in one"):
            keras_model.to_keras(graph, {k: v for k, v in arrays.items() if k != "classifier.bias"})
        with pytest.raises(InputError, match=r"'more\.bias' is only in one"):
            keras_model.to_keras(graph, {**arrays, "more.bias": np.zeros(1)})
        with pytest.raises(InputError, match=r"'classifier\.bias'. Received: \(1,\). Allowed: \(4,\)"):
            keras_model.to_keras(graph, {**arrays, "classifier.bias": np.zeros(1)})

    def test_strides_with_dilation(self):
        with pytest.raises(InputError, match="strides=2, dilation=2"):
            _single("conv", (8, 8, 2), 2, 3, strides=2, dilation=2)


def _classifier(*middle, shape=(8, 8, 3), end=None):
    return keras.Sequential([layers.Input(shape), *middle, *(end or [layers.Flatten(), layers.Dense(3)])])


def _functional_blocks():
    """Separable convolutions, squeeze-and-excite, nested models, activations as arguments: common user code."""
    inner = keras.Sequential([layers.Input((8, 8, 8)), layers.Conv2D(8, 3, padding="same", activation="swish")])
    image = layers.Input((8, 8, 3))
    x = layers.SeparableConv2D(8, 3, padding="same", activation="gelu", dilation_rate=2)(image)
    x = layers.Dropout(0.5)(layers.BatchNormalization(momentum=0.8)(inner(x)))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid")(gate)
    x = layers.Add()([layers.Multiply()([gate, x]), layers.LeakyReLU(0.2)(x), layers.ReLU(6.0)(x), layers.ELU()(x)])
    x = layers.Concatenate()([x, layers.Activation("linear")(x), layers.Rescaling(0.0)(x)])
    x = layers.Reshape((4, -1))(layers.AveragePooling2D(2)(layers.ZeroPadding2D()(layers.Cropping2D()(x))))
    x = layers.Dense(5, activation="tanh")(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(3, activation="softmax")(x))


_MODELS = {
    "blocks": _functional_blocks,
    "mobilenet_v2": lambda: keras.applications.MobileNetV2((32, 32, 3), 0.35, weights=None, classes=3),
    "resnet50": lambda: keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=3),
    "densenet": lambda: keras.applications.DenseNet121(weights=None, input_shape=(32, 32, 3), classes=3),
    "softmax_layer": lambda: _classifier(
        end=[layers.Flatten(), layers.Dense(3), layers.Softmax(), layers.Dropout(0.1)]
    ),
    "all_convolutional": lambda: _classifier(end=[layers.Conv2D(3, 8), layers.Flatten()]),
}
_LARGE = ("resnet50", "densenet")


class TestFromKeras:
    def test_round_trip_of_all_operations(self, everything):
        graph, arrays, model = everything
        again, again_arrays = keras_model.from_keras(model)
        assert {node.name for node in again.nodes} == set(graph.by_name)
        assert again.output == graph.output
        assert again.features == graph.features
        assert again.flops() == graph.flops()
        assert again_arrays.keys() == arrays.keys()
        for key, value in arrays.items():
            assert np.array_equal(again_arrays[key], value)
        x = _images((9, 9, 3))
        rebuilt = keras_model.to_keras(again, again_arrays)
        for training in (False, True):
            np.testing.assert_array_equal(rebuilt(x, training=training), model(x, training=training))

    @pytest.mark.parametrize(
        "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in _LARGE)) for name in _MODELS]
    )
    def test_user_models(self, name):
        model = _MODELS[name]()
        graph, arrays = keras_model.from_keras(model)
        logits = keras_model.to_keras(graph, arrays)
        x = _images(graph.input_shape)
        received, expected = logits(x, training=False), model(x, training=False)
        if name != "all_convolutional":
            assert not np.allclose(np.sum(received, axis=1), 1)
            received = tf.nn.softmax(received)
        np.testing.assert_allclose(received, expected, atol=1e-5)
        assert graph.count_params() == sum(int(np.prod(v.shape)) for v in model.trainable_variables)

    def test_names_of_split_layers(self):
        graph, arrays = keras_model.from_keras(
            _classifier(layers.SeparableConv2D(4, 3, activation="relu", name="sep"), layers.Conv2D(2, 1, name="conv"))
        )
        names = [node.name for node in graph.nodes[:5]]
        assert names == ["input", "sep_depthwise", "sep", "sep_activation", "conv"]
        assert arrays["sep_depthwise.kernel"].shape == (3, 3, 3, 1)
        assert arrays["sep.kernel"].shape == (1, 1, 3, 4)

    def test_features(self):
        pooled = _classifier(end=[layers.GlobalAveragePooling2D(name="pool"), layers.Dense(3)])
        assert keras_model.from_keras(pooled)[0].features == "pool"
        assert keras_model.from_keras(_classifier(end=[layers.Conv2D(3, 8), layers.Flatten()]))[0].features == ""

    @pytest.mark.parametrize(
        ("layer", "message"),
        [
            (layers.LayerNormalization(name="x"), r"'x' \(LayerNormalization\) cannot be read. Supported: .*Conv2D"),
            (layers.Conv2D(2, 3, strides=(1, 2), name="x"), r"'x' \(Conv2D\) has strides=\(1, 2\).*same for height"),
            (layers.Conv2D(2, 3, dilation_rate=(1, 2)), r"dilation_rate=\(1, 2\)"),
            (layers.Conv2D(2, 3, activation="selu"), "activation 'selu'. Supported: relu, "),
            (layers.DepthwiseConv2D(3, depth_multiplier=2), "depth_multiplier=2. Supported: 1"),
            (layers.SeparableConv2D(3, 3, depth_multiplier=2), "depth_multiplier=2. Supported: 1"),
            (layers.BatchNormalization(axis=1), "axis 1. Supported: the last"),
            (layers.MaxPooling2D((2, 1)), r"pool_size=\(2, 1\)"),
            (layers.MaxPooling2D(2, data_format="channels_first"), "data_format='channels_first'"),
            (layers.ReLU(3.0), r"has \(max_value.*\(3.0, .*max_value None or 6"),
            (layers.LeakyReLU(0.1), "negative_slope=0.1. Supported: 0.2"),
            (layers.ELU(0.5), "alpha=0.5"),
            (layers.Rescaling(1 / 255), "rescale the images ahead"),
            (layers.Softmax(), "follows a softmax. Supported: a softmax only at the end"),
        ],
    )
    def test_refused_layers(self, layer, message):
        with pytest.raises(InputError, match=message):
            keras_model.from_keras(_classifier(layer))

    def test_refused_merges(self):
        image = layers.Input((8, 8, 3))
        row = layers.Cropping2D(((0, 0), (0, 7)))(image)
        for merge, inputs, message in [
            (layers.Add(), [image, row], "different shapes"),
            (layers.Multiply(), [image, row], r"a map and a gate \[N, 1, 1, C\]"),
            (layers.Multiply(), [image, image, image], "multiplies 3 maps"),
            (layers.Concatenate(axis=1), [image, image], "axis 1"),
        ]:
            model = keras.Model(image, layers.Dense(2)(layers.Flatten()(merge(inputs))))
            with pytest.raises(InputError, match=message):
                keras_model.from_keras(model)

    def test_refused_models(self):
        class Subclass(keras.Model):
            def call(self, x):
                return x

        image, other = layers.Input((4, 4, 3)), layers.Input((4, 4, 3))
        flat = layers.Flatten()(image)
        shared = layers.Conv2D(3, 1, name="twice")
        for model, message in [
            (Subclass(), "functional and built Sequential.*Received: Subclass"),
            (keras.Sequential([layers.Dense(2)]), "functional and built Sequential"),
            (keras.Model([image, other], layers.Add()([image, other])), "one input. Received: 2"),
            (keras.Model(image, [flat, layers.Dense(2)(flat)]), "one output. Received: 2"),
            (keras.Model(image, layers.ReLU()(image)), r"ends in \[N, classes\]. Received: \(None, 4, 4, 3\)"),
            (keras.Sequential([layers.Input((7,)), layers.Dense(2)]), r"images \[N, H, W, C\].*Received: \(None, 7\)"),
            (_classifier(shape=(None, 8, 3), end=[layers.GlobalAveragePooling2D()]), "fixed size"),
            (keras.Model(image, layers.Flatten()(shared(shared(image)))), "'twice'.*used twice"),
        ]:
            with pytest.raises(InputError, match=message):
                keras_model.from_keras(model)

    def test_layers_without_weights_may_be_shared(self):
        relu = layers.ReLU(name="relu")
        graph, _ = keras_model.from_keras(_classifier(relu, layers.Conv2D(2, 3), relu))
        assert [node.name for node in graph.nodes if node.op == "activation"] == ["relu", "relu_1"]

    def test_deep_models(self):
        model = _classifier(*[layers.ReLU() for _ in range(600)])
        graph, _ = keras_model.from_keras(model)
        assert sum(node.op == "activation" for node in graph.nodes) == 600
