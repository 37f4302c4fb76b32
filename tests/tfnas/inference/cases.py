"""Features and kernels of many kinds, and the ridge regression on them by plain solves."""

import math

import numpy as np
import scipy.linalg

from tfnas.inference.fit import REGULARIZERS

FEW = (1e-7, 1e-4, 1e-2, 1.0, 100.0)
KINDS = ("normal", "relu", "network", "decaying", "low_rank", "rounded_low_rank", "duplicated", "dead")
FULL_RANK = ("normal", "relu", "network")


def draw(kind, n, d, classes=10, members=2, n_val=50):
    """Features of examples whose classes they tell, two lists of [n, d] float32, and labels."""
    rng = np.random.default_rng([n, d, KINDS.index(kind)])
    total = n + n_val
    labels = rng.integers(0, classes, total)
    inputs = 0.7 * rng.normal(size=(classes, 24))[labels] + rng.normal(size=(total, 24))

    def member():
        if kind in ("network", "decaying"):
            # Few inputs and large biases make eigenvalues that fall fast.
            x, bias, depth = (inputs, 0.1, 3) if kind == "network" else (inputs[:, :3], 1.0, 2)
            for _ in range(depth):
                weights = rng.normal(size=(x.shape[1], d)) * np.sqrt(2 / x.shape[1])
                x = np.maximum(x @ weights + bias * rng.normal(size=d), 0)
            return x
        if kind == "low_rank":  # small integers: the products are exact in float32
            return rng.integers(0, 8, (total, 12)) @ rng.integers(0, 8, (12, d))
        if kind == "rounded_low_rank":
            return rng.random((total, 12)) @ rng.random((12, d))
        x = inputs @ rng.normal(size=(24, d)) / 5 + rng.normal(size=(total, d))
        if kind == "normal":
            return x
        x = np.maximum(x + 0.5, 0)
        if kind == "duplicated":
            x[: n // 2] = x[n // 2 : 2 * (n // 2)]
        if kind == "dead":  # for the training images only
            x[:n, ::3] = 0
        return x

    features = [member().astype(np.float32) for _ in range(members)]
    return [x[:n] for x in features], [x[n:] for x in features], labels[:n], labels[n:]


def kernels(train, val):
    """K_tt and K_vt, float64, as Algorithm 1 writes them."""
    scale = len(train) * train[0].shape[1]
    pairs = [(t.astype(np.float64), v.astype(np.float64)) for t, v in zip(train, val, strict=True)]
    return sum(t @ t.T for t, _ in pairs) / scale, sum(v @ t.T for t, v in pairs) / scale


def one_hot(labels, classes):
    """Less the mean over the classes: [n, C]."""
    y = np.full((len(labels), classes), -1 / classes)
    y[np.arange(len(labels)), labels] += 1
    return y


def loop(k_tt, k_vt, labels, classes, regularizers):
    """Predictions by one general solve a regulariser."""
    y = one_hot(labels, classes)
    unit = np.mean(np.diag(k_tt))
    return np.stack([k_vt @ np.linalg.solve(k_tt + eps * unit * np.eye(len(k_tt)), y) for eps in regularizers])


def cholesky(k_tt, k_vt, labels, classes, regularizers=REGULARIZERS):
    """Predictions [r, m, C] by one Cholesky decomposition a regulariser, the paper's way; NaN where there is none."""
    y = one_hot(labels, classes)
    predictions = np.full((len(regularizers), len(k_vt), classes), math.nan)
    for i, eps in enumerate(regularizers):
        try:
            factor = scipy.linalg.cho_factor(k_tt + eps * np.mean(np.diag(k_tt)) * np.eye(len(k_tt)), lower=True)
        except scipy.linalg.LinAlgError:
            continue
        predictions[i] = k_vt @ scipy.linalg.cho_solve(factor, y)
    return predictions


def accuracies(predictions, labels):
    """Share of right classes for each regulariser, NaN where there are no predictions."""
    return np.where(np.isnan(predictions).any((1, 2)), math.nan, (predictions.argmax(-1) == labels).mean(-1))


def extended(train, val, labels, classes, regularizers):
    """The same by Gaussian elimination in extended precision, from the float32 features."""
    t, v = (np.concatenate(members, axis=1).astype(np.longdouble) for members in (train, val))
    y = one_hot(labels, classes).astype(np.longdouble)
    # In the smaller of the two spaces, for elimination is better conditioned where nothing is singular.
    small = t.shape[1] < len(t)
    gram, right = (t.T @ t, t.T @ y) if small else (t @ t.T, y)
    out = []
    for eps in regularizers:
        a = gram + np.longdouble(eps) * np.trace(gram) / len(t) * np.eye(len(gram), dtype=np.longdouble)
        x = right.copy()
        for k in range(len(a) - 1):
            factors = a[k + 1 :, k] / a[k, k]
            a[k + 1 :, k:] -= factors[:, None] * a[k, k:]
            x[k + 1 :] -= factors[:, None] * x[k]
        for k in reversed(range(len(a))):
            x[k] = (x[k] - a[k, k + 1 :] @ x[k + 1 :]) / a[k, k]
        out.append(v @ x if small else v @ (t.T @ x))
    return np.stack(out).astype(np.float64)
