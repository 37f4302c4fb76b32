"""TFDS builders: opened where they are prepared already, and prepared where that is asked for."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pathlib
import shlex
import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tfnas import errors, paths
from tfnas.data.sources import Source, info

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

# Seconds for an answer to a connection, and to each block read; TFDS itself waits for ever.
TIME_OUTS = (10.0, 60.0)
RETRIES = 2


def open_builder(source: Source, data_dir: str | os.PathLike | None) -> tfds.core.DatasetBuilder:
    """The prepared data set, opened read-only; digits are prepared where they are absent.

    Raises:
        InputError: the data set is not in the folder (None: TFDS' default), or its description is broken.
    """
    import tensorflow_datasets as tfds

    default = tfds.core.constants.DATA_DIR
    folder = _absolute(data_dir or default)
    try:
        return _open(source.builder, folder)
    except tfds.core.DatasetNotFoundError:
        pass
    if source.name == "digits":
        # A read-only data_dir is normal (data shared by many): the user's own folder then holds the digits.
        fallback = _absolute(default)
        place = folder if _writable(folder) else fallback
        try:
            if place == folder or not os.path.isdir(os.path.join(fallback, source.builder)):
                prepare_digits(place)
            return _open(source.builder, place)
        except (OSError, tfds.core.DatasetNotFoundError) as error:
            raise errors.InputError(
                f"The digits could not be prepared in {place}: {errors.first_line(error)}"
            ) from error
    raise errors.InputError(
        f"Data set {source.name!r} is not prepared. Looked for {source.builder} in {folder}. {_steps(source, data_dir)}"
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
        InputError: no network, a damaged download, missing or damaged manual files, or a folder that cannot be
            written.
    """
    import requests
    import tensorflow as tf
    import tensorflow_datasets as tfds

    source = info(name)
    if not source.builder:
        return
    folder = _absolute(data_dir or tfds.core.constants.DATA_DIR)
    # Found by its files, so that a data set which another version of TFDS prepared counts.
    with contextlib.suppress(tfds.core.DatasetNotFoundError):
        _open(source.builder, folder)
        return
    if source.manual:
        _check_manual(source, data_dir, manual_dir)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir and paths.expand(manual_dir))
    try:
        if source.name == "digits":
            prepare_digits(folder)
        else:
            if source.name == "synthetic_cifar10":
                import tfnas.data.labelled_noise  # noqa: F401  (TFDS then knows it)
            with _impatient():
                tfds.builder(source.builder, data_dir=folder).download_and_prepare(download_config=config)
    except requests.exceptions.RequestException as error:
        raise errors.InputError(
            f"{source.name} could not be downloaded; is there a network? {errors.first_line(error)}"
        ) from error
    except (
        tfds.download.DownloadError,
        tfds.download.download_manager.NonMatchingChecksumError,
        tf.errors.OpError,
        AssertionError,
        OSError,
        tarfile.TarError,
    ) as error:
        raise errors.InputError(
            f"{source.name} could not be prepared in {folder}: {errors.first_line(error)}"
        ) from error


def _steps(source: Source, data_dir: str | os.PathLike | None) -> str:
    """What there is to do before a data set can be used, in a line."""
    where = f" --data_dir={shlex.quote(os.fspath(data_dir))}" if data_dir else ""
    command = f"python -m launch.prepare --dataset={source.builder if source.manual else source.name}{where}"
    if not source.manual:
        return f"Prepare it with: {command}"
    wanted = " and ".join(f"{name} ({size / 1e9:.1f} GB, {size} bytes)" for name, size in source.manual)
    return (
        f"Only you can download it: (1) register at {source.page}; (2) put {wanted} into one folder, not unpacked; "
        f"(3) with as much room again in the data_dir, once: {command} --manual_dir=FOLDER"
    )


def _check_manual(source: Source, data_dir: str | os.PathLike | None, manual_dir: str | os.PathLike | None) -> None:
    """Refuses files that are missing or of another size: TFDS makes half of a data set of half of its files.

    Raises:
        InputError: naming them, with all that there is to do.
    """
    from etils import epath

    steps = _steps(source, data_dir)
    if not manual_dir:
        raise errors.InputError(f"{source.name} needs --manual_dir. Received: none. {steps}")
    folder = epath.Path(_absolute(manual_dir))
    found = {name: (folder / name).stat().length if (folder / name).exists() else None for name, _ in source.manual}
    if missing := [name for name, size in found.items() if size is None]:
        raise errors.InputError(f"{folder} lacks {' and '.join(missing)}. {steps}")
    for name, size in source.manual:
        if found[name] != size:
            raise errors.InputError(
                f"{folder / name} is not the published file, or a part of it. Received: {found[name]} bytes. {steps}"
            )


@functools.lru_cache(maxsize=16)
def _open(builder: str, folder: str) -> tfds.core.DatasetBuilder:
    import tensorflow_datasets as tfds

    try:
        return tfds.core.read_only_builder.builder_from_files(builder, data_dir=folder)
    except tfds.core.DatasetNotFoundError:
        raise
    except Exception as error:  # TFDS has no error of its own for files that are not what they should be
        raise errors.InputError(
            f"The description of {builder} in {folder} cannot be read (dataset_info.json, features.json): "
            f"{type(error).__name__}: {errors.first_line(error)}. Remove its folder and prepare the data set again"
        ) from error


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Downloads of TFDS with time-outs and few retries: on its own it tries a dead address for minutes."""
    import requests
    from tensorflow_datasets.core.download import downloader

    adapter, retries = requests.adapters.HTTPAdapter, downloader.MAX_RETRIES
    send = adapter.send

    def send_in_time(self: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, **options: Any) -> Any:
        return send(self, request, **options | {"timeout": options.get("timeout") or TIME_OUTS})

    adapter.send, downloader.MAX_RETRIES = send_in_time, RETRIES
    try:
        yield
    finally:
        adapter.send, downloader.MAX_RETRIES = send, retries


def _absolute(folder: str | os.PathLike) -> str:
    """A folder whatever the working folder is; an address in a bucket as it is."""
    folder = paths.expand(folder)
    return folder if "://" in folder else os.path.abspath(folder)


def _writable(folder: str) -> bool:
    if "://" in folder:
        return True
    existing = pathlib.Path(folder)
    while not existing.exists():
        existing = existing.parent
    return existing.is_dir() and os.access(existing, os.W_OK)
