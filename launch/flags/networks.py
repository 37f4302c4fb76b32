"""The flags that say how architectures become networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launch import app
from tfnas.errors import InputError, unknown

if TYPE_CHECKING:
    from spaces.base import NetworkConfig, Space
    from tfnas.networks.graph import Graph

# Networks whose layers are looked at before a prefix counts as unknown.
_LOOKED_AT = 100
# Of one network; each is a task of its own, and all tasks are listed first.
MOST_REPEATS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Networks:
    """A space, the networks that stand for its architectures, and the data that they are for."""

    space: str = app.flag("nasbench201", "search space")
    dataset: str = app.flag("digits", "data set; it decides classes and input shape of the networks")
    data_dir: str = app.path_flag("", "folder of prepared TFDS data sets (TFDS' own by default)")
    seed: int = app.flag(0, "base seed: data, sample of architectures and initial weights derive from it")
    init: str = app.flag("", "initialisation scheme (the space's own by default)")
    width: int | None = app.flag(None, "channels of the first stage (the published value by default)")
    depth: int | None = app.flag(None, "cells a stage (the published value by default)")
    flavour: str = app.flag("", "which published implementation of the space (its own by default)")

    def check(self) -> None:
        """Raises InputError for anything about the networks that can be known to be wrong at once."""
        from tfnas.networks import weights

        self.network()
        if self.scheme() not in weights.SCHEMES:
            raise unknown("initialisation scheme (--init)", self.init, weights.SCHEMES)

    def search_space(self) -> Space:
        """The space itself."""
        import spaces

        return spaces.get(self.space)

    def scheme(self) -> str:
        """Initialisation scheme, the space's own filled in."""
        return self.init or self.search_space().init

    def network(self, **settings: Any) -> NetworkConfig:
        """The network of every architecture, with the space's defaults filled in; `settings` as in `Space.config`."""
        from tfnas import data

        source = data.info(self.dataset)
        settings = {"classes": source.classes, "input_shape": source.input_shape} | settings
        given = {"width": self.width, "depth": self.depth, "flavour": self.flavour or None}
        return self.search_space().config(**settings, **given)

    def layer_graph(self, arch: str, **changes: Any) -> Graph:
        """The network of one architecture; `changes` as in `Space.config`."""
        return self.search_space().layer_graph(arch, **(dataclasses.asdict(self.network()) | changes))

    def check_prefixes(self, flag: str, prefixes: Sequence[str], op: str, archs: Sequence[str]) -> None:
        """Refuses prefixes that no layer of a kind has.

        Args:
            flag: whose values they are.
            prefixes: of names of layers.
            op: kind of layer.
            archs: architectures at hand; others of the space are looked at too.

        Raises:
            InputError: naming the prefix and what names begin with.
        """
        from launch.flags.architectures import sample_architectures

        missing, beginnings = list(prefixes), set()
        space = self.search_space()
        sample = sample_architectures(space, min(_LOOKED_AT, space.size), 0) if missing else ()
        for arch in (*archs[:_LOOKED_AT], *sample):
            if not missing:
                return
            names = [node.name for node in self.layer_graph(arch).nodes if node.op == op]
            missing = [prefix for prefix in missing if not (prefix and any(name.startswith(prefix) for name in names))]
            beginnings |= {name.partition(".")[0] for name in names}
        if missing:
            raise unknown(f"prefix of layers of kind {op} (--{flag})", missing[0], beginnings)

    def split_size(self, split: str, labels: Sequence[int] = ()) -> int:
        """Number of examples of a split of the data set; with `labels`, of these alone."""
        from tfnas import data

        return data.split_size(self.dataset, split, data_dir=self.data_dir or None, labels=labels)

    def shared(self, split: str, others: Mapping[str, str]) -> dict[str, int]:
        """Number of examples that a split shares with others, where it shares any.

        Args:
            split: of the data set.
            others: splits by the names of their flags.

        Returns:
            By the flag with its value, "val_split=train".
        """
        from tfnas import data

        folder = self.data_dir or None
        found = {
            f"{flag}={other}": data.overlap(self.dataset, split, other, data_dir=folder)
            for flag, other in others.items()
            if other
        }
        return {flag: count for flag, count in found.items() if count}


def check_least(config: Any, **least: int) -> None:
    """Refuses numbers below their bounds.

    Raises:
        InputError: naming the flag.
    """
    for name, bound in least.items():
        if getattr(config, name) < bound:
            raise InputError(f"--{name} must be at least {bound}. Received: {getattr(config, name)}")


def check_most(config: Any, **most: int) -> None:
    """Refuses numbers above their bounds.

    Raises:
        InputError: naming the flag.
    """
    for name, bound in most.items():
        if getattr(config, name) > bound:
            raise InputError(f"--{name} must be at most {bound}. Received: {getattr(config, name)}")
