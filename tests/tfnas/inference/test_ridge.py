"""The regulariser sweep, against plain solves, extended precision, the golden file and itself in another form."""

import json
import math
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  loaded here, so that its threads too are limited
import threadpoolctl

from tfnas.errors import InputError
from tfnas.inference import ridge

FEW = (1e-7, 1e-4, 1e-2, 1.0, 100.0)
KINDS = ("normal", "relu", "network", "decaying", "low_rank", "rounded_low_rank", "duplicated", "dead")
FULL_RANK = ("normal", "relu", "network")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    # BLAS threads that wait for a busy core make matrices this small hundreds of times slower.
    with threadpoolctl.threadpool_limits(1):
        yield


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


def loop(k_tt, k_vt, labels, classes, regularizers):
    """Predictions by one general solve a regulariser."""
    y = np.full((len(labels), classes), -1 / classes)
    y[np.arange(len(labels)), labels] += 1
    unit = np.mean(np.diag(k_tt))
    return np.stack([k_vt @ np.linalg.solve(k_tt + eps * unit * np.eye(len(k_tt)), y) for eps in regularizers])


def extended(train, val, labels, classes, regularizers):
    """The same by Gaussian elimination in extended precision, from the float32 features."""
    t, v = (np.concatenate(members, axis=1).astype(np.longdouble) for members in (train, val))
    y = ridge.targets(labels, classes).astype(np.longdouble)
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


def test_by_hand():
    # lambda = 2, so eps = 0.5 adds the identity: (K + I)^-1 = [[3, -1], [-1, 3]] / 8, times Y = [[.5, -.5], [-.5, .5]].
    k_tt, k_vt = np.array([[2.0, 1], [1, 2]]), np.array([[1.0, 0], [1, 3]])
    fit = ridge.fit_kernel(k_tt, [0, 1], 2)
    assert fit.unit == 2
    np.testing.assert_allclose(fit.predict([k_vt], [0.5]), [[[0.25, -0.25], [-0.5, 0.5]]], rtol=1e-14)
    sweep = ridge.from_kernels(k_tt, k_vt, [0, 1], [0, 0], 2, [0.5])
    assert (sweep.accuracies.tolist(), sweep.accuracy, sweep.regularizer) == ([0.5], 0.5, 0.5)
    assert (sweep.status, sweep.message, sweep.method) == ("ok", "", "sample space")


def test_one_training_example():
    sweep = ridge.from_features([np.ones((1, 3))], [np.ones((2, 3))], [1], [1, 0], 2)
    assert sweep.accuracy == 0.5
    assert ridge.from_kernels(np.eye(1), np.ones((2, 1)), [1], [1, 0], 2).accuracy == 0.5


def test_targets():
    y = ridge.targets([2, 0], 4)
    np.testing.assert_array_equal(y, [[-0.25, -0.25, 0.75, -0.25], [0.75, -0.25, -0.25, -0.25]])


def test_golden_nngp(shared):
    folder = shared / "golden" / "proxies"
    expected = json.loads((folder / "expected_extra.json").read_text())["nngp"]
    with np.load(folder / "nngp_inputs.npz") as arrays:
        train, val, train_labels, val_labels = (arrays[f"{k}_{s}"] for k in ("feat", "y") for s in ("train", "val"))
    classes = 1 + max(train_labels.max(), val_labels.max())
    for name, values in expected.items():
        dtype, _, scaling = name.partition(".")
        dtype = np.dtype(dtype.removesuffix("_as_reference"))
        scale = {"unscaled": 1.0, "div_by_d": 1 / train.shape[2]}[scaling]
        k_tt, k_vt = (sum(x @ t.T for x, t in zip(a, train, strict=True)).astype(dtype) * scale for a in (train, val))
        for sweep in (
            ridge.from_features(train, val, train_labels, val_labels, classes),
            ridge.from_kernels(k_tt, k_vt, train_labels, val_labels, classes),
            ridge.cholesky_sweep(k_tt, k_vt, train_labels, val_labels, classes),
        ):
            np.testing.assert_allclose(sweep.accuracies, values["acc_per_eps"], rtol=1e-12, err_msg=name)
            assert sweep.accuracy == pytest.approx(values["nngp_acc"], rel=1e-12), name
    assert len(expected) >= 4


