"""Every case and recipe of golden/proxies/expected_training.json: steps of PyTorch's optimiser, in float64."""

import dataclasses
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
def trained(case, name, unbiased=True):
    """A trainer after the steps of a recipe, what they gave, and the weights before."""
    entry, found = golden.read_json(FILE)[case][name], golden.load(case)
    recipe = dataclasses.replace(recipe_of(entry), unbiased_variance=unbiased)
    before = trained(case, entry["after"])[0].weights() if "after" in entry else found.weights
    names = training.last_cells(found.graph, 1) if "trainable" in entry else None
    trainer = training.Trainer(found.graph, recipe, trained=names, precision="float64")
    trainer.start(before)
    inputs, steps = golden.inputs(), entry["steps_per_epoch"]
    batches = [(inputs["x"].astype(float), inputs["y"]), (inputs["x2"].astype(float), inputs["y2"])]
    results = {"losses": [], "learning_rates": [], "gradient_norms_before_clipping": [], "correct": []}
    for index in range(len(entry["losses"])):
        rate = recipe.rates(index // steps, steps)[index % steps]
        images, labels = batches[index % 2]
        step = trainer.step(images, labels.astype(np.int32), rate)
        values = (float(step.loss), rate, float(step.gradient_norm), int(step.correct))
        for key, value in zip(results, values, strict=True):
            results[key].append(value)
    return trainer, results, before


@functools.cache
def weights_after(case, name, variances):
    """Weights after a recipe. Moving variances do not act on a training, and those of biased ones follow by hand."""
    trainer, results, before = trained(case, name)
    weights = trainer.weights()
    if variances == "biased":
        entry = golden.read_json(FILE)[case][name]
        start = weights_after(case, entry["after"], variances) if "after" in entry else before
        for node in trainer.graph.nodes:
            if node.op == "batch_norm":
                key, count = f"{node.name}.moving_variance", len(golden.inputs()["y"]) * np.prod(node.shape[:-1])
                kept = node["momentum"] ** len(results["losses"])
                moved = (weights[key] - kept * before[key]) * (count - 1) / count
                weights[key] = kept * start[key] + moved
    return weights


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
    trainer, results, _ = trained(case, name)
    assert len(trainer.layout.trained.keys) == entry["trained"]
    for key, values in results.items():
        np.testing.assert_allclose(values, entry[key], rtol=EXACT, err_msg=key)
    for variances, logits in entry["logits_inference_after"].items():
        weights = weights_after(case, name, variances)
        for torch_name, norm in entry["weight_norms"].items():
            np.testing.assert_allclose(np.linalg.norm(weights[key_of(trainer.graph, torch_name)]), norm, rtol=EXACT)
        np.testing.assert_allclose(weights["classifier.kernel"].T, entry["classifier_weight"], rtol=0, atol=EXACT)
        after = training.Trainer(trainer.graph, trainer.recipe, precision="float64")
        after.start(weights)
        found = after.predict(golden.inputs()["x"])
        np.testing.assert_allclose(found, logits, rtol=0, atol=EXACT * np.abs(logits).max())
    for torch_name, norm in entry["moving_norms"].items():
        variances = "biased" if torch_name.endswith("_biased") else "unbiased"
        key = key_of(trainer.graph, torch_name.removesuffix("_biased"))
        found = np.linalg.norm(weights_after(case, name, variances)[key])
        np.testing.assert_allclose(found, norm, rtol=EXACT, err_msg=torch_name)


def test_golden_steps_with_biased_variances():
    case, name = min(CASES, key=lambda pair: golden.load(pair[0]).graph.flops())
    expected = weights_after(case, name, "biased")
    for key, value in trained(case, name, False)[0].weights().items():
        np.testing.assert_allclose(value, expected[key], rtol=0, atol=EXACT * np.abs(expected[key]).max(), err_msg=key)


@pytest.mark.parametrize(("case", "name"), [pair for pair in CASES if pair[1] == "fear_stage2"])
def test_golden_frozen_layers_stay_bit_for_bit_and_their_statistics_move(case, name):
    trainer, _, before = trained(case, name)
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
