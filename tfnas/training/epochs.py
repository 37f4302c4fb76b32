"""What a training tells of itself after each epoch."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Epoch:
    """What one epoch gave.

    Attributes:
        epoch: counted from 1.
        train_loss, train_accuracy: mean over the epoch's steps, measured on the batches while training on them.
        test_accuracy: after the epoch, with moving statistics; NaN without test data, or where a logit is not finite.
        seconds: wall time of training, without testing and without tracing.
        stopped: why the training ends here, before the recipe does; "" where it does not.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    test_accuracy: float
    seconds: float
    stopped: str = ""
