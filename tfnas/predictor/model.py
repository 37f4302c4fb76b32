"""A predictor of one or two stages, its predictions of whole spaces, and its file.

Of two stages (Wen et al. 2020, section 3.3), the first tells which networks are worth a prediction at all, those above
a threshold of accuracy, and the second has learned from such networks alone. Networks that the first stage turns down
rank below all others, by how probable it finds them: they get probability - 1, which is below 0.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tfnas import paths
from tfnas.errors import InputError
from tfnas.predictor import training
from tfnas.predictor.gcn import GCN
from tfnas.predictor.graphs import Graphs
from tfnas.predictor.settings import Settings
from tfnas.predictor.training import Task
from tfnas.progress import Progress

if TYPE_CHECKING:
    from etils import epath

# Graphs and predictors at once: bounds memory to some 200 MB at the paper's width.
_AT_ONCE = 8192
KEPT = 0.5


@keras.saving.register_keras_serializable(package="tfnas")
class Predictor(keras.Model):
    """P predictors side by side.

    Args:
        regressor: tells accuracies.
        classifier: tells which networks are worth it, if there are two stages.
        space: whose architectures they are for, for whoever loads them.
        target: what they predict.
        threshold: accuracy above which networks are worth it, a fraction.
    """

    def __init__(
        self,
        regressor: GCN,
        classifier: GCN | None = None,
        space: str = "",
        target: str = "",
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.regressor, self.classifier = regressor, classifier
        self.space, self.target, self.threshold = space, target, threshold
        self.built = True

    def call(self, inputs: tuple[Any, ...]) -> Any:
        """Predictions [P, N] of what :func:`tfnas.predictor.training.inputs_of` gives."""
        found = self.regressor(inputs)
        if self.classifier is None:
            return found
        probability = self.classifier(inputs)
        return tf.where(probability >= KEPT, found, probability - 1)

    def predict_graphs(self, graphs: Graphs, *, progress: bool = True) -> np.ndarray:
        """Predictions of N graphs: [N, P] float32, fractions; below 0 what the first stage turns down.

        Raises:
            InputError: graphs of another space.
        """
        return ranked(*self.predict_stages(graphs, progress=progress))

    def predict_stages(self, graphs: Graphs, *, progress: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
        """What each stage says of N graphs.

        Returns:
            (accuracies of all of them [N, P] float32, how probable the first stage finds each to be worth it [N, P],
            None where there is one stage).

        Raises:
            InputError: graphs of another space.
        """
        wanted = (self.regressor.features, self.regressor.extras)
        if (graphs.features, graphs.extras.shape[1]) != wanted:
            raise InputError(
                f"The predictor is of another space. Received: nodes of {graphs.features} numbers and "
                f"{graphs.extras.shape[1]} of each architecture. Allowed: {wanted[0]} and {wanted[1]}"
            )
        size = max(1, _AT_ONCE // self.regressor.predictors)
        size = min(size, 1 << max(len(graphs) - 1, 0).bit_length())
        parts = [self.regressor, *([self.classifier] if self.classifier else [])]
        found = [np.empty((len(graphs), self.regressor.predictors), np.float32) for _ in parts]
        shown = Progress("predictions", len(graphs)) if progress else contextlib.nullcontext()
        with shown as bar:
            for start in range(0, len(graphs), size):
                block = graphs.take(slice(start, start + size))
                rows = np.resize(np.arange(len(block)), size)  # the last one is filled up, or it would be traced anew
                inputs = [part[None] for part in training.inputs_of(block.take(rows), self.regressor.settings.norm)]
                for values, part in zip(found, parts, strict=True):
                    values[start : start + size] = _applied(part, inputs).T[: len(block)]
                if bar:
                    bar.advance(len(block))
        return found[0], found[1] if self.classifier else None

    def only(self, predictor: int) -> Predictor:
        """One of the predictors alone."""
        parts = [part and _only(part, predictor) for part in (self.regressor, self.classifier)]
        return Predictor(*parts, self.space, self.target, self.threshold)

    def get_config(self) -> dict[str, Any]:
        return {
            "regressor": self.regressor.get_config(),
            "classifier": self.classifier and self.classifier.get_config(),
            "space": self.space,
            "target": self.target,
            "threshold": self.threshold,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Predictor:
        parts = {name: config[name] and GCN.from_config(config[name]) for name in ("regressor", "classifier")}
        return cls(**config | parts)


def ranked(accuracies: np.ndarray, probability: np.ndarray | None) -> np.ndarray:
    """What `predict_stages` says as numbers that networks rank by: what the first stage turns down is below 0."""
    return accuracies if probability is None else np.where(probability >= KEPT, accuracies, probability - 1)


def _applied(model: GCN, inputs: list[np.ndarray]) -> np.ndarray:
    apply = _forward(model.settings, model.features, model.extras, model.predictors)
    return apply([variable.value for variable in model.variables], inputs).numpy()


@functools.lru_cache(maxsize=8)
def _forward(settings: Settings, features: int, extras: int, predictors: int) -> Any:
    """The forward pass of one form as a function of weights and inputs."""
    form = GCN(settings, features, extras, predictors)

    @tf.function(reduce_retracing=True)
    def apply(weights: list[Any], inputs: list[Any]) -> Any:
        with keras.StatelessScope(list(zip(form.variables, weights, strict=True))):
            return form.call(inputs)

    return apply


def _only(model: GCN, predictor: int) -> GCN:
    new = GCN.from_config(model.get_config() | {"predictors": 1})
    for variable, value in zip(new.variables, model.variables, strict=True):
        variable.assign(value[predictor : predictor + 1])
    return new


def fit(
    settings: Settings,
    graphs: Graphs,
    accuracies: np.ndarray,
    tasks: Sequence[Task],
    *,
    threshold: float | None = None,
    space: str = "",
    target: str = "",
) -> Predictor:
    """Trains predictors, of two stages where there is a threshold.

    Args:
        settings: of the regressor; the classifier has the same body.
        graphs: N of them.
        accuracies: fractions [N].
        tasks: P of them.
        threshold: accuracy, a fraction, above which networks are worth a prediction; None for one stage.
        space: name kept in the predictor.
        target: name kept in the predictor.

    Raises:
        InputError: as `training.train`, or a training set that lies on one side of the threshold.
    """
    kept = {"space": space, "target": target}
    if threshold is None:
        return Predictor(training.train(settings, graphs, accuracies, tasks), **kept)
    good = np.asarray(accuracies) > threshold
    for task in tasks:
        if good[task.rows].all() or not good[task.rows].any():
            which = "above" if good[task.rows].all() else "at or below"
            raise InputError(
                f"Two stages need networks on both sides of the threshold. Received: a threshold of {threshold:g} and "
                f"{len(task.rows)} networks that all lie {which} it, from {accuracies[task.rows].min():.6g} to "
                f"{accuracies[task.rows].max():.6g}"
            )
    most = max(len(task.rows) for task in tasks)
    first = dataclasses.replace(settings, output="probability")
    classifier = training.train(first, graphs, good, tasks, label="first stage")
    better = [Task(task.rows[good[task.rows]], task.seed) for task in tasks]
    # Room for all, so that other training sets find it compiled.
    regressor = training.train(settings, graphs, accuracies, better, most=most, label="second stage")
    return Predictor(regressor, classifier, threshold=threshold, **kept)


def save(predictor: Predictor, path: epath.PathLike) -> None:
    """Writes a predictor as a Keras file, whole or not at all.

    Raises:
        InputError: the name does not end in .keras.
    """
    import pathlib
    import tempfile

    from tfnas import files

    check_name(path)
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder) / "predictor.keras"
        with _quiet():
            predictor.save(made)
        files.write_atomic(paths.expand(str(path)), made.read_bytes())


def load(path: epath.PathLike) -> Predictor:
    """Reads a predictor.

    Raises:
        InputError: no such file, or no predictor of this project.
    """
    import pathlib
    import tempfile

    from etils import epath

    check_name(path)
    file = epath.Path(paths.expand(str(path)))
    if not file.is_file():
        raise InputError(f"No such predictor. Received: {path}. python -m launch.predict --model=FILE writes one")
    with tempfile.TemporaryDirectory() as folder:
        local = pathlib.Path(folder) / "predictor.keras"
        local.write_bytes(file.read_bytes())
        try:
            with _quiet():
                found = keras.saving.load_model(local, compile=False)
        except (ValueError, TypeError, KeyError, OSError, InputError, zipfile.BadZipFile) as error:
            raise InputError(f"The file holds no predictor. Received: {path}") from error
    if not isinstance(found, Predictor):
        raise InputError(f"The file holds no predictor. Received: {path}, a {type(found).__name__}")
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what NumPy 2 says of how Keras copies arrays."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        yield


def check_name(path: epath.PathLike) -> None:
    """Raises InputError for a name that does not end in .keras."""
    if not str(path).endswith(".keras"):
        raise InputError(f"A predictor is a Keras file. Received: {path}. Allowed: a name that ends in .keras")
