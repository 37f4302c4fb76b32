"""What searches by predictors compare: predictors, numbers of networks, stages, and scores as features."""

from __future__ import annotations

import dataclasses

from launch.flags.learning import NO_SCORES, ONE_STAGE, Learning
from launch.flags.predictors import GCN
from launch.jobs.knowledge import Known
from launch.jobs.prediction import RANDOM

# What tells a variant in rows.
OF_VARIANT = ("predictor", "n_train", "stages", "scores")


@dataclasses.dataclass(frozen=True)
class Variant:
    """One of what is compared.

    Attributes:
        predictor: its name, or random search.
        n_train: networks to learn from.
        stages: 1 or 2.
        scores: number of scores that are features.
    """

    predictor: str
    n_train: int
    stages: int = 1
    scores: int = 0

    @property
    def name(self) -> str:
        """For plots, whatever the number of networks."""
        parts = [self.predictor, "two stages" * (self.stages == 2), f"{self.scores} scores" * (self.scores > 0)]
        return ", ".join(filter(None, parts))


def variants(asked: Learning, known: Known) -> list[Variant]:
    """All that is compared, what was asked for before what is left out of it, random search last for each N."""
    scored = [known.graphs.extras.shape[1]]
    scored += [0] if NO_SCORES in asked.compare else []
    found = []
    for n_train in asked.sizes():
        for name in asked.names():
            stages = [2 if asked.threshold and name == GCN else 1]
            stages += [1] if ONE_STAGE in asked.compare and name == GCN else []
            found += [Variant(name, n_train, some, scores) for scores in scored for some in stages]
        found.append(Variant(RANDOM, n_train))
    return found
