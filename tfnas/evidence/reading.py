"""Scores and known performance from files, as frames that can be ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tfnas import errors, paths, tables
from tfnas.evidence import units
from tfnas.runs import records, sources

if TYPE_CHECKING:  # pandas takes its time to import
    import pandas as pd
    from etils import epath

# Repeats of one score differ in these only; in everything else of a record's key, all scores of a proxy agree.
REPEATS = ("seed", "repeat")
# Sizes that any proxy should beat.
BASELINES = ("params", "flops")
SETTINGS = tuple(column for column in records.KEY if column not in ("arch", "proxy", *REPEATS))
# A size does not depend on them.
_NOT_OF_A_SIZE = ("batch_size", "init", "bn", "options")
_HINT = "Choose one with --where={column}=..."
# The last stands beside scores that were compared already.
_NOT_A_PROXY = {*records.KEY, *records.HOST, "index", "truth"}


def load_scores(
    places: epath.PathLike | Sequence[epath.PathLike],
    *,
    arch_column: str = "arch",
    proxies: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    hint: str = _HINT,
) -> pd.DataFrame:
    """Reads scores from folders of records, kept scores, and CSV or Parquet files.

    Args:
        places: one or several: what `tfnas.runs.sources.read` takes; or files with columns arch, proxy, score (long),
            or arch and one column per proxy (wide; every column of numbers is one but for names of settings).
        arch_column: name of the column with the architecture strings in such files.
        proxies: take these only.
        where: take the rows with these values only, compared as text, e.g. {"dataset": "cifar10"}.
        hint: as in `check_settings`.

    Returns:
        Long frame. `frame.attrs["skipped"]` has a line for each file of a folder that could not be read,
        `frame.attrs["provenance"]` what kept scores say of themselves, by place.

    Raises:
        InputError: nothing there, a column, proxy or value is unknown, a proxy was scored under several settings or is
            in a file and in another place.
    """
    import pandas as pd

    places = [places] if isinstance(places, str) or not isinstance(places, Sequence) else list(places)
    if not places:
        raise errors.InputError("No scores. Give folders of records, kept scores, or CSV or Parquet files")
    recorded = [place for place in places if sources.holds_records(place)]
    attrs: dict = {"skipped": [], "provenance": {}}
    frames = {}
    if recorded:
        frame = sources.read(recorded)
        attrs |= frame.attrs
        frames[", ".join(map(str, recorded))] = frame
    for place in places:
        if place not in recorded:
            frames[place] = _table(place, arch_column)
    found = {place: _long(select(frame, where or {}, place), place) for place, frame in frames.items()}
    _apart(found)
    if len(found) > 1:
        parts = (part if "status" in part else part.assign(status="ok") for part in found.values())
        frame = pd.concat(parts, ignore_index=True)
    else:
        (frame,) = found.values()
    if missing := sorted(set(proxies) - set(frame["proxy"])):
        raise errors.unknown("proxy", ", ".join(missing), frame["proxy"].unique())
    if proxies:
        frame = frame[frame["proxy"].isin(proxies)]
    check_settings(frame, hint)
    frame.attrs = attrs
    return frame.reset_index(drop=True)


def _table(place: epath.PathLike, arch_column: str) -> pd.DataFrame:
    """A CSV or Parquet file of scores, as it is."""
    from etils import epath

    if not epath.Path(paths.expand(place)).exists():
        raise errors.InputError(
            f"No such scores: {place}. Give a folder of records (of python -m launch.score), "
            f"{sources.PREFIX}NAME, or a CSV or Parquet file"
        )
    return tables.load(place, arch_column=arch_column)


def _long(frame: pd.DataFrame, place: epath.PathLike) -> pd.DataFrame:
    """A row for each score.

    Raises:
        InputError: there are none, or a column score that is not of numbers or of no proxy.
    """
    import pandas as pd

    if "proxy" not in frame and "score" in frame:
        raise errors.InputError(f"{place} has a column score, but none that names it. Needed: a column proxy")
    if "score" in frame:
        if not pd.api.types.is_numeric_dtype(frame["score"]) and len(frame):
            raise errors.InputError(f"Scores must be numbers. Received in {place}: {frame['score'].iloc[0]!r}")
    else:
        values = [column for column in frame.select_dtypes("number") if column not in _NOT_A_PROXY]
        kept = [column for column in SETTINGS + REPEATS if column in frame]
        frame = frame.melt(["arch", *kept], values, "proxy", "score")
    if frame.empty:
        raise errors.InputError(f"{place} has no scores. Needed: columns arch, proxy and score, or arch and numbers")
    return frame


def _apart(found: Mapping[str, pd.DataFrame]) -> None:
    """Refuses to average scores of files, of which no settings are known, with others."""
    seen: dict[str, str] = {}
    for place, frame in found.items():
        for proxy in frame["proxy"].unique():
            if seen.setdefault(proxy, place) != place:
                raise errors.InputError(
                    f"Scores of {proxy} are in {seen[proxy]} and in {place}. Give one of them another name"
                )


def load_truth(
    path: epath.PathLike,
    *,
    target: str = "",
    prefer: Sequence[str] = (),
    arch_column: str = "arch",
    where: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Reads a table and finds its target column.

    Args:
        path: CSV or Parquet file, or the name of an embedded table.
        target: column with the performance, higher is better; may stay open if the table has only one column of numbers
            beside params and flops, or one named "accuracy".
        prefer: columns to look for first where `target` stays open.
        arch_column: column with the architecture strings.
        where: as in `load_scores`.

    Returns:
        Frame indexed by architecture; the target is in column `frame.attrs["target"]`, its unit (of
        `tfnas.evidence.units.check`) in `frame.attrs["unit"]`.

    Raises:
        InputError: as `tables.load`; the target is not clear, holds no numbers, infinite ones or several units; an
            architecture has several values.
    """
    frame = select(tables.load(path, arch_column=arch_column), where or {}, path)
    numbers = list(frame.select_dtypes("number"))
    if not target:
        open_to = [column for column in numbers if column not in _NOT_A_PROXY | set(BASELINES)]
        named = [column for column in (*prefer, "accuracy") if column in open_to]
        target = named[0] if named else open_to[0] if len(open_to) == 1 else ""
    if target not in numbers:
        raise errors.InputError(
            f"No column of numbers {target!r} in {path}. Received as target: {target!r}. Allowed: {', '.join(numbers)}"
        )
    frame = frame.drop_duplicates(["arch", target]).set_index("arch")
    if frame.index.has_duplicates:
        first = frame.index[frame.index.duplicated()][0]
        raise errors.InputError(f"{path} has several values of {target} for {first!r}. Choose rows by a column's value")
    unit = units.check(frame[target], units.recorded(path).get(target, ""), f"{target} of {path}")
    frame.attrs |= {"target": target, "unit": unit}
    return frame


