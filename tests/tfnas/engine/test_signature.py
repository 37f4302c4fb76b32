"""The flat form of typed values, reducers of one's own, and the example of the package's docstring."""

import dataclasses
import doctest

import numpy as np
import tensorflow as tf

import tfnas.engine
from tests.engine_cases import CASES, cotangents, images
from tfnas.engine import Reducer, Rows, cache_size, first_order, kernels
from tfnas.engine.signature import ChainRun, Inner, Params, Saved, Statistics, Variant, flatten, unflatten


def test_example_of_the_package():
    found = doctest.testmod(tfnas.engine)
    assert found.attempted > 10
    assert not found.failed


def test_flat_form_and_back():
    """Every tensor once, in order, and the same types around it."""
    value = (
        ChainRun(
            (1, 2), (Params(kernel=3, bias=4), Params(), Params(beta=5)), Saved(6, (None, None, Statistics(7, 8)))
        ),
        Inner(None, (None, 9, None)),
        (),
        None,
        10,
    )
    leaves = flatten(value)
    tensors = [leaf for leaf in leaves if leaf is not None]
    assert tensors == list(range(1, 11))
    again = unflatten(value, iter(tensors))
    assert again == value
    assert [type(part) for part in again] == [type(part) for part in value]
    assert type(again[0].saved.statistics[2]) is Statistics
    negated = unflatten(value, iter([-tensor for tensor in tensors]))
    assert flatten(negated) == [None if leaf is None else -leaf for leaf in leaves]


def _difference(layers, variant, pair):
    first, second = pair
    return (None if second is None else second, first if second is None else first - second)


def test_what_is_absent_belongs_to_the_signature():
    """The same tensors in other places are another kernel, and None comes back as None."""
    one, two = tf.constant([1.0, 2.0]), tf.constant([5.0, 7.0])
    known = cache_size()
    for _ in range(2):
        second, result = kernels.call(_difference, (), Variant("batch"), (one, two))
        np.testing.assert_array_equal(second, two)
        np.testing.assert_array_equal(result, one - two)
        second, result = kernels.call(_difference, (), Variant("batch"), (two, None))
        assert second is None
        np.testing.assert_array_equal(result, two)
    assert cache_size() == known + 2


@dataclasses.dataclass(frozen=True)
class _Power(Reducer):
    """Sum of all entries to a power."""

    exponent: int

    def reduce(self, layer, slabs):
        return tf.add_n([tf.reduce_sum(slab**self.exponent) for slab in slabs])

    def combine(self, parts):
        return tf.add_n(parts)


def test_a_reducer_of_ones_own():
    network = CASES["cell"].network
    run = network.forward(images(), "example")
    rows = network.example_gradients(run, cotangents(), Rows(), params="all")
    for exponent in (1, 2, 3):
        found = network.example_gradients(run, cotangents(), _Power(exponent), params="all")
        assert found.keys() == rows.keys()
        for chain, value in found.items():
            np.testing.assert_allclose(value, np.sum(rows[chain].numpy() ** exponent), rtol=1e-9, atol=1e-12)


def test_agreement_counts_by_comparing_units():
    x = images(5)
    counts = kernels.call(first_order.agreement, (), Variant("batch"), tf.constant(x))
    on = x.reshape(5, -1) > 0
    np.testing.assert_array_equal(counts, [[np.sum(a == b) for b in on] for a in on])
