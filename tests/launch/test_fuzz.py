"""Every flag of every launcher with values of all sorts: it is taken, or ends in one line and exit code 2.

The values come from the kinds of the flags in each launcher's config, so that a new flag is tried without being named
here. Most runs end before the work itself; some, and in the slow tests all that pass the checks, do it.
"""

import dataclasses
import os
import pathlib
import random
import re
import shutil
import tempfile
import typing

import pytest
import tensorflow_datasets as tfds
from matplotlib import font_manager

from launch import app
from tests.launch import contract
from tests.launch.papers.cases import fake_workers
from tfnas import environment

TEXTS = [
    *("", " ", "nan", "-1", "--seed=3", "a=b,c", ",", "é 日本 \u202e", "a\nb", "%s{0}\\", "'\"`$(x)", "x" * 5000),
    *("\0", "\udcff"),
]
NUMBERS = [
    *("", " ", "many", "0x10", "1_0", "\uff12", "½", "1,5", "nan", "inf", "-inf", "1e400", "-", "9" * 5000, "\udcff")
]
_BOUNDS = [sign * 2**bits - less for sign in (1, -1) for bits in (31, 63) for less in (0, 1)]
WHOLE = ["0", "-1", "1", "2", "1.5", "1e3", *map(str, _BOUNDS)]
REAL = ["0", "-0.0", "1", "0.5", "-1", "1e-320", "1e308"]
SWITCHES = ["", "true", "false", "0", "maybe", "2", "\udcff"]
PATHS = [
    *("", " ", ".", "..", "-", "rel", './a b\'s "c"', "é日本", "a\nb", "%s{0}", "x" * 300, "\0", "\udcff", "a.parquet"),
    *("~", "~/x", "~/a b.parquet", "~nobody-of-this-name/x", "/dev/null", "/dev/null/x", "/proc/x", "/proc/x.parquet"),
    *("file://", "file:///proc/x", "file://host/x", "file://localhost", "http://x/y", "gs://", "gs:///x", "s3://b/x"),
]
# Flags that absl and the frame add to those of every config.
COMMON = {"config": PATHS, "flagfile": PATHS}
# What is tried beside the small job of `contract`, where that does not reach the checks of a flag.
INSTEAD = {
    "reproduce": "--nolist --experiment=gs_table5_2 --scale=1e-9 --output=OUT",
    # Spaces of cells have no dropout.
    ("score", "dropout"): "--space=mnas --dataset=synthetic --num_archs=1 --width=8 --output=OUT",
    ("train", "dropout"): "--space=mnas --dataset=synthetic --num_archs=1 --width=8 --batch_size=32 --output=OUT",
    ("prepare", "dataset"): "--dataset=synthetic",
    ("prepare", "scores"): "--out=OUT/kept.parquet --provenance=test",
    ("prepare", "data_dir"): "--dataset=synthetic",
    ("prepare", "manual_dir"): "--dataset=synthetic",
}
# Where a large number is a run without end.
ENDLESS = {"repeats", "noise_repeats", "ensemble", "epochs", "fear_epochs"}
LINES = re.compile(r"error: [^\n]+\n")


def values_of(field, kind):
    """What is tried of one flag."""
    if field.metadata["choices"]:
        own = [*field.metadata["choices"], *TEXTS]
    elif field.metadata.get("path"):
        own = PATHS
    elif kind is bool:
        own = SWITCHES
    elif typing.get_origin(kind) is tuple:
        items = {str: [*TEXTS, "a=b", "a,a"], int: [*WHOLE, *NUMBERS], float: [*REAL, *NUMBERS]}
        own = [*items[typing.get_args(kind)[0]], ",", "1,,2", '"', '"1', "1\n2", "1,2,3"]
    else:
        own = {str: TEXTS, int: [*WHOLE, *NUMBERS], float: [*REAL, *WHOLE, *NUMBERS]}[kind]
    default = field.default
    if default is not None:
        own = [",".join(map(str, default)) if isinstance(default, tuple) else str(default), *own]
    return own


FLAGS = {
    name: {field.name: values_of(field, kind) for field, kind, _ in contract.kinds(contract.module(name).Config)}
    for name in contract.LAUNCHERS
}
EVERY = [(name, flag) for name, flags in FLAGS.items() for flag in (*flags, *COMMON)]


