"""Parts of an experiment that take long, kept in its folder, so that the same command goes on where it was stopped."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from etils import epath

from tfnas import files
from tfnas.errors import first_line

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Parts:
    """A folder with a file of arrays for each part, named by all that the part depends on.

    Attributes:
        folder: where; "" keeps nothing.
        common: what every part depends on, as JSON can tell it.
        truth: accuracies that every part depends on, in whatever order the rows are.
    """

    folder: str = ""
    common: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    truth: pd.DataFrame | None = None

    def get(self, make: Callable[[], dict[str, np.ndarray]], **about: Any) -> dict[str, np.ndarray]:
        """A part as it was kept, or made and kept now.

        A file that is damaged or cannot be written costs a line, not the experiment.

        Args:
            make: gives the arrays by their names.
            about: what this part depends on besides, as JSON or dataclasses.
        """
        if not self.folder:
            return make()
        key = json.dumps({**self._common, **about}, sort_keys=True, default=dataclasses.asdict)
        path = epath.Path(self.folder) / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
        try:
            return files.from_npz(path.read_bytes())
        except FileNotFoundError:
            pass
        except Exception as error:  # there is no end to what a damaged file may hold
            print(f"{path} cannot be used ({first_line(error)}); it is computed again", file=sys.stderr)
        made = make()
        try:
            files.write_atomic(path, files.to_npz(made))
        except Exception as error:  # buckets have errors of their own
            print(f"warning: {path} cannot be written ({first_line(error)})", file=sys.stderr)
        return made

    @functools.cached_property
    def _common(self) -> dict[str, Any]:
        """What every part depends on, the truth as its digest: that of a large table takes time that few need."""
        return {**self.common, **({} if self.truth is None else {"truth": digest(self.truth)})}


def digest(frame: pd.DataFrame) -> str:
    """What a table holds, whatever the order of its rows."""
    import pandas as pd

    hashes = pd.util.hash_pandas_object(frame.sort_index(), index=True)
    return hashlib.sha256(",".join(frame.columns).encode() + hashes.to_numpy().tobytes()).hexdigest()
