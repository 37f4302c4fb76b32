"""How values, tangents and cotangents move between chains, and through the layers that compute nothing.

Identity, dropout, add and zero are aliases: no kernel runs for them. They are linear, so tangents go through as values
do. None stands for a map of zeros, which is never made before a kernel reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfnas.engine.plan import Chain

Tensor = Any


def alias_output(chain: Chain, values: Sequence[Tensor | None]) -> Tensor | None:
    """Output of an alias from its inputs, or the output's tangent from theirs."""
    return None if chain.layers[0].op == "zero" else total(values)


def alias_cotangents(chain: Chain, dy: Tensor) -> list[Tensor | None]:
    """Cotangents of the inputs of an alias."""
    return [None if chain.layers[0].op == "zero" else dy] * len(chain.inputs)


def total(values: Sequence[Tensor | None]) -> Tensor | None:
    """Sum of tensors of one shape."""
    alive = [value for value in values if value is not None]
    if len(alive) < 2:
        return alive[0] if alive else None
    return tf.add_n(alive)


def pull_back(
    chains: Sequence[Chain],
    start: str,
    cotangent: Tensor,
    source: str,
    pull: Callable[[Chain, Tensor], Sequence[Tensor]],
) -> Tensor | None:
    """Carries the cotangent of the node `start` back to the node `source`; None if no path leads there.

    Args:
        chains: of the network, in order.
        start: a chain output.
        cotangent: of `start`.
        source: a chain output, or the images.
        pull: (chain, cotangent of its output) -> cotangents of its inputs, or none of them; not called for aliases.
    """
    pending: dict[str, list[Tensor | None]] = {start: [cotangent]}
    for chain in reversed(chains):
        if chain.output == source:
            break
        dy = total(pending.pop(chain.output, ()))
        if dy is None:
            continue
        pulled = alias_cotangents(chain, dy) if chain.is_alias else pull(chain, dy)
        for name, part in zip(chain.inputs, pulled, strict=bool(pulled)):
            pending.setdefault(name, []).append(part)
    return total(pending.get(source, ()))
