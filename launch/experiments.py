"""Tables and figures of the five papers: what they report, and how those that can be reproduced here are made.

`experiments.json` holds the facts: identifier, paper, kind, what it shows, the numbers printed. A recipe below is one
frozen config: what is scored, how, and which number of the result stands beside which number of the paper.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import json
import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from tfnas import seeds
from tfnas.errors import InputError, unknown

if TYPE_CHECKING:
    import pandas as pd

NB201_DATASETS = ("cifar10", "cifar100", "imagenet16-120")
# Column of a table of NAS-Bench-201 by data set: test accuracy after 200 epochs, mean over seeds, NATS-Bench v1.0.
NATS = {"cifar10": "cifar10_test_200", "cifar100": "cifar100_test_200", "imagenet16-120": "in16_test_200"}
# The same of NAS-Bench-201 v1.0, the release that the zero-cost code read; it differs on CIFAR-10 alone.
NB201 = NATS | {"cifar10": "cifar10_test_200_v1_0"}
# Of NAS-Bench-101: mean accuracy after 108 epochs. Its own files have validation accuracies, public copies have not.
NB101 = {"cifar10": ("val_108", "test_108", "test_acc_108_mean")}
# The table that comes with tfnas and stands in where none is given, its space, and what its networks were.
EMBEDDED, EMBEDDED_SPACE = "nasbench201_digits", "nasbench201"
EMBEDDED_NETWORK = {"width": 16, "depth": 1, "flavour": "tiny"}
EMBEDDED_NOTE = "networks and accuracies are those on the UCI digits, not the paper's"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How an experiment is made.

    Attributes:
        id: as in `experiments.json`.
        analysis: "correlation", "scatter" or "selection".
        proxies: what is scored.
        statistic: "spearman" or "kendall".
        paper_size, small_size: number of architectures at --scale=paper and --scale=small.
        space: search space of the table.
        columns: by data set, column of the table, or several of which the first that is there is taken.
        datasets: data sets that are scored on; a selection scores on the first and looks up all.
        inits, flavour, batch_size, ntk_batch_size, synflow_kept_bn, noise_repeats: as the flags of launch.score, but
            for ntk_batch_size, which is (paper, small).
        expected: path in the facts' `expected` under which the numbers of this recipe stand.
        deviations: what is knowingly not as in the paper.
    """

    id: str
    analysis: str
    proxies: tuple[str, ...]
    statistic: str = "spearman"
    paper_size: int = 15625
    small_size: int = 32
    space: str = "nasbench201"
    columns: Mapping[str, str | tuple[str, ...]] = dataclasses.field(default_factory=lambda: NATS)
    datasets: tuple[str, ...] = NB201_DATASETS
    inits: tuple[str, ...] = ("torch",)
    flavour: str = "tiny"
    batch_size: int = 64
    ntk_batch_size: tuple[int, int] = (0, 0)
    synflow_kept_bn: tuple[str, ...] = ()
    noise_repeats: int = 4
    expected: tuple[str, ...] = ()
    deviations: str = ""


_NO_AUGMENTATION = "images are not augmented (the zero-cost code crops and flips its one batch)"

RECIPES = {
    recipe.id: recipe
    for recipe in (
        Recipe(
            "gs_table5_1",
            "correlation",
            ("grad_norm", "snip", "grasp", "fisher", "synflow", "naswot", "gradsign"),
            paper_size=4500,
            space="nasbench101",
            columns=NB101,
            datasets=("cifar10",),
            flavour="nasbench",
            deviations=f"{_NO_AUGMENTATION}; 4,500 architectures drawn here (the paper does not list its own)",
        ),
        Recipe(
            "gs_table5_2",
            "correlation",
            ("zen", "grad_norm", "snip", "grasp", "fisher", "synflow", "naswot", "gradsign"),
            columns=NB201,
            flavour="zcnas",
            synflow_kept_bn=("reduction",),
            deviations=f"{_NO_AUGMENTATION}; Zen averages 4 draws of its weights, not 32",
        ),
        Recipe(
            "gs_tableA_2",
            "correlation",
            ("gradsign",),
            flavour="zcnas",
            expected=("nats",),
            deviations=_NO_AUGMENTATION,
        ),
        Recipe("gs_figA_1", "scatter", ("gradsign",), paper_size=1000, flavour="zcnas", deviations=_NO_AUGMENTATION),
        Recipe(
            "gs_table5_4",
            "selection",
            ("gradsign", "synflow", "naswot"),
            small_size=64,
            batch_size=128,
            deviations="test accuracies only, where the table has no validation accuracies of 200 epochs",
        ),
        Recipe(
            "lga_fig4",
            "correlation",
            ("fnorm", "ntk_mean", "ncn", "lga"),
            statistic="kendall",
            paper_size=1000,
            inits=("xavier", "kaiming_normal", "gaussian"),
            batch_size=256,
            ntk_batch_size=(256, 16),
            deviations="1,000 architectures (the paper names no number); ImageNet16-120 takes 256 images, not 512",
        ),
    )
}


@functools.cache
def facts() -> dict[str, dict[str, Any]]:
    """All experiments of the papers by identifier: paper, kind, title, expected, and a note on some."""
    text = importlib.resources.files("launch").joinpath("experiments.json").read_text(encoding="utf-8")
    return {entry["id"]: entry for entry in json.loads(text)}


Kind = TypeVar("Kind")


def get(name: str, available: Mapping[str, Kind] = RECIPES) -> Kind:
    """What makes an experiment, from a registry of those that are available.

    Raises:
        InputError: unknown, or known but not to be reproduced here yet.
    """
    if name not in facts():
        raise unknown("experiment (see --list)", name, facts())
    if name not in available:
        raise InputError(
            f"Experiment {name} ({facts()[name]['title']}) is not available yet. Available: {', '.join(available)}"
        )
    return available[name]


