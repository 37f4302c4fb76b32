"""Searches replayed from times: against the rules that end real trainings, and against loops."""

import math

import numpy as np
import pytest

from launch.papers.fear import search
from launch.papers.fear.compared import table
from launch.papers.fear.search import Run, Timed, by_fear, by_score, random_search
from tests.launch.papers.fear import cases
from tfnas import seeds
from tfnas.errors import InputError
from tfnas.training import Epoch
from tfnas.training.stopping import Threshold, TimeLimit


def timed_of(rng, size=30, never=6):
    epochs = rng.integers(1, 12, size)
    first, reached = epochs * rng.uniform(2, 5, size), rng.permutation(size) >= never
    score = np.where(reached, rng.uniform(size=size), math.nan)
    return Timed(score, reached, first, first + reached * rng.uniform(5, 9, size), epochs.astype(float))


def trained(timed, place, allowed):
    """Stage 1 as rules end it: (whether the threshold was reached, seconds)."""
    goal, count = Threshold(0.6), int(timed.epochs[place])
    rules = [goal, *([TimeLimit(allowed)] if math.isfinite(allowed) else [])]
    history, length = [], timed.first[place] / count
    for epoch in range(1, count + 1):
        accuracy = 0.7 if epoch == count and timed.reached[place] else 0.1
        history.append(Epoch(epoch, 1.0, accuracy, math.nan, length))
        if any(rule(history) for rule in rules):
            break
    return bool(goal(history)), len(history) * length


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ratio", [1.2, 2.0, 4.0])
def test_a_search_ends_trainings_where_the_rules_do(seed, ratio):
    timed = timed_of(np.random.default_rng(seed))
    order = np.random.default_rng(seed + 100).permutation(30)[:20]
    fastest, seconds, given_up, best = math.inf, 0.0, 0, None
    for place in order:
        reached, took = trained(timed, place, ratio * fastest)
        seconds += took
        if not reached:
            given_up += 1
            continue
        fastest = min(fastest, took)
        seconds += timed.both[place] - timed.first[place]
        if best is None or timed.score[place] > timed.score[best]:
            best = place
    found = by_fear(timed, order, ratio)
    assert (found.chosen, found.given_up) == (best, given_up)
    assert found.seconds == pytest.approx(seconds)


def test_the_first_network_has_all_the_time_and_the_next_a_multiple_of_it():
    timed = Timed(
        np.array([0.5, 0.9, 0.7]),
        np.array([True, True, True]),
        np.array([10.0, 60.0, 39.0]),
        np.array([15.0, 65.0, 44.0]),
        np.array([1.0, 6.0, 3.0]),
    )
    # 40 seconds are allowed: four epochs of the second network, all of the third.
    assert by_fear(timed, [0, 1, 2]) == Run(2, 15 + 40 + 44, 1)
    # As the second comes first nothing is given up; it is the best.
    assert by_fear(timed, [1, 0, 2]) == Run(1, 65 + 15 + 44, 0)
    assert by_fear(timed, [1, 0, 2], 1.0) == Run(1, 65 + 15 + 13, 1)


def test_without_epochs_a_network_is_given_up_when_the_allowance_is_over():
    timed = Timed(np.array([0.5, 0.9]), np.ones(2, bool), np.array([10.0, 55.0]), np.array([15.0, 60.0]), np.zeros(2))
    assert by_fear(timed, [0, 1]) == Run(0, 15 + 40, 1)


def test_where_none_reaches_the_threshold_there_is_no_winner():
    timed = Timed(np.full(2, math.nan), np.zeros(2, bool), np.array([10.0, 55.0]), np.array([10.0, 55.0]), np.ones(2))
    assert by_fear(timed, [0, 1]) == Run(-1, 65, 2)
    assert by_score(np.full(2, math.nan), np.array([1.0, 2.0]), [1, 0]) == Run(-1, 3, 0)
    assert by_score(np.array([0.1, math.nan, 0.3]), np.array([1.0, 2.0, 4.0]), [1, 0]) == Run(0, 3, 0)


