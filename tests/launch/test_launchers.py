"""What every launcher has to do, whatever its job."""

import dataclasses
import errno
import json
import os
import subprocess
import sys
import typing

import pytest

from launch import app
from tests.conftest import ROOT
from tests.launch import contract
from tfnas.errors import InputError

HEAVY = {"tensorflow", "keras", "tensorflow_datasets", "pandas", "scipy", "matplotlib"}


class Ended(Exception):
    """A fault of the program, not of its user."""


ENDINGS = {
    "bad input": (InputError("wrong\n  here"), app.USAGE_ERROR, "wrong here"),
    "full disk": (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), app.USAGE_ERROR, os.strerror(errno.ENOSPC)),
    "forbidden": (PermissionError(errno.EACCES, "denied", "/x"), app.USAGE_ERROR, "denied: /x"),
    "ctrl-c": (KeyboardInterrupt(), app.INTERRUPTED, "goes on from there"),
    "sigterm": (app.Terminated(), app.TERMINATED, "goes on from there"),
}


def one_line_of_error(capsys):
    captured = capsys.readouterr()
    assert captured.err.startswith("error: "), captured.err
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def required_flags(config_type, out):
    """A command line that parses: required flags with some value of their kind."""
    flags = []
    for field, _, optional in contract.kinds(config_type):
        if field.name == "output":
            flags.append(f"--output={out}")
        elif field.default is None and not optional:
            flags.append(f"--{field.name}=1")
    return flags


def unusual_flags(config_type):
    """Every flag with a value that is not its default."""
    values = {str: "a=b, c", int: 7, float: 0.1 + 0.2}
    for field, kind, _ in contract.kinds(config_type):
        if kind is bool:
            yield f"--{'no' * bool(field.default)}{field.name}"
        elif field.metadata["choices"]:
            yield f"--{field.name}={next(c for c in field.metadata['choices'][::-1] if c != field.default)}"
        elif typing.get_origin(kind) is tuple:
            item = typing.get_args(kind)[0]
            yield f"--{field.name}={ {str: 'x,y', int: '3,5', float: '1e-07,0.3'}[item] }"
        else:
            yield f"--{field.name}={values[kind]}"


def test_there_are_launchers():
    assert {"score", "nngp", "train", "correlate", "prepare", "reproduce"} <= set(contract.LAUNCHERS)


def test_every_launcher_is_covered():
    assert set(contract.LAUNCHERS) == set(contract.BAD_INPUT) == set(contract.WORKS)