class Place:
    """Where launchers run: a home, a working and a temporary folder, and an output folder beside them."""

    def __init__(self, root, digits, monkeypatch, capsys):
        self.root, self.monkeypatch, self.capsys = root, monkeypatch, capsys
        self.out = root / "out"
        for name in ("home", "cwd", "tmp"):
            (root / name).mkdir()
        # Where they find what they would make in a home at first use.
        monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(digits))
        font_manager.get_font_names()
        monkeypatch.setenv("HOME", str(root / "home"))
        monkeypatch.setattr(tempfile, "tempdir", str(root / "tmp"))
        monkeypatch.chdir(root / "cwd")
        # What takes its time, each time: it asks git, and waits for the disk.
        monkeypatch.setattr(environment, "describe", dict)
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)

    def command(self, name, flag=""):
        """The small job of a launcher, valid with most values of a flag."""
        small = contract.small_job(name, self.out, self.root / "files")
        instead = INSTEAD.get((name, flag), INSTEAD.get(name))
        return instead.replace("OUT", str(self.out)).split() if instead else small

    def end(self, name, arguments, *, work=False):
        """How a command ends: exit code and what it says on standard error. Nothing is written but where it says."""
        module, configs = contract.module(name), []

        def run(config):
            configs.append(config)
            return original(config) if work else 0

        original = module.run
        before = self.files(())
        with self.monkeypatch.context() as patch:
            patch.setattr(module, "run", run)
            code = module.main(arguments)
        error = self.capsys.readouterr().err
        told = [line for line in error.splitlines(keepends=True) if LINES.fullmatch(line)]
        shown = [argument[:100] for argument in arguments]
        assert code in (0, app.USAGE_ERROR) or (work and code == app.FAILED), shown
        assert "Traceback" not in error, shown
        assert len(told) == (code == app.USAGE_ERROR), (shown, error)
        assert work or error == "".join(told), (shown, error)
        own = [pathlib.Path(path).resolve() for config in configs for path in written(config)]
        assert self.files(own) == {path: state for path, state in before.items() if not concerns(path, own)}, shown
        self.clear()
        return code

    def files(self, own):
        """Folders, and files with their sizes and times, but for those that some paths concern."""
        found = [path for path in self.root.rglob("*") if not concerns(path, (self.out, *own))]
        # Libraries have their own in a home, and TensorFlow what it makes of functions.
        found = [path for path in found if not re.search(r"/home/\.|/tmp/__autograph_generated_file", str(path))]
        return {path: path.is_dir() or (path.stat().st_size, path.stat().st_mtime_ns) for path in found}

    def clear(self):
        shutil.rmtree(self.out, ignore_errors=True)
        for path in (self.root / "home", self.root / "cwd"):
            for entry in path.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def written(config):
    """Paths that a run may write to; the digits are prepared where they are looked for."""
    names = [field.name for field in dataclasses.fields(config) if field.metadata.get("writes")]
    return filter(None, [getattr(config, name, "") for name in (*names, "data_dir")])


def concerns(path, others):
    """Whether a path lies below one of others, or above."""
    return any(other == path or other in path.parents or path in other.parents for other in others)


@pytest.fixture
def place(tmp_path, digits_dir, monkeypatch, capsys):
    return Place(tmp_path, digits_dir, monkeypatch, capsys)


def test_every_launcher_has_flags_that_are_tried():
    assert set(FLAGS) == set(contract.LAUNCHERS) == set(contract.WORKS)
    for name, flags in FLAGS.items():
        assert set(flags) == {field.name for field in dataclasses.fields(contract.module(name).Config)}


@pytest.mark.parametrize(("name", "flag"), EVERY, ids=[f"{name}-{flag}" for name, flag in EVERY])
def test_a_value_is_taken_or_refused_in_one_line(name, flag, place):
    """Of each flag some values are taken, so that what stands behind the parser is reached, and some are refused."""
    base = place.command(name, flag)
    own = [argument.partition("=")[2] for argument in base if argument.startswith(f"--{flag}=")]
    codes = {place.end(name, [*base, f"--{flag}={value}"]) for value in own + (FLAGS[name] | COMMON)[flag]}
    assert codes == ({app.USAGE_ERROR} if flag == "config" else {0, app.USAGE_ERROR})


