"""From accuracies and latencies to a ranking: joined by architecture, checked, written, shown."""

import numpy as np
import pandas as pd
import pytest

from launch.flags.latency import Latency, Reward
from launch.jobs import rewards as jobs
from tfnas.errors import InputError
from tfnas.latency import rewards

ARCHS = [f"a{index}" for index in range(12)]
RNG = np.random.default_rng(0)
ACCURACY = pd.Series(RNG.uniform(0.5, 0.9, 12), ARCHS)
LATENCY = pd.Series(RNG.uniform(20, 90, 12), ARCHS)
SETTINGS = Reward(target=50.0, top_k=3)
ACCURACIES = jobs.Accuracies(ACCURACY, "top1 of a table")


def table(tmp_path, **columns):
    path = tmp_path / "table.parquet"
    pd.DataFrame({"arch": ARCHS} | columns).to_parquet(path)
    return str(path)


def test_ranks_what_has_both_by_reward():
    ranking = jobs.rank(ARCHS, ACCURACY.drop("a3"), LATENCY.sample(frac=1, random_state=1).drop("a5"), SETTINGS)
    assert set(ranking.index) == set(ARCHS) - {"a3", "a5"}
    assert ranking.reward.is_monotonic_decreasing
    for arch, row in ranking.iterrows():
        assert row.reward == pytest.approx(ACCURACY[arch] * (50 / LATENCY[arch]) ** 0.07, rel=1e-12)
        beaten = (ranking.accuracy > row.accuracy) & (ranking.latency < row.latency)
        assert row.front == (not beaten.any())


def test_only_asked_architectures_are_ranked():
    assert set(jobs.rank(ARCHS[:4], ACCURACY, LATENCY, SETTINGS).index) == set(ARCHS[:4])
    assert jobs.rank(["other"], ACCURACY, LATENCY, SETTINGS).empty


@pytest.mark.parametrize("scale", [1, 100])
def test_accuracies_of_a_table_are_fractions(tmp_path, scale):
    values, name = jobs.from_table(table(tmp_path, top1=scale * ACCURACY.to_numpy()), "top1")
    assert name == "top1"
    np.testing.assert_allclose(values[ARCHS], ACCURACY, rtol=1e-12)


def test_percent_and_fractions_in_one_column_are_refused(tmp_path):
    mixed = np.where(np.arange(12) < 6, 100, 1) * ACCURACY.to_numpy()
    with pytest.raises(InputError, match="mixes fractions and percent"):
        jobs.from_table(table(tmp_path, top1=mixed), "top1")


def test_a_throughput_is_a_thousand_over_the_images_a_second(tmp_path):
    path = table(tmp_path, ms=LATENCY.to_numpy(), tpu=1000 / LATENCY.to_numpy())
    for source in ("column:ms", "throughput:tpu"):
        np.testing.assert_allclose(jobs.latencies_of_table(path, Latency(latency=source))[ARCHS], LATENCY, rtol=1e-12)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0.0] + [1.0] * 11, "must be finite and above 0. Received: 0 for 'a0'"),
        ([1.0] * 11 + [np.inf], "must be finite and above 0. Received: inf for 'a11'"),
        ([-3.0] + [1.0] * 11, "Received: -3 for 'a0'"),
        (["slow"] * 12, "has no numbers. Received: 'slow'"),
    ],
)
def test_latencies_that_are_none_are_refused(tmp_path, values, told):
    with pytest.raises(InputError) as error:
        jobs.latencies_of_table(table(tmp_path, ms=values), Latency(latency="throughput:ms"))
    assert told in str(error.value)


def test_a_missing_column_and_two_values_of_one_network_are_refused(tmp_path):
    with pytest.raises(InputError, match="No column 'pixel1'"):
        jobs.latencies_of_table(table(tmp_path, ms=LATENCY.to_numpy()), Latency(latency="column:pixel1"))
    pd.DataFrame({"arch": ["a", "a", "b", "b"], "ms": [1.0, 2.0, 3.0, 3.0]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match="several values of ms for 'a'"):
        jobs.latencies_of_table(str(tmp_path / "t.csv"), Latency(latency="column:ms"))


def test_repeats_are_averaged_and_failures_left_out():
    rows = [("a", 50.0, "ok"), ("a", 60.0, "ok"), ("b", 10.0, "ok"), ("b", np.nan, "oom"), ("c", np.nan, "error")]
    frame = pd.DataFrame(rows, columns=["arch", "score", "status"]).assign(proxy="test_accuracy")
    frame = pd.concat([frame, frame.assign(proxy="train_accuracy", score=1.0)])
    assert jobs.from_records(frame, "test_accuracy").to_dict() == {"a": 55, "b": 10}


def test_the_report_names_the_best_and_the_front(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    ranking = jobs.rank(ARCHS, ACCURACY, LATENCY, SETTINGS)
    jobs.show(ranking, ACCURACIES, SETTINGS, "ms")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    listed = dict(line.split(": ") for line in lines if line.partition(": ")[0].isdigit())
    shown = ranking[(np.arange(12) < 3) | ranking.front]
    assert list(listed.values()) == shown.index.tolist()
    assert [int(place) for place in listed] == [1 + ranking.index.get_loc(arch) for arch in shown.index]

    jobs.write(ranking, ACCURACIES, SETTINGS, "ms", str(tmp_path))
    written = pd.read_csv(tmp_path / "ranking.csv", index_col="arch")
    assert written.index.tolist() == ranking.index.tolist()
    np.testing.assert_allclose(written.reward, rewards.reward(written.accuracy, written.latency, 50), rtol=1e-6)
    assert (tmp_path / "front.png").stat().st_size > 1000


def test_scores_are_compared_with_both_truths_and_never_with_themselves(capsys):
    ranking = jobs.rank(ARCHS, ACCURACY, LATENCY, SETTINGS)
    told = {"same": ACCURACY, "slow": LATENCY, "reward": ranking.reward, "backwards": -ACCURACY}
    scores = pd.concat(
        pd.DataFrame({"arch": values.index, "proxy": name, "score": values.to_numpy(), "status": "ok"})
        for name, values in told.items()
    )
    found = jobs.compare(ranking, scores, ACCURACIES, SETTINGS, seed=0)
    kendall = {truth: evidence.summary.set_index("proxy").kendall for truth, evidence in found.items()}
    signs = kendall["accuracy"]["same"], kendall["accuracy"]["backwards"], kendall["reward"]["reward"]
    assert signs == pytest.approx((1, -1, 1))
    assert kendall["reward"]["same"] < 1
    jobs.show_correlations(found)
    out = capsys.readouterr().out
    assert all(name in out for name in (*told, "tau, accuracy", "r, reward"))
    own = jobs.Accuracies(ACCURACY, "same", proxy="same")
    found = jobs.compare(ranking, scores, own, SETTINGS, seed=0)
    assert "same" not in set(found["accuracy"].summary.proxy)
    assert "same" in set(found["reward"].summary.proxy)
