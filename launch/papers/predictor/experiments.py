"""Tables and figures of Wen et al. 2020 that a table of NAS-Bench-101 is enough for."""

from __future__ import annotations

from launch.papers import benchmarks
from launch.papers.base import Experiment
from launch.papers.predictor import learned

_ONE = (
    "learned, validated and reported is one column, the first of these that the table has (the paper draws one of "
    "three runs to learn from and to validate)"
)
_SIZE = {"space": "nasbench101", "columns": benchmarks.NB101, "jobs": None, "paper_size": 423_624, "deviations": _ONE}

EXPERIMENTS = (
    Experiment("np_mse", learned.mse, **_SIZE),
    Experiment("np_fig6", learned.kept, **_SIZE),
    Experiment("np_fig7", learned.sizes, **_SIZE | {"deviations": f"{_ONE}; one width for all N"}),
)
