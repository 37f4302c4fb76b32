"""A recipe told by one flag stands for the same flags one by one."""

import dataclasses

import pytest

from launch import app
from launch.flags.trained import Trained, recipe_of
from launch.flags.training import Recipes
from tfnas import training

TOLD = {
    **{"epochs": 9, "learning_rate": 0.2, "schedule": "staircase", "decay_rate": 0.5, "decay_epochs": 1.5},
    **{"warmup_epochs": 1.0, "optimizer": "rmsprop", "momentum": 0.5, "nesterov": False, "rms_decay": 0.5},
    **{"rms_epsilon": 0.1, "weight_decay": 1e-4, "decayed": "not_bn", "clip_norm": 2.0, "label_smoothing": 0.1},
    **{"ema": 0.9, "unbiased_variance": True, "dropout": 0.25, "flip": False, "crop": 1, "cutout": 2},
}


def test_every_setting_of_a_recipe_can_be_told():
    assert {*TOLD, "recipe", "batch_size"} == {field.name for field in dataclasses.fields(Recipes)}
    found = Trained(**recipe_of("x", ["mnas", "batch_size=16", *(f"{key}={value}" for key, value in TOLD.items())]))
    flags = [f"--{key}={value}" for key, value in TOLD.items()]
    assert found == app.parse(Trained, ["--recipe=mnas", "--train_batch_size=16", *flags])
    assert found.short() == training.Recipe(batch_size=16, **TOLD)


@pytest.mark.parametrize(("texts", "first", "second"), [([], 12, 200), (["crop=0"], 12, 200), (["lga"], 10, 10)])
def test_without_a_name_it_is_that_of_the_score(texts, first, second):
    found = Trained(**recipe_of("x", texts))
    assert (found.short().epochs, found.stage(1).epochs, found.stage(2).epochs) == (first, second, 5)
    assert found.short().crop == (0 if texts == ["crop=0"] else 4)
