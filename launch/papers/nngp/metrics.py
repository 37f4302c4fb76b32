"""What figures compare: metrics of networks, each with its cost, and how well they stand for the truth."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from launch.papers.base import Made
from launch.papers.nngp import cost
from tfnas import seeds
from tfnas.errors import InputError
from tfnas.evidence import bootstrap, statistics

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from spaces.base import Space

# Epochs after which NAS-Bench-101 stopped short of its full training; the paper takes the first of three trials.
SHORT = (4, 12, 36)
PUBLISHED_MOMENTUM = 0.997
# Shares of networks, in percent, at whose thresholds PQETP is given.
TOP = (1, 5, 20, 50)
# Beyond this many networks an interval comes from so many of them: resampling more would take hours.
_RESAMPLED = 3000
COLUMNS = (
    *("metric", "kernel", "n_train", "n_val", "ensemble", "bn_momentum", "pflop"),
    *("measure", "n", "ours", "low", "high", "paper", "difference"),
)


class InferenceKey(NamedTuple):
    """What an inference score was computed with."""

    kernel: str
    n_train: int
    n_val: int
    ensemble: int
    bn_momentum: float

    @property
    def name(self) -> str:
        momentum = "" if self.bn_momentum == PUBLISHED_MOMENTUM else f", BN momentum {self.bn_momentum:g}"
        return f"{self.kernel.upper()}({self.n_train}, {self.n_val}, {self.ensemble}){momentum}"


@dataclasses.dataclass(frozen=True)
class Context:
    """What a figure needs beside its frames.

    Attributes:
        space: of the networks.
        flops: F, mean FLOPs of the networks for one image, a multiply-add counted as two.
        expected: the paper's numbers of this experiment, as in the facts.
        features: length of the networks' penultimate vector.
        classes: of the data set.
        regularizers: how many each inference tried.
        network: network constants, as `Space.layer_graph` takes them.
        seed: of subsets and resamples.
        k: networks looked at for the discovered performance.
        subsets: number of random subsets.
        subset_size: networks in each.
        resamples: of the bootstrap.
    """

    space: Space
    flops: float
    expected: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    features: int = 512
    classes: int = 10
    regularizers: int = 20
    network: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seed: int = 42
    k: int = 10
    subsets: int = 10
    subset_size: int = 10_000
    resamples: int = 1000

    @property
    def is_published(self) -> bool:
        """Whether the networks are of the space that the paper looks at."""
        return self.space.name == "nasbench101"

    @property
    def is_full_size(self) -> bool:
        """Whether they are moreover built as published, so that the paper's FLOPs are theirs."""
        return self.is_published and self.space.config(**self.network) == self.space.config()

    @property
    def published(self) -> Mapping[str, Any]:
        """The paper's numbers as far as they are of such networks: none otherwise."""
        return self.expected if self.is_full_size else {}

    def size(self, n: int) -> int:
        """Networks in a subset of n: as asked for, or a third where there are fewer than three times as many."""
        return max(1, min(self.subset_size, n // 3))

    def top(self, n: int) -> int:
        """Networks looked at in a subset: k, or a tenth of it where it has fewer than ten times as many."""
        return max(1, min(self.k, self.size(n) // 10))

    def rows(self, n: int) -> np.ndarray:
        """The same subsets for every metric: indices [subsets, size]."""
        return statistics.subset_rows(n, self.size(n), self.subsets, seeds.derive_seed(self.seed, "subsets"))

    def ties(self, subset: int) -> int:
        """Seed that breaks the ties of a subset."""
        return seeds.derive_seed(self.seed, "ties", subset)

    def subset_note(self, n: int) -> str:
        found = (
            f"{self.subsets} random subsets of {self.size(n)} networks, the best of the {self.top(n)} ranked highest"
        )
        return f"{found}; equal scores rank at random by the seed"


class Pool(NamedTuple):
    """The networks that a figure is about.

    Attributes:
        scores: inference scores in percent [networks, settings], columns `InferenceKey`; None where none are looked at.
        table: of the same networks in the same order: truth, params, flops and what else the file has, accuracies in
            percent.
        context: the rest.
    """

    scores: pd.DataFrame | None
    table: pd.DataFrame
    context: Context


@dataclasses.dataclass(frozen=True, eq=False)
class Metric:
    """A number for each network, higher is better.

    Attributes:
        name: shown to the reader.
        values: [n], in the order of the table; NaN where there is none.
        pflop: cost of one network; NaN for what costs nothing.
        key: of an inference score.
    """

    name: str
    values: np.ndarray
    pflop: float = math.nan
    key: InferenceKey | None = None


def inference(scores: pd.DataFrame, context: Context) -> list[Metric]:
    """The NNGP scores that most figures are about, as `scored` gives them.

    Raises:
        InputError: there are none.
    """
    found = scored(scores, context)
    if not found:
        received = sorted({(column[0], column[-1]) for column in scores.columns})
        raise InputError(
            "The figure needs scores of the kernel NNGP with BN momentum other than 0. Received: "
            + "; ".join(f"{kernel.upper()} with BN momentum {momentum:g}" for kernel, momentum in received)
            + ". python -m launch.nngp makes them"
        )
    return found


def scored(scores: pd.DataFrame, context: Context, *, kernel: str = "nngp", ablation: bool = False) -> list[Metric]:
    """The scores of a kernel, ascending in their sizes; none where there are none.

    Args:
        scores: percent, [networks, settings], columns `InferenceKey`.
        context: of the figure.
        kernel: "nngp" or "ntk".
        ablation: those of BN momentum 0, which other figures leave out.
    """
    found = sorted(InferenceKey(*column) for column in scores.columns if column[0] == kernel)
    return [
        Metric(key.name, scores[key].to_numpy(float), inference_pflop(key, context), key)
        for key in found
        if (key.bn_momentum == 0) == ablation
    ]


def training(table: pd.DataFrame, context: Context, epochs: Sequence[int] = SHORT) -> list[Metric]:
    """Validation accuracy of one run of short training, as far as the table has it."""
    return [
        Metric(f"{count} epochs", table[f"val_{count}_0"].to_numpy(float), training_pflop(count, context))
        for count in epochs
        if f"val_{count}_0" in table
    ]


def size(table: pd.DataFrame) -> Metric:
    """Number of parameters."""
    return Metric("parameters", table["params"].to_numpy(float))


def inference_pflop(key: InferenceKey, context: Context) -> float:
    """Cost of an NNGP score, equation (4) as printed; NaN for the tangent kernel, of which the paper has no formula."""
    if key.kernel != "nngp":
        return math.nan
    flops = cost.nngp_flops(
        context.flops,
        key.n_train,
        key.n_val,
        key.ensemble,
        features=context.features,
        regularizers=context.regularizers,
        classes=context.classes,
    )
    return flops / cost.PFLOP


def training_pflop(epochs: int, context: Context) -> float:
    """Cost of a training of NAS-Bench-101, equation (5)."""
    return cost.training_flops(context.flops, epochs) / cost.PFLOP


# Rows ----------------------------------------------------------------------------------------------------------------


def row(
    metric: Metric,
    measure: str,
    value: float,
    low: float = math.nan,
    high: float = math.nan,
    *,
    n: int,
    paper: float = math.nan,
    **more: Any,
) -> dict[str, Any]:
    """A row: one measure of one metric."""
    key = metric.key._asdict() if metric.key else {}
    found = {"metric": metric.name, "pflop": metric.pflop, "measure": measure, "n": n}
    return key | found | {"ours": value, "low": low, "high": high, "paper": paper} | more


def frame(rows: Iterable[Mapping[str, Any]], notes: Sequence[str] = ()) -> pd.DataFrame:
    """Rows as a table; what readers should know of them is in `attrs["notes"]`."""
    import pandas as pd

    out = pd.DataFrame(list(rows))
    out["difference"] = out["ours"] - out["paper"]
    out = out.reindex(columns=[*COLUMNS, *(column for column in out if column not in COLUMNS)])
    for name in ("n_train", "n_val", "ensemble"):
        out[name] = out[name].astype("Int64")
    out.attrs["notes"] = list(notes)
    return out


def made(rows: pd.DataFrame, figure: Figure) -> Made:
    """What an experiment gives, with the notes that `frame` took."""
    return Made(rows, figure, tuple(rows.attrs.pop("notes")))


def correlations(
    metric: Metric, truth: np.ndarray, context: Context, papers: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Kendall's tau-b and Pearson's r with their 95 % bootstrap intervals.

    Beyond 3,000 networks the interval is that of 3,000 of them, narrowed by the root of the ratio.
    """
    score, known = statistics.pairs(metric.values, truth)
    n = len(score)
    chosen = np.arange(n)
    if n > _RESAMPLED:
        chosen = statistics.subset_rows(n, _RESAMPLED, 1, seeds.derive_seed(context.seed, "interval"))[0]
    some = score[chosen], known[chosen]
    measures = {"kendall": statistics.kendall, "pearson": statistics.pearson}
    found = bootstrap.intervals(*some, resamples=context.resamples, seed=context.seed, only=list(measures))
    rows = []
    for name, of in measures.items():
        value = of(score, known)
        low, high = found[name]
        if n > _RESAMPLED:
            low, high = (value + (bound - of(*some)) * math.sqrt(_RESAMPLED / n) for bound in (low, high))
        rows.append(row(metric, name, value, low, high, n=n, paper=(papers or {}).get(name, math.nan)))
    return rows


def top_pqetp(metrics: Sequence[Metric], truth: np.ndarray) -> list[dict[str, Any]]:
    """PQETP at the thresholds that the best 1, 5, 20 and 50 % of the networks exceed."""
    rows = []
    for share in TOP:
        threshold = float(np.quantile(truth, 1 - share / 100))
        for metric in metrics:
            value = statistics.pqetp(metric.values, truth, threshold)
            rows.append(row(metric, f"PQETP, top {share} %", value, n=len(truth), threshold=threshold))
    return rows


def discovered(metric: Metric, truth: np.ndarray, context: Context) -> dict[str, Any]:
    """Mean discovered performance over the random subsets, with its standard error."""
    k = context.top(len(truth))
    found = [
        statistics.discovered(metric.values[rows], truth[rows], k, seed=context.ties(i))
        for i, rows in enumerate(context.rows(len(truth)))
    ]
    return mean_row(metric, "discovered", found, n=len(truth))


def mean_row(metric: Metric, measure: str, values: Sequence[float], **more: Any) -> dict[str, Any]:
    """Mean of some values, with its standard error on both sides."""
    mean, error = statistics.mean_and_error(values)
    return row(metric, measure, mean, mean - error, mean + error, **more)


def costs(metrics: Sequence[Metric], context: Context) -> list[dict[str, Any]]:
    """Cost of each metric, beside the paper's where it follows from the paper's own mean FLOPs."""
    known = context.published.get("cost_pflop", {})
    rows = []
    for metric in metrics:
        key = metric.key
        label = metric.name.replace(" epochs", "ep")
        if key:
            label = f"{key.kernel}_{key.n_train}_{key.n_val}_{key.ensemble}"
        rows.append(
            row(metric, "PFLOP a network", metric.pflop, n=len(metric.values), paper=known.get(label, math.nan))
        )
    return rows
