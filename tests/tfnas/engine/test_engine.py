"""First-order passes of the engine on every kind of layer, against Keras: tape, loop and Jacobian."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.engine_cases import CASES, SLOW, Case, cotangents, images
from tfnas.engine import Gram, Reducer, Rows, SignSums, reference
from tfnas.errors import InputError
from tfnas.networks.activations import ACTIVATIONS
from tfnas.networks.builder import GraphBuilder
from tfnas.networks.modes import BN_MODES

EVERY_MODE = pytest.mark.parametrize("bn", BN_MODES)
# Cases of the Jacobian that are not marked as slow: tracing it takes a second each.
JACOBIANS = [
    "conv_3x3_bias",
    "conv_groups_2",
    "depthwise_stride_2",
    "dense_on_maps",
    "multiply_gate",
    "bn",
    "bn_of_vectors",
    "cell",
]


def every_case(is_slow=lambda case: False):
    return pytest.mark.parametrize(
        "case",
        [
            pytest.param(case, marks=[pytest.mark.slow] if case.name in SLOW or is_slow(case) else [])
            for case in CASES.values()
        ],
        ids=CASES,
    )


# Of per-example gradients, layers without parameters show nothing that batch gradients do not.
cases_of_rows = every_case(lambda case: not case.has_own_parameters)


def close(actual, expected, tolerance=1e-9):
    """Equal up to a share of the largest expected value."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(np.abs(expected).max(initial=0), 1e-3))


@functools.cache
def looped(case: Case, bn: str) -> dict[str, np.ndarray]:
    return reference.loop(case.model, images(), cotangents(), bn)


@functools.cache
def forward(case: Case, bn: str):
    return case.network.forward(images(), bn)


def key_of(variable: keras.Variable) -> str:
    """The key of a Keras weight in a weights dictionary."""
    return variable.path.replace("/", ".")


def reduced(case: Case, bn: str, reducer: Reducer) -> dict:
    return case.network.example_gradients(forward(case, bn), cotangents(), reducer, params="all")


