"""What a search space is: architectures, how they change, and how each becomes a network.

Nothing here imports TensorFlow; only :meth:`Space.build` does, when it is called.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from tfnas.errors import InputError, unknown
from tfnas.graph import Graph

if TYPE_CHECKING:
    import keras
    import networkx


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Everything about a network that the architecture itself leaves open.

    Attributes:
        width: channels of the first stage; 0 where the architecture itself fixes all widths.
        depth: cells in each stage.
        classes: number of logits.
        input_shape: (height, width, channels) of an image.
        bn_momentum: kept share of the old moving statistics (the Keras convention; PyTorch 0.1 is 0.9 here).
        bn_epsilon: added to the variance.
        flavour: which published implementation of the space to follow.
    """

    width: int
    depth: int
    classes: int
    input_shape: tuple[int, int, int]
    bn_momentum: float
    bn_epsilon: float
    flavour: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(int(size) for size in self.input_shape))
        if self.width < 0 or self.depth < 1 or self.classes < 1:
            raise InputError(
                "A network needs width, depth and classes of 1 or more. "
                f"Received: width={self.width}, depth={self.depth}, classes={self.classes}"
            )
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise InputError(f"input_shape must be (height, width, channels). Received: {self.input_shape}")
        if not 0 <= self.bn_momentum <= 1 or not self.bn_epsilon > 0:
            raise InputError(
                "bn_momentum must lie in [0, 1] and bn_epsilon above 0. "
                f"Received: bn_momentum={self.bn_momentum}, bn_epsilon={self.bn_epsilon}"
            )
