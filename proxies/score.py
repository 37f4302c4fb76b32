"""Scores of one network by any number of proxies."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from proxies.base import Outcome, Proxy, get, names
from proxies.options import Options, make_options
from tfnas import environment
from tfnas.errors import InputError

if TYPE_CHECKING:
    import keras
    import numpy as np

    from tfnas.networks.graph import Graph


def score(
    model: keras.Model, images: Any, labels: Any, proxies: str | Iterable[str], **options: Any
) -> dict[str, float]:
    """Scores of a Keras classifier.

    Args:
        model: functional or Sequential, images -> logits (a final softmax is left out). Its weights stay as they are.
        images: [N, H, W, C] float32.
        labels: [N] class numbers.
        proxies: names, or "all" that score one untrained network.
        **options: fields of :class:`proxies.Options`.

    Returns:
        Score by name, higher is better; NaN where a score is undefined. With "all", proxies that this model has no use
        for (Zen without a pooled map, say) are NaN too, with a warning.

    Raises:
        InputError: an unknown proxy or option, a layer that the engine does not know, images or labels of the wrong
            shape.
        RuntimeError: a proxy asked for by name failed.
    """
    from tfnas.networks.keras_reader import from_keras

    made = make_options(**options)
    wanted = names() if proxies == "all" else [proxies] if isinstance(proxies, str) else list(proxies)
    outcomes = evaluate(*from_keras(model), images, labels, wanted, made)
    failed = {name: outcome for name, outcome in outcomes.items() if outcome.status in ("oom", "error")}
    if failed:
        reasons = "; ".join(f"{name}: {outcome.message}" for name, outcome in failed.items())
        if proxies != "all":
            raise RuntimeError(reasons)
        warnings.warn(f"Not scored on this model: {reasons}", stacklevel=2)
    return {name: outcome.score for name, outcome in outcomes.items()}


def evaluate(
    graph: Graph,
    weights: Mapping[str, np.ndarray],
    images: Any,
    labels: Any,
    proxies: Iterable[str],
    options: Options | None = None,
    *,
    second: tuple[Any, Any] | None = None,
    thin: Callable[..., Graph] | None = None,
) -> dict[str, Outcome]:
    """Scores of a layer graph with its status, one outcome a proxy; a failure of one leaves the others alone.

    Args:
        graph: the classifier.
        weights: its arrays by "<node>.<param>".
        images: [N, H, W, C] float32.
        labels: [N] class numbers.
        proxies: names.
        options: settings, by default those of the papers.
        second: a second batch (images, labels) for ZiCo, by default the halves of the first serve as two.
        thin: network keywords -> graph of the same architecture, as narrow as its space allows and with these changed;
            proxies that are published on a smaller network (linear regions) use it where it is given.

    Raises:
        InputError: an unknown proxy, one that no untrained network is enough for, images or labels that do not fit the
            network, or too few of them for inference (`n_train` + `n_val`).
    """
    options = options or Options()
    wanted = [get(name) for name in proxies]
    _check_batch(graph, images, labels)
    from proxies.nngp import ensemble_of_batch
    from proxies.passes import Passes

    extras = frozenset().union(*(entry.extras for entry in wanted))
    subjects: dict[str, Any] = {"network": Passes(graph, weights, images, labels, options, extras, second, thin)}
    for entry in wanted:
        if entry.subject == "ensemble" and entry.subject not in subjects:
            subjects["ensemble"] = ensemble_of_batch(graph, images, labels, options)
        if entry.subject not in subjects:
            raise InputError(f"{entry.name} scores no untrained network. Received: a graph. Needed: {entry.consumes}")
    return {entry.name: _outcome(entry, subjects[entry.subject], options) for entry in wanted}


def _outcome(entry: Proxy, subject: Any, options: Options) -> Outcome:
    from tfnas.engine import loses_images

    start = time.perf_counter()
    subject.bn = bn = entry.mode(options)

    def outcome(value: float, status: str, message: str = "") -> Outcome:
        return Outcome(value, status, message, time.perf_counter() - start, bn)

    if bn == "example" and entry.subject == "network" and loses_images(subject.graph):
        reason = "batch normalisation by each example alone leaves nothing of maps of one pixel"
        return outcome(math.nan, "nan", f"{reason}; larger images or bn=inference give a score")
    try:
        value = float(entry.compute(subject))
    except Exception as error:  # whatever breaks one score must not take the sweep down
        environment.raise_interruption(error)
        return outcome(math.nan, "oom" if environment.out_of_memory(error) else "error", _line(error))
    if math.isnan(value) or value == math.inf:
        return outcome(math.nan, "nan", "the score is not a number for this network")
    return outcome(value, "ok")


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


def _check_batch(graph: Graph, images: Any, labels: Any) -> None:
    import numpy as np

    shape, labels = tuple(np.shape(images)), np.asarray(labels)
    if shape[1:] != graph.input_shape or not shape[0]:
        raise InputError(f"Images do not fit the network. Received: {shape}. Allowed: [N, {list(graph.input_shape)}]")
    if labels.shape != shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"Labels must be {shape[0]} integers. Received: {labels.dtype} of shape {labels.shape}")
    if not np.isfinite(images).all():
        raise InputError("Images must be finite. Received: NaN or infinite values among them")
    if labels.min() < 0 or labels.max() >= graph.num_classes:
        raise InputError(
            f"Labels must be class numbers below {graph.num_classes}. Received: {labels.min()}..{labels.max()}"
        )
