"""Tables of accuracies and folders of records, brought together network by network, as studies take them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launch import experiments
from launch.studies.metrics import Setting
from tfnas import evidence
from tfnas.errors import InputError
from tfnas.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

    from spaces.base import Space

_INFERENCE = re.compile(r"(?P<kernel>nngp|ntk)_(?P<n_train>\d+)_(?P<n_val>\d+)_(?P<ensemble>\d+)")
_RUN = re.compile(r"val_\d+_0")
# In these, all records of a study agree.
_COMMON = ("space", "dataset", "init", "width", "depth", "flavour")


@dataclasses.dataclass(frozen=True)
class Scores:
    """Inference scores of networks.

    Attributes:
        frame: percent [networks, settings]: indexed by architecture, columns `Setting`, NaN where there is no score.
        sizes: columns params and flops (multiply-adds), as far as there are records of them.
        space: name of the search space.
        dataset: what was inferred on.
        network: network constants, as `Space.layer_graph` takes them.
        regularizers: how many each inference tried.
    """

    frame: pd.DataFrame
    sizes: pd.DataFrame
    space: str
    dataset: str
    network: Mapping[str, Any]
    regularizers: int


def load_table(path: str, target: str = "") -> pd.DataFrame:
    """Accuracies in percent, by architecture.

    Args:
        path: file or name of an embedded table.
        target: column with the ground truth; open, the first of `experiments.NB101` or the only one that can be meant.

    Returns:
        Columns `truth`; `val_<epochs>_0`, params and hash as far as they are there. Networks without a ground truth are
        left out. `attrs["truth"]` names the column of the file.

    Raises:
        InputError: as `evidence.load_truth`.
    """
    frame = evidence.load_truth(path, target=target, prefer=experiments.NB101["cifar10"])
    target = frame.attrs["target"]
    kept = frame[[c for c in frame if _RUN.fullmatch(c) or c == "params"]].assign(truth=frame[target])
    for column in kept.columns.drop("params", errors="ignore"):
        values = kept[column].astype(float)
        kept[column] = values * 100 if values.max() <= 1 else values
    if "hash" in frame and not frame["hash"].isna().any():
        kept["hash"] = frame["hash"]
    kept = kept[~kept.index.duplicated() & kept["truth"].notna()]
    if kept.empty:
        raise InputError(f"{path} has no network with a value of {target}")
    kept.attrs = {"truth": target}
    return kept


def space_of(arch: str) -> Space:
    """The search space whose string this is.

    Raises:
        InputError: none knows it.
    """
    import spaces

    for name in spaces.names():
        try:
            spaces.get(name).parse(arch)
        except InputError:
            continue
        return spaces.get(name)
    raise InputError(f"No search space has this architecture. Received: {arch!r}. Spaces: {', '.join(spaces.names())}")


def from_records(records: pd.DataFrame, where: str) -> Scores:
    """Scores of records as `launch.nngp` writes them; seeds are averaged.

    Args:
        records: frame of `tfnas.runs.records.read`.
        where: folder, for messages.

    Raises:
        InputError: no such scores, or scores that were not computed alike.
    """
    import pandas as pd

    records = records.assign(proxy=records["proxy"].astype(str))
    is_inference = records["proxy"].str.fullmatch(_INFERENCE.pattern)
    found = records[is_inference]
    if found.empty:
        raise InputError(
            f"No inference scores in {where}. Received proxies: {', '.join(records['proxy'].unique()) or 'none'}. "
            "Needed: nngp_<n_train>_<n_val>_<ensemble>, as python -m launch.nngp writes them"
        )
    for column in _COMMON:
        if found[column].nunique() > 1:
            values = ", ".join(sorted(found[column].astype(str).unique()))
            raise InputError(f"{where} mixes scores that differ in {column}: {values}. Give a folder for each")
    options = {text: json.loads(text) for text in found["options"].unique()}
    momenta = found["options"].map({text: float(of["bn_momentum"]) for text, of in options.items()})
    rest = {text: json.dumps(of | {"bn_momentum": None}, sort_keys=True) for text, of in options.items()}
    # Ablations of BN carry the name of what they ablate.
    found = found.assign(proxy=found["proxy"] + "@" + momenta.map(str), options=found["options"].map(rest))
    evidence.check_settings(found, hint=f"Give a folder for each {{column}} instead of {where}")
    frame = _wide(found) * 100
    frame.columns = pd.MultiIndex.from_tuples([_setting(name) for name in frame.columns], names=Setting._fields)
    sizes = _wide(records[records["proxy"].isin(evidence.BASELINES)]).reindex(frame.index)
    first = found.iloc[0]
    common = options[records[is_inference]["options"].iloc[0]]
    network = {name: first[name] for name in ("width", "depth", "flavour")}
    network = {name: value if name == "flavour" else int(value) for name, value in network.items()}
    network |= {"classes": common["classes"], "input_shape": tuple(common["input_shape"])}
    return Scores(frame, sizes, first["space"], first["dataset"], network, len(common["regularizers"]))


def _wide(records: pd.DataFrame) -> pd.DataFrame:
    return evidence.average(records).pivot(index="arch", columns="proxy", values="score")


def _setting(name: str) -> Setting:
    proxy, _, momentum = name.partition("@")
    parts = _INFERENCE.fullmatch(proxy)
    return Setting(parts["kernel"], *(int(parts[part]) for part in ("n_train", "n_val", "ensemble")), float(momentum))


def join(scores: Scores, table: pd.DataFrame, where: str) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Scores and table of the networks that have both, in one order.

    Architectures meet by their strings; those of NAS-Bench-101 that do not meet so, by the hash that isomorphic cells
    share.

    Args:
        scores: of a folder.
        table: of `load_table`.
        where: names of both, for messages.

    Returns:
        (scores, table with columns params and flops, how many met by their hash), indexed by the table's strings. A
        network that was scored under several strings has the mean of its scores.

    Raises:
        InputError: none has both.
    """
    import spaces

    space = spaces.get(scores.space)
    names = {arch: arch for arch in scores.frame.index if arch in table.index}
    by_hash = 0
    if scores.space == "nasbench101" and len(names) < len(scores.frame):
        unmet = [arch for arch in scores.frame.index if arch not in names]
        same = _by_hash(unmet, table, space)
        by_hash = len(same)
        names |= same
    if not names:
        raise InputError(f"No network of {where} has both a score and an accuracy")
    kept = list(names)
    frame, sizes = (
        part.loc[kept].groupby([names[arch] for arch in kept], sort=False).mean()
        for part in (scores.frame, scores.sizes)
    )
    table = table.loc[frame.index].copy()
    for column in ("params", "flops"):
        if column not in table:
            table[column] = _sizes(column, sizes, scores.network, space)
    return frame, table, by_hash


