"""The flags that say which networks a run is about, shared by every launcher that builds networks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from launch import app
from launch.architectures import choose, parse_shard
from tfnas.errors import unknown

if TYPE_CHECKING:
    from spaces.base import NetworkConfig


@dataclasses.dataclass(frozen=True)
class Networks:
    """Architectures of a space, the networks that stand for them, and where records about them go."""

    output: str = app.flag(None, "folder for the records, local or gs://")
    space: str = app.flag("nasbench201", "search space")
    dataset: str = app.flag("digits", "data set; it decides classes and input shape of the networks")
    data_dir: str = app.flag("", "folder of prepared TFDS data sets (TFDS' own by default)")
    num_archs: int | None = app.flag(None, "this many distinct architectures, drawn uniformly by --seed")
    archs: str | None = app.flag(None, "architectures of a text file, one a line, or of a table (file or embedded)")
    all: bool = app.flag(False, "every architecture of the space")
    seed: int = app.flag(0, "base seed: data, sample of architectures and initial weights derive from it")
    init: str = app.flag("", "initialisation scheme (the space's own by default)")
    width: int | None = app.flag(None, "channels of the first stage (the published value by default)")
    depth: int | None = app.flag(None, "cells a stage (the published value by default)")
    flavour: str = app.flag("", "which published implementation of the space (its own by default)")
    shard: str = app.flag("0/1", "i/n: the i-th of n parts (i from 0); shards may share a folder")

    def check(self) -> None:
        """Raises InputError for anything about the networks that can be known to be wrong at once."""
        from tfnas.networks import weights

        parse_shard(self.shard)
        self.network()
        choose(self)
        if self.scheme() not in weights.SCHEMES:
            raise unknown("initialisation scheme (--init)", self.init, weights.SCHEMES)

    def scheme(self) -> str:
        """Initialisation scheme, the space's own filled in."""
        import spaces

        return self.init or spaces.get(self.space).init

    def network(self, **settings: Any) -> NetworkConfig:
        """The network of every architecture, with the space's defaults filled in; `settings` as in `Space.config`."""
        import spaces
        from tfnas import data

        source = data.info(self.dataset)
        settings |= {"classes": source.classes, "input_shape": source.input_shape}
        given = {"width": self.width, "depth": self.depth, "flavour": self.flavour or None}
        return spaces.get(self.space).config(**settings, **given)
