"""Scores of one architecture for all that are the same network: the classes of isomorphic architectures of a space."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import proxies
import spaces
from tfnas.errors import InputError
from tfnas.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

    from spaces.base import Space

# More take minutes: progress is shown, and nobody is told what --isomorphic would give.
_FEW = 50_000


def of(space: Space, archs: Sequence[str]) -> list[str]:
    """The class of each architecture, as `Space.canonical` tells classes apart.

    Raises:
        InputError: one is no architecture of the space.
    """
    if len(archs) <= _FEW:
        return [space.canonical(space.parse(arch)) for arch in archs]
    found = []
    with Progress(f"classes of {space.name}", len(archs)) as bar:
        for arch in archs:
            found.append(space.canonical(space.parse(arch)))
            bar.advance()
    return found


def space_of(scores: pd.DataFrame, table: str, archs: Sequence[str]) -> Space:
    """The space that records name; for scores without one, that of the table.

    Args:
        scores: long frame.
        table: file or name.
        archs: architectures of the table.

    Raises:
        InputError: it is unknown, or does not follow.
    """
    return spaces.get(scores["space"].iloc[0]) if "space" in scores else spaces.of_table(table, archs)


def spread(scores: pd.DataFrame, archs: Sequence[str], space: Space) -> tuple[pd.DataFrame, str]:
    """The scores of every architecture of a table of which, or of whose class, there are some.

    An architecture keeps its own scores; one without takes, proxy by proxy, those of the first of its class that has
    some. Isomorphic strings may differ in layers that nothing depends on: their sizes are computed for each of them.
    Other scores that count such layers (norms of weights) are those of the architecture that was scored.

    Args:
        scores: long frame of `evidence.load_scores`, with the settings of records where it has sizes.
        archs: of the table.
        space: of both.

    Returns:
        The scores with a column `evidence.GROUP`, the same for all of a class: intervals draw classes. Scores of
        classes that the table has not stay as they are. And what was done, in words.

    Raises:
        InputError: as `of`.
    """
    import pandas as pd

    from tfnas import evidence

    archs = list(dict.fromkeys(archs))
    scored = list(dict.fromkeys(scores["arch"]))
    every = list(dict.fromkeys([*archs, *scored]))
    known = pd.Series(pd.factorize(pd.array(of(space, every), dtype="str"))[0], index=every)
    own = scores[["proxy", "arch"]].drop_duplicates()
    own = own.assign(group=known.loc[own["arch"]].to_numpy())
    ok = scores["score"].notna() & (scores["status"].eq("ok") if "status" in scores else True)
    good = pd.MultiIndex.from_frame(scores.loc[ok, ["proxy", "arch"]])
    fails = ~pd.MultiIndex.from_frame(own[["proxy", "arch"]]).isin(good)
    # What failed stands for a class only where nothing else does.
    first = own.iloc[fails.argsort(kind="stable")].drop_duplicates(["proxy", "group"])
    first = first.rename(columns={"arch": "source"})
    wanted = pd.DataFrame({"arch": archs, "group": known.loc[archs].to_numpy()})
    wanted = pd.concat([wanted, own.loc[~own["group"].isin(wanted["group"]), ["arch", "group"]].drop_duplicates()])
    taken = wanted.merge(first, on="group", sort=False)
    itself = taken.merge(own[["proxy", "arch"]], on=["proxy", "arch"], how="left", indicator=True)["_merge"].eq("both")
    taken["source"] = taken["source"].mask(itself.to_numpy(), taken["arch"])
    taken = taken.rename(columns={"group": evidence.GROUP})
    found = taken.merge(scores.rename(columns={"arch": "source"}), on=["proxy", "source"], sort=False)
    found = _sized(found, space).drop(columns="source")
    found.attrs = scores.attrs
    count = found["arch"].nunique()
    own_count = int(found["arch"].drop_duplicates().isin(scored).sum())
    return found, (
        f"scores of {len(scored)} networks stand for {count}, as isomorphic ones share them ({count - own_count} have "
        f"none of their own); intervals draw {found[evidence.GROUP].nunique()} classes"
    )


def _sized(found: pd.DataFrame, space: Space) -> pd.DataFrame:
    """With the sizes of each architecture in place of those of its class, where settings are known."""
    borrowed = found["proxy"].isin(proxies.SIZES) & (found["arch"] != found["source"])
    settings = ["width", "depth", "flavour", "dataset"]
    if not borrowed.any() or not set(settings) <= set(found):
        return found[~borrowed]
    from tfnas import data

    for (width, depth, flavour, dataset), some in found[borrowed].groupby(settings, dropna=False):
        source = data.info(dataset)
        network = {"classes": source.classes, "input_shape": source.input_shape, "flavour": flavour or None}
        archs = some["arch"].unique().tolist()
        sizes = space.sizes(archs, width=int(width), depth=int(depth), **network)
        # The counter of the score has one for a multiply-add, that of `sizes` two.
        values = {"params": sizes["params"], "flops": sizes["forward"] / 2}
        for name, group in some.groupby("proxy"):
            found.loc[group.index, "score"] = values[name].loc[group["arch"]].to_numpy(float)
    return found


@dataclasses.dataclass(frozen=True)
class Scored:
    """Scores, and which of their architectures are the same network.

    Attributes:
        scores: long frame of `evidence.load_scores`.
    """

    scores: pd.DataFrame

    @property
    def space(self) -> Space | None:
        """That of the records; None where there is none or it is unknown."""
        name = self.scores["space"].iloc[0] if "space" in self.scores else ""
        return spaces.get(name) if name in spaces.names() else None

    @functools.cached_property
    def classes(self) -> pd.Series | None:
        """Class by architecture; None where the space is unknown or has not all of the architectures."""
        import pandas as pd

        if self.space is None:
            return None
        archs = self.scores["arch"].unique().tolist()
        try:
            return pd.Series(of(self.space, archs), index=archs)
        except InputError:
            return None

    def more(self, archs: Sequence[str]) -> str:
        """A line where a table has networks without a score that are the same as some with one; else nothing."""
        scored = set(self.scores["arch"])
        others = [arch for arch in archs if arch not in scored]
        if not others or len(archs) > _FEW or self.classes is None:
            return ""
        known = set(self.classes)
        try:
            count = sum(name in known for name in of(self.space, others))
        except InputError:
            return ""
        if not count:
            return ""
        return f"{count} more networks of the table are isomorphic to some with scores: --isomorphic takes them as well"
