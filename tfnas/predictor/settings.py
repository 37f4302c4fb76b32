"""What a predictor is and how it is trained. Nothing here imports TensorFlow."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING

from tfnas.errors import InputError, unknown
from tfnas.predictor.graphs import NORMS

if TYPE_CHECKING:
    import numpy as np

# Networks at chance miss the least accuracy by noise: so near, accuracies count as the end of the range.
NEAR = 0.01
# What the last layer gives: accuracies by a scaled sigmoid, z-scores, or the probability to be good.
OUTPUTS = ("sigmoid", "linear", "probability")


@dataclasses.dataclass(frozen=True)
class Settings:
    """The defaults are those of Wen et al. 2020 for NAS-Bench-101 and N = 172.

    Attributes:
        layers: graph convolutions.
        width: channels of each, D.
        heads: units of the dense layers behind the mean over the nodes, the last one aside.
        norm: how the adjacency matrix is normalised, see `tfnas.predictor.graphs.normalised`.
        output: "sigmoid": low + (high - low) sigmoid(z), trained on percentage points; "linear": z-scores of the
            training set, trained on these; "probability": sigmoid(z), trained by cross-entropy on labels of 0 and 1.
        low: least accuracy of the sigmoid, a fraction.
        high: its largest.
        activate: ReLU behind the dense layers.
        bias: biases in the dense layers.
        gain: factor of the initial weights of the graph convolutions; see `KEEPING`.
        dropout: share of values dropped behind each graph convolution and the first dense layer, in training.
        epochs: times that each network is seen.
        learning_rate: of Adam at first; a half cosine over the epochs takes it to 0.
        weight_decay: times the weights, added to the gradient.
        batch_size: networks in a batch; a last batch of fewer is left out.
    """

    layers: int = 3
    width: int = 144
    heads: tuple[int, ...] = (128,)
    norm: str = "row"
    output: str = "sigmoid"
    low: float = 0.1
    high: float = 1.0
    activate: bool = True
    bias: bool = True
    gain: float = 1.0
    dropout: float = 0.0
    epochs: int = 300
    learning_rate: float = 1e-4
    weight_decay: float = 1e-3
    batch_size: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", tuple(self.heads))
        if self.output not in OUTPUTS:
            raise unknown("output of a predictor", self.output, OUTPUTS)
        if self.norm not in NORMS:
            raise unknown("normalisation", self.norm, NORMS)
        least = {"layers": 1, "width": 1, "epochs": 1, "batch_size": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise InputError(f"{name} must be at least {bound}. Received: {getattr(self, name)}")
        if min(self.heads, default=1) < 1:
            raise InputError(f"heads must be 1 or more units each. Received: {self.heads}")
        if not 0 <= self.low < self.high <= 1:
            raise InputError(f"The range of accuracies lies in 0 to 1. Received: {self.low} to {self.high}")
        if not 0 < self.gain <= 10:
            raise InputError(f"gain must be above 0 and at most 10. Received: {self.gain}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be 0 or more and below 1. Received: {self.dropout}")
        if not (0 < self.learning_rate <= 1 and 0 <= self.weight_decay <= 1):
            raise InputError(
                "learning_rate must be above 0, weight_decay 0 or more, neither above 1. "
                f"Received: {self.learning_rate}, {self.weight_decay}"
            )

    def outside(self, accuracies: np.ndarray) -> np.ndarray:
        """Those of fractions [N] that a sigmoid cannot give, nor nearly; none for another output."""
        if self.output != "sigmoid":
            return accuracies[:0]
        return accuracies[(accuracies < self.low - NEAR) | (accuracies > self.high + NEAR)]

    def count_params(self, features: int, extras: int = 0) -> int:
        """Parameters of one predictor of nodes of so many features, and extras behind the mean over the nodes."""
        inputs = [features, *[self.width] * (self.layers - 1)]
        graph = sum(2 * size * self.width for size in inputs)
        units = [self.width + extras, *self.heads, 1]
        return graph + sum((a + self.bias) * b for a, b in itertools.pairwise(units))


# Gain with which a graph convolution keeps the mean square of what goes through it. Of normal z of variance s, the mean
# square of (relu(z) + relu(z')) / 2 is s (1 + 1 / pi) / 4; Glorot's weights give z the variance of the input.
KEEPING = 2 / math.sqrt(1 + 1 / math.pi)

PAPER = Settings()
# Of layered spaces (section 4.2: ProxylessNAS). The paper does not say how weights start: without the gain, 18 layers
# leave 1e-5 of what comes in, and all networks get one prediction.
CHAIN = Settings(layers=18, width=96, heads=(512, 128), gain=KEEPING)
# The published reimplementation, ultmaster/neuralpredictor.pytorch.
REFERENCE = Settings(norm="reference", output="linear", activate=False, bias=False, dropout=0.1)
FLAVOURS = {"paper": PAPER, "chain": CHAIN, "reference": REFERENCE}
