"""The formulas of cost against the paper's numbers and against counting."""

import pytest

from launch.papers.nngp import cost

F = 2.51e9


def pflop(value):
    return value / cost.PFLOP


# The numbers that follow from the paper's own F = 2.51 GFLOPs.
@pytest.mark.parametrize(("epochs", "expected"), [(4, 0.828), (12, 2.435), (36, 7.254)])
def test_training_costs_what_the_paper_says(epochs, expected):
    assert pflop(cost.training_flops(F, epochs)) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("sizes", "expected"), [((100, 500, 1), 1.506e-3), ((8000, 10000, 32), 1.454)])
def test_nngp_costs_what_the_paper_says(sizes, expected):
    assert pflop(cost.nngp_flops(F, *sizes)) == pytest.approx(expected, rel=5e-4)


def test_verbatim_formula_is_equation_4():
    flops, n_train, n_val, ensemble, d, r, classes = 3e6, 70, 30, 5, 64, 7, 11
    n = n_train + n_val
    printed = ensemble * flops * n + r * n_train**3 / 3 + 2 * (d * ensemble + 2 * classes * r) * n_train * n
    options = {"features": d, "regularizers": r, "classes": classes}
    assert cost.nngp_flops(flops, n_train, n_val, ensemble, **options) == pytest.approx(printed, rel=1e-12)
    summed = cost.kernel_flops(flops, n_train, n_val, ensemble, d) + cost.inference_flops(n_train, n_val, r, classes)
    consistent = cost.nngp_flops(flops, n_train, n_val, ensemble, verbatim=False, **options)
    assert consistent == pytest.approx(summed, rel=1e-12)
    assert printed - consistent == pytest.approx(2 * classes * r * n_train * n)


def test_parts_count_what_a_loop_counts():
    """A product [a, b] x [b, c] takes 2 a b c, a triangular solve of n for c columns n^2 c twice."""
    n_train, n_val, ensemble, d, r, classes, flops = 6, 4, 3, 5, 2, 7, 100.0
    kernel = inference = 0.0
    for _ in range(ensemble):
        kernel += flops * (n_train + n_val)
        kernel += 2 * n_train * d * n_train + 2 * n_val * d * n_train
    for _ in range(r):
        inference += n_train**3 / 3 + 2 * n_train**2 * classes + 2 * n_val * n_train * classes
    assert cost.kernel_flops(flops, n_train, n_val, ensemble, d) == pytest.approx(kernel)
    assert cost.inference_flops(n_train, n_val, r, classes) == pytest.approx(inference)


def test_the_two_sums_differ_little_on_the_benchmark():
    for n_train in (100, 500, 2000, 8000):
        for n_val in (500, 10000):
            both = [cost.nngp_flops(F, n_train, n_val, 1, verbatim=verbatim) for verbatim in (True, False)]
            assert 1 < both[0] / both[1] < 1.002


def test_costs_grow_with_every_size():
    base = cost.nngp_flops(F, 100, 500, 1)
    for more in ((101, 500, 1), (100, 501, 1), (100, 500, 2)):
        assert cost.nngp_flops(F, *more) > base
    assert cost.training_flops(F, 4, 100, 0) == 4 * 2 * F * 100
    assert cost.training_flops(F, 0, 100, 50) == F * 50
    assert cost.training_flops(F, 1, 100, 0, step=3) == 3 * F * 100
