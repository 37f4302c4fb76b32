"""Keras classifiers as layer graphs: the same outputs, and one line for what graphs cannot express."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.engine_cases import in_float64, keras_model
from tests.tfnas.networks import cases
from tfnas.errors import InputError
from tfnas.networks.keras_model import to_keras
from tfnas.networks.keras_reader import from_keras


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
        again, again_arrays = from_keras(model)
        assert {node.name for node in again.nodes} == set(graph.by_name)
        assert again.output == graph.output
        assert again.features == graph.features
        assert again.flops() == graph.flops()
        assert again_arrays.keys() == arrays.keys()
        for key, value in arrays.items():
            assert np.array_equal(again_arrays[key], value)
        x = cases.images((9, 9, 3))
        rebuilt = to_keras(again, again_arrays)
        # Which values are dropped depends on how often the model has dropped some.
        drawn, seed = (m.get_layer("dropout").seed_generator.state for m in (rebuilt, model))
        drawn.assign(seed)
        for training in (False, True):
            np.testing.assert_array_equal(rebuilt(x, training=training), model(x, training=training))

    @pytest.mark.parametrize(
        "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in _LARGE)) for name in _MODELS]
    )
    def test_user_models(self, name):
        with in_float64():
            model = _MODELS[name]()
        graph, arrays = from_keras(model)
        logits = keras_model(graph, arrays)
        x = cases.images(graph.input_shape).astype(np.float64)
        received, expected = logits(x, training=False), model(x, training=False)
        if name != "all_convolutional":
            assert not np.allclose(np.sum(received, axis=1), 1)
            received = tf.nn.softmax(received)
        np.testing.assert_allclose(received, expected, atol=1e-12)
        assert graph.count_params() == sum(int(np.prod(v.shape)) for v in model.trainable_variables)

    @pytest.mark.parametrize("layer", [layers.DepthwiseConv2D, lambda *a, **k: layers.SeparableConv2D(4, *a, **k)])
    def test_depth_multipliers(self, layer):
        with in_float64():
            model = _classifier(layer(3, depth_multiplier=2))
        graph, arrays = from_keras(model)
        x = cases.images(graph.input_shape).astype(np.float64)
        np.testing.assert_allclose(keras_model(graph, arrays)(x), model(x), atol=1e-12)

    def test_dropout(self):
        graph, _ = from_keras(
            _classifier(layers.Dropout(0.3, name="x"), layers.Dropout(0.3, (None, 1, 1, 3), name="y"))
        )
        assert [(graph.by_name[name].op, graph.by_name[name].attrs) for name in "xy"] == [
            ("dropout", (("rate", 0.3),)),
            ("identity", ()),
        ]

    def test_names_of_split_layers(self):
        graph, arrays = from_keras(
            _classifier(layers.SeparableConv2D(4, 3, activation="relu", name="sep"), layers.Conv2D(2, 1, name="conv"))
        )
        names = [node.name for node in graph.nodes[:5]]
        assert names == ["input", "sep_depthwise", "sep", "sep_activation", "conv"]
        assert arrays["sep_depthwise.kernel"].shape == (3, 3, 3, 1)
        assert arrays["sep.kernel"].shape == (1, 1, 3, 4)

    @pytest.mark.parametrize(
        "stack",
        [
            [layers.Conv2D(4, 3, name="input")],
            [layers.Conv2D(4, 3, activation="relu", name="x"), layers.Activation("tanh", name="x_activation")],
            [layers.Activation("tanh", name="x_activation"), layers.Conv2D(4, 3, activation="relu", name="x")],
            [layers.Conv2D(4, 3, name="x_depthwise"), layers.SeparableConv2D(4, 3, name="x")],
            [layers.SeparableConv2D(4, 3, name="x"), layers.Conv2D(4, 3, name="x_depthwise")],
        ],
    )
    def test_names_that_are_taken_get_a_number(self, stack):
        model = _classifier(*stack)
        graph, arrays = from_keras(model)
        images = np.random.default_rng(0).standard_normal((2, *graph.input_shape), np.float32)
        np.testing.assert_allclose(to_keras(graph, arrays)(images), model(images), rtol=1e-5, atol=1e-6)
        assert sum(node.name.endswith("_1") for node in graph.nodes) == 1

    def test_features(self):
        pooled = _classifier(end=[layers.GlobalAveragePooling2D(name="pool"), layers.Dense(3)])
        assert from_keras(pooled)[0].features == "pool"
        dropped = _classifier(end=[layers.GlobalAveragePooling2D(name="pool"), layers.Dropout(0.2), layers.Dense(3)])
        assert from_keras(dropped)[0].features == "pool"
        assert from_keras(_classifier(end=[layers.Conv2D(3, 8), layers.Flatten()]))[0].features == ""

    @pytest.mark.parametrize(
        ("layer", "message"),
        [
            (layers.LayerNormalization(name="x"), r"'x' \(LayerNormalization\) cannot be read. Supported: .*Conv2D"),
            (layers.Conv2D(2, 3, strides=(1, 2), name="x"), r"'x' \(Conv2D\) has strides=\(1, 2\).*same for height"),
            (layers.Conv2D(2, 3, dilation_rate=(1, 2)), r"dilation_rate=\(1, 2\)"),
            (layers.Conv2D(2, 3, activation="selu"), "activation 'selu'. Supported: relu, "),
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
            from_keras(_classifier(layer))

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
                from_keras(model)

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
                from_keras(model)

    def test_layers_without_weights_may_be_shared(self):
        relu = layers.ReLU(name="relu")
        graph, _ = from_keras(_classifier(relu, layers.Conv2D(2, 3), relu))
        assert [node.name for node in graph.nodes if node.op == "activation"] == ["relu", "relu_1"]

    def test_deep_models(self):
        model = _classifier(*[layers.ReLU() for _ in range(600)])
        graph, _ = from_keras(model)
        assert sum(node.op == "activation" for node in graph.nodes) == 600
