"""The frame of launchers: flags, replayed configs, help, signals, what is written first."""

import dataclasses
import errno
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from typing import ClassVar

import pytest

from launch import app
from tests.conftest import ROOT
from tfnas import files
from tfnas.errors import InputError


@dataclasses.dataclass(frozen=True)
class Example:
    renamed: ClassVar[dict[str, str]] = {"amount": "count", "title": "names"}

    output: str = app.flag(None, "folder")
    count: int = app.flag(3, "how many")
    share: float = app.flag(0.5, "how much")
    names: tuple[str, ...] = app.flag(("a", "b"), "which")
    sizes: tuple[int, ...] = app.flag((1, 2), "how large")
    rates: tuple[float, ...] = app.flag((), "how fast")
    deep: bool = app.flag(False, "whether")
    kind: str = app.flag("x", "what", choices=("x", "y"))
    limit: int | None = app.flag(None, "at most")


def replay(tmp_path, capsys, content, *more):
    """What becomes of a config.json of this content: the config, or the line of error."""
    path = tmp_path / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    seen = []
    if app.launch(Example, seen.append, "doc", [f"--config={path}", *more]) == 0:
        return seen[0]
    return capsys.readouterr().err


class TestFlags:
    def test_become_a_config(self):
        flags = ["--output=o", "--count=4", "--share=1e-3", "--names=c,d", "--sizes=5, 6", "--rates=1e-7,2", "--deep"]
        assert app.parse(Example, [*flags, "--kind=y", "--limit=0"]) == Example(
            "o", 4, 1e-3, ("c", "d"), (5, 6), (1e-7, 2.0), True, "y", 0
        )
        assert app.parse(Example, ["--output", "o", "--names="]) == Example("o", names=())
        assert app.parse(Example, ["--output=o"]) == Example("o")

    def test_are_not_shared_by_launchers(self):
        app.parse(Example, ["--output=o", "--count=4"])
        assert app.parse(Example, ["--output=o"]).count == 3

    @pytest.mark.parametrize(
        ("flag", "message"),
        [
            ("--sizes=1,two", r"--sizes takes whole numbers, separated by commas. Received: '1,two'"),
            ("--sizes=1.5", r"--sizes takes whole numbers, separated by commas. Received: '1.5'"),
            ("--rates=fast", r"--rates takes numbers, separated by commas. Received: 'fast'"),
            ("--amount=3", "--amount has another name now: --count"),
            ("-title", "--title has another name now: --names"),
            ("amount", "Unexpected argument. Received: 'amount'"),
        ],
    )
    def test_that_cannot_be_read(self, flag, message):
        with pytest.raises(InputError, match=message):
            app.parse(Example, ["--output=o", flag])


class TestReplay:
    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path, monkeypatch):
        """Where the output folder "o" may be written."""
        (tmp_path / "cwd").mkdir()
        monkeypatch.chdir(tmp_path / "cwd")

    FULL = Example("o", 4, 0.1 + 0.2, ("a,b", 'say "c"', ""), (5,), (1e-7, 100.0), True, "y", 0)

    @pytest.mark.parametrize("config", [FULL, Example("o"), Example("o", names=(), sizes=())])
    def test_gives_the_same_config(self, config, tmp_path, capsys):
        assert replay(tmp_path, capsys, {"launcher": Example.__module__, **dataclasses.asdict(config)}) == config

    def test_the_command_line_wins(self, tmp_path, capsys):
        content = {"launcher": Example.__module__, **dataclasses.asdict(self.FULL)}
        found = replay(tmp_path, capsys, content, "--nodeep", "--sizes=7,8", "--count=1")
        assert found == dataclasses.replace(self.FULL, deep=False, sizes=(7, 8), count=1)

    def test_of_a_written_run(self, tmp_path, capsys):
        config = dataclasses.replace(self.FULL, output=str(tmp_path / "out"))
        app.write_run(config)
        assert replay(tmp_path, capsys, (tmp_path / "out" / "config.json").read_text()) == config

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "no config.json of a launcher"),
            ("[1]", "no config.json of a launcher"),
            ({"output": "o"}, "no config.json of a launcher"),
            ({"launcher": "launch.other", "output": "o"}, "another launcher. Received: launch.other"),
            ({"launcher": Example.__module__, "output": "o", "colour": 1}, "Received: colour"),
            ({"launcher": Example.__module__, "output": "o", "amount": 1}, "--amount has another name now: --count"),
            ({"launcher": Example.__module__, "output": "o", "kind": "z"}, "x|y"),
            ({"launcher": Example.__module__, "output": "o", "count": "many"}, "many"),
            ({"launcher": Example.__module__, "output": "o", "sizes": [1.5]}, "--sizes takes whole numbers"),
            ({"launcher": Example.__module__, "output": None}, "--output is required"),
        ],
    )
    def test_bad_ones_are_one_line(self, content, message, tmp_path, capsys):
        error = replay(tmp_path, capsys, content)
        assert isinstance(error, str), error
        assert message in error
        assert error.count("\n") == 1


