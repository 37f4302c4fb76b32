"""Records of folders as one small file with their provenance: scores that are kept and read by name."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import spaces
from launch.jobs import classes
from tfnas.errors import InputError
from tfnas.runs import kept, records, sources

if TYPE_CHECKING:
    import pandas as pd

# Of environment.json, what says with what and on what; commands hold paths of the machine.
_ENVIRONMENT = ("python", "packages", "platform", "cpu", "cores", "git")
# Flags that could change no record, or are paths.
_NO_SETTINGS = {
    *("launcher", "output", "data_dir", "manual_dir"),
    *("workers", "threads", "memory_mb", "executor", "shard", "retry"),
}
_MADE = re.compile(r"part-.+-(\d{4})(\d\d)(\d\d)T\d{6}[0-9a-f]{8}-\d{5}\.parquet")


def keep(places: Sequence[str], out: str, provenance: str, *, digits: int = 0) -> pd.DataFrame:
    """Writes all records of some places to one file, which is replaced where it is there; gives what it holds.

    Args:
        places: of `tfnas.runs.sources.read`.
        out: Parquet file.
        provenance: in words.
        digits: significant digits of the scores (0: all).

    Raises:
        InputError: a place has no records, files that are none, or records of what is no architecture of its space.
    """
    frame = sources.read(places)
    if skipped := frame.attrs["skipped"]:
        raise InputError(f"Only whole records are kept; move what is none out of the folder. Received: {skipped[0]}")
    kept.write(frame, out, facts(frame, places, provenance, digits), digits=digits)
    return kept.read(out)


def unpack(places: Sequence[str], folder: str) -> int:
    """Writes the records of some places into a folder, as far as it lacks them or failed; gives their number.

    Raises:
        InputError: a place has no records, or a file is damaged.
    """
    frame, known, done = sources.read(places), records.done(folder), records.done(folder, retry=True)
    rows = (records.Record(**row) for row in frame.to_dict("records"))
    more = [record for record in rows if record.key not in (known if record.status in records.FAILURES else done)]
    with records.Writer(folder, "kept") as writer:
        writer.add(more)
    return len(more)


def facts(frame: pd.DataFrame, places: Sequence[str], provenance: str, digits: int) -> dict[str, Any]:
    """What is told of records beside themselves, for JSON.

    Args:
        frame: of `tfnas.runs.sources.read`.
        places: where they were read.
        provenance: in words.
        digits: significant digits that scores are kept with (0: all).
    """
    runs, dates = [], set()
    for place in places:
        for run, made in _runs(place):
            runs += [run] if run and run not in runs else []
            dates |= made
    known = frame.attrs["provenance"].values()
    for earlier in known:
        runs += [run for run in earlier["runs"] if run not in runs]
        dates |= set(earlier["dates"])
    return {
        "text": provenance,
        "runs": runs,
        "dates": sorted({min(dates), max(dates)}) if dates else [],
        "digits": digits,
        "records": len(frame),
        "failures": int((frame["status"] != "ok").sum()),
        "spaces": {name: _counts(name, group.unique()) for name, group in frame.groupby("space")["arch"]},
        "proxies": sorted(frame["proxy"].unique()),
        "datasets": sorted(frame["dataset"].unique()),
        "seeds": sorted(map(int, frame["seed"].unique())),
        "repeats": int(frame["repeat"].max()) + 1,
        "devices": sorted(frame["device"].unique()),
        "versions": {name: sorted(frame[f"{name}_version"].unique()) for name in ("tfnas", "tensorflow", "keras")},
    }


def _counts(name: str, archs: Sequence[str]) -> dict[str, int]:
    """How many architectures of a space there are, of how many classes of isomorphic ones, and how many it has."""
    if name not in spaces.names():
        return {"architectures": len(archs)}
    space = spaces.get(name)
    return {"architectures": len(archs), "classes": len(set(classes.of(space, archs))), "of": space.size}


def _runs(place: str) -> list[tuple[dict[str, Any], set[str]]]:
    """(command and environment of a run, days) for each that a folder tells of."""
    from etils import epath

    from tfnas import paths

    folder = epath.Path(paths.expand(sources.locate(place)))
    if not folder.is_dir():
        return []
    names = sorted(path.name for path in folder.iterdir())
    days = {"-".join(match.groups()) for match in map(_MADE.fullmatch, names) if match}
    found: list[tuple[dict[str, Any], set[str]]] = [({}, days)]
    for name in names:
        if name.startswith("config") and name.endswith(".json"):
            config = _json(folder / name)
            environment = _json(folder / name.replace("config", "environment", 1))
            if "launcher" in config:
                run = {"command": _command(config)} | {key: environment.get(key) for key in _ENVIRONMENT}
                found.append((run, set()))
    return found


def _command(config: dict[str, Any]) -> str:
    """The command line of a config.json, as far as it says what is computed."""
    flags = []
    for key, value in sorted(config.items()):
        if key in _NO_SETTINGS or value is None or value in ("", []):
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        text = pathlib.PurePath(text).name if key == "archs" else text
        flags.append({"True": f"--{key}", "False": f"--no{key}"}.get(text, f"--{key}={text}"))
    return " ".join(["python", "-m", config["launcher"], *flags])


def _json(path: Any) -> dict[str, Any]:
    """The content of a file that a launcher wrote; nothing where it is none."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
