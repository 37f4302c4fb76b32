"""TFDS builders: opened where they are prepared already, and prepared where that is asked for."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pathlib
from typing import TYPE_CHECKING

from tfnas import errors
from tfnas.data.sources import Source, info

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def open_builder(source: Source, data_dir: str | os.PathLike | None) -> tfds.core.DatasetBuilder:
    """The prepared data set, opened read-only; digits are prepared where they are absent.

    Raises:
        InputError: the data set is not in the folder (None: TFDS' default).
    """
    import tensorflow_datasets as tfds

    default = tfds.core.constants.DATA_DIR
    folder = os.path.abspath(os.path.expanduser(data_dir or default))
    try:
        return _open(source.builder, folder)
    except tfds.core.DatasetNotFoundError:
        pass
    if source.name == "digits":
        # A read-only data_dir is normal (data shared by many): the user's own folder then holds the digits.
        fallback = os.path.abspath(os.path.expanduser(default))
        place = folder if _writable(folder) else fallback
        try:
            if place == folder or not os.path.isdir(os.path.join(fallback, source.builder)):
                prepare_digits(place)
            return _open(source.builder, place)
        except (OSError, tfds.core.DatasetNotFoundError) as error:
            raise errors.InputError(
                f"The digits could not be prepared in {place}: {errors.first_line(error)}"
            ) from error
    where = f" --data_dir={data_dir}" if data_dir else ""
    raise errors.InputError(
        f"Data set {source.name!r} is not prepared. Looked for {source.builder} in {folder}. "
        f"Prepare it with: python -m launch.prepare --dataset={source.name}{where}"
    )


def prepare_digits(data_dir: str | os.PathLike | None = None) -> None:
    """Writes the digits into `data_dir` (None: TFDS' default folder). Takes a few seconds; needs no download.

    TFDS writes into a folder of its own and renames it at the end, so a killed run leaves no half of a data set, and
    of two processes that do this at once the later finds the work done.
    """
    from tfnas.data import digits

    builder = digits.Digits(data_dir=data_dir)
    try:
        # The bars and messages of TFDS would stand in the middle of a launcher's output.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            builder.download_and_prepare()
    except OSError:
        if not digits.Digits(data_dir=data_dir).is_prepared():
            raise


def prepare(
    name: str, *, data_dir: str | os.PathLike | None = None, manual_dir: str | os.PathLike | None = None
) -> None:
    """Downloads and prepares a data set, unless it is there already. The only function here that may download.

    Args:
        name: data set, one of `names()`.
        data_dir: folder to prepare it in; None is TFDS' default folder.
        manual_dir: folder of files that only the user can download.

    Raises:
        InputError: no network, a damaged download, missing manual files, or a folder that cannot be written.
    """
    import requests
    import tensorflow as tf
    import tensorflow_datasets as tfds

    source = info(name)
    if not source.builder:
        return
    folder = os.path.abspath(os.path.expanduser(data_dir or tfds.core.constants.DATA_DIR))
    # Found by its files, so that a data set which another version of TFDS prepared counts.
    with contextlib.suppress(tfds.core.DatasetNotFoundError):
        _open(source.builder, folder)
        return
    config = tfds.download.DownloadConfig(manual_dir=manual_dir and os.path.expanduser(manual_dir))
    try:
        if source.name == "digits":
            prepare_digits(folder)
        else:
            tfds.builder(source.builder, data_dir=folder).download_and_prepare(download_config=config)
    except requests.exceptions.RequestException as error:
        raise errors.InputError(
            f"{source.name} could not be downloaded; is there a network? {errors.first_line(error)}"
        ) from error
    # TFDS asserts that manual files are there.
    except (
        tfds.download.DownloadError,
        tfds.download.download_manager.NonMatchingChecksumError,
        tf.errors.OpError,
        AssertionError,
        OSError,
    ) as error:
        raise errors.InputError(
            f"{source.name} could not be prepared in {folder}: {errors.first_line(error)}"
        ) from error


@functools.lru_cache(maxsize=16)
def _open(builder: str, folder: str) -> tfds.core.DatasetBuilder:
    import tensorflow_datasets as tfds

    return tfds.core.read_only_builder.builder_from_files(builder, data_dir=folder)


def _writable(folder: str) -> bool:
    existing = pathlib.Path(folder)
    while not existing.exists():
        existing = existing.parent
    return existing.is_dir() and os.access(existing, os.W_OK)
