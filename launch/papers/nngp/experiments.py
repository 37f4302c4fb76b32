"""Figures of Park et al. 2020: from a table of accuracies and, most of them, inference scores; figure 7 trains."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from launch.papers import benchmarks
from launch.papers.base import Experiment, Made, Stage
from launch.papers.nngp import correlation, flops, mnas, pool, search, size
from launch.papers.nngp.inferred import Inferred
from launch.papers.nngp.metrics import PUBLISHED_MOMENTUM, SHORT, Pool
from launch.papers.nngp.trained import Compared, Trained
from spaces.nasbench101.published import SOURCE

_RUNS = tuple(f"val_{epochs}_0" for epochs in SHORT)
_WORST = tuple(f"val_{epochs}_0" for epochs in search.WORST)
_SUBSETS = "subsets of a third of the networks, and fewer than ten looked at, where there are too few for the paper's"
_BRACKETS = "brackets are 95 % bootstrap intervals of correlations, and one standard error on either side of all else"
_DRAWN = f"{_SUBSETS}; {_BRACKETS}"
_FULL = "nasbench_full.tfrecord"
_IMPORT = f"python -m launch.prepare --table={_FULL} --space=nasbench101 --out=nasbench101.parquet"
_SOURCE = f"Of NAS-Bench-101, {_FULL} ({SOURCE}{_FULL}) alone has accuracies of short trainings: {_IMPORT}"
_MNAS = (
    "SGD with Nesterov's momentum (launch.train), not MnasNet's RMSProp; multiply-adds, not the milliseconds of a "
    "phone (--scores takes records with others); on ImageNet a tenth of the training split is held out, 128,000 images "
    "where the paper has 50,000. At --scale=small 60 networks and 32 pixels, and nothing is trained longer: what "
    "selects is the accuracy on the images held out (of imagenet2012 on those that train, as there may be one a "
    "class), what judges that on the "
    f"test images after the same epochs; {_BRACKETS}"
)


def _figure(name: str, figure: Callable[[Pool], Made], **changes: Any) -> Experiment:
    common = {
        "space": "nasbench101",
        "columns": benchmarks.NB101,
        "jobs": Inferred(),
        "paper_size": 423_624,
        "small_size": 24,
        "source": _SOURCE,
    }
    return Experiment(f"nngp_{name}", functools.partial(pool.make, figure), **common | changes)


EXPERIMENTS = (
    _figure("fig1", correlation.fig1, shown=_RUNS),
    _figure("fig2", correlation.fig2, shown=_RUNS[:2]),
    _figure("fig3", search.fig3, shown=_RUNS[:2], deviations=_DRAWN),
    _figure("fig4", correlation.fig4, shown=_RUNS, deviations=_BRACKETS),
    _figure(
        "fig5",
        correlation.fig5,
        jobs=Inferred(kernels=("nngp", "ntk"), n_train=(100,), n_val=(1000,)),
        paper_size=1000,
        small_size=16,
        deviations="the tangent kernel is the sum over logits divided by their number (the paper does not say)",
    ),
    _figure("fig6", size.fig6),
    Experiment(
        "nngp_fig7",
        mnas.fig7,
        space="mnas",
        columns={},
        jobs=Compared(),
        paper_size=10_000,
        small_size=60,
        second=Stage(mnas.selected, Trained(full=True)),
        deviations=_MNAS,
    ),
    _figure("fig8", search.fig8, required=_RUNS[1:], shown=_RUNS[:1], deviations=_DRAWN),
    _figure("fig9", search.fig9, required=_RUNS[:2], deviations=_DRAWN),
    _figure("figS1", correlation.fig_s1, jobs=Inferred(momenta=(0.0, PUBLISHED_MOMENTUM)), deviations=_BRACKETS),
    _figure(
        "figS2",
        flops.fig_s2,
        columns={},
        jobs=None,
        small_size=1000,
        deviations="FLOPs are counted from the layers; the paper measured them. It calls 2 F what a training step "
        "costs: that is the gradients alone",
    ),
    _figure("figS3", correlation.fig_s3),
    _figure("figS4", correlation.fig_s4, jobs=None, required=_RUNS),
    _figure("figS5", correlation.fig_s5, shown=_RUNS, deviations=_BRACKETS),
    _figure("figS6", correlation.fig_s6, shown=_RUNS[:2], deviations="compared with model size as well"),
    _figure("figS7", size.fig_s7, jobs=None, required=("params",), source=""),
    _figure("figS8", size.fig_s8, shown=_RUNS, deviations=_DRAWN),
    _figure("figS9", size.fig_s9, shown=_RUNS),
    _figure("figS10", size.fig_s10, shown=_RUNS, deviations=_DRAWN),
    _figure(
        "text_worst",
        search.text_worst,
        jobs=None,
        required=_WORST,
        deviations="the first run of each network; the paper does not say which of three, nor whether their mean; "
        + _BRACKETS,
    ),
)
