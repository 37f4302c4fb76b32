"""Keys of records: one setting at a time, whatever could change a score makes another record, and nothing else does."""

import dataclasses
import functools

import pytest

from launch.flags.inference import Inference
from launch.flags.latency import Latency
from launch.flags.scoring import Scoring
from launch.flags.trained import Trained
from launch.flags.training import Training
from launch.jobs.after import AfterJob
from launch.jobs.fear import FearJob
from launch.jobs.inference import InferenceJob
from launch.jobs.latency import LatencyJob
from launch.jobs.scores import ScoreJob
from launch.jobs.training import TrainJob

NOTHING, EVERY = (), None
SPLITS = ("test", "train", "val")
NETWORK = {
    "space": ("nasbench101", EVERY),
    "dataset": ("cifar10", EVERY),
    "data_dir": ("elsewhere", NOTHING),
    "seed": (1, EVERY),
    "init": ("xavier", EVERY),
    "width": (8, EVERY),
    "depth": (2, EVERY),
    "flavour": ("zcnas", EVERY),
}
# Untrained weights take as long as any.
LATENCY = NETWORK | {"seed": (1, NOTHING), "init": ("xavier", NOTHING), "latency_size": (16, EVERY)}
MEASURED = Latency(dataset="synthetic", width=4, depth=1, latency="litert")
# Flags of recipes, beside epochs and batch size, where --recipe is not given.
RECIPES = {
    "learning_rate": (0.2, EVERY),
    "schedule": ("constant", EVERY),
    "momentum": (0.8, EVERY),
    "weight_decay": (0.1, EVERY),
    "label_smoothing": (0.1, EVERY),
    "flip": (False, EVERY),
    "crop": (2, EVERY),
    "recipe": ("lga", EVERY),
    "decay_rate": (0.5, NOTHING),  # of a staircase
    "decay_epochs": (1.0, NOTHING),
    "warmup_epochs": (1.0, EVERY),
    "optimizer": ("rmsprop", EVERY),
    "nesterov": (False, EVERY),
    "rms_decay": (0.5, NOTHING),  # of RMSprop
    "rms_epsilon": (1.0, NOTHING),
    "decayed": ("not_bn", EVERY),
    "clip_norm": (1.0, EVERY),
    "ema": (0.9, EVERY),
    "unbiased_variance": (True, EVERY),
    "dropout": (0.5, EVERY),
    "cutout": (3, EVERY),
}
TRAINED = NETWORK | RECIPES
TRAINED |= {
    "epochs": (9, EVERY),
    "train_batch_size": (16, EVERY),
    "train_split": ("train[:50%]", EVERY),
    "repeats": (2, NOTHING),
    "dtype": ("float64", EVERY),
    "checkpoint_seconds": (1.0, NOTHING),
}
OF_FEAR = {
    "fear_threshold": (0.5, ("fear", "time_to_threshold")),
    "fear_seconds": (9.0, ("fear", "time_to_threshold")),
    "fear_cells": (2, ("fear",)),
    "fear_epochs": (9, ("fear",)),
    "fear_batch_size": (16, ("fear",)),
}
OF_SCORES = {
    "split": ("test", ("gradsign", "fnorm", "l2_norm", "zen")),
    "batch_size": (9, ("gradsign", "fnorm", "l2_norm", "zen")),
    "bn": ("inference", ("gradsign", "fnorm")),
    "ntk_batch_size": (4, ("fnorm",)),
    "ntk_logits": ("trace", ("fnorm",)),
    "ntk_params": ("all", ("fnorm",)),
    "noise_repeats": (3, ("zen",)),
    "synflow_kept_bn": (("reduction",), NOTHING),
    "augment": (True, ("gradsign", "fnorm", "zen")),
}


def after(names, *times):
    return tuple(f"{name}_after{time}" for time in times for name in names)


