"""Scores of networks after so many epochs of training, as experiments of any paper need them."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from launch.flags.reproduction import EMBEDDED_DATASET, EMBEDDED_IMAGES, EMBEDDED_NETWORK, Reproduction
from launch.flags.scoring import Scoring
from launch.flags.trained import Trained
from launch.jobs.after import AfterJob, name_after, parse_after
from launch.jobs.base import Job, narrow
from launch.jobs.scores import ScoreJob
from launch.papers.base import HINT, Experiment, Inputs
from launch.papers.ranking import expected, measured
from tfnas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from spaces.base import Space

# At --scale=small: networks that train in seconds, on a part of the images.
_SMALL_NETWORK = {"width": 16, "depth": 1}
_SMALL_TRAINING = {"train_split": "train[:10%]", "train_batch_size": 256}
# Of the digits at any scale: an epoch needs small batches for its steps.
DIGITS = {"train_batch_size": 64, **EMBEDDED_IMAGES}


@dataclasses.dataclass(frozen=True)
class After:
    """Proxies of networks on each data set, before and on the way of one training.

    Attributes:
        trained: what is scored after each of the numbers of epochs.
        epochs: these numbers; 0 is before training.
        small_epochs: the same at --scale=small; () for the same.
        untrained: what is scored before training alone; parameters and FLOPs always are.
        recipe: of training, a name in `tfnas.training.RECIPES`.
        horizon: epochs of its learning rate; 0 for the recipe's.
        held_out: whether the batch is of the split that does not train.
        flavour: of the networks, in the paper's space.
        batch_size, noise_repeats: as the flags of launch.score.
        ntk_batch_size: the same, at any scale but small and at small.
    """

    trained: tuple[str, ...]
    epochs: tuple[int, ...]
    small_epochs: tuple[int, ...] = ()
    untrained: tuple[str, ...] = ()
    recipe: str = "nasbench201"
    horizon: int = 0
    held_out: bool = False
    flavour: str = ""
    batch_size: int = 64
    ntk_batch_size: tuple[int, int] = (0, 0)
    noise_repeats: int = 4

    def of(self, experiment: Experiment, request: Reproduction, space: str, datasets: Sequence[str]) -> list[Job]:
        """Two jobs for each data set: what needs no training, then what does."""
        found: list[Job] = []
        for dataset in datasets:
            settings = self.settings(experiment, request, space, dataset)
            names = tuple(dict.fromkeys((*self.untrained, *settings.untrained())))
            found.append(ScoreJob(dataclasses.replace(narrow(settings, Scoring), proxies=names)))
            found.append(AfterJob(settings))
        return found

    def settings(self, experiment: Experiment, request: Reproduction, space: str, dataset: str) -> Trained:
        """How networks are trained and what scores them at the scale of a request."""
        from tfnas import data

        small = request.scale == "small"
        whole_batch, small_batch = self.ntk_batch_size
        how: dict[str, Any] = {"flavour": self.flavour if space == experiment.space else ""}
        how |= (_SMALL_NETWORK if small else {}) if request.table else EMBEDDED_NETWORK
        how |= DIGITS if dataset == EMBEDDED_DATASET else _SMALL_TRAINING if small else {}
        return Trained(
            space=space,
            dataset=dataset,
            data_dir=request.data_dir,
            seed=request.seed,
            proxies=self.trained,
            after_epochs=(small and self.small_epochs) or self.epochs,
            recipe=self.recipe,
            epochs=self.horizon or None,
            split=data.info(dataset).splits[1 if self.held_out else 0],
            batch_size=self.batch_size,
            ntk_batch_size=small_batch if small else whole_batch,
            noise_repeats=self.noise_repeats,
            **how,
        )


# What becomes of the records -----------------------------------------------------------------------------------------


def parts(inputs: Inputs) -> dict[str, pd.DataFrame]:
    """Records of each data set, as far as there are some, in the order of the experiment and of their strings.

    Raises:
        InputError: there are none of any, or those of one proxy were not made alike.
    """
    from tfnas import evidence

    records = ordered(inputs.records)
    found = {dataset: records[records["dataset"] == dataset] for dataset in inputs.datasets}
    found = {dataset: mine for dataset, mine in found.items() if len(mine)}
    if not found:
        received = ", ".join(map(str, records["dataset"].unique()))
        raise InputError(f"No records of {', '.join(inputs.datasets)}. Received: records of {received}")
    for mine in found.values():
        evidence.check_settings(mine, hint=HINT)
    return found


def ordered(records: pd.DataFrame) -> pd.DataFrame:
    """Records in the order of their architectures' strings, so that no resample depends on the order of a folder."""
    return records.sort_values("arch", kind="stable")


