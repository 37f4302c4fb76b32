"""A combination of a few scores, fitted on some networks and tested on others.

The model is a weighted sum of percentile ranks with weights of at least zero, found by least squares on the percentile
ranks of the truth (Lawson and Hanson's NNLS). Ranks are taken within each set of networks, so that neither the unit of
a score nor that of an accuracy has to be the same in the next, and a network that is better by every score is never
worse by their sum. Scores are chosen one after the other by cross-validation inside the fitting set: the one whose
addition gives the highest mean Spearman correlation on the folds left out, as long as the gain exceeds its standard
error over the folds. Of the networks that it is tested on, no truth is looked at before the test.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnas import seeds
from tfnas.errors import InputError
from tfnas.evidence import bootstrap, rows, statistics

if TYPE_CHECKING:  # both take their time to import
    import pandas as pd
    from etils import epath

NAME = "combination"
MOST = 5
FOLDS = 5
# A score that more networks lack is no candidate; networks that lack a candidate are not fitted on.
_LEAST_KNOWN = 0.95
_LEAST_NETWORKS = 10 * FOLDS
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Combination:
    """A weighted sum of percentile ranks.

    Attributes:
        weights: by name of the score, above zero, with the sum 1.
        best: the single score that is best on the networks fitted on.
        steps: for each number of scores, "scores" and the mean "spearman" on the folds left out with its standard error
            "se". Scores were chosen by it, so that it is a little too high.
        fitted_on: what of: networks, space, target and the like.
    """

    weights: Mapping[str, float]
    best: str
    steps: Sequence[Mapping[str, Any]] = ()
    fitted_on: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def score(self, wide: pd.DataFrame) -> np.ndarray:
        """The combination of each network, a percentile of its own making: [n]; NaN where it lacks one of the scores.

        Args:
            wide: [n, scores]; all networks that are to be ranked together.

        Raises:
            InputError: a score is not there.
        """
        if missing := [name for name in self.weights if name not in wide]:
            raise InputError(
                f"The combination needs scores that are not there. Received: {', '.join(map(str, wide))}. "
                f"Missing: {', '.join(missing)}"
            )
        ranked = _percentiles(wide[list(self.weights)].to_numpy(float).T)
        return np.array(list(self.weights.values())) @ ranked


def fit(
    wide: pd.DataFrame,
    truth: Sequence[float],
    *,
    most: int = MOST,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Combination:
    """Chooses scores and weights.

    Args:
        wide: [n, candidates]; scores that are constant or that many networks lack are passed over.
        truth: [n].
        most: number of scores.
        seed: of the folds.
        groups: [n], of networks that share their scores: they share a fold.

    Raises:
        InputError: no candidate, too few networks, or each candidate gets no weight in some fold, as those do that rank
            the other way.
    """
    truth = np.asarray(truth, float)
    names = [name for name in wide if _is_candidate(wide[name].to_numpy(float)[~np.isnan(truth)])]
    kept = ~np.isnan(truth) & wide[names].notna().all(axis=1).to_numpy()
    values = wide.loc[kept, names].to_numpy(float).T
    if not names or kept.sum() < _LEAST_NETWORKS:
        raise InputError(
            f"A combination needs {_LEAST_NETWORKS} networks and a score that nearly all of them have. "
            f"Received: {int(kept.sum())} networks with {len(names)} such scores"
        )
    members = bootstrap.members_of(groups, kept)
    members = np.arange(kept.sum()) if members is None else members
    if members.max() + 1 < _LEAST_NETWORKS:
        raise InputError(f"A combination needs {_LEAST_NETWORKS} different networks. Received: {members.max() + 1}")
    folds = _folds(members, values, truth[kept], seed)
    chosen, steps, known = [], [], np.zeros(len(folds))
    while len(chosen) < min(most, len(names)):
        others = [place for place in range(len(names)) if place not in chosen]
        found = np.array([[fold.spearman([*chosen, place]) for fold in folds] for place in others])
        if np.isnan(found).any(1).all() and not chosen:
            raise InputError(
                "No score ranks these networks as their accuracies do, in every part of them. "
                f"Received: {', '.join(map(str, names))}"
            )
        best = int(np.argmax(np.nan_to_num(found.mean(1), nan=-2)))
        gain = found[best] - known
        if chosen and not gain.mean() > gain.std(ddof=1) / math.sqrt(len(folds)):
            break
        chosen, known = [*chosen, others[best]], found[best]
        told = {"spearman": float(known.mean()), "se": float(known.std(ddof=1) / math.sqrt(len(folds)))}
        steps.append({"scores": [names[place] for place in chosen]} | told)
    weights = _Fitted(values, truth[kept]).weights(chosen)
    given = {names[place]: float(weight) for place, weight in zip(chosen, weights, strict=True) if weight > 0}
    return Combination(given or {names[chosen[0]]: 1.0}, names[chosen[0]], tuple(steps), {"networks": int(kept.sum())})


def compare(
    wide: pd.DataFrame,
    truth: pd.Series,
    others: Iterable[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> pd.DataFrame:
    """The combination against single scores on networks that have all of them.

    Args:
        wide: [n, scores], with the column `NAME`.
        truth: [n], of the same networks.
        others: columns that it is compared with.
        resamples: of the intervals, the same networks in each for all; 0 for none.
        seed: of them.
        groups: [n], of networks that are drawn together.

    Returns:
        A row for the combination and for each other: proxy, n, then kendall and spearman, each with _lo and _hi and the
        lead of the combination, _lead, with _lead_lo and _lead_hi.
    """
    import pandas as pd

    names = [NAME, *(name for name in dict.fromkeys(others) if name != NAME)]
    kept = (wide[names].notna().all(axis=1) & truth.notna()).to_numpy()
    some, known = wide.loc[kept, names], truth[kept].to_numpy(float)
    measures = {"kendall": statistics.kendall, "spearman": statistics.spearman}
    options = {"resamples": resamples, "seed": seed, "only": list(measures)}
    members = bootstrap.members_of(groups, kept)
    drawn = {name: bootstrap.resampled(some[name], known, groups=members, **options) for name in names}
    found = []
    for name in names:
        row: dict[str, float | str] = {"proxy": name, "n": int(kept.sum())}
        for measure, of in measures.items():
            row[measure] = of(some[name], known)
            row[f"{measure}_lo"], row[f"{measure}_hi"] = bootstrap.interval([drawn[name][measure]])
            if name != NAME:
                lead = drawn[NAME][measure] - drawn[name][measure]
                row[f"{measure}_lead"] = of(some[NAME], known) - row[measure]
                row[f"{measure}_lead_lo"], row[f"{measure}_lead_hi"] = bootstrap.interval([lead])
        found.append(row)
    return pd.DataFrame(found)


def digest(archs: Iterable[str]) -> str:
    """SHA-256 of a set of architectures."""
    return hashlib.sha256("\n".join(sorted(archs)).encode()).hexdigest()


def dump(combination: Combination) -> bytes:
    """A combination as JSON."""
    return (json.dumps({"version": _VERSION} | dataclasses.asdict(combination), indent=1) + "\n").encode()


def load(path: epath.PathLike) -> Combination:
    """The combination of a JSON file.

    Raises:
        InputError: no such file, or not one of a combination.
    """
    from etils import epath

    from tfnas import paths

    try:
        content = json.loads(epath.Path(paths.expand(path)).read_text())
        version = content["version"]
        weights = {str(name): float(weight) for name, weight in content["weights"].items()}
        found = Combination(weights, str(content["best"]), tuple(content["steps"]), dict(content["fitted_on"]))
        good = weights and all(0 < weight < math.inf for weight in weights.values()) and version == _VERSION
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = getattr(error, "strerror", "") or "not the file of a combination"
        raise InputError(f"Cannot read {path}: {reason}. Make one with --fit_combination=FILE.json") from None
    if not good:
        raise InputError(f"Not a combination of version {_VERSION} with weights above 0. Received: {path}")
    return found


class _Fitted:
    """Sums of products of percentile ranks, from which any choice of scores gets its weights.

    Args:
        values: [candidates, n].
        truth: [n].
    """

    def __init__(self, values: np.ndarray, truth: np.ndarray) -> None:
        ranked = _percentiles(values)
        ranked -= ranked.mean(1, keepdims=True)
        known = statistics.percentiles(truth)
        self._products, self._with_truth = ranked @ ranked.T, ranked @ (known - known.mean())

    def weights(self, chosen: Sequence[int]) -> np.ndarray:
        """Weights [c] of least squares, none below zero, with the sum 1 where one is above."""
        from scipy import optimize

        products = self._products[np.ix_(chosen, chosen)]
        # Two scores that rank alike share their weight.
        products = products + 1e-9 * np.trace(products) * np.eye(len(chosen))
        root = np.linalg.cholesky(products)
        found = optimize.nnls(root.T, np.linalg.solve(root, self._with_truth[list(chosen)]))[0]
        return found / found.sum() if found.sum() > 0 else found


class _Fold:
    """What is fitted without a fold, and what the fold says of it.

    Args:
        values: [candidates, n].
        truth: [n].
        out: [n], whether a network is in the fold.
    """

    def __init__(self, values: np.ndarray, truth: np.ndarray, out: np.ndarray) -> None:
        self._fitted = _Fitted(values[:, ~out], truth[~out])
        self._ranked, self._truth = _percentiles(values[:, out]), rows.ranks(truth[out])

    def spearman(self, chosen: Sequence[int]) -> float:
        found = rows.ranks(self._fitted.weights(chosen) @ self._ranked[list(chosen)])
        return float(rows.pearson(found[None], self._truth[None])[0])


def _folds(members: np.ndarray, values: np.ndarray, truth: np.ndarray, seed: int) -> list[_Fold]:
    rng = np.random.default_rng(seeds.derive_seed(seed, "folds"))
    # By group: networks that share their scores must not be on both sides.
    of_group = rng.permutation(np.arange(members.max() + 1) % FOLDS)
    return [_Fold(values, truth, of_group[members] == fold) for fold in range(FOLDS)]


def _percentiles(values: np.ndarray) -> np.ndarray:
    return np.stack([statistics.percentiles(row) for row in values])


def _is_candidate(values: np.ndarray) -> bool:
    known = values[~np.isnan(values)]
    return len(known) >= max(2, _LEAST_KNOWN * len(values)) and bool((known != known[0]).any())
