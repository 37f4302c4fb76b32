"""Factorised ridge regression against extended precision, and what it must not see."""

import subprocess
import sys

import numpy as np
import pytest

from tests.tfnas.inference.cases import FEW, KINDS, draw, extended, kernels
from tfnas.inference.fit import fit_features, fit_kernel, targets

pytestmark = pytest.mark.usefixtures("one_thread")


def test_targets():
    y = targets([2, 0], 4)
    np.testing.assert_array_equal(y, [[-0.25, -0.25, 0.75, -0.25], [0.75, -0.25, -0.25, -0.25]])


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="no extended precision on this machine")
@pytest.mark.parametrize(("n", "d"), [(150, 30), (130, 90)])
@pytest.mark.parametrize("kind", KINDS)
def test_against_extended_precision(kind, n, d):
    train, val, labels, _ = draw(kind, n, d)
    exact = extended(train, val, labels, 10, FEW)
    tolerance = 1e-11 if kind in ("normal", "relu", "duplicated") else 3e-8
    by_features = fit_features(train, labels, 10).predict(val, FEW)
    k_tt, k_vt = kernels(train, val)
    by_kernel = fit_kernel(k_tt, labels, 10).predict([k_vt], FEW)
    np.testing.assert_allclose(by_features, exact, rtol=0, atol=tolerance)
    np.testing.assert_allclose(by_kernel, exact, rtol=0, atol=tolerance)


def test_null_directions_contribute_nothing():
    # Dead in training, huge in validation: the kernel does not see it, whatever the regulariser.
    train, val, labels, _ = draw("relu", 120, 30, members=1)
    expected = fit_features(train, labels, 10).predict(val)
    dead = [np.c_[train[0], np.zeros(120)]], [np.c_[val[0], np.full(50, 1e6)]]
    found = fit_features(dead[0], labels, 10).predict(dead[1])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_only_the_lower_triangle_of_k_tt_counts():
    k_tt, k_vt = kernels(*draw("relu", 60, 40)[:2])
    labels = np.arange(60) % 3
    expected = fit_kernel(k_tt, labels, 3).predict([k_vt])
    np.testing.assert_array_equal(fit_kernel(np.tril(k_tt), labels, 3).predict([k_vt]), expected)


def test_scipy_is_imported_when_it_is_needed():
    code = "import sys, tfnas.inference.ridge; assert not {'scipy', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
