"""Short training of a classifier on arrays, by the recipe of NAS-Bench-201 with its parts switchable.

The update is that of torch.optim.SGD, which the published benchmarks were trained with; Keras' own SGD differs in both
of its options (decoupled weight decay, learning rate inside the velocity):

    g = dL/dw + weight_decay * w        v = momentum * v + g        w = w - rate * (g + momentum * v)

Nothing here imports TensorFlow before a trainer is made.
"""

from tfnas.training.recipes import SCHEDULES, Recipe, check_size
from tfnas.training.trainer import EVAL_BATCH, Arrays, Epoch, Trainer, assign

__all__ = ["EVAL_BATCH", "SCHEDULES", "Arrays", "Epoch", "Recipe", "Trainer", "assign", "check_size"]
