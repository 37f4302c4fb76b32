"""Tables and figures of Zhang's thesis that rank or select networks by gradient scores."""

from __future__ import annotations

import functools

from launch.papers import benchmarks
from launch.papers.base import Experiment
from launch.papers.gradsign.predictors import kendall
from launch.papers.gradsign.selection import selection
from launch.papers.ranking import rank_correlations, scatter
from launch.papers.scored import Scored

_NO_AUGMENTATION = "images are not augmented (the zero-cost code crops and flips its one batch)"
_NB201 = {"space": "nasbench201", "paper_size": 15625}

EXPERIMENTS = (
    Experiment(
        "gs_table5_1",
        rank_correlations,
        space="nasbench101",
        columns=benchmarks.NB101_TEST,
        jobs=Scored(("grad_norm", "snip", "grasp", "fisher", "synflow", "naswot", "gradsign"), flavour="nasbench"),
        paper_size=4500,
        deviations=f"{_NO_AUGMENTATION}; 4,500 architectures drawn here (the paper does not list its own)",
    ),
    Experiment(
        "gs_table5_2",
        rank_correlations,
        columns=benchmarks.NB201_V1_0,
        jobs=Scored(
            ("zen", "grad_norm", "snip", "grasp", "fisher", "synflow", "naswot", "gradsign"),
            flavour="zcnas",
            synflow_kept_bn=("reduction",),
        ),
        deviations=f"{_NO_AUGMENTATION}; Zen averages 4 draws of its weights, not 32",
        **_NB201,
    ),
    Experiment(
        "gs_table5_4",
        selection,
        columns=benchmarks.NB201,
        jobs=Scored(("gradsign", "synflow", "naswot"), flavour="tiny", batch_size=128, first_only=True),
        small_size=64,
        deviations="test accuracies alone, not those of validation beside them; one initialisation of each network "
        "serves all runs (the paper does not say); brackets are one standard deviation "
        "over the runs on either side",
        **_NB201,
    ),
    Experiment(
        "gs_tableA_1",
        kendall,
        columns=benchmarks.NB201,
        jobs=None,
        repeats=(4, 10),
        deviations="predictors of this project: a perceptron on flat encodings, the graph network of Wen et al. 2020, "
        "trained as their authors have it, though for accuracies from 0 %, and not for 200 epochs of a ranking loss; "
        "brackets are one standard deviation over draws and data sets",
        **_NB201,
    ),
    Experiment(
        "gs_tableA_2",
        functools.partial(rank_correlations, section=("nats",)),
        columns=benchmarks.NB201,
        jobs=Scored(("gradsign",), flavour="zcnas"),
        deviations=_NO_AUGMENTATION,
        **_NB201,
    ),
    Experiment(
        "gs_figA_1",
        scatter,
        space="nasbench201",
        columns=benchmarks.NB201,
        jobs=Scored(("gradsign",), flavour="zcnas"),
        paper_size=1000,
        deviations=_NO_AUGMENTATION,
    ),
)
