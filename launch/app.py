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
are written to the `output` folder before `run` starts. Bad input of any kind ends in one line and exit code 2.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import sys
import tempfile
import textwrap
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from tfnas.errors import InputError

USAGE_ERROR = 2
INTERRUPTED = 130

# The user can mend these; any other OSError is a fault of ours and keeps its traceback.
_MENDABLE = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "ENOENT", "ENOTDIR", "EISDIR", "ENAMETOOLONG")
    if hasattr(errno, name)
}


def flag(default: Any, text: str, choices: Sequence[str] = ()) -> Any:
    """A dataclass field that is a flag: its default, one line of help and the values allowed, if few."""
    return dataclasses.field(default=default, metadata={"help": text, "choices": tuple(choices)})


def launch(config_type: type, run: Callable[[Any], None], doc: str | None, argv: Sequence[str] | None = None) -> int:
    """Parses flags, writes config and environment, runs.

    Args:
        config_type: frozen dataclass with one :func:`flag` per field.
        run: does the work.
        doc: docstring of the launcher, shown by --help.
        argv: command line without the program's name; `sys.argv[1:]` by default.

    Returns:
        Exit code: 0, 2 for bad input or a full disk (one line on standard error), 130 when interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    # Before TensorFlow is imported anywhere: errors only, and the backend all of this is written for.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if any(argument in ("--help", "-help", "-h", "--helpfull", "--helpshort") for argument in argv):
        print(help_text(config_type, doc or ""))
        return 0
    try:
        config = parse(config_type, argv)
        if hasattr(config, "check"):
            config.check()
        if getattr(config, "output", None):
            write_run(config)
        run(config)
    except (InputError, flags.Error) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("interrupted; what was finished is kept, the same command goes on from there", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away (`| head`). Keep Python from complaining again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _MENDABLE:
            raise
        return _fail(f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror))
    return 0


def start_tensorflow() -> None:
    """Imports TensorFlow for full float32, without the messages it prints while it starts and no log level silences.

    Call this before the first thing that imports it. The messages are shown after all if the import fails.
    """
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    keep = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
            # Ampere and later GPUs would multiply float32 with 10 bits of mantissa.
            tf.config.experimental.enable_tensor_float_32_execution(False)
        except BaseException:
            messages.seek(0)
            os.write(keep, messages.read())
            raise
        finally:
            os.dup2(keep, 2)
            os.close(keep)


def parse(config_type: type, argv: Sequence[str]) -> Any:
    """The config that a command line asks for.

    Raises:
        InputError: a required flag is missing, or something stands there that is no flag.
        absl.flags.Error: an unknown flag, or a value that cannot be read.
    """
    values = _define(config_type)
    rest = values([config_type.__module__, *argv])[1:]
    if rest:
        raise InputError(f"Unexpected argument. Received: {rest[0]!r}. Flags are written --name=value")
    read = {}
    for field, kind, optional in _fields(config_type):
        value = values[field.name].value
        if value is None and not optional:
            raise InputError(f"--{field.name} is required: {field.metadata['help']}")
        read[field.name] = tuple(value) if kind is tuple and value is not None else value
    return config_type(**read)


def help_text(config_type: type, doc: str) -> str:
    """The launcher's docstring and its own flags with their defaults."""
    lines = [textwrap.dedent(doc).strip(), "", "Flags:"]
    for field, kind, optional in _fields(config_type):
        default = ",".join(field.default) if kind is tuple and field.default else field.default
        note = "required" if default is None and not optional else "optional"
        if default not in (None, (), ""):
            note = f"default: {default}"
        choices = f" ({'|'.join(field.metadata['choices'])})" if field.metadata["choices"] else ""
        name = f"--[no]{field.name}" if kind is bool else f"--{field.name}"
        text = f"{field.metadata['help']}{choices} [{note}]"
        lines += textwrap.wrap(text, 112, initial_indent=f"  {name:<18} ", subsequent_indent=" " * 21)
    return "\n".join(lines)


def write_run(config: Any) -> None:
    """Writes config.json and environment.json to `config.output`.

    A folder may collect runs (shards, more proxies): a config that differs from the first goes to
    config-<digest>.json beside it.
    """
    from etils import epath

    from tfnas import environment, files

    folder = epath.Path(config.output)
    launcher = type(config).__module__
    if launcher == "__main__":
        launcher = getattr(sys.modules["__main__"].__spec__, "name", launcher)
    text = to_json({"launcher": launcher, **dataclasses.asdict(config)})
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
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


def _fields(config_type: type) -> list[tuple[dataclasses.Field, type, bool]]:
    """(field, type without None, whether None is allowed) for each field."""
    hints = typing.get_type_hints(config_type)
    out = []
    for field in dataclasses.fields(config_type):
        hint, optional = hints[field.name], False
        if isinstance(hint, types.UnionType):
            kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
            hint, optional = kinds[0], True
        out.append((field, typing.get_origin(hint) or hint, optional))
    return out


def _define(config_type: type) -> flags.FlagValues:
    # Each launcher has flag values of its own: absl's shared ones would mix the flags of all modules imported.
    values = flags.FlagValues()
    define = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_bool,
        tuple: flags.DEFINE_list,
    }
    for field, kind, _ in _fields(config_type):
        text, choices = field.metadata["help"], field.metadata["choices"]
        default = list(field.default) if kind is tuple and field.default is not None else field.default
        if choices:
            flags.DEFINE_enum(field.name, default, list(choices), text, flag_values=values)
        else:
            define[kind](field.name, default, text, flag_values=values)
    return values