@pytest.mark.parametrize("classes", [3, 10])
@pytest.mark.parametrize(("n", "d", "method"), [(200, 40, "feature space"), (200, 150, "sample space")])
@pytest.mark.parametrize("kind", KINDS)
def test_against_plain_solves(kind, n, d, method, classes):
    train, val, train_labels, val_labels = draw(kind, n, d, classes)
    k_tt, k_vt = kernels(train, val)
    eps = ridge.REGULARIZERS
    fit = ridge.fit_features(train, train_labels, classes)
    features, kernel = fit.predict(val), ridge.fit_kernel(k_tt, train_labels, classes).predict([k_vt])
    plain = loop(k_tt, k_vt, train_labels, classes, eps)
    cholesky = ridge.cholesky_predictions(k_tt, k_vt, ridge.targets(train_labels, classes))
    assert fit.method == method
    np.testing.assert_allclose(features, kernel, rtol=1e-8, atol=1e-8)
    # A singular kernel makes the solves themselves noisy: by this, in proportion to 1 / eps.
    noise = 0 if method == "sample space" and kind in FULL_RANK else 1e-13
    size = max(1, np.abs(plain).max())  # dead features make validation images strange, and predictions large
    for i in range(len(eps)):
        for other in (plain, cholesky):
            np.testing.assert_allclose(features[i], other[i], rtol=0, atol=size * (1e-8 + noise / eps[i]))
    sweeps = [
        ridge.from_features(train, val, train_labels, val_labels, classes),
        ridge.from_kernels(k_tt, k_vt, train_labels, val_labels, classes),
        ridge.cholesky_sweep(k_tt, k_vt, train_labels, val_labels, classes),
    ]
    expected = (plain.argmax(-1) == val_labels).mean(-1)
    for sweep in sweeps:
        np.testing.assert_array_equal(sweep.accuracies, expected)
        assert sweep.accuracy == expected.max()
        assert sweep.regularizer == eps[expected.argmax()]
        assert (sweep.status, sweep.message) == ("ok", "")


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="no extended precision on this machine")
@pytest.mark.parametrize(("n", "d"), [(150, 30), (130, 90)])
@pytest.mark.parametrize("kind", KINDS)
def test_against_extended_precision(kind, n, d):
    train, val, labels, _ = draw(kind, n, d)
    exact = extended(train, val, labels, 10, FEW)
    tolerance = 1e-11 if kind in ("normal", "relu", "duplicated") else 3e-8
    by_features = ridge.fit_features(train, labels, 10).predict(val, FEW)
    k_tt, k_vt = kernels(train, val)
    by_kernel = ridge.fit_kernel(k_tt, labels, 10).predict([k_vt], FEW)
    np.testing.assert_allclose(by_features, exact, rtol=0, atol=tolerance)
    np.testing.assert_allclose(by_kernel, exact, rtol=0, atol=tolerance)


def test_null_directions_contribute_nothing():
    # Dead in training, huge in validation: the kernel does not see it, whatever the regulariser.
    train, val, labels, _ = draw("relu", 120, 30, members=1)
    expected = ridge.fit_features(train, labels, 10).predict(val)
    dead = [np.c_[train[0], np.zeros(120)]], [np.c_[val[0], np.full(50, 1e6)]]
    found = ridge.fit_features(dead[0], labels, 10).predict(dead[1])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("d", [40, 150])
def test_what_changes_nothing(d):
    train, val, train_labels, val_labels = draw("network", 200, d)
    expected = ridge.fit_features(train, train_labels, 10).predict(val)
    accuracies = ridge.from_features(train, val, train_labels, val_labels, 10).accuracies
    order, val_order = np.random.default_rng(0).permutation(200), np.random.default_rng(1).permutation(50)
    # In float64, for float32 would round the products.
    train, val = ([x.astype(np.float64) for x in members] for members in (train, val))
    wide = [np.pad(x, ((0, 0), (0, 300))) for x in train], [np.pad(x, ((0, 0), (0, 300))) for x in val]
    variants = {
        "scale": ([1000 * x for x in train], [1000 * x for x in val], train_labels),
        "small scale": ([1e-15 * x for x in train], [1e-15 * x for x in val], train_labels),
        "members": (train[::-1], val[::-1], train_labels),
        "examples": ([x[order] for x in train], val, train_labels[order]),
        "zeros, so that the space is another": (*wide, train_labels),
        "memory layout": ([np.asfortranarray(x) for x in train], [np.asfortranarray(x) for x in val], train_labels),
    }
    for name, (other_train, other_val, labels) in variants.items():
        found = ridge.fit_features(other_train, labels, 10).predict(other_val)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8, err_msg=name)
        sweep = ridge.from_features(other_train, other_val, labels, val_labels, 10)
        np.testing.assert_array_equal(sweep.accuracies, accuracies, err_msg=name)
    shuffled = ridge.from_features(train, [x[val_order] for x in val], train_labels, val_labels[val_order], 10)
    np.testing.assert_array_equal(shuffled.accuracies, accuracies)