def test_help_tells_defaults_choices_and_what_is_required():
    text = app.help_text(Example, "Does it.\n\nExample:\n    it --count=1\n")
    lines = {line.split()[0]: line for line in text.splitlines() if line.startswith("  --")}
    fields = {field.name for field in dataclasses.fields(Example)} - {"deep"}
    assert set(lines) == {f"--{name}" for name in fields} | {"--[no]deep"}
    assert "[required]" in lines["--output"]
    assert "[default: a,b]" in lines["--names"]
    assert "[default: 1,2]" in lines["--sizes"]
    assert "(x|y) [default: x]" in lines["--kind"]
    assert "[optional]" in lines["--limit"]
    assert "--config=FILE" in text


def test_what_run_returns_is_the_exit_code(tmp_path):
    for code, expected in ((None, 0), (0, 0), (app.FAILED, 1)):
        assert app.launch(Example, lambda config, code=code: code, "doc", [f"--output={tmp_path}"]) == expected


SIGNALLED = """
import dataclasses, pathlib, sys, time
from launch import app

@dataclasses.dataclass(frozen=True)
class Config:
    output: str = app.flag(None, "folder")

def run(config):
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("unwinding", flush=True)
        time.sleep(float(sys.argv[2]))
        pathlib.Path(config.output, "flushed").touch()

sys.exit(app.launch(Config, run, "doc", [f"--output={sys.argv[1]}"]))
"""


class Signalled:
    """A process that waits until it is told to end, and then takes `flushing` seconds to unwind."""

    def __init__(self, folder, flushing):
        self.flushed = folder / "flushed"
        command = [sys.executable, "-c", textwrap.dedent(SIGNALLED), str(folder), str(flushing)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate()

    def after(self, line, kind):
        """Sends a signal once the process has printed a line."""
        assert self.process.stdout.readline() == f"{line}\n", self.process.stderr.read()
        self.process.send_signal(kind)

    def end(self):
        _, error = self.process.communicate(timeout=120)
        return self.process.returncode, error


class TestSignals:
    @pytest.mark.parametrize(("kind", "code"), [(signal.SIGINT, app.INTERRUPTED), (signal.SIGTERM, app.TERMINATED)])
    def test_unwind_and_are_told_in_one_line(self, kind, code, tmp_path):
        with Signalled(tmp_path, 0) as child:
            child.after("ready", kind)
            found, error = child.end()
            assert found == code
            assert error.startswith("error: ")
            assert error.count("\n") == 1
            assert "the same command goes on from there" in error
            assert child.flushed.exists()

    def test_a_second_ctrl_c_ends_at_once(self, tmp_path):
        with Signalled(tmp_path, 600) as child:
            child.after("ready", signal.SIGINT)
            child.after("unwinding", signal.SIGINT)
            assert child.end()[0] == app.INTERRUPTED
            assert not child.flushed.exists()

    @pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
    def test_a_scheduler_that_asks_twice_cuts_nothing_short(self, first, tmp_path):
        with Signalled(tmp_path, 1) as child:
            child.after("ready", first)
            child.after("unwinding", signal.SIGTERM)
            assert child.end()[0] == (app.INTERRUPTED if first == signal.SIGINT else app.TERMINATED)
            assert child.flushed.exists()

    def test_handlers_are_put_back(self, tmp_path):
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        assert app.launch(Example, lambda config: None, "doc", [f"--output={tmp_path}"]) == 0
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize(
    ("cause", "code"), [(KeyboardInterrupt(), app.INTERRUPTED), (app.Terminated(), app.TERMINATED)]
)
def test_an_interruption_that_numpy_made_another_error_of_is_one(cause, code, tmp_path, capsys):
    def run(_):
        raise SystemError("returned a result with an exception set") from cause

    assert app.launch(Example, run, "doc", [f"--output={tmp_path}"]) == code
    assert "the same command goes on from there" in capsys.readouterr().err


def test_another_config_in_the_same_folder_does_not_replace_the_first(tmp_path):
    first, second = (Example(str(tmp_path), count) for count in (1, 2))
    for config in (first, second, first, second):
        app.write_run(config)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 4
    counts = {json.loads(path.read_text())["count"] for path in tmp_path.glob("config*.json")}
    assert counts == {1, 2}
    assert json.loads((tmp_path / "config.json").read_text())["count"] == 1


def test_a_full_disk_before_the_run_is_one_line(tmp_path, capsys, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "write_atomic", full)
    assert app.launch(Example, lambda config: None, "doc", [f"--output={tmp_path}"]) == app.USAGE_ERROR
    error = capsys.readouterr().err
    assert error == f"error: {os.strerror(errno.ENOSPC)}\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("InternalError", "error: The GPU cannot be used, .*CUDA_VISIBLE_DEVICES.*: cudaSetDevice"),
        ("UnavailableError", "error: The bucket cannot be used: cudaSetDevice"),
    ],
)
def test_what_the_machine_refuses_is_one_line(tmp_path, capsys, error, told):
    from tensorflow import errors

    def refused(config):
        raise getattr(errors, error)(None, None, "cudaSetDevice() on GPU:0 failed. Status: out of memory")

    assert app.launch(Example, refused, "doc", [f"--output={tmp_path}"]) == app.USAGE_ERROR
    assert re.fullmatch(f"{told}.*\n", capsys.readouterr().err)


def test_other_errors_of_tensorflow_are_not_hidden(tmp_path):
    from tensorflow import errors

    def broken(config):
        raise errors.InternalError(None, None, "No BLAS for stream")

    with pytest.raises(errors.InternalError):
        app.launch(Example, broken, "doc", [f"--output={tmp_path}"])