def _by_hash(archs: Sequence[str], table: pd.DataFrame, space: Space) -> dict[str, str]:
    """The table's string of each architecture that has an isomorphic one there."""
    wanted = {arch: space.canonical(space.parse(arch)) for arch in archs}
    if "hash" in table:
        hashes = dict(zip(table["hash"], table.index, strict=True))
    else:
        hashes = {}
        with Progress("hashes of the table", len(table)) as bar:
            for arch in table.index:
                hashes[space.canonical(space.parse(arch))] = arch
                bar.advance()
    return {arch: hashes[key] for arch, key in wanted.items() if key in hashes}


def _sizes(column: str, sizes: pd.DataFrame, network: Mapping[str, Any], space: Space) -> pd.Series:
    """Sizes as recorded, or counted where a record is missing."""
    import pandas as pd

    values = sizes[column].copy() if column in sizes else pd.Series(float("nan"), sizes.index)
    missing = values.index[values.isna()]
    if len(missing):
        with Progress(f"{column} of networks", len(missing)) as bar:
            for arch in missing:
                graph = space.layer_graph(arch, **network)
                values[arch] = float(graph.count_params() if column == "params" else graph.flops())
                bar.advance()
    return values


def features(space: Space, arch: str, network: Mapping[str, Any]) -> int:
    """Length of the penultimate vector, which all networks of a space share."""
    graph = space.layer_graph(arch, **network)
    return graph.by_name[graph.features].shape[-1]
