"""From records of inference and a table to the pool of networks that a figure is about."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from launch.papers import base
from launch.papers.facts import facts
from launch.papers.nngp.metrics import Context, InferenceKey, Pool
from tfnas import evidence
from tfnas.errors import InputError
from tfnas.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

    from spaces.base import Space

_INFERENCE = re.compile(r"(?P<kernel>nngp|ntk)_(?P<n_train>\d+)_(?P<n_val>\d+)_(?P<ensemble>\d+)")
# In these, all records of a figure agree.
_COMMON = ("space", "dataset", "init", "width", "depth", "flavour")
# What sizes depend on: columns, and options.
_BUILT, _IMAGES = ("space", "width", "depth", "flavour"), ("classes", "input_shape")


def make(figure: Callable[[Pool], base.Made], inputs: base.Inputs) -> base.Made:
    """What a figure of this paper makes of the inputs of an experiment."""
    pool, notes = gather(inputs)
    made = figure(pool)
    return dataclasses.replace(made, notes=(*notes, *made.notes))


def gather(inputs: base.Inputs) -> tuple[Pool, tuple[str, ...]]:
    """The networks with their scores and accuracies, and notes on them.

    Raises:
        InputError: the records are of no inference, or were not computed alike.
    """
    expected, space = inputs.experiment.expected, inputs.space
    # What is drawn is drawn by place: it must not depend on the order of the file.
    table = inputs.truth.rename(columns=dict.fromkeys(inputs.datasets, "truth")).sort_index()
    if inputs.records is None:
        return Pool(None, table, Context(space, float("nan"), expected, seed=inputs.seed)), ()
    scores = from_records(inputs.records)
    table = table.loc[scores.frame.index].copy()
    for column in evidence.BASELINES:
        if column not in table:
            table[column] = sizes(column, scores, space)
    notes = [*scores.notes]
    if lacking := int(scores.frame.isna().any(axis=1).sum()):
        notes.append(f"{lacking} of {len(table)} networks lack a score at some setting and are left out there")
    context = Context(
        space,
        2 * float(table["flops"].mean()),
        expected,
        features=features(space, table.index[0], scores.network),
        classes=scores.network["classes"],
        regularizers=scores.regularizers,
        network=scores.network,
        seed=inputs.seed,
    )
    mean = f"{context.flops / 1e9:.4g} GFLOP in convolutions and dense layers"
    told = f"the mean over the {len(table)} scored networks, {mean}"
    if context.is_full_size:
        whole = facts()["nngp_figS2"]["expected"]["mean_F_gflops"]
        context = dataclasses.replace(context, flops=whole * 1e9)
        told = f"the paper's mean over the whole space, {whole} GFLOP, and not {told}"
    notes.append(f"cost: F is {told}; d = {context.features}")
    return Pool(scores.frame, table, context), tuple(notes)


@dataclasses.dataclass(frozen=True)
class Scores:
    """Inference scores of networks.

    Attributes:
        frame: percent [networks, settings]: indexed by architecture, columns `InferenceKey`, NaN where there is none.
        sizes: columns params and flops (multiply-adds), as far as there are records of them.
        network: network constants, as `Space.layer_graph` takes them.
        regularizers: how many each inference tried.
        notes: what a reader should know.
    """

    frame: pd.DataFrame
    sizes: pd.DataFrame
    network: Mapping[str, Any]
    regularizers: int
    notes: tuple[str, ...] = ()


def from_records(records: pd.DataFrame) -> Scores:
    """Scores of records as `launch.nngp` writes them; seeds, and architectures that met as isomorphic, are averaged.

    Raises:
        InputError: no such scores, or scores that were not computed alike.
    """
    import pandas as pd

    records = records.assign(proxy=records["proxy"].astype(str))
    is_inference = records["proxy"].str.fullmatch(_INFERENCE.pattern)
    found = records[is_inference]
    if found.empty:
        raise no_scores(records)
    for column in _COMMON:
        if found[column].nunique() > 1:
            values = ", ".join(sorted(found[column].astype(str).unique()))
            raise InputError(f"Scores differ in {column}: {values}. Give a folder for each to --scores")
    options = {text: json.loads(text) for text in found["options"].unique()}
    momenta = found["options"].map({text: float(of["bn_momentum"]) for text, of in options.items()})
    rest = {text: json.dumps(of | {"bn_momentum": None}, sort_keys=True) for text, of in options.items()}
    # Ablations of BN carry the name of what they ablate.
    found = found.assign(proxy=found["proxy"] + "@" + momenta.map(str), options=found["options"].map(rest))
    evidence.check_settings(found, hint=base.HINT)
    frame = _wide(found) * 100
    frame.columns = pd.MultiIndex.from_tuples([_key(name) for name in frame.columns], names=InferenceKey._fields)
    first = found.iloc[0]
    common = options[records[is_inference]["options"].iloc[0]]
    recorded = records[records["proxy"].isin(evidence.BASELINES)]
    recorded = recorded[_of_networks(recorded, first, common)]
    network = {"width": int(first["width"]), "depth": int(first["depth"]), "flavour": first["flavour"]}
    network |= {"classes": common["classes"], "input_shape": tuple(common["input_shape"])}
    notes = ()
    if (split := common.get("train_split")) and split == common.get("val_split"):
        notes = (f"inference trains and validates on the same images, {split} of {first['dataset']}: none is held out",)
    return Scores(frame, _wide(recorded).reindex(frame.index), network, len(common["regularizers"]), notes)


def no_scores(records: pd.DataFrame) -> InputError:
    """What to say of records that have no scores of inference."""
    return InputError(
        f"No inference scores. Received proxies: {', '.join(records['proxy'].unique()) or 'none'}. "
        "Needed: nngp_<n_train>_<n_val>_<ensemble>, as python -m launch.nngp writes them"
    )


def _of_networks(recorded: pd.DataFrame, first: pd.Series, common: Mapping[str, Any]) -> pd.Series:
    """Which records of sizes are of networks that are built as those of an inference record with these options."""
    same = recorded["proxy"].notna()
    for column in _BUILT:
        same &= recorded[column] == first[column]
    built = {text: json.loads(text) for text in recorded["options"].unique()}
    alike = {text: all(of.get(name) == common[name] for name in _IMAGES) for text, of in built.items()}
    return same & recorded["options"].map(alike).astype(bool)


def _wide(records: pd.DataFrame) -> pd.DataFrame:
    return evidence.average(records).pivot(index="arch", columns="proxy", values="score")


def _key(name: str) -> InferenceKey:
    proxy, _, momentum = name.partition("@")
    parts = _INFERENCE.fullmatch(proxy)
    return InferenceKey(
        parts["kernel"], *(int(parts[part]) for part in ("n_train", "n_val", "ensemble")), float(momentum)
    )


def sizes(column: str, scores: Scores, space: Space) -> pd.Series:
    """Parameters or multiply-adds (params, flops) of the networks scored: as recorded or, where not, counted."""
    import pandas as pd

    recorded = scores.sizes
    values = recorded[column].copy() if column in recorded else pd.Series(float("nan"), recorded.index)
    missing = values.index[values.isna()]
    if len(missing):
        with Progress(f"{column} of networks", len(missing)) as bar:
            for arch in missing:
                graph = space.layer_graph(arch, **scores.network)
                values[arch] = float(graph.count_params() if column == "params" else graph.flops())
                bar.advance()
    return values


def features(space: Space, arch: str, network: Mapping[str, Any]) -> int:
    """Length of the penultimate vector, which all networks of a space share."""
    graph = space.layer_graph(arch, **network)
    return graph.by_name[graph.features].shape[-1]
