"""Every case and recipe of golden/proxies/expected_training.json: steps of PyTorch's optimiser, in float64."""

import functools

import numpy as np
import pytest

from tests import golden
from tfnas import training

pytestmark = pytest.mark.usefixtures("shared")

FILE = "expected_training.json"
EXACT = 1e-9
CASES = [
    (case, recipe)
    for case, recipes in (golden.read_json(FILE).items() if golden.folder().is_dir() else ())
    for recipe in recipes
]

# What a recipe of the file says of itself, besides results.
_SETTINGS = {
    *("kind", "lr", "momentum", "nesterov", "wd", "schedule", "epochs", "steps_per_epoch", "smoothing", "clip"),
    *("rho", "eps", "stop_after", "after", "trainable", "trained"),
}


def recipe_of(entry):
    kind = {"sgd": "sgd", "rmsprop_tf1": "rmsprop"}[entry["kind"]]
    more = (
        {"nesterov": entry["nesterov"]} if kind == "sgd" else {"rms_decay": entry["rho"], "rms_epsilon": entry["eps"]}
    )
    return training.Recipe(
        epochs=entry["epochs"],
        batch_size=len(golden.inputs()["y"]),
        learning_rate=entry["lr"],
        schedule=entry["schedule"],
        momentum=entry["momentum"],
        weight_decay=entry["wd"],
        label_smoothing=entry["smoothing"],
        clip_norm=entry["clip"],
        optimizer=kind,
        flip=False,
        crop=0,
        **more,
    )


@functools.cache
def trained(case, name, unbiased):
    """A trainer after the steps of a recipe, and what they gave."""
    entry, found = golden.read_json(FILE)[case][name], golden.load(case)
    recipe = recipe_of(entry)
    recipe = training.Recipe(**vars(recipe) | {"unbiased_variance": unbiased})
    before = trained(case, entry["after"], unbiased)[0].weights() if "after" in entry else found.weights
    names = training.last_cells(found.graph, 1) if "trainable" in entry else None
    trainer = training.Trainer(found.graph, recipe, trained=names, precision="float64")
    trainer.start(before)
    inputs, steps = golden.inputs(), entry["steps_per_epoch"]
    batches = [(inputs["x"].astype(float), inputs["y"].astype(np.int32))]
    batches += [(inputs["x2"].astype(float), inputs["y2"].astype(np.int32))]
    results = {"losses": [], "learning_rates": [], "gradient_norms_before_clipping": [], "correct": []}
    for index in range(len(entry["losses"])):
        rate = recipe.rates(index // steps, steps)[index % steps]
        step = trainer.step(*map(tensor, batches[index % 2]), rate)
        values = (float(step.loss), rate, float(step.gradient_norm), int(step.correct))
        for key, value in zip(results, values, strict=True):
            results[key].append(value)
    return trainer, results, before


def tensor(array):
    import tensorflow as tf

    return tf.constant(array)


def key_of(graph, torch_name):
    """The parameter of a name in PyTorch."""
    node, _, param = torch_name.rpartition(".")
    names = {
        "weight": "gamma" if graph.by_name[node].op == "batch_norm" else "kernel",
        "bias": "beta" if graph.by_name[node].op == "batch_norm" else "bias",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }
    return f"{node}.{names[param]}"


@pytest.mark.parametrize(("case", "name"), CASES)
def test_golden_steps(case, name):
    entry = golden.read_json(FILE)[case][name]
    graph = golden.load(case).graph
    for unbiased in (True, False):
        trainer, results, _ = trained(case, name, unbiased)
        weights = trainer.weights()
        assert len(trainer.layout.trained.keys) == entry["trained"]
        for key, values in results.items():
            np.testing.assert_allclose(values, entry[key], rtol=EXACT, err_msg=key)
        for torch_name, norm in entry["weight_norms"].items():
            np.testing.assert_allclose(np.linalg.norm(weights[key_of(graph, torch_name)]), norm, rtol=EXACT)
        np.testing.assert_allclose(weights["classifier.kernel"].T, entry["classifier_weight"], rtol=0, atol=EXACT)
        logits = entry["logits_inference_after"]["unbiased" if unbiased else "biased"]
        found = trainer.predict(golden.inputs()["x"])
        np.testing.assert_allclose(found, logits, rtol=0, atol=EXACT * np.abs(logits).max())
    for torch_name, norm in entry["moving_norms"].items():
        named, biased = torch_name.removesuffix("_biased"), torch_name.endswith("_biased")
        moving = trained(case, name, not biased)[0].weights()[key_of(graph, named)]
        np.testing.assert_allclose(np.linalg.norm(moving), norm, rtol=EXACT, err_msg=torch_name)


@pytest.mark.parametrize(("case", "name"), [pair for pair in CASES if pair[1] == "fear_stage2"])
def test_golden_frozen_layers_stay_bit_for_bit_and_their_statistics_move(case, name):
    trainer, _, before = trained(case, name, True)
    after, chosen = trainer.weights(), training.last_cells(trainer.graph, 1)
    for key, value in after.items():
        node, _, param = key.rpartition(".")
        moves = node in chosen or param.startswith("moving")
        assert np.array_equal(value, before[key]) != moves, key


def test_golden_recipes_are_all_covered():
    results = {"losses", "learning_rates", "gradient_norms_before_clipping", "correct", "weight_norms", "moving_norms"}
    results |= {"classifier_weight", "logits_inference_after"}
    assert CASES
    for case, name in CASES:
        assert set(golden.read_json(FILE)[case][name]) <= _SETTINGS | results