def expected(recipe: Recipe, *path: str) -> float | Mapping[str, Any]:
    """The paper's number at a path such as (data set, proxy); NaN where it prints none."""
    found: Any = facts()[recipe.id]["expected"]
    for step in (*recipe.expected, *path):
        if not isinstance(found, Mapping) or step not in found:
            return math.nan
        found = found[step]
    return found


def correlations(
    recipe: Recipe, scores: pd.DataFrame, truth: pd.Series, *, dataset: str, init: str, seed: int
) -> list[dict[str, Any]]:
    """A row per proxy: the statistic with its interval, beside the paper's.

    Args:
        recipe: the experiment.
        scores: records of one data set and one initialisation.
        truth: accuracy by architecture.
        dataset: what `scores` were computed on.
        init: initialisation scheme of `scores`.
        seed: of the bootstrap.
    """
    from tfnas import evidence

    summary = evidence.correlate(scores, truth, seed=seed).set_index("proxy")
    rows = []
    for name in [*recipe.proxies, *(name for name in ("params", "flops") if name in summary.index)]:
        found = summary.loc[name]
        path = (dataset, name) if len(recipe.inits) == 1 else (init, name)
        rows.append(
            {
                "dataset": dataset,
                "init": init,
                "method": name,
                "measure": recipe.statistic,
                "n": int(found["n"]),
                "left_out": int(found["left_out"]),
                "ours": found[recipe.statistic],
                "low": found[f"{recipe.statistic}_lo"],
                "high": found[f"{recipe.statistic}_hi"],
                "paper": expected(recipe, *path),
            }
        )
    return rows


RUNS = 500
DRAWN = 100
# The table has NASWOT once more with ten times the networks a run.
MANY = ("naswot", 1000)


def selections(
    recipe: Recipe, scores: pd.DataFrame, truth: pd.DataFrame, *, runs: int = RUNS, seed: int = 0
) -> list[dict[str, Any]]:
    """Accuracy of the best of N random networks by each proxy: mean and standard deviation over runs.

    Each run draws N of the networks scored and takes the one with the highest score (one without a score never, the
    first of equals). `optimal` takes the truly best of its N on each data set by itself, `random` the first. N is 100,
    or a quarter of the networks where they are fewer than 400; N = 1000 needs 4,000 networks.

    Args:
        recipe: the experiment.
        scores: records of the data set searched on.
        truth: accuracies [architectures, data sets].
        runs: number of independent draws.
        seed: of the draws.
    """
    import numpy as np

    from tfnas import evidence

    wide = evidence.average(scores).pivot(index="arch", columns="proxy", values="score").reindex(truth.index)
    size = len(truth)
    methods = [(name, DRAWN) for name in (*recipe.proxies, "random", "optimal")]
    methods += [MANY] if size >= 4 * MANY[1] and MANY[0] in recipe.proxies else []
    rows = []
    for method, wanted in methods:
        drawn = min(wanted, max(1, size // 4))
        # The same draws for every method of one N: differences between methods are not those of their luck.
        rng = np.random.default_rng(seeds.derive_seed(seed, recipe.id, "draws", drawn))
        draws = np.array([rng.choice(size, drawn, replace=False) for _ in range(runs)])
        for dataset in truth:
            accuracy = truth[dataset].to_numpy(float)
            if method == "random":
                taken = draws[:, 0]
            else:
                by = accuracy if method == "optimal" else wide[method].to_numpy(float)
                taken = draws[np.arange(runs), np.where(np.isnan(by), -np.inf, by)[draws].argmax(1)]
            paper = expected(recipe, method if method == "random" else f"{method}_{wanted}", dataset, "test")
            paper = paper if isinstance(paper, Mapping) else {"mean": math.nan, "std": math.nan}
            mean, deviation = accuracy[taken].mean(), accuracy[taken].std(ddof=1)
            rows.append(
                {
                    "dataset": dataset,
                    "init": recipe.inits[0],
                    "method": method if wanted == DRAWN else f"{method} ({wanted})",
                    "measure": f"test accuracy, best of {1 if method == 'random' else drawn}, {runs} runs",
                    "n": size,
                    "left_out": int(wide[method].isna().sum()) if method in wide else 0,
                    "ours": mean,
                    "low": mean - deviation,
                    "high": mean + deviation,
                    "paper": paper["mean"],
                    "paper_std": paper["std"],
                }
            )
    return rows


def sizes(recipe: Recipe, scale: str, available: int) -> tuple[int, int]:
    """(number of architectures, NTK batch size) at a scale, as `count` has them.

    Raises:
        InputError: another text.
    """
    paper_batch, small_batch = recipe.ntk_batch_size
    size = count(scale, recipe.small_size, recipe.paper_size, available)
    return size, small_batch if scale == "small" else paper_batch


def count(scale: str, small: int, paper: int, available: int) -> int:
    """Number of architectures at a scale: "small", "paper" or a share of the paper's number.

    Raises:
        InputError: another text.
    """
    if scale in ("small", "paper"):
        return min(small if scale == "small" else paper, available)
    try:
        share = float(scale)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise InputError(f"--scale must be small, paper or a share in (0, 1]. Received: {scale!r}")
    return min(max(8, round(share * paper)), available)


def describe(available: Collection[str]) -> list[str]:
    """A line for each experiment: identifier, whether it is available, kind, paper, title."""
    return [
        f"{name:<19} {'yes' if name in available else '-':<4} {entry['kind']:<7} {entry['paper']}: {entry['title']}"
        for name, entry in facts().items()
    ]
