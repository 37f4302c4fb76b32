"""The table of activations: both functions of each are the same, and slopes are as it says."""

import numpy as np
import pytest
import tensorflow as tf

from tfnas.networks.activations import ACTIVATIONS

X = np.linspace(-8, 8, 161) + 0.01  # no kink among them


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_both_functions_agree(kind):
    activation = ACTIVATIONS[kind]
    np.testing.assert_allclose(activation(tf.constant(X)), activation.keras_function(tf.constant(X)), atol=1e-14)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_second_differences_vanish_where_the_table_says(kind):
    step = 1e-3
    before, at, after = (ACTIVATIONS[kind](tf.constant(X + h)).numpy() for h in (-step, 0, step))
    curvature = np.abs(before - 2 * at + after) / step**2
    assert (curvature.max() < 1e-6) == ACTIVATIONS[kind].piecewise_linear


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_second_derivatives(kind):
    """Of nested tapes, against differences of first derivatives; where the curvature has no jump."""
    activation, step = ACTIVATIONS[kind], 1e-5
    x = tf.constant(X)

    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = activation(x)
        return tape.gradient(y, x)

    with tf.GradientTape() as tape:
        tape.watch(x)
        dy = slope(x)
    second = tape.gradient(dy, x, unconnected_gradients="zero")
    np.testing.assert_allclose(second, (slope(x + step) - slope(x - step)) / (2 * step), atol=1e-7)