# Job, settings, and by setting another value with the records of which it makes others.
JOBS = {
    "scores": (
        ScoreJob,
        Scoring(dataset="synthetic", width=4, depth=1, proxies=("gradsign", "fnorm", "zen", "synflow"), batch_size=8),
        NETWORK
        | {
            "split": ("test", EVERY),
            "proxies": (("gradsign", "fnorm", "zen", "synflow", "ncn"), ("ncn",)),
            "batch_size": (9, EVERY),
            "repeats": (2, NOTHING),
            "bn": ("inference", ("gradsign", "fnorm")),
            "ntk_batch_size": (4, ("fnorm",)),
            "ntk_logits": ("trace", ("fnorm",)),
            "ntk_params": ("all", ("fnorm",)),
            "prescribed_init": (False, ("zen",)),
            "noise_repeats": (3, ("zen",)),
            "synflow_kept_bn": (("reduction",), ("synflow",)),
            "augment": (True, ("gradsign", "fnorm", "zen", "synflow")),
            "dtype": ("float64", ("gradsign", "fnorm", "zen", "synflow")),
        },
    ),
    "inference": (
        InferenceJob,
        Inference(dataset="synthetic", width=4, depth=1, n_train=(10,), n_val=(20,), ensemble=(1, 2)),
        NETWORK
        | {
            "n_train": ((20,), ("nngp_20_20_1", "nngp_20_20_2")),
            "n_val": ((30,), ("nngp_10_30_1", "nngp_10_30_2")),
            "ensemble": ((2, 3), ("nngp_10_20_3",)),
            "train_split": ("train", ("nngp_10_20_1", "nngp_10_20_2")),
            "val_split": ("test", ("nngp_10_20_1", "nngp_10_20_2")),
            "regularizers": ((0.1, 1.0), ("nngp_10_20_1", "nngp_10_20_2")),
            "kernel": ("ntk", ("ntk_10_20_1", "ntk_10_20_2")),
            "bn_momentum": (0.0, ("nngp_10_20_1", "nngp_10_20_2")),
            "bn_batch": (50, EVERY),
            "block_size": (7, NOTHING),
            "strategy": ("mirrored", NOTHING),
            "dtype": ("float64", ("nngp_10_20_1", "nngp_10_20_2")),
            "kernels": ("folder", NOTHING),
            "labels": (5, EVERY),
        },
    ),
    "after training": (
        AfterJob,
        Trained(
            dataset="synthetic",
            width=4,
            depth=1,
            proxies=("gradsign", "fnorm", "l2_norm", "zen"),
            batch_size=8,
            after_epochs=(0, 1, 3),
            prescribed_init=False,
        ),
        TRAINED
        | {name: (value, after(names, 1, 3)) for name, (value, names) in OF_SCORES.items()}
        | {name: (value, NOTHING) for name, (value, _) in OF_FEAR.items()}
        | {
            "proxies": (("gradsign", "fnorm", "l2_norm", "zen", "ncn"), after(["ncn"], 1, 3)),
            "after_epochs": ((1, 3, 5), after(["gradsign", "fnorm", "l2_norm", "zen", "shortreg"], 5)),
            "prescribed_init": (True, NOTHING),  # zen is not trained then
        },
    ),
    "fear": (
        FearJob,
        Trained(dataset="synthetic", width=4, depth=1, proxies=("fear",), fear_threshold=0.4),
        TRAINED
        | OF_FEAR
        | {name: (value, NOTHING) for name, (value, _) in OF_SCORES.items()}
        | {
            "proxies": (("fear", "time_to_threshold"), NOTHING),
            "after_epochs": ((1, 3), NOTHING),
            "prescribed_init": (False, NOTHING),
        },
    ),
    "training": (
        TrainJob,
        Training(dataset="synthetic", width=4, depth=1, train_split="train[:50%]", val_split="train[50%:]"),
        NETWORK
        | RECIPES
        | {
            "train_split": ("train[:40%]", EVERY),
            "val_split": ("train[60%:]", ("val_accuracy",)),
            "test_split": ("test[:50%]", ("test_accuracy",)),
            "repeats": (2, NOTHING),
            "epochs": (2, EVERY),
            "batch_size": (16, EVERY),
            "measured_epochs": ((1, 3), tuple(f"{name}_accuracy_epoch{i}" for name in SPLITS for i in (1, 3))),
            "train_last": (1, EVERY),
            "stop_accuracy": (0.5, EVERY),
            "stop_seconds": (9.0, EVERY),
            "stop_patience": (2, EVERY),
            "stop_on": ("val_accuracy", NOTHING),  # where nothing stops
            "precision": ("bfloat16", EVERY),
            "jit": (True, NOTHING),
            "strategy": ("mirrored", NOTHING),
            "synchronized_bn": (False, NOTHING),  # of a strategy
        },
    ),
    "latency": (
        functools.partial(LatencyJob, folder="out"),
        MEASURED,
        LATENCY | {"latency": ("macs", EVERY), "litert_repeats": (7, EVERY), "litert_warm_up": (7, EVERY)},
    ),
    "multiply-adds": (
        functools.partial(LatencyJob, folder="out"),
        dataclasses.replace(MEASURED, latency="macs"),
        LATENCY | {"latency": ("litert", EVERY), "litert_repeats": (7, NOTHING), "litert_warm_up": (7, NOTHING)},
    ),
}


