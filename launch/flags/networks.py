"""The flags that say how architectures become networks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from launch import app
from tfnas.errors import InputError, unknown

if TYPE_CHECKING:
    from spaces.base import NetworkConfig, Space
    from tfnas.networks.graph import Graph


@dataclasses.dataclass(frozen=True)
class Networks:
    """A space, the networks that stand for its architectures, and the data that they are for."""

    space: str = app.flag("nasbench201", "search space")
    dataset: str = app.flag("digits", "data set; it decides classes and input shape of the networks")
    data_dir: str = app.flag("", "folder of prepared TFDS data sets (TFDS' own by default)")
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
        settings |= {"classes": source.classes, "input_shape": source.input_shape}
        given = {"width": self.width, "depth": self.depth, "flavour": self.flavour or None}
        return self.search_space().config(**settings, **given)

    def layer_graph(self, arch: str, **changes: Any) -> Graph:
        """The network of one architecture; `changes` as in `Space.config`."""
        return self.search_space().layer_graph(arch, **(dataclasses.asdict(self.network()) | changes))

    def split_size(self, split: str) -> int:
        """Number of examples of a split of the data set."""
        from tfnas import data

        return data.split_size(self.dataset, split, data_dir=self.data_dir or None)


def check_least(config: Any, **least: int) -> None:
    """Refuses numbers below their bounds.

    Raises:
        InputError: naming the flag.
    """
    for name, bound in least.items():
        if getattr(config, name) < bound:
            raise InputError(f"--{name} must be at least {bound}. Received: {getattr(config, name)}")
