"""From records to what each method says of the networks of a data set, and how long it took.

A method is FEAR, a short training of so many epochs and such a batch, or a score of untrained networks.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from launch.flags.reproduction import EMBEDDED_DATASET
from launch.jobs.after import parse_after
from launch.papers import after, ranking
from launch.papers.base import HINT, Inputs
from launch.papers.fear.trainings import ALL_BN
from tfnas import evidence
from tfnas.errors import InputError
from tfnas.runs.records import FAILURES

if TYPE_CHECKING:
    import pandas as pd

FEAR, TIME, SHORT = "fear", "time_to_threshold", "shortreg"
# Minus the epochs of stage 1.
EPOCHS = "epochs_to_threshold"
# What makes records of them. A short training counts at its end, where its rate has fallen to 0.
_ASKED = {FEAR: FEAR, TIME: FEAR, SHORT: f"{SHORT} --epochs=2 --after_epochs=2"}
# Lengths and batches are what methods differ in.
_OWN = ("epochs", "batch_size")


@dataclasses.dataclass(frozen=True)
class Methods:
    """What is known of the n networks of a data set.

    Attributes:
        dataset: name.
        truth: percent by architecture [n].
        scores: [n, methods], higher is better; NaN where there is none.
        seconds: [n, methods] of training, or of scoring; mean over repeats.
        short: the short trainings among the methods, short ones and small batches first.
        lengths: epochs and batch of each of `short`.
        notes: what a reader should know.
    """

    dataset: str
    truth: pd.Series
    scores: pd.DataFrame
    seconds: pd.DataFrame
    short: list[str]
    lengths: dict[str, tuple[int, int]]
    notes: tuple[str, ...]

    def reached(self) -> Methods:
        """Of the networks those that FEAR has a score of, which alone enter statistics; the others are counted.

        Raises:
            InputError: there is none.
        """
        known = self.scores[FEAR].notna()
        if not known.any():
            raise InputError(f"None of {len(known)} networks has reached the threshold of FEAR on {self.dataset}")
        lost = int((~known).sum())
        told = f"{lost} of {len(known)} networks have no score of FEAR, most as they never reach the threshold, and are"
        notes = (*self.notes, f"{told} left out of all rows") if lost else self.notes
        return dataclasses.replace(self.of(known), notes=notes)

    def of(self, known: pd.Series) -> Methods:
        """Of some networks alone, which are True in a mask by architecture."""
        found = {"truth": self.truth[known], "scores": self.scores[known], "seconds": self.seconds[known]}
        return dataclasses.replace(self, **found)


def records_of(inputs: Inputs, dataset: str) -> pd.DataFrame:
    """Records of a data set. The only one of an experiment is what its records are of."""
    records = after.ordered(inputs.records)
    found = records if len(inputs.datasets) == 1 else records[records["dataset"] == dataset]
    return found.assign(proxy=found["proxy"].astype(str))


def gather(inputs: Inputs, dataset: str, *needed: str) -> Methods:
    """All methods that have records of a data set.

    Args:
        inputs: of an experiment.
        dataset: one of `inputs.datasets`.
        needed: of FEAR, TIME and SHORT those without which there is nothing to compare.

    Raises:
        InputError: nothing of what is needed, records that were not computed alike, or a network that methods were
            timed for on different devices.
    """
    named, lengths = named_records(records_of(inputs, dataset))
    evidence.check_settings(named, hint=HINT)
    trained = named[named["proxy"].isin([FEAR, TIME, *lengths])]
    for name in needed:
        if not (lengths if name == SHORT else (trained["proxy"] == name).any()):
            there = ", ".join(named["proxy"].unique()) or "none"
            raise InputError(
                f"{inputs.experiment.id} needs records of {name} on {dataset}. Received: {there}. "
                f"Allowed: as python -m launch.score --proxies={_ASKED[name]} writes them"
            )
    _check_alike(trained)
    # In the order of their strings: of networks that tie the first counts, which is then not the order of a file.
    truth = inputs.truth[dataset].sort_index()
    truth = truth[truth.index.isin(named["arch"])]
    wide = evidence.average(named).pivot(index="arch", columns="proxy", values="score").reindex(truth.index)
    # Also of networks that were given up, which took their time.
    ended = named[~named["status"].isin(FAILURES)]
    seconds = (
        ended.groupby(["arch", "proxy"])["seconds"].mean().unstack("proxy").reindex(wide.index, columns=wide.columns)
    )
    short = sorted(lengths, key=lengths.get)
    notes = [*_settings(trained), _machines(trained)]
    if len(lost := wide[short].isna().sum().loc[lambda count: count > 0]):
        notes.append("networks without a score: " + "; ".join(f"{name} {count}" for name, count in lost.items()))
    return Methods(dataset, truth, wide, seconds, short, lengths, tuple(notes))


def elsewhere(inputs: Inputs) -> tuple[str, ...]:
    """What is to be told where records are of another data set, beside which the paper's numbers do not stand.

    Of the digits, which stand in for all data sets, the runner says so.
    """
    ours = inputs.datasets[0]
    return () if ours == EMBEDDED_DATASET else ranking.elsewhere(next(iter(inputs.experiment.columns)), ours)


def named_records(records: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, tuple[int, int]]]:
    """Records with the names of methods as `proxy`, and epochs and batch of the short trainings among them.

    Scores of networks after some epochs are no methods and left out; so is short training before its rate has fallen
    to 0, as the cosine of the paper's ends with the training.
    """
    named, lengths = {}, {}
    for proxy, options, batch in records[["proxy", "options", "batch_size"]].drop_duplicates().itertuples(index=False):
        name, epochs = parse_after(proxy)
        if epochs:
            if name != SHORT or json.loads(options)["training"]["epochs"] != epochs:
                continue
            name = f"{SHORT}, {epochs} epoch{'s' * (epochs > 1)}, batch {batch}"
            lengths[name] = epochs, int(batch)
        elif proxy == "synflow" and set(json.loads(options).get("synflow_kept_bn", ())) == set(ALL_BN):
            name = "synflow_bn"
        named[proxy, options, batch] = name
    keys = list(records[["proxy", "options", "batch_size"]].itertuples(index=False, name=None))
    kept = [key in named for key in keys]
    found = records[kept].assign(proxy=[named[key] for key in keys if key in named])
    return found, lengths


def epochs_to_threshold(inputs: Inputs, dataset: str) -> pd.Series:
    """Epochs of stage 1 by architecture, mean over repeats; 0 where records do not tell them."""
    records = records_of(inputs, dataset)
    records = records[records["proxy"] == TIME]
    epochs = records["details"].map(lambda text: json.loads(text).get("epochs", 0))
    return epochs.groupby(records["arch"]).mean()


def _check_alike(records: pd.DataFrame) -> None:
    """Refuses to compare trainings by different recipes, of different networks, or timed on different devices.

    Raises:
        InputError: for any of it.
    """
    for column in ("dataset", "init", "width", "depth", "flavour"):
        if records[column].nunique() > 1:
            values = ", ".join(sorted(records[column].astype(str).unique()))
            raise InputError(f"Methods were not computed alike: {column} is {values}. Give one of them to --scores")
    recipes: dict[str, Any] = {}
    for text in records["options"].unique():
        recipe = json.loads(text)["training"]
        recipes[json.dumps({key: value for key, value in recipe.items() if key not in _OWN}, sort_keys=True)] = recipe
    if len(recipes) > 1:
        one, other = list(recipes.values())[:2]
        names = sorted(key for key in {*one, *other} - {*_OWN} if one.get(key) != other.get(key))
        told = ", ".join(f"{key} is {one.get(key, 'standard')} and {other.get(key, 'standard')}" for key in names)
        raise InputError(
            f"Methods were not trained alike: {told}. Allowed: one recipe for all, e.g. --recipe=fear_stage1"
        )
    devices = records.groupby("arch")["device"].nunique()
    if (devices > 1).any():
        arch = devices.idxmax()
        values = ", ".join(sorted(records.loc[records["arch"] == arch, "device"].unique()))
        raise InputError(f"Durations of {arch} are of different devices: {values}. Give records of one to --scores")


def _settings(records: pd.DataFrame) -> list[str]:
    """Of which networks records are, and how FEAR trained them."""
    first = records.iloc[0]
    found = [f"networks of width {first['width']}, {first['depth']} cells a stage ({first['flavour']})"]
    for text in records.loc[records["proxy"] == FEAR, "options"].unique():
        options = json.loads(text)
        stages = (
            f"{name}: " + ", ".join(f"{key}={stage[key]}" for key in (*_OWN, "train_split", "crop") if key in stage)
            for name, stage in (("stage 1", options["training"]), ("stage 2", options.get("stage_2", {})))
        )
        rest = ", ".join(f"{key}={options[key]}" for key in ("threshold", "seconds", "cells") if key in options)
        found.append(f"FEAR: {rest}; {'; '.join(stages)}; short training as stage 1, but for epochs and batches")
    return found


def _machines(records: pd.DataFrame) -> str:
    devices = ", ".join(sorted(set(records["device"]))) or "unknown"
    return (
        f"durations are seconds of wall clock on {devices}, without the tracing of each network; they depend on what "
        "else that machine did, so that methods compare where one run has computed them all"
    )
