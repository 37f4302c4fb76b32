"""The frame of every launcher: flags -> frozen config -> run(config).

A launcher is a module with a docstring (what it does, an example), a frozen dataclass whose fields are its flags, a
`run`, and a `main` that hands the three over:

    @dataclasses.dataclass(frozen=True)
    class Config:
        output: str = app.flag(None, "folder for the results")
        batch_size: int = app.flag(64, "images per batch")

        def check(self) -> None: ...      # optional: raise InputError before anything is written

    def main(argv: Sequence[str] | None = None) -> int:
        return app.launch(Config, run, __doc__, argv)

A field without a default value (None) is a required flag unless its type allows None. The config and the environment
are written to the `output` folder before `run` starts; --config=FILE, which every launcher takes, replays such a
config. Bad input of any kind ends in one line and exit code 2. A config may name flags of earlier versions in a class
variable `renamed`, old name -> new: whoever types one is told.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import errno
import hashlib
import io
import json
import os
import signal
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NoReturn

from absl import flags

from launch import values
from tfnas.errors import InputError

FAILED = 1
USAGE_ERROR = 2
INTERRUPTED = 130
CLOSED = 141
TERMINATED = 143
HELP_WIDTH = 80
LONGEST_MESSAGE = 1000
_HELP = {"--help", "-help", "-h", "--helpfull", "--helpshort"}

# The user can mend these; any other OSError is a fault of ours and keeps its traceback.
_MENDABLE = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG")
    if hasattr(errno, name)
}


def flag(default: Any, text: str, choices: Sequence[str] = (), **more: Any) -> Any:
    """A dataclass field that is a flag: its default, one line of help and the values allowed, if few."""
    return dataclasses.field(default=default, metadata={"help": text, "choices": tuple(choices), **more})


def path_flag(default: str | tuple[()] | None, text: str, writes: Literal["", "file", "folder"] = "") -> Any:
    """A flag that is a path, or a name that may stand for one, or a tuple of them; `parse` expands and checks it.

    Args:
        default: None where the flag is required or stays open; "" where it may be empty.
        text: one line of help.
        writes: what is written there, if anything: the file, or files in the folder.
    """
    return flag(default, text, path=True, writes=writes)


class Terminated(BaseException):
    """A scheduler asks the process to end (SIGTERM)."""


def launch(
    config_type: type, run: Callable[[Any], int | None], doc: str | None, argv: Sequence[str] | None = None
) -> int:
    """Parses flags, writes config and environment, runs.

    Args:
        config_type: frozen dataclass with one :func:`flag` per field.
        run: does the work; what it returns, if anything, is the exit code.
        doc: docstring of the launcher, shown by --help.
        argv: command line without the program's name; `sys.argv[1:]` by default.

    Returns:
        Exit code: 0, 1 where nothing succeeded, 2 for bad input or a full disk (one line on standard error), 130 when
        interrupted, 141 when its output was closed before the work was done, 143 when terminated.
    """
    # Before TensorFlow is imported anywhere: errors only, and the backend all of this is written for.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    argv = list(sys.argv[1:] if argv is None else argv)
    code = 0 if _HELP & set(argv) else CLOSED  # help that nobody reads to its end, however long, is no failure
    try:
        code = _ended(config_type, run, doc or "", argv)
        sys.stdout.flush()  # here, as nobody is told of what fails while Python ends
    except BrokenPipeError:
        # The reader of our output went away (`| head`). Keep Python from complaining again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _ended(config_type: type, run: Callable[[Any], int | None], doc: str, argv: Sequence[str]) -> int:
    """As `launch`, but for output that nobody reads."""
    try:
        with _signals():
            return _run(config_type, run, doc, argv)
    except (InputError, flags.Error) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("interrupted; what was finished is kept, the same command goes on from there", INTERRUPTED)
    except Terminated:
        return _fail("terminated; what was finished is kept, the same command goes on from there", TERMINATED)
    except OSError as error:
        if error.errno not in _MENDABLE:
            raise
        return _fail(f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror))
    except Exception as error:
        if not (told := _of_the_machine(error)):
            raise
        return _fail(f"{told}: {error}")


def _run(config_type: type, run: Callable[[Any], int | None], doc: str, argv: Sequence[str]) -> int:
    """As `launch`, but for errors; an interruption that C code made another error of is raised as what it was."""
    try:
        if _HELP & set(argv):
            print(help_text(config_type, doc))
            return 0
        config = parse(config_type, argv)
        if hasattr(config, "check"):
            config.check()
        if getattr(config, "output", None):
            write_run(config)
        return run(config) or 0
    except Exception as error:
        from tfnas import environment

        environment.raise_interruption(error)
        raise


def _of_the_machine(error: Exception) -> str:
    """What TensorFlow could not have, in words, where the error is about that; else ""."""
    if "tensorflow" not in sys.modules:
        return ""
    from tensorflow import errors

    if isinstance(error, errors.InternalError) and "cudaSetDevice() on GPU" in str(error):
        return (
            "The GPU cannot be used, other processes may hold its memory. End them, or choose another with "
            "CUDA_VISIBLE_DEVICES=N (-1: the CPU)"
        )
    # No permission or no network.
    kinds = errors.PermissionDeniedError, errors.UnauthenticatedError, errors.UnavailableError, errors.AbortedError
    return "The bucket cannot be used" if isinstance(error, kinds) else ""


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """The first SIGTERM or Ctrl-C unwinds the run, so that records are flushed; then a Ctrl-C ends it at once."""

    def unwind(kind: int, _: object) -> NoReturn:
        # A scheduler that asks twice must not cut the flushing short.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        raise KeyboardInterrupt if kind == signal.SIGINT else Terminated

    try:
        before = [(kind, signal.signal(kind, unwind)) for kind in (signal.SIGINT, signal.SIGTERM)]
    except ValueError:  # not in the main thread: signals are not ours
        before = []
    try:
        yield
    finally:
        for kind, do in before:
            signal.signal(kind, do)


def parse(config_type: type, argv: Sequence[str]) -> Any:
    """The config that a command line asks for.

    Raises:
        InputError: a required flag is missing, a value or a replayed config cannot be read, a flag of an earlier
            version, or something stands there that is no flag.
        absl.flags.Error: an unknown flag, or a value that cannot be read.
    """
    for argument in argv:
        if argument.startswith("-"):
            _refuse_old(config_type, argument.lstrip("-").partition("=")[0])
    given = _read(config_type, argv)
    path = given["config"].value
    if path is not None:
        # What stands on the command line comes later and wins.
        given = _read(config_type, [*_replayed(config_type, path), *argv])
    read = {}
    for field, kind, optional in _fields(config_type):
        value = given[field.name].value
        if value is None and not optional:
            raise InputError(f"--{field.name} is required: {field.metadata['help']}")
        read[field.name] = None if value is None else values.checked(field, kind, value)
    return config_type(**read)


def _read(config_type: type, argv: Sequence[str]) -> flags.FlagValues:
    defined = _define(config_type)
    try:
        rest = defined([config_type.__module__, *argv])[1:]
    except ValueError:  # absl opens --flagfile, which every launcher takes
        raise InputError("Cannot read --flagfile: not the path of a text file in UTF-8") from None
    if rest:
        raise InputError(f"Unexpected argument. Received: {rest[0]!r}. Flags are written --name=value")
    return defined


def _refuse_old(config_type: type, name: str, where: str = "") -> None:
    renamed = getattr(config_type, "renamed", {})
    if name in renamed:
        raise InputError(f"{where}--{name} has another name now: --{renamed[name]}")


def _replayed(config_type: type, path: str) -> list[str]:
    """The command line that a config.json stands for.

    Raises:
        InputError: the file cannot be read, is of another launcher, or has other fields.
    """
    from etils import epath

    from tfnas import paths

    try:
        content = json.loads(epath.Path(paths.expand(path)).read_text())
        wrote = content.pop("launcher")
    except (OSError, ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        reason = getattr(error, "strerror", "") or "no config.json of a launcher"
        raise InputError(f"Cannot read --config={path}: {reason}") from None
    if wrote != launcher_of(config_type):
        raise InputError(
            f"--config={path} is of another launcher. Received: {wrote}. Allowed: {launcher_of(config_type)}"
        )
    known = {field.name for field in dataclasses.fields(config_type)}
    arguments = []
    for name, value in content.items():
        _refuse_old(config_type, name, f"--config={path}: ")
        if name not in known:
            raise InputError(f"--config={path} has a flag that {wrote} does not know. Received: {name}")
        if isinstance(value, list):
            cells = io.StringIO()
            csv.writer(cells, lineterminator="").writerow(value)  # as absl reads lists
            value = cells.getvalue()
        if value is not None:
            arguments.append(f"--{name}={value}")
    return arguments


def launcher_of(config_type: type) -> str:
    """Name of the launcher whose config it is, also while it runs as a program."""
    module = config_type.__module__
    return getattr(sys.modules["__main__"].__spec__, "name", module) if module == "__main__" else module


def help_text(config_type: type, doc: str) -> str:
    """The launcher's docstring and its own flags with their defaults, as wide as a terminal."""
    lines = [textwrap.dedent(doc).strip(), "", "Flags (and --config=FILE, a config.json to replay):"]
    for field, kind, optional in _fields(config_type):
        note = "required" if field.default is None and not optional else "optional"
        if field.default not in (None, (), ""):
            note = f"default: {_shown(field.default)}"
        choices = f" ({'|'.join(field.metadata['choices'])})" if field.metadata["choices"] else ""
        name = f"--[no]{field.name}" if kind is bool else f"--{field.name}"
        text = f"{field.metadata['help']}{choices} [{note}]"
        lines += textwrap.wrap(
            text,
            HELP_WIDTH,
            initial_indent=f"  {name:<18} ",
            subsequent_indent=" " * 21,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def _shown(default: Any) -> str:
    """A default as one types it; of many values the ends."""
    if not isinstance(default, tuple):
        return str(default)
    if len(default) > 6:
        return f"{len(default)} values, {default[0]},{default[1]},...,{default[-1]}"
    return ",".join(map(str, default))


def write_run(config: Any) -> None:
    """Writes config.json and environment.json to `config.output`.

    A folder may collect runs (shards, more proxies): a config that differs from the first goes to
    config-<digest>.json beside it.
    """
    from etils import epath

    from tfnas import environment, files

    folder = epath.Path(config.output)
    text = to_json({"launcher": launcher_of(type(config)), **dataclasses.asdict(config)})
    suffix = ""
    first = folder / "config.json"
    if first.exists() and first.read_text() != text:
        suffix = "-" + hashlib.sha256(text.encode()).hexdigest()[:8]
    files.write_atomic(folder / f"config{suffix}.json", text.encode())
    files.write_atomic(folder / f"environment{suffix}.json", to_json(environment.describe()).encode())


def to_json(value: Any) -> str:
    """JSON as config.json has it."""
    return json.dumps(value, indent=1, sort_keys=True, default=str) + "\n"


def _fail(message: str, code: int = USAGE_ERROR) -> int:
    line = " ".join(message.split()).encode(errors="backslashreplace").decode()
    if len(line) > LONGEST_MESSAGE:  # what was received may be of any length; what is allowed stands at the end
        line = f"{line[: LONGEST_MESSAGE // 2]} ... {line[-LONGEST_MESSAGE // 2 :]}"
    print(f"error: {line}", file=sys.stderr)
    return code


def _is_tuple(kind: type) -> bool:
    return typing.get_origin(kind) is tuple


def _fields(config_type: type) -> list[tuple[dataclasses.Field, type, bool]]:
    """(field, type without None, whether None is allowed) for each field."""
    hints = typing.get_type_hints(config_type)
    out = []
    for field in dataclasses.fields(config_type):
        hint, optional = hints[field.name], False
        if isinstance(hint, types.UnionType):
            kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
            hint, optional = kinds[0], True
        out.append((field, hint, optional))
    return out


def _define(config_type: type) -> flags.FlagValues:
    # Each launcher has flag values of its own: absl's shared ones would mix the flags of all modules imported.
    defined = flags.FlagValues()
    define = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_bool,
    }
    flags.DEFINE_string("config", None, "config.json to replay", flag_values=defined)
    for field, kind, _ in _fields(config_type):
        text, choices = field.metadata["help"], field.metadata["choices"]
        default = field.default
        if _is_tuple(kind):
            flags.DEFINE_list(field.name, default and [str(item) for item in default], text, flag_values=defined)
        elif choices:
            flags.DEFINE_enum(field.name, default, list(choices), text, flag_values=defined)
        else:
            define[kind](field.name, default, text, flag_values=defined)
    return defined
