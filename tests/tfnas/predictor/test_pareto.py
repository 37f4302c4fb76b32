"""The soft front against a plain loop and its limits."""

import numpy as np
import pytest

from tfnas.errors import InputError
from tfnas.latency.rewards import front
from tfnas.predictor.pareto import PREVIOUS, soft_front


def plain(accuracy, latency, behind, previous):
    order = sorted(range(len(latency)), key=lambda i: latency[i])
    kept = []
    for place, i in enumerate(order):
        before = (kept if previous == "chosen" else order[:place])[-behind:]
        if not before or accuracy[i] > min(accuracy[j] for j in before):
            kept.append(i)
    return kept


@pytest.mark.parametrize("previous", PREVIOUS)
@pytest.mark.parametrize("behind", [1, 2, 6, 100])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 60])
def test_is_that_of_a_loop(count, behind, previous):
    rng = np.random.default_rng(count)
    accuracy, latency = rng.normal(size=count).round(1), rng.uniform(size=count).round(1)
    found = soft_front(accuracy, latency, behind, previous=previous)
    assert found.tolist() == plain(accuracy, latency, behind, previous)


def test_of_one_is_the_strict_front():
    rng = np.random.default_rng(0)
    accuracy, latency = rng.normal(size=200), rng.uniform(size=200)
    strict = set(np.flatnonzero(front(accuracy, latency)))
    assert set(soft_front(accuracy, latency, 1)) == strict
    for previous in PREVIOUS:
        assert strict <= set(soft_front(accuracy, latency, 6, previous=previous))


def test_more_look_back_keeps_more():
    rng = np.random.default_rng(1)
    accuracy, latency = rng.normal(size=300), rng.uniform(size=300)
    for previous in PREVIOUS:
        found = [len(soft_front(accuracy, latency, behind, previous=previous)) for behind in (1, 3, 6, 12)]
        assert found == sorted(set(found))


def test_as_many_as_the_paper_at_its_setting():
    """112,000 networks in 75 to 85 ms, J = 6, accuracies that rise with latency by a fraction of their spread."""
    rng = np.random.default_rng(0)
    latency = rng.uniform(75, 85, 112_000)
    accuracy = 70 + 0.1 * latency + rng.standard_normal(112_000)
    assert 100 < len(soft_front(accuracy, latency, 6)) < 300
    assert len(soft_front(accuracy, latency, 6, previous="all")) > 90_000


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
