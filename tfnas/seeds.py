"""Seeds that depend on what is computed, never on when or where."""

import hashlib


def derive_seed(base_seed: int, *parts: object) -> int:
    """A 63-bit seed from a base seed and any parts with a stable `str` (architecture, ensemble member, ...).

    The same parts give the same seed in every process, on every machine and in every order of work.
    """
    text = "\x1f".join(str(part) for part in (base_seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