# What is taken and really done, by the launcher.
WORK = {
    "score": [
        [f"--seed={-(2**63)}", "--output=~/a 'folder' of é"],
        [f"--seed={2**63 - 1}", "--shard=0/1000", "--workers=1", "--threads=0"],
        ["--proxies=naswot,naswot,params", "--batch_size=1", "--noise_repeats=1"],
        ["--width=9223372036854775807"],
        ["--after_epochs=1,0,1", "--train_batch_size=400", "--learning_rate=1e308", "--crop=0"],
        ["--proxies=fear", "--epochs=1", "--train_batch_size=400", "--fear_threshold=1e-300", "--fear_batch_size=800"],
    ],
    "nngp": [
        [f"--seed={-(2**63)}", "--regularizers=1e-320,1e308", "--kernels=~/k é"],
        ["--n_train=10,10,11", "--bn_momentum=0", f"--block_size={2**63 - 1}"],
    ],
    "train": [
        [f"--seed={-(2**63)}", "--learning_rate=1e308", "--weight_decay=1e308"],
        ["--momentum=0", "--label_smoothing=0", f"--crop={2**31}", "--provenance=a\nb é \u202e"],
        ["--table_out=~/é \n.parquet", "--provenance=%s{0}"],
    ],
    "correlate": [
        [f"--seed={-(2**63)}", "--bootstrap=1", f"--top_k={2**63 - 1}", "--thresholds=-1e308,1e308,0"],
        ["--target=é", "--size_column=é,"],
        ["--where=a=b"],
        ["--arch_column=mine", "--scores_arch_column=\n"],
        ["--proxies=,"],
    ],
    "prepare": [
        ["--columns=accuracy:é\n", "--units=é\n:percent", "--provenance=a\nb \u202e"],
        ["--columns=accuracy:arch"],
        ["--columns=accuracy:,accuracy:"],
        ["--arch_column=accuracy", "--space=nasbench101"],
    ],
    "mnas": [
        [f"--seed={-(2**63)}", "--target=1e-300", "--w=1e300", f"--top_k={2**63 - 1}"],
        ["--target=1e308", "--reward=abs", "--w=1e308", "--proxies=naswot", "--score_batch_size=1"],
        ["--target=0"],
        ["--latency=column:é\n", "--w=-1"],
    ],
    "predict": [
        [f"--seed={-(2**63)}", "--predictors=gcn,gcn,forest", "--learning_rate=1"],
        ["--model=~/a 'b' é.keras", "--threshold=90", "--splits=0"],
        ["--threshold=1", "--splits=0"],
        ["--accuracy_range=0,100", "--top_k=210", "--n_train=210"],
        ["--form=reference", "--norm=sym", "--learning_rate=1e-320", "--n_train=1", "--splits=0"],
        ["--scores=."],
    ],
    "reproduce": [
        [f"--seed={-(2**63)}"],
        ["--datasets=digits,digits"],
        ["--scores=."],
        ["--list=true", "--scale=huge"],
    ],
}


@pytest.mark.parametrize(("name", "flags"), [(name, flags) for name in WORK for flags in WORK[name]])
def test_what_is_taken_is_done_or_refused_in_one_line(name, flags, place):
    if name == "reproduce":
        fake_workers(place.monkeypatch)
    place.end(name, [*place.command(name), *flags], work=True)


def test_every_launcher_really_works_here():
    assert set(WORK) == set(contract.LAUNCHERS)


def endless(flag, value):
    return flag in ENDLESS and value.isdecimal() and len(value) > 2


@pytest.mark.slow
@pytest.mark.parametrize(("name", "flag"), EVERY, ids=[f"{name}-{flag}" for name, flag in EVERY])
def test_every_value_that_is_taken_is_done(name, flag, place):
    if (name, flag) == ("prepare", "dataset"):
        pytest.skip("would download")
    if name == "reproduce":
        fake_workers(place.monkeypatch)
    base = place.command(name, flag)
    for value in (FLAGS[name] | COMMON)[flag]:
        if not endless(flag, value):
            place.end(name, [*base, f"--{flag}={value}"], work=True)


def invented(chance):
    """A value that nobody thought of."""
    text = "".join(chance.choice("0123456789-+.eE_,:=/~%'\"\\ \t\n\0aé日\udcff") for _ in range(chance.randrange(12)))
    return chance.choice([text, str(chance.randrange(-(2**70), 2**70)), repr(chance.uniform(-10, 10)), "nan"])


@pytest.mark.slow
@pytest.mark.parametrize("name", contract.LAUNCHERS)
def test_several_flags_at_random(name, place):
    known = FLAGS[name] | COMMON
    for seed in range(500):
        chance = random.Random(seed)
        flags = chance.choices(list(known), k=chance.randint(1, 4))
        given = [f"--{flag}={chance.choice([*known[flag], invented(chance)])}" for flag in flags]
        place.end(name, [*place.command(name), *given])
