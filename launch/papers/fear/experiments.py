"""Tables and figures of Dey et al. 2021, which train."""

from __future__ import annotations

from launch.flags.trained import STAGE_1
from launch.papers import benchmarks
from launch.papers.after import After
from launch.papers.base import Experiment
from launch.papers.fear.compared import frontiers, table
from launch.papers.fear.ranked import figure3, table2
from launch.papers.fear.search import random_search
from launch.papers.fear.times import times
from launch.papers.fear.trainings import ZERO_COST, Trainings

_SMALL = (
    "at --scale=small one cell a stage, 2,000 images, which are neither padded nor cropped, batches of 32 (in "
    "short training of 64 too), stage 1 of 30 epochs at most, stage 2 of 2 epochs of the last cell"
)
_STAGES = f"stage 1 trains on all images (the paper's code leaves 20 % out in part of its experiments); {_SMALL}"
_EPOCHS = (
    "after 0 to 10 epochs of 200 (the paper does not say how many); at --scale=small after at most 4, one cell a "
    "stage, a tenth of the images"
)
_REPLAYED = (
    "a search is replayed from the recorded times of each network, whose epochs are taken to last equally; half of "
    f"the networks a run where there are fewer than 1,000; {_STAGES}"
)
_NETWORKS = "python -m launch.train --space=nasbench201 --dataset=synthetic_cifar10 --table_out=FILE makes a table"
_TSS = {"space": "nasbench201", "paper_size": 1000, "small_size": 24}
_COMPARED = Trainings(fear=True, short="all")
_WITH_SCORES = Trainings(fear=True, short="all", zero_cost=ZERO_COST, synflow_bn=True)


def _of(dataset: str) -> dict[str, tuple[str, ...]]:
    return {dataset: benchmarks.NB201[dataset]}


EXPERIMENTS = (
    Experiment("fear_table1", table, columns=_of("cifar10"), jobs=_COMPARED, deviations=_STAGES, **_TSS),
    Experiment(
        "fear_table2",
        table2,
        columns={"synthetic_cifar10": ("accuracy", "test_accuracy")},
        jobs=Trainings(fear=True, zero_cost=ZERO_COST, synflow_bn=True),
        source=_NETWORKS,
        deviations=f"other images and labelling networks than the authors', drawn alike; {_STAGES}",
        **_TSS,
    ),
    Experiment("fear_table3a", table, columns=_of("cifar100"), jobs=_COMPARED, deviations=_STAGES, **_TSS),
    Experiment("fear_table3b", table, columns=_of("imagenet16-120"), jobs=_COMPARED, deviations=_STAGES, **_TSS),
    Experiment(
        "fear_random_search",
        random_search,
        columns=_of("cifar100"),
        jobs=Trainings(fear=True, short="searched"),
        deviations=_REPLAYED,
        **_TSS,
    ),
    Experiment("fear_fig2", times, columns=_of("cifar10"), jobs=Trainings(fear=True), deviations=_STAGES, **_TSS),
    Experiment(
        "fear_fig3",
        figure3,
        columns=_of("cifar10"),
        jobs=After(ZERO_COST, tuple(range(11)), small_epochs=(0, 1, 2, 4), recipe=STAGE_1),
        deviations=_EPOCHS,
        **_TSS,
    ),
    Experiment("fear_fig4", times, columns=benchmarks.NB201, jobs=Trainings(fear=True), deviations=_STAGES, **_TSS),
    Experiment("fear_fig5", frontiers, columns=_of("cifar10"), jobs=_WITH_SCORES, deviations=_STAGES, **_TSS),
    Experiment("fear_fig6", frontiers, columns=_of("cifar100"), jobs=_WITH_SCORES, deviations=_STAGES, **_TSS),
    Experiment("fear_fig7", frontiers, columns=_of("imagenet16-120"), jobs=_WITH_SCORES, deviations=_STAGES, **_TSS),
)
