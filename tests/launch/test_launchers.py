"""What every launcher has to do, whatever its job. A module of `launch` that defines `main` is a launcher."""

import dataclasses
import errno
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import typing

import pytest

import launch
from launch import app
from tests.conftest import ROOT
from tfnas import files
from tfnas.errors import InputError

MODULES = {info.name: importlib.import_module(f"launch.{info.name}") for info in pkgutil.iter_modules(launch.__path__)}
LAUNCHERS = {name: module for name, module in MODULES.items() if hasattr(module, "main")}

# For each launcher, command lines that must end in one line and exit code 2, and what that line must tell. OUT stands
# for a fresh folder.
BAD_INPUT = {
    "score": {
        "": "--output is required",
        "--output=OUT": "Which architectures?",
        "--output=OUT --num_archs=0": "between 1 and 15625",
        "--output=OUT --num_archs=15626": "between 1 and 15625",
        "--output=OUT --num_archs=2 --all": "Which architectures?",
        "--output=OUT --num_archs=2 --proxies=gradsing": "'gradsing'",
        "--output=OUT --num_archs=2 --proxies=": "--proxies is empty",
        "--output=OUT --num_archs=2 --space=nasbench202": "'nasbench202'",
        "--output=OUT --num_archs=2 --dataset=cifar11": "'cifar11'",
        "--output=OUT --num_archs=2 --dataset=cifar10 --data_dir=OUT/missing": "launch.prepare --dataset=cifar10",
        "--output=OUT --num_archs=2 --dataset=synthetic --batch_size=100000": "100000",
        "--output=OUT --num_archs=2 --dataset=synthetic --batch_size=0": "--batch_size must be at least 1",
        "--output=OUT --num_archs=2 --dataset=synthetic --split=tset": "'tset'",
        "--output=OUT --num_archs=2 --init=xavi": "'xavi'",
        "--output=OUT --num_archs=2 --bn=train": "'train'",
        "--output=OUT --num_archs=2 --flavour=grande": "'grande'",
        "--output=OUT --num_archs=2 --width=-1": "width=-1",
        "--output=OUT --num_archs=2 --kernel=ntk": "sum_logits|trace",
        "--output=OUT --num_archs=2 --repeats=0": "--repeats must be at least 1",
        "--output=OUT --num_archs=2 --shard=2/2": "'2/2'",
        "--output=OUT --num_archs=2 --shard=half": "'half'",
        "--output=OUT --num_archs=two": "two",
        "--output=OUT --archs=OUT/missing.txt": "missing.txt",
        "--output=OUT --archs=OUT/missing.parquet": "missing.parquet",
        "--output=/dev/null/scores --num_archs=2 --dataset=synthetic": "/dev/null",
    },
    "nngp": {
        "": "--output is required",
        "--output=OUT": "Which architectures?",
        "--output=OUT --num_archs=2 --space=nasbench202": "'nasbench202'",
        "--output=OUT --num_archs=2 --n_train=": "--n_train takes whole numbers",
        "--output=OUT --num_archs=2 --n_val=10,x": "'10,x'",
        "--output=OUT --num_archs=2 --ensemble=0": "--ensemble takes whole numbers",
        "--output=OUT --num_archs=2 --regularizers=0.1,-1": "'0.1,-1'",
        "--output=OUT --num_archs=2 --regularizers=much": "'much'",
        "--output=OUT --num_archs=2 --bn_momentum=1.5": "bn_momentum",
        "--output=OUT --num_archs=2 --bn_batch=-1": "--bn_batch must be at least 0",
        "--output=OUT --num_archs=2 --batch_size=0": "--batch_size must be at least 1",
        "--output=OUT --num_archs=2 --kernel=rbf": "nngp|ntk",
        "--output=OUT --num_archs=2 --strategy=cloud": "cpu|mirrored|multiworker|tpu",
        "--output=OUT --num_archs=2 --dtype=float16": "float32|float64",
        "--output=OUT --num_archs=2 --dataset=synthetic --train_split=tset": "'tset'",
        "--output=OUT --num_archs=2 --dataset=synthetic --n_val=9999": "has 819 examples. Received: 9999",
        "--output=OUT --num_archs=2 --kernel=ntk --strategy=mirrored": "Received: --strategy=mirrored",
        "--output=OUT --num_archs=2 --n_train=1140 --n_val=10": "examples of class",
        "--output=OUT --num_archs=2 --init=xavi": "'xavi'",
        "--output=OUT --num_archs=2 --shard=2/2": "'2/2'",
        "--output=OUT --archs=OUT/missing.txt": "missing.txt",
    },
    "correlate": {
        "": "--scores is required",
        "--scores=OUT/missing --table=OUT/missing.csv --output=OUT": "missing",
        "--scores=a --table=b --output=OUT --top_k=0": "--top_k",
        "--scores=a --table=b --output=OUT --where=dataset": "--where",
        "--scores=a --table=b --output=OUT --thresholds=high": "high",
    },
    "prepare": {
        "": "--dataset=NAME",
        "--dataset=cifar11": "'cifar11'",
        "--dataset=digits --table=a.csv": "either",
        "--table=OUT/missing.csv --out=OUT/t.parquet --provenance=x": "missing.csv",
        "--table=a.csv --provenance=x": "--out",
        "--table=a.csv --out=OUT/t.parquet": "--provenance",
        "--table=a.csv --out=OUT/t.parquet --provenance=x --space=y": "'y'",
    },
    "reproduce": {
        "": "--experiment=ID",
        "--experiment=gs_table5_2": "--output=FOLDER",
        "--experiment=gs_table5_2 --output=OUT --scale=huge": "'huge'",
        "--experiment=gs_table5_2 --output=OUT --scale=0": "'0'",
        "--experiment=gs_table5_2 --output=OUT --scale=1.5": "'1.5'",
        "--experiment=gs_table5_2 --output=OUT --table=OUT/missing.parquet": "missing.parquet",
        "--experiment=gs_table5_2 --output=OUT --datasets=cifar11": "'cifar11'",
        "--experiment=gs_table5_2 --output=OUT --datasets=digits --targets=a,b": "2 for 1",
        "--experiment=gs_table9_9 --output=OUT": "'gs_table9_9'",
        "--experiment=nngp_fig7 --output=OUT": "not available yet",
    },
    "train": {
        "": "--output is required",
        "--output=OUT": "Which architectures?",
        "--output=OUT --num_archs=2 --space=nasbench202": "'nasbench202'",
        "--output=OUT --num_archs=2 --dataset=cifar11": "'cifar11'",
        "--output=OUT --num_archs=2 --dataset=synthetic --train_split=tset": "'tset'",
        "--output=OUT --num_archs=2 --init=xavi": "'xavi'",
        "--output=OUT --num_archs=2 --repeats=0": "--repeats must be at least 1",
        "--output=OUT --num_archs=2 --epochs=0": "epochs",
        "--output=OUT --num_archs=2 --schedule=sometimes": "schedule",
        "--output=OUT --num_archs=2 --shard=3/3": "'3/3'",
        "--output=OUT --num_archs=2 --table_out=table.csv": "--table_out",
    },
}

