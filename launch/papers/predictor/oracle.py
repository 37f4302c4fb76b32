"""What a single validation run tells in NAS-Bench-101 (Wen et al. 2020): figure 3, and the oracle of section 4.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from launch.papers.base import Inputs, Made
from launch.papers.predictor import tables
from tfnas import seeds
from tfnas.evidence import statistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Share of the networks, and at least 20, that the right half of figure 3 shows; points of a scatter plot.
BEST, _POINTS = 0.01, 20_000


def scatter(inputs: Inputs) -> Made:
    """Figure 3: validation by one run against test accuracy, of all networks and of the best by validation.

    Rows: both accuracies of the network that validates best, the best test accuracy of all, and Kendall's tau.
    """
    import pandas as pd

    inputs = tables.ordered(inputs)
    validated = 100 * tables.draw_runs(tables.runs(inputs), inputs.seed, 0)
    tests = inputs.truth[inputs.datasets[0]].to_numpy(np.float64)
    count, first = len(tests), chosen(validated, inputs.seed, 0)
    best = np.argsort(-validated, kind="stable")[: max(20, round(BEST * count))]
    rows = [
        tables.row("oracle_val", "accuracy", [validated[first]], count, tables.printed(inputs, "oracle_val")),
        tables.row("oracle_test", "accuracy", [tests[first]], count, tables.printed(inputs, "oracle_test")),
        tables.row("test_optimum", "accuracy", [tests.max()], count, tables.printed(inputs, "test_optimum")),
        tables.row("all", "kendall", [statistics.kendall(validated, tests)], count),
        tables.row(f"best {len(best)}", "kendall", [statistics.kendall(validated[best], tests[best])], len(best)),
    ]
    note = "validated by one run of each network, drawn by the seed; test accuracies are the table's"
    shown = tables.looked_at(count, _POINTS, inputs.seed)
    return Made(pd.DataFrame(rows), _scatters(validated, tests, shown, best, first), (note, *tables.elsewhere(inputs)))


def repeated(inputs: Inputs) -> Made:
    """Both accuracies of the network that validates best, where every repeat draws one run of each network."""
    import pandas as pd

    inputs = tables.ordered(inputs)
    values = tables.runs(inputs)
    tests = inputs.truth[inputs.datasets[0]].to_numpy(np.float64)
    found = np.array([oracle(values, tests, inputs.seed, repeat) for repeat in range(inputs.repeats)])
    rows = []
    for name, column in zip(("val", "test"), found.T, strict=True):
        paper, std = (tables.printed(inputs, name, statistic) for statistic in ("mean", "std"))
        new = tables.row(name, f"accuracy of the best by validation, {inputs.repeats} draws", column, len(tests), paper)
        rows.append(new | {"paper_std": std})
    table = pd.DataFrame(rows)
    notes = (
        (f"{values.shape[1]} single runs of each network",)
        if values.shape[1] > 1
        else ("a single run of each network: nothing is left to chance",)
    )
    return Made(table, tables.bars(table, "accuracy (%)", margin=1), notes + tables.elsewhere(inputs))


def oracle(values: np.ndarray, tests: np.ndarray, seed: int, repeat: int) -> tuple[float, float]:
    """(validation, test accuracy) in percent of the best by one run of each; of equals one by chance.

    Args:
        values: single runs, fractions [N, runs].
        tests: percent [N].
        seed: of all draws.
        repeat: which of them.
    """
    validated = tables.draw_runs(values, seed, repeat)
    first = chosen(validated, seed, repeat)
    return 100 * float(validated[first]), float(tests[first])


def chosen(validated: np.ndarray, seed: int, repeat: int) -> int:
    """The row of the best by validation; of equals one by chance."""
    rng = np.random.default_rng(seeds.derive_seed(seed, "oracle", repeat))
    return int(rng.choice(np.flatnonzero(validated == validated.max())))


def _scatters(validated: np.ndarray, tests: np.ndarray, shown: np.ndarray, best: np.ndarray, first: int) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _points(left, validated[shown], tests[shown], "all networks")
    _points(right, validated[best], tests[best], f"the best {len(best)} by validation")
    right.plot(validated[first], tests[first], "D", color="#D55E00", markersize=5, label="the best by validation")
    right.axhline(tests.max(), color="black", linewidth=0.8, linestyle="--", label="best test accuracy of all")
    right.legend(fontsize=7, frameon=False)
    left.set_ylabel("test accuracy (%)", fontsize=8)
    return figure


def _points(axes: Axes, validated: np.ndarray, tests: np.ndarray, title: str) -> None:
    axes.scatter(validated, tests, s=4, alpha=0.4, color="#0072B2", linewidths=0)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("validation accuracy of one run (%)", fontsize=8)
    axes.tick_params(labelsize=7)
