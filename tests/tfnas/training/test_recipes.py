"""Recipes: learning rates, and settings out of range."""

import dataclasses
import math

import numpy as np
import pytest

from tfnas import training
from tfnas.errors import InputError


def test_rates_fall_along_a_cosine():
    recipe = training.Recipe(epochs=4, learning_rate=0.2)
    by_epoch = [recipe.rates(epoch, 2) for epoch in range(4)]
    np.testing.assert_allclose(
        by_epoch, [[0.2] * 2, [0.1 * (1 + math.sqrt(0.5))] * 2, [0.1] * 2, [0.1 * (1 - math.sqrt(0.5))] * 2], rtol=1e-6
    )
    by_step = dataclasses.replace(recipe, epochs=2, schedule="cosine_step")
    np.testing.assert_allclose(
        np.concatenate([by_step.rates(epoch, 2) for epoch in range(2)]), np.stack(by_epoch)[:, 0]
    )
    np.testing.assert_allclose(dataclasses.replace(recipe, schedule="constant").rates(3, 5), [0.2] * 5)


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"crop": -1},
        {"learning_rate": 0.0},
        {"weight_decay": -1.0},
        {"momentum": 1.0},
        {"label_smoothing": 1.0},
        {"schedule": "linear"},
    ],
)
def test_a_recipe_out_of_range_is_told(changes):
    ((name, value),) = changes.items()
    with pytest.raises(InputError, match="Received"):
        training.Recipe(**{name: value})
