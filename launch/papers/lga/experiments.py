"""Tables and figures of Mok et al. 2022 that need no training."""

from __future__ import annotations

import functools

from launch.papers import benchmarks
from launch.papers.base import Experiment
from launch.papers.ranking import rank_correlations
from launch.papers.scored import Scored

EXPERIMENTS = (
    Experiment(
        "lga_fig4",
        functools.partial(rank_correlations, statistic="kendall"),
        space="nasbench201",
        columns=benchmarks.NB201,
        jobs=Scored(
            ("fnorm", "ntk_mean", "ncn", "lga"),
            inits=("xavier", "kaiming_normal", "gaussian"),
            flavour="tiny",
            batch_size=256,
            ntk_batch_size=(256, 16),
        ),
        paper_size=1000,
        deviations="1,000 architectures (the paper names no number); ImageNet16-120 takes 256 images, not 512",
    ),
)
