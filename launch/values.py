"""What a value of any flag has to be: a text, a number that is one, a path that can be."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Sequence
from typing import Any

from tfnas import paths
from tfnas.errors import InputError


def checked(field: dataclasses.Field, kind: type, value: Any) -> Any:
    """The value of a flag, of which nothing that no flag of its kind takes is left.

    Raises:
        InputError: a number that is not finite or has more than 64 bits, a text that is none, a path that cannot be.
    """
    name = field.name
    value = _items(name, kind, value) if typing.get_origin(kind) is tuple else value
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, float) and not math.isfinite(item):
            raise InputError(f"--{name} takes finite numbers. Received: {item}")
        if isinstance(item, int) and not -(2**63) <= item < 2**63:
            size = item.bit_length()  # writing out thousands of digits is an error of its own
            raise InputError(f"--{name} takes whole numbers from -2^63 to 2^63 - 1. Received: one of {size} bits")
        if isinstance(item, str) and not paths.is_text(item):
            raise InputError(f"--{name} takes text in UTF-8. Received: {item!r}")
    if not field.metadata.get("path") or (value == "" and field.default == ""):
        return value
    try:
        return tuple(map(_path, value)) if isinstance(value, tuple) else _path(value, field.metadata["writes"])
    except InputError as error:
        raise InputError(f"--{name}: {error}") from None


def _path(value: str, writes: str = "") -> str:
    value = paths.expand(value)
    {"folder": paths.check_folder, "file": paths.check_file, "": paths.check_bucket}[writes](value)
    return value


def _items(name: str, kind: type, texts: Sequence[str]) -> tuple:
    """The values of a flag that is a list, as numbers where they are numbers."""
    item = typing.get_args(kind)[0]
    try:
        return tuple(item(text.strip()) for text in texts)
    except ValueError:
        numbers = "whole numbers" if item is int else "numbers"
        raise InputError(f"--{name} takes {numbers}, separated by commas. Received: {','.join(texts)!r}") from None


def pairs(flag: str, texts: Sequence[str], form: str = "column=value") -> dict[str, str]:
    """The values of a flag that is a list of column=value, or of another such `form`.

    Raises:
        InputError: one that is none.
    """
    if not all(text.partition("=")[1] for text in texts):
        raise InputError(f"--{flag} takes {form}, comma separated. Received: {','.join(texts)}")
    return {text.partition("=")[0].strip(): text.partition("=")[2].strip() for text in texts}
