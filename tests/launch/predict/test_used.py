"""What a predictor is used for: as a score, and for the soft front."""

import types

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import spaces
from launch import correlate, mnas, score
from launch.jobs import keeping, knowledge, prediction
from tests.launch.predict.cases import SPACE, accuracies, launch
from tests.spaces.mobile.proxylessnas.test_latency import _made
from tfnas.predictor import model
from tfnas.runs import records, sources


def test_scores_are_the_predictions(table, archs, tmp_path):
    file = tmp_path / "p.keras"
    launch(table, tmp_path / "o", f"--model={file}")
    (tmp_path / "archs.txt").write_text("\n".join(archs[:7]))
    flags = [f"--archs={tmp_path / 'archs.txt'}", f"--output={tmp_path / 's'}", f"--proxies=predictor:{file}"]
    assert score.main(flags) == 0
    found = records.read(tmp_path / "s").set_index("arch")
    assert set(found.proxy) == {f"predictor:{file}"}
    expected = pd.read_parquet(tmp_path / "o/predictions.parquet").set_index("arch")["predicted"]
    np.testing.assert_allclose(found.score, expected[found.index], rtol=1e-5)
    # The records are scores like all others.
    flags = [f"--scores={tmp_path / 's'}", f"--proxies=predictor:{file}", f"--table={table}", "--target=val"]
    assert correlate.main([*flags, f"--output={tmp_path / 'c'}", "--bootstrap=10"]) == 0
    (row,) = pd.read_csv(tmp_path / "c" / "correlations.csv").to_dict("records")
    truth = pd.read_csv(table).set_index("arch")["val"][found.index]
    assert (row["proxy"], row["n"]) == (f"predictor:{file}", 7)
    assert row["kendall"] == pytest.approx(stats.kendalltau(found.score, truth).statistic, rel=1e-5)


def test_networks_are_ranked_by_predictions_and_latency(table, archs, tmp_path):
    file = tmp_path / "p.keras"
    launch(table, tmp_path / "o", f"--model={file}")
    (tmp_path / "archs.txt").write_text("\n".join(archs[:7]))
    flags = [
        "--space=nasbench201",
        f"--archs={tmp_path / 'archs.txt'}",
        "--dataset=synthetic",
        "--width=2",
        "--depth=1",
    ]
    flags += ["--accuracy=proxy", f"--proxies=predictor:{file}", "--target=1e5", "--top_k=3"]
    assert mnas.main([*flags, f"--output={tmp_path / 'm'}"]) == 0
    ranking = pd.read_csv(tmp_path / "m" / "report" / "ranking.csv").set_index("arch")
    expected = pd.read_parquet(tmp_path / "o/predictions.parquet").set_index("arch")["predicted"]
    assert len(ranking) == 7
    np.testing.assert_allclose(ranking.accuracy, expected[ranking.index], rtol=1e-5)


def test_what_the_table_lacks_is_predicted_too(table, archs, tmp_path, capsys):
    file, many = tmp_path / "p.keras", tmp_path / "many.csv"
    launch(table, tmp_path / "o", f"--model={file}", "--whole_space", "--threshold=68")
    assert "15565 networks that the table lacks" in capsys.readouterr().out
    found = pd.read_csv(tmp_path / "o/whole_space.csv")
    assert set(found.arch) == {str(arch) for arch in SPACE.enumerate()} - set(archs)
    assert found.predicted.is_monotonic_decreasing
    some = found.iloc[::1000]
    told = 100 * model.load(file).predict_graphs(SPACE.features(some.arch.tolist())).mean(1)
    np.testing.assert_allclose(told, some.predicted, rtol=1e-5, atol=1e-5)
    drawn = [str(arch) for arch in spaces.get("proxylessnas").sample_distinct(np.random.default_rng(0), 30)]
    pd.DataFrame({"arch": drawn, "val": accuracies(drawn)}).to_csv(many, index=False)
    launch(many, tmp_path / "m", "--whole_space", code=2)
    assert "up to 1000000 architectures. Received: proxylessnas" in capsys.readouterr().err