parametrize = pytest.mark.parametrize("name", LAUNCHERS)


def config_type(name):
    return LAUNCHERS[name].Config


def required_flags(name, tmp_path):
    """A command line that parses: required flags with some value of their kind."""
    flags = []
    for field in dataclasses.fields(config_type(name)):
        optional = type(None) in typing.get_args(typing.get_type_hints(config_type(name))[field.name])
        if field.name == "output":
            flags.append(f"--output={tmp_path / 'out'}")
        elif field.default is None and not optional:
            flags.append(f"--{field.name}=1")
    return flags


def one_line_of_error(capsys):
    captured = capsys.readouterr()
    assert captured.err.startswith("error: "), captured.err
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def test_there_are_launchers():
    assert {"score", "correlate", "reproduce"} <= set(LAUNCHERS)


@parametrize
def test_bad_input_is_listed_for_every_launcher(name):
    assert BAD_INPUT.get(name), f"add command lines for {name} to BAD_INPUT"


@parametrize
def test_the_docstring_says_what_it_does_and_how(name):
    doc = LAUNCHERS[name].__doc__
    assert 20 < len(doc.splitlines()[0]) < 100
    assert f"python -m launch.{name} --" in doc


@parametrize
def test_the_config_is_frozen_and_every_field_is_a_flag_with_help(name):
    assert config_type(name).__dataclass_params__.frozen
    for field in dataclasses.fields(config_type(name)):
        assert len(field.metadata["help"]) > 3, field.name