def least_budget(train, labels, classes):
    with pytest.raises(InputError, match="memory_budget") as error:
        ridge.fit_features(train, labels, classes, memory_budget=1)
    return int(str(error.value).split("memory_budget of ")[1].split()[0])


@pytest.mark.parametrize("classes", [3, 10])
@pytest.mark.parametrize("d", [40, 150])
def test_memory_budget(monkeypatch, d, classes):
    train, val, train_labels, val_labels = draw("network", 200, d, classes, n_val=3000)
    arguments = (train, val, train_labels, val_labels, classes)
    expected = ridge.from_features(*arguments)
    least = least_budget(train, train_labels, classes)
    message = rf"^200 training examples of {2 * d} features need .* eigendecomposition of order {min(200, 2 * d)}"
    with pytest.raises(InputError, match=message):
        ridge.from_features(*arguments, memory_budget=least - 1)
    for budget in (least, 2 * least):
        tracemalloc.start()
        sweep = ridge.from_features(*arguments, memory_budget=budget)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_array_equal(sweep.accuracies, expected.accuracies)
        # Beyond the budget: the results and Python's own objects.
        assert peak < budget + 100_000
    monkeypatch.setattr(ridge, "_BLOCK", 1)  # one row, or one column, at a time
    np.testing.assert_array_equal(ridge.from_features(*arguments).accuracies, expected.accuracies)


def test_memory_budget_of_kernels():
    k_tt, k_vt = kernels(*draw("relu", 60, 40)[:2])
    with pytest.raises(InputError, match=r"60 training examples .* order 60"):
        ridge.from_kernels(k_tt, k_vt, np.zeros(60, int), np.zeros(50, int), 2, memory_budget=24 * 60**2)


def test_ties_go_to_the_lowest_class():
    # Images that are zero get the prediction 0 for every class.
    train, _, labels, _ = draw("relu", 60, 10, classes=4)
    zeros = [np.zeros((8, 10))] * 2
    sweep = ridge.from_features(train, zeros, labels, np.arange(8) % 4, 4)
    np.testing.assert_array_equal(sweep.accuracies, np.full(20, 0.25))
    # Classes 1 and 2 mirror each other, class 0 is absent and predicted lower.
    k_tt, k_vt = np.eye(2), np.ones((1, 2))
    for function in (ridge.from_kernels, ridge.cholesky_sweep):
        assert function(k_tt, k_vt, [1, 2], [1], 3).accuracy == 1
        assert function(k_tt, k_vt, [1, 2], [2], 3).accuracy == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", ["train", "val"])
def test_not_finite(which, bad):
    train, val, train_labels, val_labels = draw("relu", 30, 10)
    k_tt, k_vt = kernels(train, val)
    (train[1] if which == "train" else val[0])[3, 5] = bad
    (k_tt if which == "train" else k_vt)[3, 5] = bad
    sweeps = [ridge.from_features(train, val, train_labels, val_labels, 10)]
    sweeps += [f(k_tt, k_vt, train_labels, val_labels, 10) for f in (ridge.from_kernels, ridge.cholesky_sweep)]
    for sweep in sweeps:
        assert sweep.status == "nan"
        assert "hold NaN or infinity" in sweep.message
        assert np.isnan([sweep.accuracy, sweep.regularizer, *sweep.accuracies]).all()


def test_zeros_have_no_score():
    labels = np.arange(12) % 3
    sweeps = [ridge.from_features([np.zeros((12, d))], [np.ones((12, d))], labels, labels, 3) for d in (5, 20)]
    zeros = np.zeros((12, 12))
    sweeps += [f(zeros, zeros, labels, labels, 3) for f in (ridge.from_kernels, ridge.cholesky_sweep)]
    for sweep in sweeps:
        assert sweep.status == "singular"
        assert sweep.message == "no regulariser works: smallest eigenvalue of K_tt 0, largest magnitude 0"
        assert np.isnan(sweep.accuracies).all()
        assert math.isnan(sweep.accuracy)


