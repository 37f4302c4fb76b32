"""Seeds that depend on what is computed, never on when or where."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # NumPy takes its time to import
    import numpy as np


def derive_seed(base_seed: int, *parts: object) -> int:
    """A 63-bit seed from a base seed and any parts with a stable `str` (architecture, ensemble member, ...).

    The same parts give the same seed in every process, on every machine and in every order of work.
    """
    text = "\x1f".join(str(part) for part in (base_seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int) -> np.random.Generator:
    """NumPy's generator of a seed; one below 0, which NumPy has no generator for, gets another."""
    import numpy as np

    return np.random.default_rng(seed if seed >= 0 else derive_seed(seed))
