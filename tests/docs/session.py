"""A reader who goes through a document from top to bottom and does all that it says, in one folder."""

from __future__ import annotations

import importlib
import json
import pathlib
import re
import subprocess
import sys
import tomllib
import types
from typing import Any

from launch import app
from tests.conftest import ROOT
from tests.docs import reductions
from tests.docs.documents import Block, Command, commands
from tests.launch.papers.cases import fake_workers
from tfnas import paths
from tfnas.runs import sources

LAUNCHERS = ("correlate", "mnas", "nngp", "predict", "prepare", "reproduce", "score", "train")


class Session:
    """What is known of what has been done so far.

    Args:
        folder: the working directory of all that is done.
        monkeypatch: takes back what code blocks leave behind.
        name: module that Python blocks, one after the other, are the code of.

    Attributes:
        module: the same, as it is.
        data: of the last block of JSON.
    """

    def __init__(self, folder: pathlib.Path, monkeypatch: Any, name: str) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.module = types.ModuleType(name)
        self.data: list[Any] = []
        monkeypatch.setitem(sys.modules, name, self.module)
        monkeypatch.chdir(folder)

    def do(self, block: Block) -> None:
        """Runs a block; what is no code is left alone, and what is of an unknown language fails."""
        match block.language:
            case "bash":
                for command in commands(block.text):
                    self.run(command)
            case "python":
                exec(compile(block.text, f"{self.module.__name__}, line {block.line}", "exec"), self.module.__dict__)
            case "json":
                self.data = json.loads(block.text)
            case "":
                pass
            case _:
                raise AssertionError(f"No test knows what to do with a block of {block.language!r}, line {block.line}")

    def run(self, command: Command) -> None:
        """Runs a command as small as the reductions make it.

        Raises:
            AssertionError: it fails, or nothing is known about how to run it.
        """
        text = str(command)
        if any(text.startswith(start) for start in reductions.ELSEWHERE):
            return
        match command.words:
            case ("python", "-m", module, *arguments) if module.removeprefix("launch.") in LAUNCHERS:
                self.launch(module, arguments, text)
            case ("python", "-m", module, *arguments) if module.startswith("benchmarks."):
                run_benchmark(module, arguments)
            case ("python", "-m", "docs.generate"):
                importlib.import_module("docs.generate")  # tests/docs/test_generated.py
            case ("make", *targets):
                self.make(targets)
            case ("pip", "install", *arguments):
                check_install(arguments)
            case ("echo", *words) if command.target:
                (self.folder / command.target).write_text(" ".join(words) + "\n")
            case _:
                raise AssertionError(f"No test knows how to run this command: {text}")

    def launch(self, module: str, arguments: list[str], text: str) -> None:
        """A launcher: run, or only parsed or checked where the reductions say so."""
        launcher = importlib.import_module(module)
        if reductions.reason(reductions.PARSED, text):
            with self.monkeypatch.context() as patch:
                patch.setattr(paths, "check_bucket", lambda path: None)  # of somebody else, behind a network
                app.parse(launcher.Config, arguments)
            return
        small = reductions.reduced(module, arguments)
        if reductions.reason(reductions.CHECKED, text):
            config = app.parse(launcher.Config, small)
            folders = [self.folder / place for place in config.scores if not place.startswith(sources.PREFIX)]
            if not folders or not all(folder.is_dir() for folder in folders):
                for folder in folders:
                    folder.mkdir(parents=True, exist_ok=True)
                config.check()
                return
        with self.monkeypatch.context() as patch:
            if reductions.reason(reductions.INVENTED, text):
                fake_workers(patch)
            code = launcher.main(small)
        assert code == 0, f"{text} ended with {code}, run as {module} {' '.join(small)}"

    def make(self, targets: list[str]) -> None:
        """Targets that are there; the launchers that `demo` starts are run."""
        shown = ["make", "--dry-run", *targets, f"VENV={self.folder / 'venv'}", "PYTHON=python"]
        done = subprocess.run(shown, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        if "demo" in targets:
            found = [command for command in commands(done.stdout) if command.words[1:2] == ("-m",)]
            started = [command for command in found if command.words[2].startswith("launch.")]
            assert started
            for command in started:
                self.run(Command(("python", *command.words[1:])))


def run_benchmark(module: str, arguments: list[str]) -> None:
    """A benchmark in a process of its own (their flags are of the process), with next to nothing to measure."""
    small = {
        "benchmarks.engine": ["--networks=1", "--jacobian=0", "--memory=0", "--width=4", "--depth=1", "--batch=4"],
        "benchmarks.nngp": ["--networks=0", "--sweep=0", "--output="],
        "benchmarks.training": [
            *("--networks=1", "--rounds=1", "--steps=2", "--memory=0", "--width=4", "--depth=1"),
            *("--batch=4", "--pixels=8"),
        ],
        "benchmarks.mobile": ["--resolution=32", "--rounds=1", "--images=2", "--inferred=2"],
        "benchmarks.predictor": ["--epochs=1", "--networks=100", "--candidates=50", "--together=1", "--n_train=10"],
        "benchmarks.float32": ["--help"],
        "benchmarks.imagenet": ["--help"],
        "benchmarks.workers": ["--help"],
        "benchmarks.mutation": ["--help"],
    }[module]
    command = [sys.executable, "-m", module, *arguments, *small]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    # absl ends with 1 after --help.
    assert done.returncode == (1 if "--help" in small else 0), done.stderr


def check_install(arguments: list[str]) -> None:
    """Whether the extras that an installation asks for exist."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for argument in arguments:
        for named in re.findall(r"^\.\[([\w,-]+)\]$", argument):
            assert set(named.split(",")) <= set(extras), argument
