"""Studies: figures of Park et al. 2020 (NNGP) from a table of accuracies and a folder of inference scores.

A study is one function from (scores, table, settings) to (rows, figure); `launch.studies.runner` brings the three
together for `python -m launch.reproduce`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from launch.studies import correlation, flops, search, size
from launch.studies.metrics import PUBLISHED_MOMENTUM, SHORT

_RUNS = tuple(f"val_{epochs}_0" for epochs in SHORT)
_SUBSETS = "subsets of a third of the networks, and fewer than ten looked at, where there are too few for the paper's"


@dataclasses.dataclass(frozen=True)
class Study:
    """How a figure is made.

    Attributes:
        id: as in `experiments.json`.
        make: (scores, table, settings) -> (rows, figure).
        needs: "scores" (and a table), "table" (all of it, whatever --scale) or "space" (no accuracies at all).
        kernels: what is inferred with.
        momenta: share of the initial moving statistics that BN keeps.
        required: columns that it cannot do without.
        shown: columns that it shows where the table has them.
        paper_size: number of networks at --scale=paper.
        small_size: number of networks at --scale=small.
        n_train: training images of the paper.
        n_val: validation images of the paper.
        ensembles: initialisations of the paper.
        deviations: what is knowingly not as in the paper.
    """

    id: str
    make: Callable
    needs: str = "scores"
    kernels: tuple[str, ...] = ("nngp",)
    momenta: tuple[float, ...] = (PUBLISHED_MOMENTUM,)
    required: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    paper_size: int = 423_624
    small_size: int = 24
    n_train: tuple[int, ...] = (100, 500, 2000, 8000)
    n_val: tuple[int, ...] = (500, 2000, 5000, 10_000)
    ensembles: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    deviations: str = ""


STUDIES = {
    study.id: study
    for study in (
        Study("nngp_fig1", correlation.fig1, shown=_RUNS),
        Study("nngp_fig2", correlation.fig2, shown=_RUNS[:2]),
        Study("nngp_fig3", search.fig3, shown=_RUNS[:2], deviations=_SUBSETS),
        Study("nngp_fig4", correlation.fig4, shown=_RUNS),
        Study(
            "nngp_fig5",
            correlation.fig5,
            kernels=("nngp", "ntk"),
            paper_size=1000,
            small_size=16,
            n_train=(100,),
            n_val=(1000,),
            deviations="the tangent kernel is the sum over logits divided by their number (the paper does not say)",
        ),
        Study("nngp_fig6", size.fig6),
        Study("nngp_fig8", search.fig8, required=_RUNS[1:], shown=_RUNS[:1], deviations=_SUBSETS),
        Study("nngp_fig9", search.fig9, required=_RUNS[:2], deviations=_SUBSETS),
        Study("nngp_figS1", correlation.fig_s1, momenta=(0.0, PUBLISHED_MOMENTUM)),
        Study(
            "nngp_figS2",
            flops.fig_s2,
            needs="space",
            small_size=1000,
            deviations="FLOPs are counted from the layers; the paper measured them. It calls 2 F what a training step "
            "costs: that is the gradients alone",
        ),
        Study("nngp_figS3", correlation.fig_s3),
        Study("nngp_figS4", correlation.fig_s4, needs="table", required=_RUNS),
        Study("nngp_figS5", correlation.fig_s5, shown=_RUNS),
        Study("nngp_figS6", correlation.fig_s6, shown=_RUNS[:2], deviations="compared with model size as well"),
        Study("nngp_figS7", size.fig_s7, needs="table", required=("params",)),
        Study("nngp_figS8", size.fig_s8, shown=_RUNS, deviations=_SUBSETS),
        Study("nngp_figS9", size.fig_s9, shown=_RUNS),
        Study("nngp_figS10", size.fig_s10, shown=_RUNS, deviations=_SUBSETS),
        Study(
            "nngp_text_worst",
            search.text_worst,
            needs="table",
            required=tuple(f"val_{epochs}_0" for epochs in search.WORST),
            deviations="the first run of each network; the paper does not say which of three, nor whether their mean",
        ),
    )
}