def test_kept_scores_are_features(table, archs, tmp_path, monkeypatch):
    with records.Writer(tmp_path / "s") as writer:
        for place, arch in enumerate(archs[:50]):
            writer.add([records.Record(space="nasbench201", arch=arch, dataset="digits", proxy="told", score=place)])
    monkeypatch.setattr(sources, "FOLDER", tmp_path / "atlas")
    keeping.keep([str(tmp_path / "s")], str(tmp_path / "atlas" / "mine.parquet"), "by hand")
    frames = [
        launch(table, tmp_path / name, "--predictors=forest", f"--scores={place}")
        for name, place in (("folder", tmp_path / "s"), ("kept", "atlas:mine"))
    ]
    pd.testing.assert_frame_equal(*(frame.drop(columns="settings") for frame in frames))
    assert (frames[0][frames[0].predictor == "forest"].tau > 0).all()
    pd.DataFrame({"arch": archs[5:], "more": range(55)}).to_csv(tmp_path / "more.csv", index=False)
    both = knowledge.with_scores(
        knowledge.read_table(table, "val", "", ""), ("atlas:mine", str(tmp_path / "more.csv")), ()
    )
    assert sorted(both.archs) == sorted(archs[5:50])
    assert both.graphs.extras.shape == (45, 2)
    launch(table, tmp_path / "two", "--predictors=forest", f"--scores=atlas:mine,{tmp_path / 'more.csv'}")
    assert len(pd.read_parquet(tmp_path / "two/predictions.parquet")) == 45


def test_networks_of_another_space_are_refused(table, tmp_path, capsys):
    file = tmp_path / "p.keras"
    launch(table, tmp_path / "o", f"--model={file}")
    flags = ["--space=nasbench101", "--num_archs=2", f"--output={tmp_path / 's'}", f"--proxies=predictor:{file}"]
    assert score.main(flags) == 2
    assert "of another space. Received: --space=nasbench101" in capsys.readouterr().err


def test_a_front_lies_within_its_window(tmp_path):
    space = spaces.get("proxylessnas")
    archs = [str(arch) for arch in space.sample_distinct(np.random.default_rng(0), 30)]
    table, layers = tmp_path / "t.csv", tmp_path / "latency.csv"
    pd.DataFrame({"arch": archs, "val": accuracies(archs)}).to_csv(table, index=False)
    pd.DataFrame({"op": list(_made()), "mean_ms": list(_made().values())}).to_csv(layers, index=False)
    middle = float(np.median(space.latencies(layers).of([space.parse(arch) for arch in archs])))
    window = f"--window={middle - 3},{middle + 3}"
    launch(table, tmp_path / "o", f"--latency={layers}", window, "--candidates=200", "--behind=3", "--repeats=1")
    front = pd.read_csv(tmp_path / "o/front.csv")
    assert 1 <= len(front) < 200
    assert front.latency.is_monotonic_increasing
    assert front.latency.between(middle - 3, middle + 3).all()
    parsed = [space.parse(arch) for arch in front.arch]
    np.testing.assert_allclose(space.latencies(layers).of(parsed), front.latency, rtol=1e-9)


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_a_front_lacks_what_a_first_stage_turns_down(share):
    """The fastest would be chosen whatever it is."""
    space = spaces.get("proxylessnas")
    known = knowledge.Known(space, [], None, np.zeros(0), np.zeros(0), "val")
    archs = space.sample_distinct(np.random.default_rng(0), 40)
    latency = np.linspace(75, 85, 40)
    told = np.random.default_rng(1).uniform(0.6, 0.8, 40)
    told[: int(share * 40)] -= 1
    times = types.SimpleNamespace(sample=lambda *arguments: (archs, latency))
    predictor = types.SimpleNamespace(predict_graphs=lambda graphs: told[:, None])
    front = prediction.front_within(known, predictor, times, count=40, window=(75, 85), behind=3, seed=0)
    assert (front.predicted >= 0).all()
    assert len(front) > 0 or share == 1
    if share < 1:
        assert front.arch[0] == str(archs[int(share * 40)])
