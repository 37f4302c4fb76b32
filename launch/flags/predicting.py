"""A predictor that was written by launch.predict, as a score: `predictor:FILE` among --proxies."""

from __future__ import annotations

import dataclasses

from launch import app
from launch.flags.networks import Networks
from tfnas.errors import InputError

# Of names among --proxies.
PREFIX = "predictor:"


def is_predictor(name: str) -> bool:
    """Whether a name among --proxies is that of a predictor's file."""
    return name.startswith(PREFIX)


@dataclasses.dataclass(frozen=True)
class Predicting(Networks):
    """Which predictor scores."""

    proxy: str = app.flag("", "predictor:FILE")

    @property
    def path(self) -> str:
        """The file."""
        return self.proxy.removeprefix(PREFIX)

    def check(self) -> None:
        """Raises InputError for no predictor, one of another space, or one that needs more than architectures."""
        from tfnas.predictor import model

        found = model.load(self.path)
        if found.space != self.space:
            raise InputError(
                f"The predictor is of another space. Received: --space={self.space}, {self.path}. "
                f"Allowed: --space={found.space}"
            )
        if found.regressor.extras:
            raise InputError(f"The predictor needs scores of architectures besides. Received: {self.path}")
