"""Recipes: their values out of range, what keys have of them, and their first steps against plain loops.

The loops are written from the publications (specifications: proxies.md sections 2 and 6, spaces.md section of each
space), with their constants, in numpy on gradients of a Keras model in float64. None looks at a recipe.
"""

import dataclasses
import math

import numpy as np
import pytest

from tests import engine_cases
from tests.tfnas.training import cases
from tfnas import training
from tfnas.errors import InputError

STEPS, BATCH = 3, 8  # an epoch


def torch_sgd(rate, *, momentum=0.9, nesterov=True, decay, clip=0.0):
    """torch.optim.SGD after torch.nn.utils.clip_grad_norm_; `rate` of (epoch, step of the training)."""

    def update(values, gradients, memory, step):
        norm = math.sqrt(sum(np.sum(g**2) for g in gradients.values()))
        factor = min(1.0, clip / (norm + 1e-6)) if clip else 1.0
        for key, gradient in gradients.items():
            gradient = factor * gradient + decay * values[key]
            buffer = memory.setdefault(key, 0.0) * momentum + gradient
            memory[key] = buffer
            values[key] = values[key] - rate(step // STEPS, step) * (
                gradient + momentum * buffer if nesterov else buffer
            )

    return update


def tf1_rmsprop(rate, *, decay=0.9, momentum=0.9, epsilon, l2, spared=()):
    """tf.train.RMSPropOptimizer with an L2 loss of some variables."""

    def update(values, gradients, memory, step):
        for key, gradient in gradients.items():
            if key.rpartition(".")[2] not in spared:
                gradient = gradient + l2 * values[key]
            square, velocity = memory.get(key, (1.0, 0.0))
            square = decay * square + (1 - decay) * gradient**2
            velocity = momentum * velocity + rate(step // STEPS, step) * gradient / np.sqrt(square + epsilon)
            memory[key] = square, velocity
            values[key] = values[key] - velocity

    return update


def cosine(first, length):
    return lambda epoch, step: first * (1 + math.cos(math.pi * epoch / length)) / 2


def cosine_by_step(first, length):
    return lambda epoch, step: first * (1 + math.cos(math.pi * step / (length * STEPS))) / 2


def mnas_rate(epoch, step):
    warm_up = 5 * STEPS
    if step < warm_up:
        return 0.016 * 1024 / 256 * step / warm_up
    return 0.016 * 1024 / 256 * 0.97 ** (step // (2.4 * STEPS))


# By recipe: the update, label smoothing, and the most that a moving average keeps.
PUBLISHED = {
    "nasbench201": (torch_sgd(cosine(0.1, 12), decay=5e-4), 0, 0),
    "nasbench101": (tf1_rmsprop(cosine_by_step(0.2, 108), epsilon=1.0, l2=1e-4), 0, 0),
    "lga": (torch_sgd(lambda epoch, step: 0.025, nesterov=False, decay=3e-4), 0, 0),
    "fear_stage1": (torch_sgd(cosine(0.1, 200), decay=5e-4, clip=5.0), 0, 0),
    "fear_stage2": (torch_sgd(cosine(0.1, 5), decay=5e-4, clip=5.0), 0, 0),
    "mnas": (tf1_rmsprop(mnas_rate, epsilon=1e-3, l2=1e-5, spared=("gamma", "beta")), 0.1, 0.9999),
}


def test_every_recipe_has_a_plain_loop():
    assert set(PUBLISHED) == set(training.RECIPES)


@pytest.mark.parametrize("scale", [1.0, 30.0], ids=["", "clipped"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_first_steps_of_a_recipe_are_those_of_a_plain_loop(name, scale):
    """Scaled logits make gradients whose norm is above 5."""
    update, smoothing, ema = PUBLISHED[name]
    recipe = dataclasses.replace(training.RECIPES[name], batch_size=BATCH, flip=False, crop=0)
    graph = cases.small_graph()
    images, labels = cases.random_data(BATCH, (8, 8, 1), 10)
    images = images.astype(np.float64)
    initial = cases.initial(graph)
    initial["classifier.kernel"] *= scale
    trainer = training.Trainer(graph, recipe, precision="float64")
    trainer.start(initial)
    model = engine_cases.keras_model(graph, initial)
    values, memory, norms = cases.keras_weights(graph, model), {}, []
    averages = {key: value.copy() for key, value in values.items()}
    names = {node.name for node in graph.nodes}
    for step in range(2 * STEPS):
        found = trainer.step(images, labels, recipe.rates(step // STEPS, STEPS)[step % STEPS])
        loss, variables, gradients = cases.keras_step(model, images, labels, smoothing, names)
        norms.append(math.sqrt(sum(np.sum(g**2) for g in gradients.values())))
        assert float(found.loss) == pytest.approx(loss, rel=1e-9)
        assert float(found.gradient_norm) == pytest.approx(norms[-1], rel=1e-9)
        update(values, gradients, memory, step)
        for key, variable in variables.items():
            variable.assign(values[key])
        values = cases.keras_weights(graph, model)
        share = min(ema, (1 + step) / (10 + step))
        averages = {key: share * averages[key] + (1 - share) * values[key] for key in values}
    cases.assert_close(trainer.weights(averaged=False), values)
    cases.assert_close(trainer.weights(), averages if ema else values)
    assert (max(norms) > 5) == (scale > 1)


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


def test_a_staircase_falls_where_its_steps_end_and_a_warm_up_comes_before():
    recipe = training.Recipe(schedule="staircase", learning_rate=2.0, decay_rate=0.5, decay_epochs=2.4)
    whole = np.concatenate([recipe.rates(epoch, 5) for epoch in range(6)])  # a step of 12
    np.testing.assert_array_equal(whole, [2.0] * 12 + [1.0] * 12 + [0.5] * 6)
    warm = dataclasses.replace(recipe, warmup_epochs=1.6)
    found = np.concatenate([warm.rates(epoch, 5) for epoch in range(6)])
    np.testing.assert_allclose(found, [*(2.0 * np.arange(8) / 8), *whole[8:]])


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"crop": -1},
        {"cutout": -1},
        {"learning_rate": 0.0},
        {"learning_rate": math.inf},
        {"weight_decay": -1.0},
        {"clip_norm": -1.0},
        {"warmup_epochs": -1.0},
        {"decay_rate": 0.0},
        {"decay_epochs": 0.0},
        {"momentum": 1.0},
        {"label_smoothing": 1.0},
        {"rms_decay": 1.0},
        {"rms_epsilon": 0.0},
        {"ema": 1.0},
        {"dropout": 1.0},
        {"schedule": "linear"},
        {"optimizer": "adam"},
        {"decayed": "none"},
    ],
)
def test_a_recipe_out_of_range_is_told(changes):
    ((name, value),) = changes.items()
    with pytest.raises(InputError, match=r"Received: .*Allowed"):
        training.Recipe(**{name: value})


def test_an_unknown_recipe_is_told():
    with pytest.raises(InputError, match=r"Received: 'nas'. Allowed: fear_stage1, "):
        training.named("nas")


def test_keys_have_the_settings_that_they_always_had_and_no_others_that_change_nothing():
    first = {
        "epochs": 12,
        "batch_size": 256,
        "learning_rate": 0.1,
        "schedule": "cosine_epoch",
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "label_smoothing": 0.0,
        "flip": True,
        "crop": 4,
    }
    assert training.Recipe().options() == first
    assert training.Recipe(rms_decay=0.5, rms_epsilon=1.0, decay_rate=0.5, decay_epochs=1.0).options() == first
    changed = training.Recipe(nesterov=False, ema=0.9, cutout=3)
    assert changed.options() == first | {"nesterov": False, "ema": 0.9, "cutout": 3}
    # Also where it is 0, as a network has rates of its own.
    assert training.Recipe(dropout=0.0).options() == first | {"dropout": 0.0}
    rmsprop = training.Recipe(optimizer="rmsprop", nesterov=False, rms_epsilon=1.0)
    assert rmsprop.options() == first | {"optimizer": "rmsprop", "rms_epsilon": 1.0}
    stairs = training.Recipe(schedule="staircase", decay_rate=0.5)
    assert stairs.options() == first | {"schedule": "staircase", "decay_rate": 0.5}
