"""The regulariser sweep, against plain solves, the golden file and itself in another form."""

import json
import math
import tracemalloc

import numpy as np
import pytest

from tests.tfnas.inference.cases import FULL_RANK, KINDS, accuracies, cholesky, draw, kernels, loop
from tfnas.errors import InputError
from tfnas.inference import fit as fit_lib
from tfnas.inference import ridge
from tfnas.inference.fit import fit_features, fit_kernel

pytestmark = pytest.mark.usefixtures("one_thread")


def test_by_hand():
    # lambda = 2, so eps = 0.5 adds the identity: (K + I)^-1 = [[3, -1], [-1, 3]] / 8, times Y = [[.5, -.5], [-.5, .5]].
    k_tt, k_vt = np.array([[2.0, 1], [1, 2]]), np.array([[1.0, 0], [1, 3]])
    fit = fit_kernel(k_tt, [0, 1], 2)
    assert fit.unit == 2
    np.testing.assert_allclose(fit.predict([k_vt], [0.5]), [[[0.25, -0.25], [-0.5, 0.5]]], rtol=1e-14)
    sweep = ridge.from_kernels(k_tt, k_vt, [0, 1], [0, 0], 2, [0.5])
    assert (sweep.accuracies.tolist(), sweep.accuracy, sweep.regularizer) == ([0.5], 0.5, 0.5)
    assert (sweep.status, sweep.message, sweep.method) == ("ok", "", "sample space")


def test_one_training_example():
    sweep = ridge.from_features([np.ones((1, 3))], [np.ones((2, 3))], [1], [1, 0], 2)
    assert sweep.accuracy == 0.5
    assert ridge.from_kernels(np.eye(1), np.ones((2, 1)), [1], [1, 0], 2).accuracy == 0.5


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
        ):
            np.testing.assert_allclose(sweep.accuracies, values["acc_per_eps"], rtol=1e-12, err_msg=name)
            assert sweep.accuracy == pytest.approx(values["nngp_acc"], rel=1e-12), name
        plain = accuracies(cholesky(k_tt, k_vt, train_labels, classes), val_labels)
        np.testing.assert_allclose(plain, values["acc_per_eps"], rtol=1e-12, err_msg=name)
    assert len(expected) >= 4


@pytest.mark.parametrize("classes", [3, 10])
@pytest.mark.parametrize(("n", "d", "method"), [(200, 40, "feature space"), (200, 150, "sample space")])
@pytest.mark.parametrize("kind", KINDS)
def test_against_plain_solves(kind, n, d, method, classes):
    train, val, train_labels, val_labels = draw(kind, n, d, classes)
    k_tt, k_vt = kernels(train, val)
    eps = ridge.REGULARIZERS
    fit = fit_features(train, train_labels, classes)
    features, kernel = fit.predict(val), fit_kernel(k_tt, train_labels, classes).predict([k_vt])
    plain = loop(k_tt, k_vt, train_labels, classes, eps)
    factored = cholesky(k_tt, k_vt, train_labels, classes)
    assert fit.method == method
    np.testing.assert_allclose(features, kernel, rtol=1e-8, atol=1e-8)
    # A singular kernel makes the solves themselves noisy: by this, in proportion to 1 / eps.
    noise = 0 if method == "sample space" and kind in FULL_RANK else 1e-13
    size = max(1, np.abs(plain).max())  # dead features make validation images strange, and predictions large
    for i in range(len(eps)):
        for other in (plain, factored):
            np.testing.assert_allclose(features[i], other[i], rtol=0, atol=size * (1e-8 + noise / eps[i]))
    sweeps = [
        ridge.from_features(train, val, train_labels, val_labels, classes),
        ridge.from_kernels(k_tt, k_vt, train_labels, val_labels, classes),
    ]
    expected = accuracies(plain, val_labels)
    np.testing.assert_array_equal(accuracies(factored, val_labels), expected)
    for sweep in sweeps:
        np.testing.assert_array_equal(sweep.accuracies, expected)
        assert sweep.accuracy == expected.max()
        assert sweep.regularizer == eps[expected.argmax()]
        assert (sweep.status, sweep.message) == ("ok", "")


@pytest.mark.parametrize("d", [40, 150])
def test_what_changes_nothing(d):
    train, val, train_labels, val_labels = draw("network", 200, d)
    expected = fit_features(train, train_labels, 10).predict(val)
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
        found = fit_features(other_train, labels, 10).predict(other_val)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8, err_msg=name)
        sweep = ridge.from_features(other_train, other_val, labels, val_labels, 10)
        np.testing.assert_array_equal(sweep.accuracies, accuracies, err_msg=name)
    shuffled = ridge.from_features(train, [x[val_order] for x in val], train_labels, val_labels[val_order], 10)
    np.testing.assert_array_equal(shuffled.accuracies, accuracies)


def least_budget(train, labels, classes):
    with pytest.raises(MemoryError, match="--memory_mb") as error:
        fit_features(train, labels, classes, memory_budget=1)
    return int(str(error.value).partition(" bytes needed, 1 left")[0].split()[-1])


