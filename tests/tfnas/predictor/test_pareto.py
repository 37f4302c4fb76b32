"""The soft front against a plain loop and its limits."""

import itertools

import numpy as np
import pytest

from tfnas.errors import InputError
from tfnas.latency.rewards import front
from tfnas.predictor.pareto import soft_front


def plain(accuracy, latency, behind):
    order = sorted(range(len(latency)), key=lambda i: latency[i])
    kept = []
    for place, i in enumerate(order):
        before = order[max(0, place - behind) : place]
        if not before or accuracy[i] > min(accuracy[j] for j in before):
            kept.append(i)
    return kept


@pytest.mark.parametrize("behind", [1, 2, 6, 100])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 60])
def test_is_that_of_a_loop(count, behind):
    rng = np.random.default_rng(count)
    accuracy, latency = rng.normal(size=count).round(1), rng.uniform(size=count).round(1)
    assert soft_front(accuracy, latency, behind).tolist() == plain(accuracy, latency, behind)


def test_holds_the_strict_front():
    """Of different accuracies: who beats all faster ones beats the worst of any."""
    rng = np.random.default_rng(0)
    accuracy, latency = rng.normal(size=200), rng.uniform(size=200)
    for behind in (1, 6):
        assert set(np.flatnonzero(front(accuracy, latency))) <= set(soft_front(accuracy, latency, behind))


def test_more_look_back_keeps_more():
    rng = np.random.default_rng(1)
    accuracy, latency = rng.normal(size=300), rng.uniform(size=300)
    found = [set(soft_front(accuracy, latency, behind)) for behind in (1, 3, 6, 12)]
    assert all(fewer < more for fewer, more in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0], 0), "1 network or more. Received: 0"),
        (([1.0, 2.0], [1.0], 1), r"Received: \(2,\), \(1,\)"),
        (([np.nan], [1.0], 1), "must be finite"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        soft_front(*arguments)