@parametrize
def test_help_shows_the_launcher_and_its_flags_without_tensorflow(name):
    script = (
        "import sys, runpy\n"
        f"sys.argv = ['launch.{name}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('launch.{name}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        "heavy = {'tensorflow', 'keras', 'tensorflow_datasets', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith(LAUNCHERS[name].__doc__.strip().splitlines()[0])
    for field in dataclasses.fields(config_type(name)):
        assert f"{field.name} " in done.stdout
    assert "logtostderr" not in done.stdout
    assert len(done.stdout.splitlines()) < 60


@parametrize
@pytest.mark.parametrize("argument", ["--no_such_flag=1", "stray", "--output"])
def test_a_bad_flag_is_one_line_and_code_2(name, argument, capsys):
    assert LAUNCHERS[name].main([argument]) == app.USAGE_ERROR
    one_line_of_error(capsys)


@pytest.mark.parametrize(("name", "line"), [(name, line) for name in BAD_INPUT for line in BAD_INPUT[name]])
def test_bad_input_is_one_line_and_code_2(name, line, tmp_path, capsys):
    out = tmp_path / "out"
    assert LAUNCHERS[name].main(line.replace("OUT", str(out)).split()) == app.USAGE_ERROR
    assert BAD_INPUT[name][line] in one_line_of_error(capsys)
    assert not list(out.glob("*.parquet"))


class Ended(Exception):
    """A fault of the program, not of its user."""


ENDINGS = {
    "bad input": (InputError("wrong\n  here"), app.USAGE_ERROR, "wrong here"),
    "full disk": (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), app.USAGE_ERROR, os.strerror(errno.ENOSPC)),
    "forbidden": (PermissionError(errno.EACCES, "denied", "/x"), app.USAGE_ERROR, "denied: /x"),
    "ctrl-c": (KeyboardInterrupt(), app.INTERRUPTED, "goes on from there"),
}


@parametrize
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_expected_ending_is_one_line(name, ending, tmp_path, capsys, monkeypatch):
    error, code, text = ENDINGS[ending]

    def run(config):
        raise error

    monkeypatch.setattr(LAUNCHERS[name], "run", run)
    monkeypatch.setattr(config_type(name), "check", lambda self: None, raising=False)
    assert LAUNCHERS[name].main(required_flags(name, tmp_path)) == code
    assert text in one_line_of_error(capsys)


@parametrize
def test_a_fault_of_the_program_keeps_its_traceback(name, tmp_path, monkeypatch):
    def run(config):
        raise Ended

    monkeypatch.setattr(LAUNCHERS[name], "run", run)
    monkeypatch.setattr(config_type(name), "check", lambda self: None, raising=False)
    with pytest.raises(Ended):
        LAUNCHERS[name].main(required_flags(name, tmp_path))


WITH_OUTPUT = [name for name in LAUNCHERS if "output" in LAUNCHERS[name].Config.__dataclass_fields__]


@pytest.mark.parametrize("name", WITH_OUTPUT)
def test_config_and_environment_are_written_first(name, tmp_path, monkeypatch):
    def run(config):
        written = json.loads((tmp_path / "out" / "config.json").read_text())
        assert written.pop("launcher") == f"launch.{name}"
        assert written == json.loads(json.dumps(dataclasses.asdict(config)))
        environment = json.loads((tmp_path / "out" / "environment.json").read_text())
        assert environment["python"] == sys.version.split()[0]
        assert environment["packages"]["tensorflow"]
        raise Ended

    monkeypatch.setattr(LAUNCHERS[name], "run", run)
    monkeypatch.setattr(config_type(name), "check", lambda self: None, raising=False)
    with pytest.raises(Ended):
        LAUNCHERS[name].main(required_flags(name, tmp_path))


# The frame itself -----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Example:
    output: str = app.flag(None, "folder")
    count: int = app.flag(3, "how many")
    share: float = app.flag(0.5, "how much")
    names: tuple[str, ...] = app.flag(("a", "b"), "which")
    deep: bool = app.flag(False, "whether")
    kind: str = app.flag("x", "what", choices=("x", "y"))
    limit: int | None = app.flag(None, "at most")


def test_flags_become_a_config():
    config = app.parse(
        Example, ["--output=o", "--count=4", "--share=1e-3", "--names=c,d", "--deep", "--kind=y", "--limit=0"]
    )
    assert config == Example("o", 4, 1e-3, ("c", "d"), True, "y", 0)
    assert app.parse(Example, ["--output", "o", "--names="]) == Example("o", names=())
    assert app.parse(Example, ["--output=o"]) == Example("o")


def test_launchers_do_not_share_flags():
    app.parse(Example, ["--output=o", "--count=4"])
    assert app.parse(Example, ["--output=o"]).count == 3


def test_help_tells_defaults_choices_and_what_is_required():
    text = app.help_text(Example, "Does it.\n\nExample:\n    it --count=1\n")
    lines = {line.split()[0]: line for line in text.splitlines() if line.startswith("  --")}
    assert set(lines) == {"--output", "--count", "--share", "--names", "--[no]deep", "--kind", "--limit"}
    assert "[required]" in lines["--output"]
    assert "[default: a,b]" in lines["--names"]
    assert "(x|y) [default: x]" in lines["--kind"]
    assert "[optional]" in lines["--limit"]


def test_another_config_in_the_same_folder_does_not_replace_the_first(tmp_path):
    first, second = (Example(str(tmp_path), count) for count in (1, 2))
    for config in (first, second, first, second):
        app.write_run(config)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 4
    counts = {json.loads(path.read_text())["count"] for path in tmp_path.glob("config*.json")}
    assert counts == {1, 2}
    assert json.loads((tmp_path / "config.json").read_text())["count"] == 1


def test_write_atomic_replaces_whole_files_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "sub" / "file"
    for content in (b"first", b"second"):
        files.write_atomic(path, content)
        assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_full_disk_before_the_run_is_one_line(tmp_path, capsys, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "write_atomic", full)
    assert app.launch(Example, lambda config: None, "doc", [f"--output={tmp_path}"]) == app.USAGE_ERROR
    assert os.strerror(errno.ENOSPC) in one_line_of_error(capsys)