@pytest.mark.parametrize("classes", [3, 10])
@pytest.mark.parametrize("d", [40, 150])
def test_memory_budget(monkeypatch, d, classes):
    train, val, train_labels, val_labels = draw("network", 200, d, classes, n_val=3000)
    arguments = (train, val, train_labels, val_labels, classes)
    expected = ridge.from_features(*arguments)
    least = least_budget(train, train_labels, classes)
    message = rf"^200 training examples of {2 * d} features, .* eigendecomposition of order {min(200, 2 * d)}: {least} "
    with pytest.raises(MemoryError, match=message):
        ridge.from_features(*arguments, memory_budget=least - 1)
    for budget in (least, 2 * least):
        tracemalloc.start()
        sweep = ridge.from_features(*arguments, memory_budget=budget)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_array_equal(sweep.accuracies, expected.accuracies)
        # Beyond the budget: the results and Python's own objects.
        assert peak < budget + 100_000
    monkeypatch.setattr(fit_lib, "_BLOCK", 1)  # one row, or one column, at a time
    np.testing.assert_array_equal(ridge.from_features(*arguments).accuracies, expected.accuracies)


def test_memory_budget_of_kernels():
    k_tt, k_vt = kernels(*draw("relu", 60, 40)[:2])
    with pytest.raises(MemoryError, match=r"60 training examples .* order 60"):
        ridge.from_kernels(k_tt, k_vt, np.zeros(60, int), np.zeros(50, int), 2, memory_budget=24 * 60**2)


def test_ties_go_to_the_lowest_class():
    # Images that are zero get the prediction 0 for every class.
    train, _, labels, _ = draw("relu", 60, 10, classes=4)
    zeros = [np.zeros((8, 10))] * 2
    sweep = ridge.from_features(train, zeros, labels, np.arange(8) % 4, 4)
    np.testing.assert_array_equal(sweep.accuracies, np.full(20, 0.25))
    # Classes 1 and 2 mirror each other, class 0 is absent and predicted lower.
    k_tt, k_vt = np.eye(2), np.ones((1, 2))
    for label, accuracy in ((1, 1), (2, 0)):
        assert ridge.from_kernels(k_tt, k_vt, [1, 2], [label], 3).accuracy == accuracy
        assert accuracies(cholesky(k_tt, k_vt, [1, 2], 3), [label]).max() == accuracy


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", ["train", "val"])
def test_not_finite(which, bad):
    train, val, train_labels, val_labels = draw("relu", 30, 10)
    k_tt, k_vt = kernels(train, val)
    (train[1] if which == "train" else val[0])[3, 5] = bad
    (k_tt if which == "train" else k_vt)[3, 5] = bad
    sweeps = [ridge.from_features(train, val, train_labels, val_labels, 10)]
    sweeps += [ridge.from_kernels(k_tt, k_vt, train_labels, val_labels, 10)]
    for sweep in sweeps:
        assert sweep.status == "nan"
        assert "hold NaN or infinity" in sweep.message
        assert np.isnan([sweep.accuracy, sweep.regularizer, *sweep.accuracies]).all()


def test_zeros_have_no_score():
    labels = np.arange(12) % 3
    sweeps = [ridge.from_features([np.zeros((12, d))], [np.ones((12, d))], labels, labels, 3) for d in (5, 20)]
    zeros = np.zeros((12, 12))
    sweeps += [ridge.from_kernels(zeros, zeros, labels, labels, 3)]
    assert np.isnan(cholesky(zeros, zeros, labels, 3)).all()
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
    sweep = ridge.from_kernels(k_tt, k_vt, labels, val_labels, 5)
    assert sweep.status == "ok"
    assert sweep.message.startswith(f"{20 - expected.sum()} of 20 regularisers")
    assert "smallest eigenvalue of K_tt -1," in sweep.message
    np.testing.assert_array_equal(np.isfinite(sweep.accuracies), expected)
    assert sweep.accuracy == np.nanmax(sweep.accuracies)
    factored = cholesky(k_tt, k_vt, labels, 5)
    np.testing.assert_array_equal(sweep.accuracies, accuracies(factored, val_labels))
    found = fit_kernel(k_tt, labels, 5).predict([k_vt])
    np.testing.assert_allclose(found, factored, rtol=0, atol=1e-10)  # NaN in the same places
    # A trace below zero, and one that no regulariser outweighs.
    for lowest in (-1000.0, -300.0):
        values[0] = lowest
        k_tt = (basis * values) @ basis.T
        regularizers = ridge.REGULARIZERS if lowest == -1000.0 else ridge.REGULARIZERS[:10]
        sweep = ridge.from_kernels(k_tt, k_vt, labels, val_labels, 5, regularizers)
        assert (sweep.status, math.isnan(sweep.accuracy)) == ("indefinite", True)
        assert "no regulariser works" in sweep.message
        assert np.isnan(cholesky(k_tt, k_vt, labels, 5, regularizers)).all()


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


def test_directions_count_down_to_rounding():
    """Diagonal kernels, whose solution is known: v / (v + c) of the target; below 16 units of rounding it is 0."""
    y = fit_lib.targets([0, 1, 0], 2)
    for small, counts in ((1e-6, True), (1e-11, True), (1e-13, True), (1e-17, False)):
        k_tt = np.diag([1.0, small, 2.0])
        fit = fit_kernel(k_tt, [0, 1, 0], 2)
        eps = max(small, 1e-13)
        shift = eps * (3 + small) / 3
        (found,) = fit.predict([k_tt], [eps])
        values = np.array([1.0, small * counts, 2.0])
        np.testing.assert_allclose(found, (values / (values + shift))[:, None] * y, rtol=1e-9, atol=1e-15)


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