def values(inputs: Inputs, records: pd.DataFrame) -> pd.DataFrame:
    """Scores [networks of `inputs.truth`, names of records]; NaN where there is none.

    In the order of their strings, so that no draw of networks depends on that of a file.
    """
    from tfnas import evidence

    wide = evidence.average(records).pivot(index="arch", columns="proxy", values="score")
    return wide.reindex(sorted(inputs.truth.index))


def times(records: pd.DataFrame, proxy: str) -> list[int]:
    """Epochs after which there are records of a proxy, ascending."""
    named = map(parse_after, records["proxy"].astype(str).unique())
    return sorted(epochs for name, epochs in named if name == proxy)


def correlations(inputs: Inputs, wanted: Sequence[str], statistic: str) -> pd.DataFrame:
    """How well proxies rank networks after each number of epochs: a row each with its 95 % bootstrap interval.

    Columns dataset, proxy, epochs, method (the name of the records), measure, n, left_out, ours, low, high, paper.

    Args:
        inputs: of an experiment.
        wanted: proxies; those without records are passed over.
        statistic: "spearman" or "kendall".

    Raises:
        InputError: there are no records of these proxies, or not of the data sets.
    """
    import pandas as pd

    from tfnas import evidence

    rows = []
    for dataset, records in parts(inputs).items():
        names = {name_after(proxy, time): (proxy, time) for proxy in wanted for time in times(records, proxy)}
        mine = records[records["proxy"].isin(list(names))]
        if mine.empty:
            continue
        summary = evidence.correlate(mine, inputs.truth[dataset], seed=inputs.seed).set_index("proxy")
        for name, (proxy, time) in names.items():
            found = summary.loc[name]
            rows.append(
                {
                    "dataset": dataset,
                    "proxy": proxy,
                    "epochs": time,
                    "method": name,
                    **measured(found, statistic),
                    "paper": expected(inputs.experiment, dataset, name),
                }
            )
    if not rows:
        raise InputError(f"No records of {', '.join(wanted)}. Received: {', '.join(inputs.records['proxy'].unique())}")
    return pd.DataFrame(rows)


def over_epochs(rows: pd.DataFrame, label: str) -> Figure:
    """Lines over the epochs with their intervals: a panel for each data set, a line for each proxy.

    Args:
        rows: columns dataset, proxy, epochs, ours, low, high.
        label: of what is drawn.
    """
    from matplotlib.figure import Figure

    from tfnas.evidence import plots

    groups = list(rows.groupby("dataset", sort=False))
    figure = Figure(figsize=(3.4 * len(groups) + 1.2, 3.2), layout="constrained")
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    styles = itertools.product(("-", "--", ":"), plots.COLOURS)
    styles = dict(zip(dict.fromkeys(rows["proxy"]), styles, strict=False))
    for axes, (dataset, group) in zip(panels, groups, strict=True):
        for name, (line, colour) in styles.items():
            mine = group[group["proxy"] == name].sort_values("epochs")
            axes.plot(mine["epochs"], mine["ours"], line, marker="o", markersize=3, color=colour, label=name)
            axes.fill_between(mine["epochs"], mine["low"], mine["high"], color=colour, alpha=0.1, linewidth=0)
        axes.set_title(dataset, fontsize=9)
        axes.set_xlabel("epochs of training", fontsize=8)
        axes.axhline(0, color="black", linewidth=0.6)
        plots.plain(axes)
    panels[0].set_ylabel(label, fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8, frameon=False)
    return figure


def notes(records: pd.DataFrame, space: Space) -> tuple[str, ...]:
    """Of which networks the scores are, and how these were trained."""
    networks = records[["width", "depth", "flavour"]].drop_duplicates()
    how = records[["batch_size", "options"]].drop_duplicates()
    of_splits = zip(how["batch_size"], (json.loads(text).get("split") for text in how["options"]), strict=True)
    batches = {f"{n} image{'s' * (n > 1)} of {split}" for n, split in of_splits if split}
    of = "; ".join(f"width {w}, {d} cells a stage ({f})" for w, d, f in networks.itertuples(index=False))
    published = space.published
    found = [f"networks: {of}; published are width {published.width} and {published.depth} cells"]
    found += [f"scored on {', '.join(sorted(batches))}"] * bool(batches)
    trained = records["proxy"].astype(str).map(lambda name: parse_after(name)[1] > 0)
    # Of one training the options of all its scores agree.
    recipes = {
        json.dumps(json.loads(text).get("training", {}), sort_keys=True)
        for text in records.loc[trained, "options"].unique()
    }
    found += [f"trained by {', '.join(f'{k}={v}' for k, v in json.loads(text).items())}" for text in sorted(recipes)]
    return tuple(found)