def test_indefinite_kernels():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(50, 50)))[0]
    values = np.linspace(1, 3, 50)
    labels, k_vt = rng.integers(0, 5, 50), rng.normal(size=(30, 50))
    val_labels = rng.integers(0, 5, 30)
    # lambda is near 2: the regularisers beyond 0.5 lift the one eigenvalue of -1.
    values[0] = -1.0
    k_tt = (basis * values) @ basis.T
    expected = np.array(ridge.REGULARIZERS) * np.trace(k_tt) / 50 > 1
    assert 0 < expected.sum() < 20
    sweeps = [f(k_tt, k_vt, labels, val_labels, 5) for f in (ridge.from_kernels, ridge.cholesky_sweep)]
    for sweep in sweeps:
        assert sweep.status == "ok"
        assert sweep.message.startswith(f"{20 - expected.sum()} of 20 regularisers")
        assert "smallest eigenvalue of K_tt -1," in sweep.message
        np.testing.assert_array_equal(np.isfinite(sweep.accuracies), expected)
        assert sweep.accuracy == np.nanmax(sweep.accuracies)
    np.testing.assert_array_equal(sweeps[0].accuracies, sweeps[1].accuracies)
    found = ridge.fit_kernel(k_tt, labels, 5).predict([k_vt])
    cholesky = ridge.cholesky_predictions(k_tt, k_vt, ridge.targets(labels, 5))
    np.testing.assert_allclose(found, cholesky, rtol=0, atol=1e-10)  # NaN in the same places
    # A trace below zero, and one that no regulariser outweighs.
    for lowest in (-1000.0, -300.0):
        values[0] = lowest
        k_tt = (basis * values) @ basis.T
        regularizers = ridge.REGULARIZERS if lowest == -1000.0 else ridge.REGULARIZERS[:10]
        for function in (ridge.from_kernels, ridge.cholesky_sweep):
            sweep = function(k_tt, k_vt, labels, val_labels, 5, regularizers)
            assert (sweep.status, math.isnan(sweep.accuracy)) == ("indefinite", True)
            assert "no regulariser works" in sweep.message


def test_a_regulariser_below_rounding_fails_where_the_kernel_is_singular():
    for d, method in ((10, "feature space"), (40, "sample space")):
        train, val, train_labels, val_labels = draw("low_rank", 60, d)
        sweep = ridge.from_features(train, val, train_labels, val_labels, 10, [1e-20, 1e-3])
        assert (sweep.status, sweep.method) == ("ok", method)
        assert np.isnan(sweep.accuracies).tolist() == [True, False]
        assert sweep.message.startswith("1 of 2 regularisers")
        assert ridge.from_features(train, val, train_labels, val_labels, 10, [1e-20]).status == "singular"
    # A kernel of full rank needs no help.
    assert ridge.from_kernels(np.eye(3), np.eye(3), [0, 1, 2], [0, 1, 2], 3, [1e-20]).accuracy == 1


def test_only_the_lower_triangle_of_k_tt_counts():
    k_tt, k_vt = kernels(*draw("relu", 60, 40)[:2])
    labels = np.arange(60) % 3
    expected = ridge.fit_kernel(k_tt, labels, 3).predict([k_vt])
    np.testing.assert_array_equal(ridge.fit_kernel(np.tril(k_tt), labels, 3).predict([k_vt]), expected)


def test_bad_input():
    train, val, train_labels, val_labels = draw("relu", 30, 10, classes=3)
    k_tt, k_vt = kernels(train, val)

    def features(*changes, **options):
        arguments = [train, val, train_labels, val_labels, 3]
        for index, value in changes:
            arguments[index] = value
        return ridge.from_features(*arguments, **options)

    for changes, message in [
        ([(0, [])], "train must be arrays"),
        ([(0, [train[0], train[1][:, :9]])], "train must be arrays .* of one shape"),
        ([(1, [val[0][0], val[1][0]])], "val must be arrays"),
        ([(1, val[:1])], "as many members .* 2 x 10 and 1 x 10"),
        ([(2, train_labels[1:])], "vector of 30 integers"),
        ([(3, val_labels.astype(float))], "vector of 50 integers. Received: float64"),
        ([(4, 2)], "labels must be 0 to 1. Received: 0 to 2"),
    ]:
        with pytest.raises(InputError, match=message):
            features(*changes)
    for regularizers in ([], [0.0], [1.0, -1.0], [math.nan], [math.inf], [[1.0]]):
        with pytest.raises(InputError, match="regularizers must be one or more positive numbers"):
            features(regularizers=regularizers)
    for bad in ((k_tt[1:], k_vt), (k_tt, k_vt[:, 1:]), (k_tt[0], k_vt)):
        with pytest.raises(InputError, match="k_tt must be"):
            ridge.from_kernels(*bad, train_labels, val_labels, 3)


def test_scipy_is_imported_when_it_is_needed():
    code = "import sys, tfnas.inference.ridge; assert not {'scipy', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
