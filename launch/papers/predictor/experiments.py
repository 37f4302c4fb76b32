"""Tables and figures of Wen et al. 2020; all of them look their accuracies up in a table."""

from __future__ import annotations

from launch.papers import benchmarks
from launch.papers.base import Experiment
from launch.papers.predictor import efficiency, learned, mobile, oracle

_ONE = (
    "learned, validated and reported is one column, the first of these that the table has (the paper draws one of "
    "three runs to learn from and to validate)"
)
_SIZE = {"space": "nasbench101", "columns": benchmarks.NB101, "jobs": None, "paper_size": 423_624}
_TESTED = _SIZE | {"columns": benchmarks.NB101_TEST}
_RUNS = (
    "on the digits, the single run that validates is one of the four whose mean is reported, on the same images; "
    "NAS-Bench-101 validates on images of its own"
)
_STAND_IN = (
    "accuracies of ProxylessNAS networks are not published: networks of the table stand in, with its latencies, such "
    "as 5,125 of the MnasNet space trained shortly on ImageNet (Accel-NASBench)"
)
_MOBILE = {
    "space": "proxylessnas",
    "columns": {"imagenet2012": ("val_top1", "accuracy")},
    "jobs": None,
    "paper_size": 112_000,
    "repeats": (4, 10),
}

EXPERIMENTS = (
    Experiment("np_fig3", oracle.scatter, deviations=_RUNS, **_TESTED),
    Experiment("np_oracle", oracle.repeated, repeats=(100, 100), deviations=_RUNS, **_TESTED),
    Experiment("np_fig4", efficiency.search_efficiency, repeats=(8, 600), deviations=_RUNS, **_TESTED),
    Experiment("np_mse", learned.mse, repeats=(10, 10), deviations=_ONE, **_SIZE),
    Experiment("np_fig6", learned.kept, repeats=(10, 10), deviations=_ONE, **_SIZE),
    Experiment("np_fig7", learned.sizes, repeats=(10, 600), deviations=f"{_ONE}; one width for all N", **_SIZE),
    Experiment(
        "np_fig8",
        mobile.front,
        latencies=("latency_ms", "latency_zcu102.latency_mean", "macs", "flops"),
        deviations=f"{_STAND_IN}; no window of latencies; nothing is trained longer, and ProxylessNAS is not compared",
        **_MOBILE,
    ),
    Experiment("np_fig9", mobile.quality, deviations=_STAND_IN, **_MOBILE),
)
