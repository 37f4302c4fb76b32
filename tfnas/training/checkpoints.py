"""States of a training in files, from which it goes on after its process has ended."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from tfnas import files, paths

_MARK = b"tfnas.training 1\n"


@dataclasses.dataclass
class Checkpoint:
    """Where a training keeps its state, and how often.

    Attributes:
        path: of the file, local or gs://.
        identity: text of all that the state depends on; a file of another is not read.
        seconds: between two states; 0 keeps one before every step.
    """

    path: epath.PathLike
    identity: str
    seconds: float = 600.0

    def __post_init__(self) -> None:
        self.path = epath.Path(paths.expand(self.path))
        self._last = time.monotonic()

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._last >= self.seconds

    def save(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Writes a state, whole or not at all: arrays, and what JSON can hold."""
        text = json.dumps({"identity": self.identity, **facts})
        content = files.to_npz({"facts": np.frombuffer(text.encode(), np.uint8), **arrays})
        files.write_atomic(self.path, _MARK + hashlib.sha256(content).digest() + content)
        self._last = time.monotonic()

    def load(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The state in the file; None where there is none.

        Raises:
            ValueError: the file is damaged, or of something else; it says what is wrong.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        mark, digest, content = content[: len(_MARK)], content[len(_MARK) :][:32], content[len(_MARK) + 32 :]
        if mark != _MARK or hashlib.sha256(content).digest() != digest:
            raise ValueError(f"{os.fspath(self.path)}: not a whole state of a training")
        arrays = files.from_npz(content)
        facts = json.loads(arrays.pop("facts").tobytes())
        if facts.pop("identity") != self.identity:
            raise ValueError(f"{os.fspath(self.path)}: the state of another training")
        return arrays, facts

    def remove(self) -> None:
        """Removes the file, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
