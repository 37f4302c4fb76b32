"""Bins of the best networks: every number again by plain loops."""

import math

import numpy as np
import pytest
from scipy import stats

from launch.papers.fear import bins
from launch.papers.fear.methods import FEAR, gather
from tests.launch.papers.fear import cases
from tfnas.evidence import bootstrap, rows, statistics

PERCENTS = (7, 10, 30, 50, 100)


@pytest.fixture(scope="module")
def methods():
    truth = cases.truth_of()
    return gather(cases.inputs_of("fear_table1", cases.all_records(truth), truth), "cifar10", "fear").reached()


def arrays(methods, name):
    return [column.tolist() for column in (methods.scores[name], methods.truth, methods.seconds[name])]


def test_qualities_and_durations_are_those_of_loops(methods):
    names = [FEAR, *methods.short, "snip"]
    found = bins.in_bins(methods, names, PERCENTS, seed=0)
    assert len(found) == len(names) * len(PERCENTS)
    for _, row in found.iterrows():
        score, truth, seconds = arrays(methods, row["method"])
        best = cases.top(truth, row["percent"])
        assert row["n"] == len(best) == 37 * row["percent"] // 100
        assert row["spearman"] == pytest.approx(cases.spearman(score, truth, row["percent"]), nan_ok=True)
        assert row["common"] == pytest.approx(cases.common(score, truth, row["percent"]))
        inside = [seconds[place] for place in best]
        assert row["seconds"] == pytest.approx(sum(inside) / len(inside))
        assert row["seconds_se"] == pytest.approx(stats.sem(inside))
        if len(best) > 10:
            assert row["spearman_lo"] <= row["spearman"] <= row["spearman_hi"]
        assert row["common_lo"] <= row["common_hi"]


def test_a_method_that_lacks_scores_is_of_the_networks_that_it_has(methods):
    import dataclasses

    scores = methods.scores.copy()
    scores.iloc[::3, scores.columns.get_loc("snip")] = math.nan
    lacking = dataclasses.replace(methods, scores=scores)
    (row,) = bins.in_bins(lacking, ["snip"], [50]).to_dict("records")
    known = [place for place in range(37) if place % 3]
    score, truth, _ = ([column[place] for place in known] for column in arrays(methods, "snip"))
    assert (row["n"], row["left_out"]) == (len(known) // 2, 37 - len(known))
    assert row["spearman"] == pytest.approx(cases.spearman(score, truth, 50))
    assert math.isnan(row["spearman_lo"])


def test_the_frontier_is_what_nothing_beats():
    rng = np.random.default_rng(0)
    seconds, quality = rng.integers(1, 8, 60).astype(float), rng.integers(0, 8, 60) / 8
    quality[::7] = math.nan
    found = bins.frontier(seconds, quality)
    for j in range(60):
        beaten = any(
            seconds[i] <= seconds[j]
            and quality[i] >= quality[j]
            and (seconds[i] < seconds[j] or quality[i] > quality[j])
            for i in range(60)
        )
        assert found[j] == (not math.isnan(quality[j]) and not beaten)
    assert 1 < found.sum() < 20


def test_the_nearest_short_training_is_on_the_frontier(methods):
    found = bins.in_bins(methods, methods.short, [50])
    best = found[bins.frontier(found["seconds"], found["spearman"])]
    for seconds in (0.0, 7.0, 15.0, 1000.0):
        near = bins.nearest(found, seconds, "spearman")
        assert abs(near["seconds"] - seconds) == min(abs(other - seconds) for other in best["seconds"])
    assert bins.nearest(found.assign(spearman=math.nan), 1.0, "spearman") is None


def test_durations_of_resamples_are_those_of_copies():
    rng, size = np.random.default_rng(3), 23
    truth, seconds = np.round(rng.normal(0, 2, size)), rng.uniform(1, 9, (2, size))
    found = bins.drawn_seconds(seconds, truth, (10, 50, 100), resamples=40, seed=4)
    assert found.shape == (3, 40, 2)
    ties = statistics.tie_keys(size, 4)[1]
    order = sorted(range(size), key=lambda place: (-truth[place], ties[place]))
    for number, counts in enumerate(np.concatenate(list(bootstrap.drawn_counts(size, 40, 4)))):
        copies = [place for place in order for _ in range(int(counts[place]))]
        for place, percent in enumerate((10, 50, 100)):
            best = copies[: rows.top_count(size, percent)]
            assert found[place, number] == pytest.approx(seconds[:, best].mean(1))


def test_answers_are_those_of_loops(methods):
    found = {(of.percent, of.quality): of for of in bins.answers(methods, PERCENTS, 0)}
    assert set(found) == {(p, q) for p in PERCENTS for q in bins.QUALITIES} - {(100, "common")}
    for (percent, quality), answer in found.items():
        measure = {"spearman": cases.spearman, "common": cases.common}[quality]
        points = []
        for name in (FEAR, *methods.short):
            score, truth, seconds = arrays(methods, name)
            best = cases.top(truth, percent)
            points.append((sum(seconds[place] for place in best) / len(best), measure(score, truth, percent)))
        (ours, own), short = points[0], points[1:]
        assert answer.n == len(best)
        if math.isnan(own):
            assert math.isnan(answer.speed[0])
            continue
        assert answer.speed[0] == pytest.approx(min([t for t, q in short if q >= own], default=math.inf) / ours)
        as_fast = [q for t, q in short if t <= ours and not math.isnan(q)]
        assert answer.gain[0] == pytest.approx(own - max(as_fast) if as_fast else math.nan, nan_ok=True)
        assert answer.speed[1] <= answer.speed[2]
        assert answer.gain[1] <= answer.gain[2]


def with_scores(methods, factor, score):
    """All short trainings with one duration, FEAR's times a factor, and one score."""
    import dataclasses

    scores, seconds = methods.scores.copy(), methods.seconds.copy()
    for name in methods.short:
        scores[name], seconds[name] = score, seconds[FEAR] * factor
    return dataclasses.replace(methods, scores=scores, seconds=seconds)


def test_of_the_same_score_the_ratio_of_durations_is_left(methods):
    for answer in bins.answers(with_scores(methods, 2.0, methods.scores[FEAR]), (50, 100), 0):
        assert answer.speed == pytest.approx((2.0, 2.0, 2.0))
        assert all(map(math.isnan, answer.gain))  # none is as fast
    for answer in bins.answers(with_scores(methods, 0.5, methods.scores[FEAR]), (50, 100), 0):
        assert answer.speed == pytest.approx((0.5, 0.5, 0.5))
        assert answer.gain == (0.0, 0.0, 0.0)


def test_of_a_worse_score_none_is_as_good_however_long_it_takes(methods):
    (answer,) = bins.answers(with_scores(methods, 0.5, -methods.truth), (100,), 0)
    assert answer.speed == (math.inf, math.inf, math.inf)
    own = cases.spearman(*arrays(methods, FEAR)[:2], 100)
    assert answer.gain[0] == pytest.approx(own + 1)


def test_comparing_leaves_out_what_is_undefined():
    quality = np.array([[0.5, math.nan, 0.6], [math.nan, 0.1, 0.2], [0.5, math.nan, 0.4]])
    seconds = np.array([[2.0, 1.0, 3.0]] * 3)
    speed, gain = bins.compare(quality, seconds)
    assert speed[0] == 1.5
    assert math.isnan(speed[1])
    assert speed[2] == math.inf
    assert np.isnan(gain).all()