@pytest.mark.parametrize("name", contract.LAUNCHERS)
def test_every_launcher_imports(name):
    done = subprocess.run([sys.executable, "-c", f"import launch.{name}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", contract.LAUNCHERS)
class TestContract:
    def test_the_docstring_says_what_it_does_and_how(self, name):
        doc = contract.module(name).__doc__
        assert 20 < len(doc.splitlines()[0]) < 100
        assert f"python -m launch.{name} --" in doc

    def test_the_config_is_frozen_and_every_field_is_a_flag_with_help(self, name):
        config_type = contract.module(name).Config
        assert config_type.__dataclass_params__.frozen
        for field in dataclasses.fields(config_type):
            assert len(field.metadata["help"]) > 3, field.name

    def test_old_names_of_flags_are_none_of_the_present(self, name):
        config_type = contract.module(name).Config
        present = {field.name for field in dataclasses.fields(config_type)}
        renamed = getattr(config_type, "renamed", {})
        assert not set(renamed) & present
        assert set(renamed.values()) <= present

    def test_help_shows_the_launcher_and_its_flags_without_heavy_imports(self, name):
        module = contract.module(name)
        script = (
            "import sys, runpy\n"
            f"sys.argv = ['launch.{name}', '--help']\n"
            "try:\n"
            f"    runpy.run_module('launch.{name}', run_name='__main__', alter_sys=True)\n"
            "except SystemExit as end:\n"
            "    assert not end.code\n"
            f"heavy = {HEAVY} & set(sys.modules)\n"
            "assert not heavy, heavy\n"
        )
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert done.stdout.startswith(module.__doc__.strip().splitlines()[0])
        for field in dataclasses.fields(module.Config):
            assert f"{field.name} " in done.stdout
        assert "logtostderr" not in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80

    def test_help_fits_a_terminal_and_breaks_no_word_and_no_number(self, name, capsys, monkeypatch):
        module = contract.module(name)
        assert module.main(["--help"]) == 0
        shown = capsys.readouterr().out
        assert max(map(len, shown.splitlines())) <= 80
        monkeypatch.setattr(app, "HELP_WIDTH", 10**6)
        assert module.main(["--help"]) == 0
        assert shown.split() == capsys.readouterr().out.split()

    @pytest.mark.parametrize("argument", ["--no_such_flag=1", "stray", "--output", "--config=/no/such/config.json"])
    def test_a_bad_flag_is_one_line_and_code_2(self, name, argument, capsys):
        assert contract.module(name).main([argument]) == app.USAGE_ERROR
        one_line_of_error(capsys)

    def test_a_required_flag_that_is_missing_is_named(self, name, tmp_path, capsys):
        module = contract.module(name)
        flags = required_flags(module.Config, tmp_path / "out")
        for flag in flags:
            left = [other for other in flags if other != flag]
            name = flag.partition("=")[0]
            if module.Config.__dataclass_fields__[name[2:]].default is None and "output" not in name:
                assert module.main(left) == app.USAGE_ERROR
                assert f"{name} is required" in one_line_of_error(capsys)

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_every_expected_ending_is_one_line(self, name, ending, tmp_path, capsys, monkeypatch):
        module, (error, code, text) = contract.module(name), ENDINGS[ending]

        def run(config):
            raise error

        monkeypatch.setattr(module, "run", run)
        monkeypatch.setattr(module.Config, "check", lambda self: None, raising=False)
        assert module.main(required_flags(module.Config, tmp_path / "out")) == code
        assert text in one_line_of_error(capsys)

    def test_a_fault_of_the_program_keeps_its_traceback(self, name, tmp_path, monkeypatch):
        module = contract.module(name)

        def run(config):
            raise Ended

        monkeypatch.setattr(module, "run", run)
        monkeypatch.setattr(module.Config, "check", lambda self: None, raising=False)
        with pytest.raises(Ended):
            module.main(required_flags(module.Config, tmp_path / "out"))

    def test_config_and_environment_are_written_first_and_replayed(self, name, tmp_path, monkeypatch):
        module, out, seen = contract.module(name), tmp_path / "out", []
        if "output" not in module.Config.__dataclass_fields__:
            pytest.skip("has no output folder")

        def run(config):
            written = json.loads((out / "config.json").read_text())
            assert written.pop("launcher") == f"launch.{name}"
            assert written == json.loads(json.dumps(dataclasses.asdict(config)))
            environment = json.loads((out / "environment.json").read_text())
            assert environment["python"] == sys.version.split()[0]
            assert environment["packages"]["tensorflow"]
            seen.append(config)

        monkeypatch.setattr(module, "run", run)
        monkeypatch.setattr(module.Config, "check", lambda self: None, raising=False)
        assert module.main([*unusual_flags(module.Config), f"--output={out}"]) == 0
        assert module.main([f"--config={out / 'config.json'}"]) == 0
        assert seen[0] == seen[1]
        assert type(seen[0]) is type(seen[1])
        for field in dataclasses.fields(seen[0]):
            assert getattr(seen[0], field.name) != field.default, field.name

    def test_the_same_command_again_changes_nothing(self, name, tmp_path, capsys):
        module, out = contract.module(name), tmp_path / "out"
        command = contract.small_job(name, out, tmp_path / "files")
        assert module.main(command) == 0, capsys.readouterr().err
        before = {path: path.read_bytes() for path in out.rglob("*.parquet")}
        assert module.main(command) == 0
        assert {path: path.read_bytes() for path in out.rglob("*.parquet")} == before
        assert not list(out.rglob(".lock*"))


@pytest.mark.parametrize(
    ("name", "line"), [(name, line) for name, lines in contract.BAD_INPUT.items() for line in lines]
)
def test_bad_input_is_one_line_and_code_2(name, line, tmp_path, capsys):
    out = tmp_path / "out"
    assert contract.module(name).main(line.replace("OUT", str(out)).split()) == app.USAGE_ERROR
    assert contract.BAD_INPUT[name][line] in one_line_of_error(capsys)
    assert not list(out.glob("*.parquet"))