def keys(job, settings):
    """The name of the proxy by the key of each record of one architecture."""
    (task, *_) = job(settings).tasks(["arch"])
    return {task.fill(blank).key: blank.proxy for blank in task.blanks}


@pytest.mark.parametrize("name", JOBS)
def test_every_setting_is_looked_at(name):
    _, settings, changes = JOBS[name]
    assert set(changes) == {field.name for field in dataclasses.fields(settings)}


@pytest.mark.parametrize(
    ("name", "setting"), [(name, setting) for name, (*_, changes) in JOBS.items() for setting in changes]
)
def test_one_setting_at_a_time(name, setting):
    job, settings, changes = JOBS[name]
    value, expected = changes[setting]
    before = keys(job, settings)
    other = dataclasses.replace(settings, **{setting: value})
    after = keys(job, other)
    assert getattr(settings, setting) != value
    assert len(after) == len(job(other).blanks())
    new = [proxy for key, proxy in after.items() if key not in before]
    assert sorted(new) == sorted(after.values() if expected is EVERY else expected)


def test_settings_that_something_looks_at_are_in_the_keys_of_trainings():
    settings = Training(
        dataset="synthetic",
        width=4,
        depth=1,
        val_split="test",
        optimizer="rmsprop",
        schedule="staircase",
        stop_patience=2,
        strategy="mirrored",
    )
    before = keys(TrainJob, settings)
    changes = {"decay_rate": 0.5, "decay_epochs": 1.0, "rms_decay": 0.5, "rms_epsilon": 1.0}
    for name, value in (changes | {"stop_on": "val_accuracy", "synchronized_bn": False}).items():
        assert not before.keys() & keys(TrainJob, dataclasses.replace(settings, **{name: value})).keys(), name
    assert keys(TrainJob, dataclasses.replace(settings, nesterov=False)) == before
    stopped = dataclasses.replace(settings, stop_on="val_accuracy")
    elsewhere = dataclasses.replace(stopped, val_split="test[:50%]")
    assert not keys(TrainJob, stopped).keys() & keys(TrainJob, elsewhere).keys(), "what ends trainings changes them all"
    named = Training(dataset="synthetic", width=4, depth=1, recipe="lga")
    spelled = dict(epochs=10, batch_size=1024, learning_rate=0.025, schedule="constant", weight_decay=3e-4)
    spelled = Training(dataset="synthetic", width=4, depth=1, nesterov=False, **spelled)
    assert keys(TrainJob, named) == keys(TrainJob, spelled), "what a recipe says, not its name"
