"""How far the tangent kernel moves in training: figure 5 of Mok et al. 2022, and the job that measures it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launch.flags.reproduction import Reproduction
from launch.jobs.after import AfterJob, AfterWorker, initial, name_after, parse_after, value
from launch.jobs.base import Job, Task, Worker, blank
from launch.papers import after
from launch.papers.after import After
from launch.papers.base import Experiment, Inputs, Made
from tfnas.errors import InputError
from tfnas.runs import records

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from tfnas.networks.graph import Graph
    from tfnas.training import Trainer

_BN = "inference"
_STATISTICS = (
    "before training the moving statistics of BN are 0 and 1, so that activations fade from layer to layer and the "
    "first kernel is small: much of the difference, and part of the fall of the correlation, is the statistics coming "
    "in, and is there with a learning rate of 1e-12 as well"
)


def correlation(start: np.ndarray, now: np.ndarray) -> float:
    """Pearson's correlation of the entries of two kernels; NaN where one is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(start.ravel(), now.ravel())[0, 1])


def difference(start: np.ndarray, now: np.ndarray) -> float:
    """||now - start|| / ||start||, Frobenius; NaN where the first is 0."""
    scale = np.linalg.norm(start)
    return float(np.linalg.norm(now - start) / scale) if scale else float("nan")


MEASURES = {"kernel_correlation": correlation, "kernel_difference": difference}


@dataclasses.dataclass(frozen=True)
class MovementJob(AfterJob):
    """Compares the kernel of all pairs of (image, logit) after so many epochs with that before training.

    Records are called kernel_correlation_after3 and the like, of the batch of the settings, with moving statistics.
    """

    def blanks(self) -> list[records.Record]:
        settings, recipe = self.settings, self.settings.short()
        options = {"split": settings.split, "params": settings.ntk_params}
        options["training"] = recipe.options() | {"train_split": settings.train_split}
        options |= {"dtype": settings.dtype} if settings.dtype != "float32" else {}
        drawn = {"seed": settings.seed, "init": settings.scheme(), "batch_size": settings.batch_size, "bn": _BN}
        return [
            blank(settings, name_after(name, time), options | {"after_epochs": time}, **drawn)
            for time in settings.times()
            for name in MEASURES
        ]

    def worker(self) -> Worker:
        return _Movement(self)


class _Movement(AfterWorker):
    """Trains one network after the other and looks at its kernel on the same images."""

    def __init__(self, job: MovementJob) -> None:
        from tfnas import data

        super().__init__(job)
        of, folder = self.settings, self.settings.data_dir or None
        self.batch, _ = data.batch(of.dataset, of.split, of.batch_size, of.seed, data_dir=folder)

    def look(self, trainer: Trainer, task: Task, graph: Graph, names: list[str]) -> dict[str, dict[str, Any]]:
        start = self._kernel(graph, initial(self.settings, task, graph))
        now = self._kernel(graph, trainer.weights())
        epoch, seconds = len(trainer.history), sum(passed.seconds for passed in trainer.history)
        return {name_after(name, epoch): value(MEASURES[name](start, now), seconds=seconds) for name in names}

    def _kernel(self, graph: Graph, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        """[N C, N C] float64."""
        from tfnas.engine import Network, tangent_kernel

        network = Network(graph, weights, dtype=self.settings.dtype)
        return tangent_kernel(network, self.batch, _BN, kernel="full", params=self.settings.ntk_params)


@dataclasses.dataclass(frozen=True)
class Moved(After):
    """Movement of the kernel, in the trainings of these settings and on their batch."""

    def of(self, experiment: Experiment, request: Reproduction, space: str, datasets: Sequence[str]) -> list[Job]:
        """A job for each data set."""
        return [MovementJob(self.settings(experiment, request, space, dataset)) for dataset in datasets]


def fig5(inputs: Inputs) -> Made:
    """Both measures after each number of epochs: mean, least and most of the networks.

    Raises:
        InputError: there are no records of them.
    """
    import pandas as pd

    rows, lines = [], {}
    for dataset, mine in after.parts(inputs).items():
        scores = after.values(inputs, mine)
        for name in MEASURES:
            times = after.times(mine, name)
            lines[dataset, name] = scores[[name_after(name, time) for time in times]].set_axis(times, axis=1)
            for time, found in lines[dataset, name].items():
                about = {"dataset": dataset, "proxy": name, "epochs": time, "method": name_after(name, time)}
                about |= {"measure": "mean, least .. most", "n": int(found.notna().sum())}
                rows.append(about | {"ours": found.mean(), "low": found.min(), "high": found.max(), "paper": np.nan})
    if not rows:
        raise InputError(f"No records of {', '.join(MEASURES)}: launch.reproduce without --scores makes them")
    mine = inputs.records[inputs.records["proxy"].map(lambda name: parse_after(name)[0] in MEASURES)]
    return Made(pd.DataFrame(rows), _figure(lines), (_STATISTICS, *after.notes(mine, inputs.space)))


def _figure(lines: Mapping[tuple[str, str], pd.DataFrame]) -> Figure:
    """A row of panels for each data set: correlation and difference, a line for each network, from before training."""
    from matplotlib.figure import Figure

    from tfnas.evidence import plots

    datasets = list(dict.fromkeys(dataset for dataset, _ in lines))
    figure = Figure(figsize=(7.0, 2.7 * len(datasets) + 0.2), layout="constrained")
    panels = figure.subplots(len(datasets), len(MEASURES), squeeze=False)
    for axes, ((dataset, name), frame) in zip(panels.flat, lines.items(), strict=True):
        for _, values in frame.iterrows():
            axes.plot([0, *frame.columns], [float(name == "kernel_correlation"), *values], "o-", markersize=3)
        axes.set_title(dataset, fontsize=9)
        axes.set_ylabel(name.replace("_", " "), fontsize=8)
        if frame.max(axis=None) > 100:
            axes.set_yscale("symlog")
        axes.set_xlabel("epochs of training", fontsize=8)
        plots.plain(axes)
    return figure