def test_without_a_network_that_all_methods_know_there_is_no_search():
    truth = cases.truth_of()
    records = cases.all_records(truth)
    first, rest = (records["arch"].isin(archs) for archs in (cases.ARCHS[:20], cases.ARCHS[20:]))
    fear = records["proxy"].isin(["fear", "time_to_threshold"])
    apart = records[(first & fear) | (rest & ~fear)]
    with pytest.raises(InputError, match="No network has records of fear, time_to_threshold, shortreg, 1 epoch"):
        random_search(cases.inputs_of("fear_random_search", apart, truth))


def test_rows_are_those_of_ten_searches_through_the_same_networks():
    truth = cases.truth_of(dataset="cifar100")
    records = cases.all_records(truth)
    made = random_search(cases.inputs_of("fear_random_search", records, truth, seed=3))
    by = {name: of.set_index("arch") for name, of in records.groupby("proxy")}
    stage, fear = by["time_to_threshold"], by["fear"]
    short = records[(records["proxy"] == "shortreg_after4") & (records["batch_size"] == 256)].set_index("arch")
    accuracy = truth["cifar100"]
    won, cost, other, dear = [], [], [], []
    for run in range(search.RUNS):
        rng = np.random.default_rng(seeds.derive_seed(3, "fear_random_search", run))
        archs = [cases.ARCHS[place] for place in rng.choice(cases.N, cases.N // 2, replace=False)]
        fastest, seconds, best = math.inf, 0.0, None
        for arch in archs:
            took = stage.loc[arch, "seconds"]
            length = took / int(stage.loc[arch, "details"].split(":")[1].strip(" }"))
            spent = length
            while spent < took - 1e-9 and spent < search.RATIO * fastest:
                spent += length
            seconds += spent
            if spent < took - 1e-9 or stage.loc[arch, "status"] == "nan":
                continue
            fastest = min(fastest, took)
            seconds += fear.loc[arch, "seconds"] - took
            if best is None or fear.loc[arch, "score"] > fear.loc[best, "score"]:
                best = arch
        won.append(accuracy[best])
        cost.append(seconds)
        other.append(accuracy[short.loc[archs, "score"].idxmax()])
        dear.append(short.loc[archs, "seconds"].sum())
    name = "shortreg, 4 epochs, batch 256"
    for method, measure, values, paper in (
        ("fear", "test accuracy of the winner (%)", won, 72.04),
        ("fear", "seconds of a search", cost, 142550),
        (name, "test accuracy of the winner (%)", other, 72.08),
        (name, "seconds of a search", dear, 347639),
    ):
        row = cases.one(made.rows, method, measure)
        assert row["ours"] == pytest.approx(np.mean(values))
        assert row["high"] - row["ours"] == pytest.approx(np.std(values, ddof=1))
        assert (row["n"], row["paper"]) == (20, paper)
    row = cases.one(made.rows, name, "seconds of a search, times those of fear")
    assert row["ours"] == pytest.approx(sum(dear) / sum(cost))
    assert row["paper"] == 2.43
    assert any("3 never reach the threshold" in note for note in made.notes)
    drawn = {of.get_label(): of.lines[0].get_xydata()[0] for of in made.figure.axes[0].containers}
    assert drawn["fear"] == pytest.approx([np.mean(cost), np.mean(won)])
    assert drawn[name] == pytest.approx([np.mean(dear), np.mean(other)])


def test_the_papers_numbers_do_not_stand_beside_those_of_another_data_set():
    truth = cases.truth_of()
    records = cases.all_records(truth)
    note = "the paper's numbers are of cifar100 and do not stand beside those of cifar10"
    for name, make in (("fear_random_search", random_search), ("fear_table3a", table)):
        made = make(cases.inputs_of(name, records, truth))
        assert made.rows["paper"].isna().all()
        assert note in made.notes
        digits = make(cases.inputs_of(name, records, truth.set_axis(["digits"], axis=1)))
        assert digits.rows["paper"].notna().any()
        assert note.replace("cifar10", "digits") not in digits.notes
