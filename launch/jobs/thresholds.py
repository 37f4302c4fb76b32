"""The threshold of FEAR for a data set, found once and kept beside the records."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
from typing import Any, TypeVar

from launch.flags.trained import Trained
from tfnas import environment, files
from tfnas.errors import InputError

Settings = TypeVar("Settings", bound=Trained)

_DIGITS = 3  # of a threshold; so that shards on several machines find the same


def check(settings: Trained) -> None:
    """Refuses to find a threshold, where there is one to be found, without what is needed for it.

    Raises:
        InputError: scikit-image is not installed.
    """
    if settings.finds_threshold and importlib.util.find_spec("skimage") is None:
        raise InputError(
            "A threshold of fear is found with scikit-image. Received: --fear_threshold=0, and it is not installed. "
            'Allowed: --fear_threshold=0.6 or the like, or pip install -e ".[fear]"'
        )


def filled(settings: Settings, folder: str, threads: int = 0) -> Settings:
    """The same with the threshold of fear, which is told, where it is needed and not given; as `find`."""
    if not settings.finds_threshold:
        return settings
    found = find(settings, folder, threads)
    print(f"--fear_threshold={found:g}, which a shallow network on HoG features reaches")
    return dataclasses.replace(settings, fear_threshold=found)


def find(settings: Trained, folder: str, threads: int = 0) -> float:
    """The training accuracy of a shallow network on HoG features, a fraction, to three digits.

    Args:
        settings: data set, split and seed.
        folder: where it is kept, and looked for first.
        threads: to compute with (0: all cores).

    Raises:
        InputError: what is kept cannot be read, or as `training.hog_threshold`.
    """
    from etils import epath

    of = {name: getattr(settings, name) for name in ("dataset", "train_split", "seed")}
    digest = hashlib.sha256(json.dumps(of).encode()).hexdigest()[:16]
    path = epath.Path(folder) / f"threshold-{digest}.json"
    if not path.exists():
        value = _compute(settings, threads)
        with contextlib.suppress(FileExistsError):  # another shard was faster; all take the same
            files.write_atomic(path, json.dumps(of | {"threshold": value}).encode(), replace=False)
    return _read(path)


def _compute(settings: Trained, threads: int) -> float:
    environment.start_tensorflow(threads)
    from tfnas import data
    from tfnas.training.threshold import hog_threshold

    images = data.load(settings.dataset, settings.train_split, data_dir=settings.data_dir or None)
    found = hog_threshold(images, settings.network().classes, seed=settings.seed)
    return max(round(found, _DIGITS), 10**-_DIGITS)


def _read(path: Any) -> float:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        value = json.loads(path.read_text())["threshold"]
        if 0 < value <= 1:
            return value
    raise InputError(f"No threshold of fear. Received: {path}. Allowed: as it was written, or none")