def select(frame: pd.DataFrame, where: Mapping[str, str], path: epath.PathLike) -> pd.DataFrame:
    """The rows whose columns have these values, compared as text."""
    for column, value in where.items():
        if column not in frame:
            raise errors.InputError(f"No column {column!r} in {path}. Columns: {', '.join(map(str, frame.columns))}")
        text = frame[column].astype(str)
        if not (text == value).any():
            seen = ", ".join(sorted(text.unique())[:10])
            raise errors.InputError(f"No row of {path} has {column}={value}. Values there: {seen}")
        frame = frame[text == value]
    return frame


def repeats_of(scores: pd.DataFrame) -> list[str]:
    """The columns of `REPEATS` that tell measurements of these scores apart; those of a file beside records have none.

    Args:
        scores: long frame of one proxy.
    """
    return [column for column in REPEATS if column in scores and scores[column].notna().any()]


def counting(scores: pd.DataFrame) -> pd.Series:
    """Which rows have a score that counts, infinite ones too: by row; files beside records have no status."""
    known = scores["score"].notna()
    return known & scores["status"].eq("ok") if "status" in scores else known


def check_settings(frame: pd.DataFrame, hint: str = _HINT) -> None:
    """Refuses to average scores that were not computed alike.

    Args:
        frame: long frame of scores.
        hint: what to do about it.

    Raises:
        InputError: the scores of a proxy differ in a setting other than the seed and the repeat; those of params and
            flops in one that sizes depend on.
    """
    for column in SETTINGS:
        if column not in frame:
            continue
        concerned = ~frame["proxy"].isin(BASELINES) if column in _NOT_OF_A_SIZE else slice(None)
        counts = frame[concerned].groupby("proxy")[column].nunique()
        if (counts > 1).any():
            proxy = counts.idxmax()
            values = ", ".join(sorted(frame.loc[frame["proxy"] == proxy, column].astype(str).unique())[:10])
            raise errors.InputError(
                f"Scores of {proxy} differ in {column} and cannot be averaged. Received: {values}. "
                + hint.format(column=column)
            )
