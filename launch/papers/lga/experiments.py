"""Tables and figures of Mok et al. 2022."""

from __future__ import annotations

import functools

from launch.papers import benchmarks as columns
from launch.papers.after import After
from launch.papers.base import Experiment, Stage
from launch.papers.lga import benchmarks, movement, search, training
from launch.papers.ranking import rank_correlations
from launch.papers.scored import Scored

_NB201 = {"space": "nasbench201", "columns": columns.NB201}
_KERNELS = {"batch_size": 256, "ntk_batch_size": (256, 16)}
_TINY = {"flavour": "tiny", **_KERNELS}
_AFTER = {"recipe": "lga", "held_out": True}
_IMAGES = "kernels of ImageNet16-120 are of 256 images, not 512, and all of 16 at --scale=small"
_RECIPE = (
    "the rate is constant, images are cropped and mirrored (the paper does not say); at --scale=small networks of "
    "width 16 with one cell a stage train on a tenth of the images in batches of 256"
)
_SPACES = "of the paper's spaces NAS-Bench-101 and 201 are here, one a run by its --table"
# Of one data set: whichever of both spaces the table is of.
_EITHER = {"cifar10": (*columns.NB101_TEST["cifar10"], *columns.NB201["cifar10"])}


def _deciles(name: str, dataset: str) -> Experiment:
    return Experiment(
        f"lga_fig{name}",
        benchmarks.deciles,
        space="nasbench201",
        columns={dataset: columns.NB201[dataset]},
        jobs=Scored(benchmarks.UNTRAINED, **_TINY),
        paper_size=15_625,
        small_size=100,
        deviations=f"draws of half a tenth where there are too few networks; {_IMAGES}",
    )


EXPERIMENTS = (
    Experiment(
        "lga_table1",
        benchmarks.table1,
        space="nasbench101",
        columns=_EITHER,
        jobs=After(("lga",), (1,), untrained=benchmarks.UNTRAINED, **_AFTER, **_KERNELS),
        paper_size=1000,
        small_size=24,
        deviations=f"{_SPACES}; all metrics look at images that do not train; {_RECIPE}",
    ),
    Experiment(
        "lga_table2",
        search.table2,
        jobs=After(("lga",), (3, 5), **_AFTER, **_TINY),
        second=Stage(search.wanted, After(("lga",), (3, 5), **_AFTER, **_TINY)),
        paper_size=100,
        small_size=24,
        deviations=f"evolution visits as many networks as random search, not as many as a time allows; {_IMAGES}; "
        f"{_RECIPE}",
        **_NB201,
    ),
    Experiment(
        "lga_tableA3",
        search.table_a3,
        space="nasbench101",
        columns=_EITHER,
        jobs=After(("lga",), (3,), untrained=benchmarks.UNTRAINED, **_AFTER, **_KERNELS),
        paper_size=500,
        small_size=24,
        deviations=f"{_SPACES}; {_RECIPE}",
    ),
    Experiment(
        "lga_fig2",
        training.fig2,
        jobs=After(training.METRICS, (0, 1, 3, 5, 10), **_AFTER, **_TINY),
        paper_size=600,
        small_size=24,
        deviations=f"thirds of the networks drawn, their median and quartiles (the paper names no ranges); {_IMAGES}; "
        f"{_RECIPE}",
        **_NB201,
    ),
    Experiment(
        "lga_fig3",
        benchmarks.fig3,
        jobs=Scored(benchmarks.UNTRAINED, modes=("batch", "inference"), **_TINY),
        paper_size=1000,
        deviations=f"{_SPACES}; {_IMAGES}",
        space="nasbench201",
        columns=columns.NB201 | _EITHER,
    ),
    Experiment(
        "lga_fig4",
        functools.partial(rank_correlations, statistic="kendall"),
        # Gradients of Gaussian weights grow beyond float32.
        jobs=Scored(training.METRICS, inits=("xavier", "kaiming_normal", "gaussian"), dtype="float64", **_TINY),
        paper_size=1000,
        deviations=f"1,000 architectures (the paper names no number); {_IMAGES}",
        **_NB201,
    ),
    Experiment(
        "lga_fig5",
        movement.fig5,
        jobs=movement.Moved(
            ("shortreg",),
            (1, 2, 3, 5, 10, 20, 50),
            small_epochs=(1, 2, 3, 5, 10),
            horizon=50,
            flavour="tiny",
            batch_size=1,
            **_AFTER,
        ),
        paper_size=5,
        small_size=3,
        deviations="50 epochs (10 at --scale=small) of the recipe of section 4.3 (the paper does not say how these "
        "train, nor how long)",
        **_NB201,
    ),
    Experiment(
        "lga_fig6",
        training.fig6,
        jobs=After(training.METRICS, (0, 1, 3, 5, 10), **_AFTER, **_TINY),
        paper_size=1000,
        small_size=24,
        deviations=f"{_IMAGES}; {_RECIPE}",
        **_NB201,
    ),
    Experiment(
        "lga_figA1",
        functools.partial(rank_correlations, statistic="kendall"),
        jobs=Scored(training.METRICS, **_TINY),
        paper_size=1000,
        deviations=f"{_SPACES}; {_IMAGES}",
        space="nasbench201",
        columns=columns.NB201 | _EITHER,
    ),
    _deciles("A2", "cifar10"),
    _deciles("A3", "cifar100"),
    _deciles("A4", "imagenet16-120"),
)
