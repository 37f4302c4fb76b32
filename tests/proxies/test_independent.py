"""Every proxy against its second computation."""

import keras
import numpy as np
import pytest

import proxies
from tests import float32
from tests import proxies_cases as case
from tests.proxies.independent import INDEPENDENT, of_activations, of_gradients  # noqa: F401  (they register)
from tests.proxies_cases import LABELS
from tfnas.engine import Network, reference
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

    def logits(weights, images):
        network = Network(case.graph(), weights, dtype="float64")
        return {"logits": network.forward(images, "batch", keep=False).values[case.graph().output].numpy()}

    expected = logits(case.weights(), case.images())
    double = reference.logits(case.model(), case.images(), "batch")
    float32.check({"logits": double}, expected, {"logits": 1e-9 * float32.largest(expected["logits"])})
    single = to_keras(case.graph(), case.weights())(case.images(), training=True)
    allowed = float32.allowed(float32.spread(logits, case.weights(), case.images()), expected)
    float32.check({"logits": single}, expected, allowed)
    assert isinstance(case.model(), keras.Model)
