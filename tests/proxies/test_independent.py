"""Every proxy against its second computation."""

import keras
import numpy as np
import pytest

import proxies
from tests import proxies_cases as case
from tests.proxies.independent import INDEPENDENT, of_activations, of_gradients  # noqa: F401  (they register)
from tests.proxies_cases import LABELS
from tfnas.engine import reference
from tfnas.networks.keras_model import to_keras


def test_every_proxy_has_a_second_computation():
    assert set(INDEPENDENT) == set(proxies.names())


@pytest.fixture(scope="module")
def outcomes():
    return proxies.evaluate(
        case.graph(), case.weights(), case.images(), LABELS, proxies.names(), proxies.Options(dtype="float64")
    )


@pytest.mark.parametrize("name", proxies.names())
def test_second_computation(name, outcomes):
    expected = INDEPENDENT[name]()
    assert np.isfinite(expected)
    assert outcomes[name].score == pytest.approx(expected, rel=1e-6)


def test_the_keras_model_is_the_same_network():
    """What all second computations rest on; in float32 too."""
    single = to_keras(case.graph(), case.weights())(case.images(), training=True)
    double = reference.logits(case.model(), case.images(), "batch")
    np.testing.assert_allclose(single, double, atol=1e-4)
    assert isinstance(case.model(), keras.Model)
