"""Rewards against values by hand and the properties that define them; the front against a loop."""

import math

import numpy as np
import pandas as pd
import pytest

from tfnas.errors import InputError
from tfnas.latency import rewards

RNG = np.random.default_rng(0)
ACCURACY, LATENCY = RNG.uniform(0.1, 0.9, 50), RNG.uniform(10, 200, 50)


def test_hand_values():
    # Half, once and twice the target of 75 ms.
    accuracy, latency = [0.8, 0.8, 0.8], [37.5, 75.0, 150.0]
    up, down = 0.8 * math.exp(0.07 * math.log(2)), 0.8 * math.exp(-0.07 * math.log(2))
    assert rewards.reward(accuracy, latency, 75) == pytest.approx([up, 0.8, down], rel=1e-12)
    assert rewards.reward(accuracy, latency, 75, form="mnas_hard") == pytest.approx([0.8, 0.8, down], rel=1e-12)
    assert rewards.reward(accuracy, latency, 75, form="mnas_hard", w=1) == pytest.approx([0.8, 0.8, 0.4], rel=1e-12)
    assert rewards.reward(accuracy, latency, 75, form="abs") == pytest.approx([0.765, 0.8, 0.73], rel=1e-12)


def test_twice_the_latency_costs_about_five_percent():
    one, two = rewards.reward([0.7, 0.735], [75, 150], 75)
    assert two == pytest.approx(one, rel=2e-3)  # "5% relative accuracy gain", Tan et al. 2019, section 3


@pytest.mark.parametrize("form", rewards.FORMS)
class TestEveryForm:
    def test_at_the_target_it_is_the_accuracy(self, form):
        np.testing.assert_array_equal(rewards.reward(ACCURACY, np.full(50, 80.0), 80, form=form, w=0.3), ACCURACY)

    def test_without_weight_it_is_the_accuracy(self, form):
        np.testing.assert_array_equal(rewards.reward(ACCURACY, LATENCY, 80, form=form, w=0), ACCURACY)

    def test_more_accurate_is_better(self, form):
        assert (
            rewards.reward(ACCURACY + 0.01, LATENCY, 80, form=form) > rewards.reward(ACCURACY, LATENCY, 80, form=form)
        ).all()

    def test_above_the_target_slower_is_worse(self, form):
        slow = np.linspace(80, 800, 40)
        assert (np.diff(rewards.reward(np.full(40, 0.5), slow, 80, form=form)) < 0).all()

    def test_the_unit_of_time_does_not_matter(self, form):
        found = rewards.reward(ACCURACY, 1000 * LATENCY, 80_000, form=form)
        np.testing.assert_allclose(found, rewards.reward(ACCURACY, LATENCY, 80, form=form), rtol=1e-12)


@pytest.mark.parametrize(("form", "sign"), [("mnas", -1), ("mnas_hard", 0), ("abs", 1)])
def test_below_the_target_forms_differ(form, sign):
    fast = np.linspace(8, 80, 40)
    steps = np.diff(rewards.reward(np.full(40, 0.5), fast, 80, form=form))
    assert (np.sign(steps) == sign).all()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"target": 0}, "target must be above 0. Received: 0"),
        ({"target": -75}, "Received: -75"),
        ({"target": math.nan}, "Received: nan"),
        ({"w": -0.07}, "Received: -0.07"),
        ({"form": "soft"}, "Allowed: abs, mnas, mnas_hard"),
        ({"latency": [10, 0]}, "above 0. Received: 0"),
        ({"latency": [10, math.nan]}, "Received: nan"),
        ({"accuracy": [0.1, -3]}, "Received: -3"),
    ],
)
def test_bad_input_is_named(wrong, told):
    arguments = {"accuracy": [0.1, 0.2], "latency": [10, 20], "target": 15} | wrong
    with pytest.raises(InputError) as error:
        rewards.reward(**arguments)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_negative_scores_may_be_added_to():
    assert rewards.reward([-3.0], [30], 15, form="abs") == pytest.approx([-3.07])


def test_accuracies_become_fractions_whichever_they_are_in_and_never_both():
    percents = pd.Series({"a": 60.0, "b": 70.0, "c": 71.5, "d": 68.2})
    for values, unit in ((percents, ""), (percents, "percent"), (percents / 100, ""), (percents / 100, "fraction")):
        np.testing.assert_allclose(rewards.fractions(values, unit, "top1"), percents / 100, rtol=1e-12)
    mixed = pd.Series({"a": 60.0, "b": 0.7, "c": 71.5, "d": 0.682})
    with pytest.raises(InputError, match="top1 mixes fractions and percent"):
        rewards.fractions(mixed, "", "top1")


def loop(accuracy, latency):
    """The definition, pair by pair."""
    networks = list(zip(accuracy, latency, strict=True))
    return [not any(a >= mine and t <= time and (a > mine or t < time) for a, t in networks) for mine, time in networks]


@pytest.mark.parametrize("distinct", [3, 8, 1000])
def test_the_front_is_what_a_loop_over_all_pairs_finds(distinct):
    rng = np.random.default_rng(distinct)
    for count in (0, 1, 2, 5, 60):
        accuracy, latency = rng.integers(distinct, size=(2, count)) / distinct
        assert rewards.front(accuracy, latency).tolist() == loop(accuracy, latency)


def test_the_best_by_any_reward_that_speed_only_helps_is_on_the_front():
    front = rewards.front(ACCURACY, LATENCY)
    for w in (0, 0.07, 1):
        assert front[np.argmax(rewards.reward(ACCURACY, LATENCY, 80, w=w))]


@pytest.mark.parametrize(("target", "form", "w"), [(1e-300, "abs", 1e3), (1e300, "mnas", 1e3)])
def test_rewards_beyond_all_bounds_are_one_line(target, form, w):
    with pytest.raises(InputError, match=f"a latency of 5, a target of {target:g}, w = 1000".replace("+", r"\+")):
        rewards.reward(np.array([0.5]), np.array([5.0]), target, form=form, w=w)
