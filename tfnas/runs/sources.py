"""Where scores are read from: folders of records, files of kept ones, and those that come with a clone by their name.

`atlas:NAME` stands for `results/atlas/NAME.parquet` of the clone that this package lies in.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfnas import errors, paths
from tfnas.runs import kept, records

if TYPE_CHECKING:  # pandas takes its time to import
    import pandas as pd

PREFIX = "atlas:"
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "results" / "atlas"


def names() -> list[str]:
    """Names of the scores that come with the clone."""
    return sorted(path.stem for path in FOLDER.glob("*.parquet"))


def locate(place: str) -> str:
    """The path that a place stands for: `atlas:NAME` is a file of the clone, anything else stays.

    Raises:
        InputError: no such name, or no clone.
    """
    if not str(place).startswith(PREFIX):
        return place
    name = str(place).removeprefix(PREFIX)
    if name in names():
        return str(FOLDER / f"{name}.parquet")
    if not FOLDER.is_dir():
        raise errors.InputError(
            f"Kept scores are a part of the repository, not of the installed package. Received: {place!r}. "
            f"Work in a clone of it (there is no {FOLDER}), or give a folder of records or a file"
        )
    raise errors.unknown("kept scores", place, (f"{PREFIX}{known}" for known in names()))


def holds_records(place: str) -> bool:
    """Whether a place is a folder, or a file of kept scores; anything else is a table of scores, or nothing.

    Raises:
        InputError: as `locate`.
    """
    from etils import epath

    path = locate(place)
    return path != place or epath.Path(paths.expand(path)).is_dir() or kept.is_kept(path)


def read(places: Sequence[str]) -> pd.DataFrame:
    """All records of some places, each once, sorted by key.

    Of several records with one key that of the first place wins, but a failure yields to a score.

    Args:
        places: folders of records, files of kept ones, `atlas:NAME`.

    Returns:
        As `tfnas.runs.records.read`. `frame.attrs["provenance"]` has that of each file of kept ones, by place.

    Raises:
        InputError: one of them is neither, has no record, or is damaged.
    """
    import pandas as pd

    frames, skipped, provenance = [], [], {}
    for place in places:
        frame = _one(place)
        skipped += frame.attrs["skipped"]
        if "provenance" in frame.attrs:
            provenance[place] = frame.attrs["provenance"]
        if frame.empty:
            reasons = "".join(f"; skipped {line}" for line in frame.attrs["skipped"])
            raise errors.InputError(f"No records in {place}. Make some with python -m launch.score{reasons}")
        frames.append(frame)
    frame = frames[0] if len(frames) == 1 else records.once(pd.concat(frames, ignore_index=True))
    frame.attrs = {"skipped": skipped, "provenance": provenance}
    return frame


def _one(place: str) -> pd.DataFrame:
    from etils import epath

    path = locate(place)
    folder = epath.Path(paths.expand(path))
    if not folder.exists():
        raise errors.InputError(
            f"No such scores: {place}. Give a folder of records (of python -m launch.score), a file of kept ones or "
            f"{PREFIX}NAME"
        )
    return records.read(path) if folder.is_dir() else kept.read(path)