def rows_by_chain(case: Case, gradients: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Reference gradients laid out as `Rows` does: [N, P] for each chain with parameters."""
    found = {}
    for chain in case.network.chains:
        keys = [key for node in chain.nodes for key in node.param_keys() if ".moving_" not in key]
        if keys:
            found[chain.output] = np.concatenate([gradients[key].reshape(len(gradients[key]), -1) for key in keys], 1)
    return found


def test_cases_cover_every_layer():
    methods = {name for name in vars(GraphBuilder) if not name.startswith("_")} - {"shape", "finish", "copy"}
    nodes = [node for case in CASES.values() if case.name not in SLOW for node in case.graph.nodes]
    assert {node.op for node in nodes} == methods | {"input"}
    assert {node["kind"] for node in nodes if node.op == "activation"} == set(ACTIVATIONS)


@EVERY_MODE
@every_case()
class TestAgainstKeras:
    def test_logits_and_gradients(self, case, bn):
        """Of the weights and of the images; in mode "example" the weights' alone, as sums over the loop."""
        run = forward(case, bn)
        actual = case.network.gradients(run, cotangents(), params="all").params
        x = tf.constant(images())
        variables = case.model.trainable_variables
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = reference.logits(case.model, x, bn)
        close(run.values[case.graph.output], y)
        if bn == "example":
            expected = {key: rows.sum(axis=0) for key, rows in looped(case, bn).items()}
        else:
            sources = [x, *(variable.value for variable in variables)]
            by_x, *values = tape.gradient(y, sources, tf.constant(cotangents()), unconnected_gradients="zero")
            close(case.network.input_gradients(run, cotangents()), by_x)
            expected = {key_of(variable): value for variable, value in zip(variables, values, strict=True)}
        assert expected.keys() >= actual.keys()
        for key, value in expected.items():
            close(actual.get(key, np.zeros(value.shape)), value)


@cases_of_rows
class TestRowsOfSinglePasses:
    """Where examples do not see one another, one pass gives every example's gradients to a reducer."""

    @pytest.mark.parametrize("bn", ["inference", "example"])
    def test_rows(self, case, bn):
        if case.network.couples_examples(bn):
            with pytest.raises(ValueError, match="couples"):
                case.network.example_gradients(forward(case, bn), cotangents(), Rows())
            return
        expected = rows_by_chain(case, looped(case, bn))
        actual = reduced(case, bn, Rows())
        assert expected.keys() >= actual.keys()
        for chain, rows in expected.items():
            close(actual.get(chain, np.zeros_like(rows)), rows)

    def test_gram(self, case):
        """All inner products of the rows."""
        for gram in (Gram(), Gram(exact=False), Gram(anchors=2)):
            found = reduced(case, "example", gram)
            for chain, rows in rows_by_chain(case, looped(case, "example")).items():
                expected = rows[: gram.anchors or None] @ rows.T
                close(found.get(chain, np.zeros_like(expected)), expected)

    def test_sign_sums(self, case):
        """Sums of the rows' signs; which weight comes where in a chain is left open."""
        sums = reduced(case, "example", SignSums())
        for chain, rows in rows_by_chain(case, looped(case, "example")).items():
            actual = sums.get(chain, np.zeros(rows.shape[1]))
            assert len(actual) == rows.shape[1]
            round_off = np.abs(rows) < 1e-10 * max(np.abs(rows).max(), 1e-10)
            expected = np.sign(np.where(round_off, 0, rows)).sum(axis=0)
            differing = np.abs(np.sort(actual) - np.sort(expected)).sum()
            assert differing <= round_off.sum()


@cases_of_rows
def test_rows_of_passes_each(case):
    """Where BN couples the examples, the cotangent of one example gives its row, other examples' parts included."""
    expected = looped(case, "batch")
    run = forward(case, "batch")
    for i in range(len(images())):
        row = case.network.gradients(run, cotangents() * np.eye(len(images()))[:, [i]], params="all").params
        for key, rows in expected.items():
            close(row.get(key, np.zeros(rows[i].shape)), rows[i])


@every_case(lambda case: case.name not in JACOBIANS)
def test_jacobian_agrees_with_the_loop(case):
    """The two references; pfor only where it is right."""
    grouped = any(dict(node.attrs).get("groups", 1) > 1 for node in case.graph.nodes)
    if grouped:
        with pytest.raises(InputError, match="grouped"):
            reference.jacobian(case.model, images(), cotangents(), "batch")
    jacobian = reference.jacobian(case.model, images(), cotangents(), "batch", use_pfor=not grouped)
    assert jacobian.keys() == looped(case, "batch").keys()
    for key, rows in looped(case, "batch").items():
        close(jacobian[key], rows)


@pytest.mark.parametrize("name", ["conv_groups_2", "bn_of_vectors"])
@pytest.mark.parametrize("bn", ["inference", "example"])
def test_jacobian_in_other_modes(name, bn):
    case = CASES[name]
    jacobian = reference.jacobian(case.model, images(), cotangents(), bn, use_pfor=name != "conv_groups_2")
    for key, rows in looped(case, bn).items():
        close(jacobian[key], rows)


def test_references_leave_the_model_alone():
    model = CASES["bn"].model
    before = model.get_weights()
    reference.jacobian(model, images(), cotangents(), "batch")
    reference.loop(model, images(), cotangents(), "example")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_references_know_the_modes():
    for call in (reference.jacobian, reference.loop):
        with pytest.raises(InputError, match="BN mode"):
            call(CASES["bn"].model, images(), cotangents(), "train")


# Fisher saliency -----------------------------------------------------------------------------------------------------


FISHER_CASES = """conv_3x3_bias conv_groups_4_wide conv_dilated_stride_2 depthwise_3x3_bias depthwise_dilated_stride_2
dense_on_maps dense_on_vectors cell"""


@pytest.mark.parametrize("bn", ["inference", "batch"])
@pytest.mark.parametrize("name", FISHER_CASES.split())
def test_fisher(name, bn):
    """sum_c mean_n (sum_hw z dz)^2 / 2 times fan-in, with z and dz from a tape over the Keras model."""
    case = CASES[name]
    nodes = case.graph.weight_nodes()
    layers = [case.model.get_layer(node.name) for node in nodes]
    wide = keras.Model(case.model.input, [*(layer.output for layer in layers), case.model.output])
    with tf.GradientTape(persistent=True) as tape:
        *outputs, y = reference.logits(wide, images(), bn)
        total = tf.reduce_sum(y * cotangents())
    actual = case.network.gradients(forward(case, bn), cotangents(), fisher=True).fisher
    assert actual.keys() == {node.name for node in nodes}
    for node, z in zip(nodes, outputs, strict=True):
        product = (z * tape.gradient(total, z)).numpy()  # zero at the pixels that a subsampling leaves out
        channels = product.reshape(len(images()), -1, node.shape[-1]).sum(axis=1)
        *window, inputs, _ = dict(node.params)["kernel"]
        fan_in = math.prod(window) * (1 if node.op == "depthwise_conv" else inputs)
        close(actual[node.name], np.sum(np.mean(channels**2, axis=0)) / 2 * fan_in)
