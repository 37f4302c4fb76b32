"""Predictors of scikit-learn on flat encodings, which a graph convolutional network has to beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfnas.errors import InputError, unknown
from tfnas.progress import Progress

_AT_ONCE = 20_000


def _mlp(seed: int) -> Any:
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import StandardScaler

    return _scaled(
        StandardScaler(),
        MLPRegressor(hidden_layer_sizes=(64, 64), solver="lbfgs", alpha=1.0, max_iter=500, random_state=seed),
    )


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(200, random_state=seed)


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingRegressor

    return GradientBoostingRegressor(
        n_estimators=200, max_depth=3, learning_rate=0.05, subsample=0.5, random_state=seed
    )


def _process(seed: int) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    from sklearn.preprocessing import StandardScaler

    # Fixed bounds wide enough for any encoding: a kernel that runs into one says so.
    kernel = ConstantKernel(1.0, (1e-5, 1e5)) * RBF(5.0, (1e-2, 1e4)) + WhiteKernel(0.1, (1e-8, 1e2))
    return _scaled(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed))


def _scaled(scaler: Any, model: Any) -> Any:
    from sklearn.pipeline import make_pipeline

    return make_pipeline(scaler, model)


_MODELS: dict[str, Callable[[int], Any]] = {"mlp": _mlp, "forest": _forest, "boosting": _boosting, "gp": _process}
NAMES = tuple(_MODELS)


def fit(name: str, codes: np.ndarray, accuracies: Sequence[float], seed: int) -> Any:
    """A fitted regressor.

    Args:
        name: one of `NAMES`: multilayer perceptron, random forest, gradient boosting, Gaussian process.
        codes: flat encodings, with extras behind if there are any: [n, d].
        accuracies: fractions [n]; learned as z-scores.
        seed: of whatever it draws.

    Raises:
        InputError: an unknown name, or one network where gradient boosting draws half of them for each tree.
    """
    import warnings

    from sklearn.compose import TransformedTargetRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.preprocessing import StandardScaler

    if name not in _MODELS:
        raise unknown("baseline", name, NAMES)
    if name == "boosting" and len(accuracies) < 2:
        raise InputError(f"boosting learns from 2 networks or more. Received: {len(accuracies)}")
    model = TransformedTargetRegressor(_MODELS[name](seed % 2**32), transformer=StandardScaler())
    with warnings.catch_warnings():
        # Of few networks, as here, the optimisers stop where they may.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(np.asarray(codes, np.float64), np.asarray(accuracies, np.float64))


def predict(model: Any, codes: np.ndarray) -> np.ndarray:
    """Predictions of encodings [N, d], block after block: [N] float64."""
    found = np.empty(len(codes))
    with Progress("predictions", len(codes)) as bar:
        for start in range(0, len(codes), _AT_ONCE):
            block = np.asarray(codes[start : start + _AT_ONCE], np.float64)
            found[start : start + len(block)] = model.predict(block)
            bar.advance(len(block))
    return found
