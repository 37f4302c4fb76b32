"""Training of networks: recipes as data, and a trainer that can stop, be looked at, and go on.

Rooms: `recipes` and `schedules` say how; `layout` puts parameters into vectors, which `optimizers` change; `feeding`
gives batches, which `augment` changes; `passes` has loss and gradients by the kernels of the engine, `replicas` on
several devices; `stopping` ends a training early; `checkpoints` keeps its state; `trainer` drives them; `fear` is made
of two trainings, and `threshold` says how far the first has to go.

Nothing here imports TensorFlow before a trainer is made.
"""

from tfnas.training.checkpoints import Checkpoint
from tfnas.training.epochs import Epoch
from tfnas.training.fear import Fear, FearScore, fear_score
from tfnas.training.layout import last_cells
from tfnas.training.recipes import DECAYED, OPTIMIZERS, RECIPES, Recipe, check_dropout, check_size, named
from tfnas.training.schedules import SCHEDULES
from tfnas.training.stopping import Plateau, Rule, Threshold, TimeLimit
from tfnas.training.threshold import hog_threshold
from tfnas.training.trainer import EVAL_BATCH, PRECISIONS, Arrays, Trainer

__all__ = [
    "DECAYED",
    "EVAL_BATCH",
    "OPTIMIZERS",
    "PRECISIONS",
    "RECIPES",
    "SCHEDULES",
    "Arrays",
    "Checkpoint",
    "Epoch",
    "Fear",
    "FearScore",
    "Plateau",
    "Recipe",
    "Rule",
    "Threshold",
    "TimeLimit",
    "Trainer",
    "check_dropout",
    "check_size",
    "fear_score",
    "hog_threshold",
    "last_cells",
    "named",
]
