"""Searches by a predictor, repeated: what a table knows is drawn, learned from, predicted and validated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launch.flags.predictors import GCN
from tfnas import seeds
from tfnas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from launch.jobs.knowledge import Known
    from tfnas.predictor.model import Predictor
    from tfnas.predictor.settings import Settings

# Predictors that train and predict side by side.
TOGETHER = 8
RANDOM = "random"


def draw(known: Known, n_train: int, repeat: int, seed: int) -> np.ndarray:
    """The rows that a repeat learns from: [n_train].

    Raises:
        InputError: more than there are.
    """
    if n_train > len(known.archs):
        raise InputError(
            f"The table has fewer networks. Received: --n_train={n_train}. Allowed: 1 to {len(known.archs)}"
        )
    rng = np.random.default_rng(seeds.derive_seed(seed, "n_train", repeat))
    return rng.permutation(len(known.archs))[:n_train]


def check_sides(known: Known, n_train: int, repeats: int, splits: int, seed: int, threshold: float) -> None:
    """Whether every repeat draws, and every split of the first one's learns from, both sides of a threshold.

    Two stages need that. The threshold is a fraction.

    Raises:
        InputError: one does not.
    """
    for repeat in range(repeats):
        if side := _one_side(known.accuracies[draw(known, n_train, repeat, seed)], threshold):
            raise InputError(
                f"Two stages need networks on both sides of --threshold. Received: --threshold={100 * threshold:g} and "
                f"--n_train={n_train}, of which repeat {repeat} draws only such that lie {side} it"
            )
    if not splits:
        return
    from tfnas.predictor import choosing

    first = known.accuracies[draw(known, n_train, 0, seed)]
    for split, (learned, _) in enumerate(choosing.splits(n_train, splits, seed)):
        if side := _one_side(first[learned], threshold):
            raise InputError(
                f"Cross-validation of two stages needs networks on both sides of --threshold. Received: "
                f"--threshold={100 * threshold:g}, --n_train={n_train} and --splits={splits}, of which split {split} "
                f"learns only from such that lie {side} it. Allowed: a larger --n_train, or --splits=0"
            )


def _one_side(accuracies: np.ndarray, threshold: float) -> str:
    """The side of a threshold that all accuracies lie on; "" where they lie on both."""
    good = accuracies > threshold
    return "" if good.any() and not good.all() else "above" if good.all() else "at or below"


def train(
    settings: Settings, known: Known, n_train: int, repeats: Sequence[int], seed: int, threshold: float | None
) -> Predictor:
    """The GCN predictors of some repeats."""
    from tfnas.predictor import model
    from tfnas.predictor.training import Task

    tasks = [Task(draw(known, n_train, repeat, seed), seeds.derive_seed(seed, GCN, repeat)) for repeat in repeats]
    return model.fit(
        settings,
        known.graphs,
        known.accuracies,
        tasks,
        threshold=threshold,
        space=known.space.name,
        target=known.target,
    )


def together(repeats: Sequence[int]) -> Iterator[Sequence[int]]:
    """Some repeats, as many at once as train side by side."""
    for start in range(0, len(repeats), TOGETHER):
        yield repeats[start : start + TOGETHER]


def baseline(name: str, known: Known, codes: np.ndarray, n_train: int, repeat: int, seed: int) -> np.ndarray:
    """Predictions of a baseline in one repeat: [N]."""
    from tfnas.predictor import baselines

    rows = draw(known, n_train, repeat, seed)
    model = baselines.fit(name, codes[rows], known.accuracies[rows], seeds.derive_seed(seed, name, repeat))
    return baselines.predict(model, codes)


def ranking(predicted: np.ndarray, learned: np.ndarray, repeat: int, seed: int) -> np.ndarray:
    """The order in which networks are validated: by their prediction [N], of equals by chance.

    Networks that the predictor has learned from are not among them: they are trained already.

    Returns:
        Rows of all others.
    """
    rng = np.random.default_rng(seeds.derive_seed(seed, "equals", repeat))
    order = np.lexsort((rng.permutation(len(predicted)), -predicted))
    return order[~np.isin(order, learned)]


def judged(
    known: Known,
    predicted: np.ndarray,
    learned: np.ndarray,
    top: np.ndarray,
    *,
    above: float | None = None,
    told: np.ndarray | None = None,
) -> dict[str, Any]:
    """What a repeat found.

    Args:
        known: N networks.
        predicted: by which networks rank: [N].
        learned: rows that the predictor has learned from.
        top: rows that are validated, as `ranking` orders them: [K].
        above: accuracy, a fraction, above which networks have errors of their own besides.
        told: of two stages, the accuracies that the second tells of all networks: [N].

    Returns:
        arch, val and test (percent) of the best of the K by validation, "" and NaN where K is 0; what
        :func:`tfnas.predictor.choosing.judge` says of networks not learned from; picks: rows of the best by validation
        of the first 1, 2, ... K.
    """
    from tfnas.predictor import choosing

    picks = best_so_far(known.accuracies, top)
    rest = np.ones(len(predicted), bool)
    rest[learned] = False
    second = None if told is None else told[rest]
    found = choosing.judge(predicted[rest], known.accuracies[rest], above=above, told=second)
    best = _pick(known, picks[-1]) if len(picks) else {"arch": "", "val": np.nan, "test": np.nan}
    return {**best, **found, "picks": picks}


def random_search(known: Known, n_train: int, top_k: int, repeat: int, seed: int) -> dict[str, Any]:
    """The best by validation of as many random networks as the predictors see in all.

    Returns:
        As `judged`; picks: of the first N + 1, N + 2, ... N + K, as far as the table goes; of all of it where N is.
    """
    rng = np.random.default_rng(seeds.derive_seed(seed, RANDOM, repeat))
    drawn = rng.permutation(len(known.archs))[: n_train + top_k]
    picks = best_so_far(known.accuracies, drawn)
    return {**_pick(known, picks[-1]), "picks": picks[min(n_train, len(picks) - 1) :]}


def oracle(known: Known) -> dict[str, Any]:
    """The best by validation of all networks."""
    return _pick(known, int(np.argmax(known.accuracies)))


def _pick(known: Known, row: int) -> dict[str, Any]:
    return {"arch": known.archs[row], "val": 100 * known.accuracies[row], "test": 100 * known.tests[row]}


def best_so_far(accuracies: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """For each number of rows, from the first on, the one with the largest accuracy, the earliest of equals."""
    values = accuracies[rows]
    leads = values > np.concatenate([[-np.inf], np.maximum.accumulate(values)[:-1]])
    return rows[np.maximum.accumulate(np.where(leads, np.arange(len(rows)), 0))]


def cross_validation(
    name: str,
    settings: Settings,
    known: Known,
    rows: np.ndarray,
    splits: int,
    seed: int,
    *,
    threshold: float | None,
    above: float | None,
) -> pd.DataFrame:
    """Errors of a predictor on held-out thirds of the rows that the first repeat learns from.

    Args:
        name: of the predictor.
        settings: of the gcn.
        known: a table.
        rows: to learn from and to hold out.
        splits: of them.
        seed: of the splits and the predictors.
        threshold: of two stages, a fraction.
        above: accuracy, a fraction, above which networks have errors of their own besides.
    """
    import pandas as pd

    from tfnas.predictor import baselines, choosing

    if name == GCN:
        found = choosing.cross_validate(
            settings,
            known.graphs.take(rows),
            known.accuracies[rows],
            number=splits,
            seed=seed,
            threshold=threshold,
            above=above,
        )
        return found.assign(predictor=name)
    codes, accuracies, found = known.flat(rows), known.accuracies[rows], []
    for split, (learned, held) in enumerate(choosing.splits(len(rows), splits, seed)):
        fitted = baselines.fit(name, codes[learned], accuracies[learned], seeds.derive_seed(seed, "fold", split))
        errors = choosing.judge(baselines.predict(fitted, codes[held]), accuracies[held], above=above)
        found.append({"split": split, **errors, "predictor": name})
    return pd.DataFrame(found)


def of_the_others(known: Known, predictor: Predictor) -> pd.DataFrame:
    """Predictions of every architecture of the space whose string the table has not.

    Args:
        known: what the table knows.
        predictor: one.

    Returns:
        Columns arch, predicted (percent; below 0 what a first stage turns down), the best first, of equals in the order
        of the space.
    """
    import pandas as pd

    predicted = predictor.predict_graphs(known.space.features_of_all())[:, 0]
    frame = pd.DataFrame({"arch": list(map(str, known.space.enumerate())), "predicted": 100 * predicted})
    return frame[~frame["arch"].isin(known.archs)].sort_values("predicted", ascending=False, kind="stable")


def front_within(
    known: Known, predictor: Predictor, times: Any, *, count: int, window: tuple[float, float], behind: int, seed: int
) -> pd.DataFrame:
    """The soft front of networks drawn within a window of latencies.

    Args:
        known: of the space that they are drawn from.
        predictor: one.
        times: latencies by layer, as `Space.latencies` reads them.
        count: networks to draw.
        window: of latencies, ms.
        behind: J of :func:`tfnas.predictor.pareto.soft_front`.
        seed: of the draws.

    Returns:
        Columns arch, latency (ms), predicted (percent), fastest first; none that a first stage turns down.
    """
    import pandas as pd

    from tfnas.predictor import pareto

    rng = np.random.default_rng(seeds.derive_seed(seed, "window"))
    archs, latency = times.sample(known.space, rng, count, *window)
    predicted = predictor.predict_graphs(known.space.features(archs))[:, 0]
    kept = np.flatnonzero(predicted >= 0)  # what a first stage turns down has no accuracy told
    rows = kept[pareto.soft_front(predicted[kept], latency[kept], behind)]
    chosen = [str(archs[row]) for row in rows]
    return pd.DataFrame({"arch": chosen, "latency": latency[rows], "predicted": 100 * predicted[rows]})
