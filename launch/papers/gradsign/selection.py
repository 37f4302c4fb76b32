"""Accuracy of the network that a score selects among random ones (Zhang's thesis, table 5.4)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from launch.papers import picking
from launch.papers.base import HINT, Inputs, Made
from launch.papers.ranking import beside_the_paper, expected, parts
from tfnas import seeds
from tfnas.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

RUNS = 500
# Networks a run; the paper has the larger number for NASWOT alone.
DRAWN, MANY = 100, 1000


def selection(inputs: Inputs, *, runs: int = RUNS) -> Made:
    """A row for each method and data set: mean accuracy of the best of N random networks, with its deviation over runs.

    Each run draws N of the networks scored and takes the one with the highest score on the first data set (one without
    a score never; of equals the one drawn first, so that chance decides and no file). `optimal` takes the truly best of
    its N on each data set by itself, `random` the first. N is 100, or a quarter of the networks where they are fewer
    than 400, and 1,000 besides where there are 4,000 networks. A proxy without records has no row.

    Args:
        inputs: of an experiment whose jobs are `Scored`, with one initialisation.
        runs: number of independent draws.

    Raises:
        InputError: there are no records of the proxies on the first data set, or those of one were not made alike.
    """
    import numpy as np
    import pandas as pd

    from tfnas import evidence

    experiment = inputs.experiment
    # Records of other data sets may stand beside: no search looks at them.
    ((first, init, records),) = parts(inputs, inputs.datasets[:1])
    # In the order of their strings, so that no draw depends on that of a file.
    truth = inputs.truth.loc[inputs.truth.index.isin(records["arch"]), list(inputs.datasets)].sort_index()
    evidence.check_settings(records, hint=HINT)
    scores = evidence.average(records).pivot(index="arch", columns="proxy", values="score").reindex(truth.index)
    proxies = [name for name in experiment.jobs.proxies if name in scores]
    if not proxies:
        received = ", ".join(map(str, scores.columns))
        raise InputError(f"No records of {', '.join(experiment.jobs.proxies)} on {first}. Received: {received}")
    size = len(truth)
    methods = [(name, DRAWN) for name in (*proxies, "random", "optimal")]
    methods += [(name, MANY) for name in (*proxies, "optimal")] if size >= 4 * MANY else []
    rows = []
    for method, wanted in methods:
        drawn = min(wanted, max(1, size // 4))
        # The same draws for every method of one N: differences between methods are not those of their luck.
        rng = np.random.default_rng(seeds.derive_seed(inputs.seed, experiment.id, "draws", drawn))
        draws = picking.draws(size, drawn, runs, rng)
        for dataset in truth:
            accuracy = truth[dataset].to_numpy(float)
            found = accuracy[_taken(draws, method, accuracy, scores)]
            paper = expected(experiment, method if method == "random" else f"{method}_{wanted}", dataset, "test")
            paper = paper if isinstance(paper, Mapping) else {"mean": math.nan, "std": math.nan}
            rows.append(
                {
                    "dataset": dataset,
                    "init": init,
                    "method": method if wanted == DRAWN else f"{method} ({wanted})",
                    "measure": f"test accuracy, best of {1 if method == 'random' else drawn}, {runs} runs",
                    "n": size,
                    "left_out": int(scores[method].isna().sum()) if method in scores else 0,
                    **picking.spread(found),
                    "paper": paper["mean"],
                    "paper_std": paper["std"],
                }
            )
    table = pd.DataFrame(rows)
    left = max(0.0, float(np.nanmin(table["low"])) - 5)
    return Made(table, beside_the_paper(table, "test accuracy (%)", left=left))


def _taken(draws: np.ndarray, method: str, accuracy: np.ndarray, scores: pd.DataFrame) -> np.ndarray:
    """Which network each run takes: indices [runs]."""
    return (
        draws[:, 0] if method == "random" else picking.best(accuracy if method == "optimal" else scores[method], draws)
    )
