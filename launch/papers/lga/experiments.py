"""Tables and figures of Mok et al. 2022."""

from __future__ import annotations

import functools

from launch.papers import benchmarks
from launch.papers.after import After
from launch.papers.base import Experiment
from launch.papers.lga import training
from launch.papers.ranking import rank_correlations
from launch.papers.scored import Scored

METRICS = ("fnorm", "ntk_mean", "ncn", "lga")
_NB201 = {"space": "nasbench201", "columns": benchmarks.NB201}
_BATCH = {"flavour": "tiny", "batch_size": 256, "ntk_batch_size": (256, 16)}
_IMAGES = "ImageNet16-120 takes 256 images, not 512"
_TRAINING = (
    f"{_IMAGES}; the rate is constant and images are cropped and mirrored (the paper does not say); at --scale=small "
    "one cell a stage and a tenth of the images train in batches of 256"
)
_AFTER = {"recipe": "lga", "held_out": True, **_BATCH}

EXPERIMENTS = (
    Experiment(
        "lga_fig4",
        functools.partial(rank_correlations, statistic="kendall"),
        jobs=Scored(METRICS, inits=("xavier", "kaiming_normal", "gaussian"), **_BATCH),
        paper_size=1000,
        deviations=f"1,000 architectures (the paper names no number); {_IMAGES}",
        **_NB201,
    ),
    Experiment(
        "lga_fig6",
        training.fig6,
        jobs=After(METRICS, (0, 1, 3, 5, 10), **_AFTER),
        paper_size=1000,
        deviations=_TRAINING,
        **_NB201,
    ),
)
