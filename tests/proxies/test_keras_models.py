"""Scores of Keras models."""

import functools

import keras
import numpy as np
import pytest

import proxies
from tests import proxies_cases as case
from tests.proxies_cases import LABELS
from tfnas.networks.keras_reader import from_keras

EVERY_PROXY = pytest.mark.parametrize("name", proxies.names())


def sequential(norm: bool) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    body = [layers.Conv2D(6, 3, padding="same"), *([layers.BatchNormalization()] * norm), layers.ReLU()]
    body += [layers.MaxPooling2D(), layers.Conv2D(8, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((8, 8, 3)), *body, layers.Dense(5, activation="softmax")])


@pytest.mark.parametrize("norm", [True, False], ids=["bn", "no_bn"])
@EVERY_PROXY
def test_plain_keras_models_have_scores(name, norm):
    outcome = scored_sequential(norm)[name]
    assert outcome.status == "ok", outcome.message
    assert np.isfinite(outcome.score)


@functools.cache
def scored_sequential(norm: bool) -> dict[str, proxies.Outcome]:
    return proxies.evaluate(*from_keras(sequential(norm)), case.images(), LABELS, proxies.names())


def test_score_of_a_keras_model():
    """The short call gives the same numbers, by name, and leaves the model alone."""
    model = sequential(norm=True)
    before = model.get_weights()
    scores = proxies.score(model, case.images(), LABELS, "all")
    assert scores == pytest.approx({name: outcome.score for name, outcome in scored_sequential(True).items()})
    assert proxies.score(model, case.images(), LABELS, "snip") == {"snip": scores["snip"]}
    two = proxies.score(model, case.images(), LABELS, ["synflow", "fnorm"], ntk_params="all", bn="inference")
    assert two["synflow"] == scores["synflow"]
    assert two["fnorm"] != scores["fnorm"]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_networks_of_one_block():
    """AZ-NAS compares blocks; without convolutions there may be none to compare."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(5)])
    for name, outcome in proxies.evaluate(*from_keras(model), case.images(), LABELS, proxies.names()).items():
        if name.startswith("aznas"):
            assert outcome.message == "InputError: AZ-NAS needs a network of two blocks or more. Received: 0"
        elif name == "zen":
            assert outcome.message.startswith("InputError: Zen needs a map")
        elif name == "meco":
            assert outcome.message.startswith("InputError: MeCo needs")
        elif name in ("naswot", "linear_regions"):  # no ReLU
            assert outcome.status == "nan"
        else:
            assert outcome.status == "ok", outcome.message


def test_all_proxies_of_a_model_that_some_do_not_fit():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    images = np.random.default_rng(0).standard_normal((4, 6, 6, 1)).astype(np.float32)
    with pytest.warns(UserWarning, match="Not scored on this model: .*zen"):
        scores = proxies.score(model, images, np.array([0, 1, 2, 0]), "all")
    assert set(scores) == set(proxies.names())
    assert np.isnan(scores["zen"])
    assert scores["params"] == 37 * 3
    with pytest.raises(RuntimeError, match="zen"):
        proxies.score(model, images, np.array([0, 1, 2, 0]), ["zen"])
