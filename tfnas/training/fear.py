"""FEAR: a short training of all, then of the last cells on what was learnt (Dey et al. 2021).

Stage 1 trains until the training accuracy of an epoch reaches a threshold. Stage 2 goes on from there with a new
optimiser and schedule and trains the last cells alone; its training accuracy over the last epoch is the score. What the
paper leaves open is as in its code: the threshold is compared with the running training accuracy on augmented batches,
frozen BN layers normalise by the batch. Unlike there, frozen parameters do not decay.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfnas.networks.graph import Graph
from tfnas.training.checkpoints import Checkpoint
from tfnas.training.epochs import Epoch
from tfnas.training.layout import last_cells
from tfnas.training.recipes import RECIPES, Recipe
from tfnas.training.stopping import Rule, Threshold, TimeLimit
from tfnas.training.trainer import Arrays, Trainer


@dataclasses.dataclass(frozen=True)
class Fear:
    """Settings of both stages.

    Attributes:
        threshold: training accuracy (a fraction) that ends stage 1; the paper has 0.6 for CIFAR-10, 0.3 for CIFAR-100
            and 0.2 for ImageNet16-120.
        cells: that stage 2 trains, with all that follows them.
        first, second: recipes of the stages; stage 1 ends with its recipe at the latest.
        seconds: of training after which stage 1 gives up, at the end of an epoch.
    """

    threshold: float
    cells: int = 4
    first: Recipe = RECIPES["fear_stage1"]
    second: Recipe = RECIPES["fear_stage2"]
    seconds: float = math.inf


@dataclasses.dataclass(frozen=True)
class FearScore:
    """What FEAR finds of a network.

    Attributes:
        accuracy: over the last epoch of stage 2, a fraction; NaN where stage 1 has not reached the threshold, or where
            a loss was not finite.
        reached: whether stage 1 has reached the threshold, with a finite loss.
        epochs: of stage 1.
        seconds: of training, in each stage.
    """

    accuracy: float
    reached: bool
    epochs: int
    seconds: tuple[float, float]


def fear_score(
    graph: Graph,
    weights: Mapping[str, np.ndarray],
    train: Arrays,
    settings: Fear,
    *,
    seed: int = 0,
    checkpoints: Sequence[Checkpoint] = (),
    **options: Any,
) -> FearScore:
    """Both stages for one network.

    Args:
        graph: classifier.
        weights: initial ones by "<node>.<param>".
        train: images [N, H, W, C] and labels [N].
        settings: of the stages.
        seed: of the order of examples and of augmentation.
        checkpoints: where either stage keeps its state as it goes, and goes on from; none by default.
        **options: of `Trainer`, besides what is trained.

    Raises:
        InputError: as `Trainer`; fewer cells than are to be trained, before anything is.
    """
    chosen = last_cells(graph, settings.cells)
    goal = Threshold(settings.threshold)
    limit = [TimeLimit(settings.seconds)] if math.isfinite(settings.seconds) else []
    kept = dict(enumerate(checkpoints))
    first = Trainer(graph, settings.first, **options)
    epochs = _train(first, weights, train, seed, kept.get(0), [goal, *limit])
    taken = sum(epoch.seconds for epoch in epochs)
    # The steps before a loss that is not finite may have been right often enough, but nothing is left to go on from.
    if not (goal(epochs) and math.isfinite(epochs[-1].train_loss)):
        return FearScore(math.nan, False, len(epochs), (taken, 0.0))
    if kept:
        first.save(kept[0])  # or what interrupts stage 2 would cost stage 1 too
    second = Trainer(graph, settings.second, trained=chosen, **options)
    last = _train(second, first.weights(), train, seed, kept.get(1))
    accuracy = last[-1].train_accuracy if math.isfinite(last[-1].train_loss) else math.nan
    return FearScore(accuracy, True, len(epochs), (taken, sum(epoch.seconds for epoch in last)))


def _train(
    trainer: Trainer,
    weights: Mapping[str, np.ndarray],
    train: Arrays,
    seed: int,
    checkpoint: Checkpoint | None,
    stop: Sequence[Rule] = (),
) -> list[Epoch]:
    """All epochs of a stage, from its start or from its state; one that takes as long as a state may is kept."""
    resumed = checkpoint is not None and trainer.resume(checkpoint)
    if not resumed:
        trainer.start(weights)
    collections.deque(trainer.run(train, seed=seed, stop=stop, checkpoint=checkpoint), maxlen=0)
    taken = sum(epoch.seconds for epoch in trainer.history)
    if checkpoint is not None and (resumed or taken >= checkpoint.seconds):
        trainer.save(checkpoint)
    return trainer.history
