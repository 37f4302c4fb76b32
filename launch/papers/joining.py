"""Records and accuracies brought together network by network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from launch.jobs import classes
from tfnas.errors import InputError
from tfnas.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

    from spaces.base import Space


def join(
    records: pd.DataFrame, truth: pd.DataFrame, space: Space, where: str, *, isomorphic: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    """Records and accuracies of the networks that have both.

    Architectures meet by their strings; those that do not meet so, by the canonical form that isomorphic ones share.

    Args:
        records: frame of records.
        truth: as `Inputs.truth`.
        space: of the architectures.
        where: names of both, for messages.
        isomorphic: whether a score counts for all architectures of its class, see `launch.jobs.classes.spread`.

    Returns:
        (records under the strings of `truth`, `truth` of the architectures that have records, notes).

    Raises:
        InputError: none has both.
    """
    if isomorphic:
        records, note = classes.spread(records, truth.index.tolist(), space)
        found, known, _ = join(records, truth, space, where)
        return found, known, (note,)
    scored = records["arch"].unique()
    unmet = [arch for arch in scored if arch not in truth.index]
    same = _isomorphic(unmet, truth, space) if unmet and space.merges_isomorphic else {}
    if same:
        records = records.assign(arch=records["arch"].replace(same))
    records = records[records["arch"].isin(truth.index)].reset_index(drop=True)
    if records.empty:
        raise InputError(f"No network of {where} has both a score and an accuracy")
    notes = (f"{len(same)} networks met the table by the hash that isomorphic cells share",) if same else ()
    return records, truth[truth.index.isin(records["arch"])], notes


def _isomorphic(archs: Sequence[str], truth: pd.DataFrame, space: Space) -> dict[str, str]:
    """The table's string of each architecture that has an isomorphic one there."""
    wanted = {arch: space.canonical(space.parse(arch)) for arch in archs}
    if "hash" in truth:
        hashes = dict(zip(truth["hash"], truth.index, strict=True))
    else:
        hashes = {}
        with Progress("hashes of the table", len(truth)) as bar:
            for arch in truth.index:
                hashes[space.canonical(space.parse(arch))] = arch
                bar.advance()
    return {arch: hashes[key] for arch, key in wanted.items() if key in hashes}
