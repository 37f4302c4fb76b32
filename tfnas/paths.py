"""Paths as people write them: what they stand for, and whether anything can be written there."""

import os
import threading
import urllib.parse

from tfnas import environment
from tfnas.errors import InputError, first_line

# TensorFlow asks a bucket again for minutes before it gives up.
BUCKET_SECONDS = 20.0


def expand(path: str | os.PathLike[str]) -> str:
    """What a path stands for: ~ is a home and file:// a local path; any other path stays as it was written.

    Raises:
        InputError: the path is empty, of an unknown user, of another scheme than file:// and gs://, or no file system
            could have it.
    """
    text = os.fspath(path)
    if not text.strip():
        raise InputError(f"The path is empty. Received: {text!r}")
    if not is_text(text):
        raise InputError(f"The path has characters that no path can have. Received: {text!r}")
    scheme, marked, rest = text.partition("://")
    if marked and scheme == "gs" and rest.partition("/")[0]:
        return text
    if marked:
        host, slash, name = rest.partition("/")
        if scheme != "file" or host not in ("", "localhost") or not slash:
            raise InputError(f"Not a path. Received: {text!r}. Allowed: local paths, file:///PATH, gs://BUCKET/PATH")
        return expand(f"/{urllib.parse.unquote(name)}")
    found = os.path.expanduser(text)
    if found.startswith("~"):
        raise InputError(f"There is no such user. Received: {text!r}. A file of that name is ./{text}")
    return found


def cache(name: str) -> str:
    """A file of the user's cache: in the folder of TFNAS_CACHE, by default $XDG_CACHE_HOME/tfnas or ~/.cache/tfnas.

    A user without a home keeps the "~"; nothing is to be written there.
    """
    folder = os.environ.get("TFNAS_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "tfnas")
    return os.path.join(os.path.expanduser(folder), name)


def is_text(text: str) -> bool:
    """Whether a text can be a part of a path, and be written to a file: no NUL, nothing that was no UTF-8."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def check_folder(path: str) -> None:
    """Whether files can be written into a folder, which may be there or not.

    Args:
        path: as `expand` gives it.

    Raises:
        InputError: it is a file or lies below one, must not be written, or its bucket does not answer.
    """
    check_bucket(path)
    if _in_bucket(path):
        return
    existing = os.path.abspath(path)
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        raise InputError(f"There has to be a folder. Received: {path!r}, where {existing} is none")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"No permission to write. Received: {path!r}, in {existing}")


def check_file(path: str) -> None:
    """Whether a file can be written.

    Raises:
        InputError: it is a folder, or as `check_folder` of its folder.
    """
    if os.path.isdir(path):
        raise InputError(f"There has to be a file. Received: {path!r}, which is a folder")
    check_folder(path if _in_bucket(path) else os.path.dirname(path) or ".")


def check_bucket(path: str) -> None:
    """Whether the bucket of an address answers; nothing is asked about a local path.

    Raises:
        InputError: it does not within `BUCKET_SECONDS`, or not to this user.
    """
    if not _in_bucket(path):
        return
    from etils import epath

    environment.start_tensorflow()
    told: list[Exception | None] = []

    def ask() -> None:
        try:
            epath.Path(path).exists()
            told.append(None)
        except Exception as error:  # whatever the library of the bucket has for it
            told.append(error)

    # Nothing interrupts the asking, so that it is left behind.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(BUCKET_SECONDS)
    if not told:
        raise InputError(
            f"The bucket does not answer within {BUCKET_SECONDS:g} s; is there a network? Received: {path}"
        )
    if told[0] is not None:
        raise InputError(f"The bucket cannot be used. Received: {path}: {first_line(told[0])}")


def _in_bucket(path: str) -> bool:
    return path.startswith("gs://")
