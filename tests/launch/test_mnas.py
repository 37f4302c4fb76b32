"""launch.mnas from the command line: every source of accuracies and latencies, resumed, in shards."""

import dataclasses
import json

import pandas as pd
import pytest

from launch import app, mnas, score, train
from launch.flags.architectures import sample_architectures
from launch.jobs import thresholds
from launch.jobs.states import KeptJob
from tests.launch.jobs.test_scores import ARCHS
from tfnas.latency import operations as ops
from tfnas.latency import rewards, table
from tfnas.networks import flops
from tfnas.runs import records
from tfnas.runs.shards import in_shard

SMALL = ["--space=nasbench201", "--dataset=synthetic", "--width=4", "--depth=1", "--score_batch_size=4"]
COUNT = 5


@pytest.fixture
def files(tmp_path):
    """table.csv with accuracies in percent and a throughput, archs.txt with its architectures."""
    archs = sample_architectures(mnas.Config(space="nasbench201", target=1).search_space(), COUNT, 0)
    frame = pd.DataFrame({"arch": archs, "top1": [60.0, 70.0, 65.0, 72.0, 68.0], "tpu": [500.0, 250, 400, 100, 125]})
    frame.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "archs.txt").write_text("\n".join(archs))
    return tmp_path, frame.set_index("arch")


def run(folder, *flags):
    code = mnas.main([*SMALL, f"--output={folder / 'out'}", *flags])
    path = folder / "out" / "report" / "ranking.csv"
    return code, pd.read_csv(path, index_col="arch") if path.exists() else None


def known(folder, *flags):
    return run(folder, "--accuracy=table", f"--table={folder / 'table.csv'}", "--accuracy_column=top1", *flags)


def test_accuracies_and_throughputs_of_a_table(files, capsys, monkeypatch):
    folder, frame = files
    monkeypatch.setenv("COLUMNS", "80")
    code, ranking = known(folder, f"--num_archs={COUNT}", "--latency=throughput:tpu", "--target=4", "--proxies=synflow")
    assert code == 0
    expected = rewards.reward(frame.top1 / 100, 1000 / frame.tpu, 4)
    assert ranking.reward.to_dict() == pytest.approx(dict(zip(frame.index, expected, strict=True)), rel=1e-6)
    # 60% in 2 ms, 65% in 2.5, 70% in 4, 72% in 10; what takes 8 ms is beaten by what takes 4.
    assert set(ranking.index[~ranking.front]) == {frame.index[4]}
    for truth in ("accuracy", "reward"):
        found = pd.read_csv(folder / "out" / "report" / truth / "correlations.csv")
        assert set(found.proxy) == {"synflow", "params", "flops"}
        assert (folder / "out" / "report" / truth / "scatter.png").exists()
    out = capsys.readouterr().out
    assert "Pareto front, 4 of 5 networks" in out
    assert "latency" not in set(records.read(folder / "out").proxy)


def test_multiply_adds_and_a_sum_over_operations(files):
    folder, frame = files
    code, ranking = known(folder, f"--archs={folder / 'archs.txt'}", "--target=1e5")
    assert code == 0
    settings = mnas.Config(**dict(flag[2:].split("=") for flag in SMALL[:2]), width=4, depth=1, target=1)
    graphs = {arch: settings.layer_graph(arch) for arch in frame.index}
    assert ranking.latency.to_dict() == {arch: flops.multiply_adds(graph) for arch, graph in graphs.items()}
    times = {name: 0.5 for graph in graphs.values() for name in ops.count(graph)}
    table.write(times, folder / "ops.csv")
    code, ranking = known(folder, f"--archs={folder / 'archs.txt'}", f"--latency={folder / 'ops.csv'}", "--target=9")
    assert code == 0
    assert ranking.latency.to_dict() == {arch: 0.5 * len(ops.timed(graph)) for arch, graph in graphs.items()}


def test_an_operation_that_is_missing_is_one_line_before_anything_dear(files, capsys):
    folder, _ = files
    table.write({"conv 1x1x1>1x1x1 k1x1 s1": 1.0}, folder / "ops.csv")
    code, ranking = known(folder, f"--num_archs={COUNT}", f"--latency={folder / 'ops.csv'}", "--target=9")
    assert (code, ranking) == (app.USAGE_ERROR, None)
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "Received: 'conv 32x32x3>32x32x4 k3x3 s1'" in error
    assert records.read(folder / "out").empty


def test_trained_here_and_resumed(tmp_path, capsys):
    (tmp_path / "archs.txt").write_text("\n".join(ARCHS))
    flags = [f"--archs={tmp_path / 'archs.txt'}", "--target=1e5", "--epochs=1", "--batch_size=32", "--crop=0"]
    flags += ["--train_split=train[:64]", "--test_split=test[:50]"]
    code, ranking = run(tmp_path, *flags)
    assert code == 0
    found = records.read(tmp_path / "out")
    trained = found[found.proxy == "test_accuracy"].set_index("arch").score
    assert ranking.accuracy.to_dict() == pytest.approx((trained / 100).to_dict())
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.parquet")}
    assert run(tmp_path, *flags)[0] == 0
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.parquet")} == before
    captured = capsys.readouterr()
    assert "2 of 2 trainings are done" in captured.out
    assert "test_accuracy after 1 epochs on synthetic" in captured.out
    assert "warning" not in captured.err


def test_images_that_train_and_judge_are_warned_of(tmp_path, capsys):
    (tmp_path / "archs.txt").write_text("\n".join(ARCHS))
    flags = [f"--archs={tmp_path / 'archs.txt'}", "--target=1e5", "--recipe=mnas", "--batch_size=32"]
    flags += ["--train_split=train[:64]", "--val_split=train[:64]", "--test_split=test[:50]"]
    assert run(tmp_path, *flags)[0] == 0
    captured = capsys.readouterr()
    assert "warning: --train_split=train[:64] and --val_split=train[:64] share 64 images" in captured.err
    assert "val_accuracy after 5 epochs on synthetic" in captured.out  # those of the recipe


@pytest.mark.parametrize("proxy", ["synflow", "nngp"])
def test_a_proxy_as_accuracy(tmp_path, proxy):
    (tmp_path / "archs.txt").write_text("\n".join(ARCHS))
    flags = [f"--archs={tmp_path / 'archs.txt'}", "--accuracy=proxy", f"--proxies={proxy},snip", "--target=1e5"]
    code, ranking = run(tmp_path, *flags, "--n_train=10", "--n_val=20,30")
    assert code == 0
    found = records.read(tmp_path / "out")
    name = "nngp_10_30_1" if proxy == "nngp" else proxy
    assert ranking.accuracy.to_dict() == pytest.approx(found[found.proxy == name].set_index("arch").score.to_dict())
    by_accuracy = pd.read_csv(tmp_path / "out" / "report" / "accuracy" / "correlations.csv")
    assert name not in set(by_accuracy.proxy)


SPLITS = ["--train_split=train[:64]", "--test_split=test[:50]"]


def values(folder):
    """Scores by the keys of their records."""
    frame = records.read(folder).set_index(list(records.KEY))
    return frame[frame.status == "ok"].score.to_dict()


def test_scores_are_those_of_launch_score_and_accuracies_have_a_recipe_of_their_own(tmp_path):
    (tmp_path / "archs.txt").write_text("\n".join(ARCHS))
    archs, own = f"--archs={tmp_path / 'archs.txt'}", ["--epochs=1", "--batch_size=16", "--crop=0", "--cutout=2"]
    trained = ["--proxies=lga,snip", "--after_epochs=0,2"]
    more = ["--target=1e5", "--score_recipe=lga,crop=1,batch_size=32"]
    assert run(tmp_path, archs, *own, *SPLITS, *trained, *more)[0] == 0
    found = values(tmp_path / "out")
    flags = [*SMALL[:-1], archs, SPLITS[0], *trained, "--recipe=lga", "--crop=1", "--train_batch_size=32"]
    assert score.main([*flags, "--batch_size=4", f"--output={tmp_path / 'scores'}"]) == 0
    assert train.main([*SMALL[:-1], archs, *SPLITS, *own, f"--output={tmp_path / 'train'}"]) == 0
    expected = values(tmp_path / "scores") | values(tmp_path / "train")
    latency = {key: value for key, value in found.items() if "latency_macs" in key}
    assert len(latency) == len(ARCHS)
    assert found == expected | latency
    told = pd.read_csv(tmp_path / "out" / "report" / "accuracy" / "correlations.csv")
    assert set(told.proxy) == {"lga", "lga_after2", "snip", "snip_after2", "shortreg_after2", "params", "flops"}


def test_a_score_as_accuracy_is_that_after_most_epochs():
    def record(proxy, *epochs):
        settings = {"accuracy": "proxy", "after_epochs": epochs, "target": 1, "n_val": (20, 30)}
        return mnas.Config(proxies=(proxy, "lga"), **settings).accuracy_record()

    for name in ("snip", "lga", "shortreg"):
        assert record(name, 0, 3, 1) == f"{name}_after3"
    assert record("snip", 0) == "snip"
    # Of weights of their own, of an ensemble, of trainings of their own.
    for name, called in (("zen", "zen"), ("nngp", "nngp_100_30_1"), ("fear", "fear")):
        assert record(name, 0, 3) == called


def test_trainings_of_both_kinds_keep_states_in_the_folder_of_the_records():
    config = mnas.Config(proxies=("lga", "fear"), after_epochs=(1,), target=1, output="folder", checkpoint_seconds=7)
    for seconds, folder in ((7, "folder"), (0, "")):
        config = dataclasses.replace(config, checkpoint_seconds=seconds)
        kept = [job for job in (config.training(), *config.scoring(config.scores())) if isinstance(job, KeptJob)]
        assert [type(job).__name__ for job in kept] == ["TrainJob", "AfterJob", "FearJob"]
        assert {(job.output, job.checkpoint_seconds) for job in kept} == {(folder, seconds)}


def test_a_threshold_of_fear_is_found_where_none_is_given_and_ranks_by_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "archs.txt").write_text("\n".join(ARCHS))
    monkeypatch.setattr(thresholds, "find", lambda settings, folder, threads: 0.01)
    flags = [f"--archs={tmp_path / 'archs.txt'}", "--accuracy=proxy", "--proxies=fear", "--target=1e5", SPLITS[0]]
    flags += ["--score_recipe=batch_size=32,crop=0", "--fear_cells=1", "--fear_epochs=1", "--fear_batch_size=32"]
    code, ranking = run(tmp_path, *flags)
    assert code == 0
    found = records.read(tmp_path / "out").query("proxy == 'fear'").set_index("arch")
    assert {json.loads(options)["threshold"] for options in found.options} == {0.01}
    assert ranking.accuracy.to_dict() == pytest.approx(found.score.to_dict())
    assert "--fear_threshold=0.01" in capsys.readouterr().out


def test_negative_scores_need_a_reward_that_adds(tmp_path, capsys):
    (tmp_path / "archs.txt").write_text("\n".join(ARCHS))
    flags = [f"--archs={tmp_path / 'archs.txt'}", "--accuracy=proxy", "--proxies=jacob_cov", "--target=1e5"]
    assert run(tmp_path, *flags)[0] == app.USAGE_ERROR
    assert "Allowed: scores of 0 or more, or the reward abs" in capsys.readouterr().err
    assert run(tmp_path, *flags, "--reward=abs")[0] == 0


def test_shards_rank_what_is_there(files, capsys):
    folder, _ = files
    flags = [f"--num_archs={COUNT}", "--target=1e5"]
    counts = []
    for shard in ("0/2", "1/2"):
        code, ranking = known(folder, *flags, f"--shard={shard}")
        assert code == 0
        counts.append(0 if ranking is None else len(ranking))
    assert counts[0] < counts[1] == COUNT
    assert "networks lack an accuracy or a latency" in capsys.readouterr().out
    assert known(folder, *flags)[1].shape[0] == COUNT


def test_mixed_units_are_refused_before_anything_is_computed(files, capsys):
    folder, frame = files
    frame.assign(top1=[60.0, 0.7, 65.0, 0.62, 72.0]).to_csv(folder / "table.csv")
    assert known(folder, f"--num_archs={COUNT}", "--target=1e5") == (app.USAGE_ERROR, None)
    assert "mixes fractions and percent" in capsys.readouterr().err
    assert not list((folder / "out").glob("*.parquet"))


def test_architectures_in_another_form_are_refused_before_anything_is_computed(tmp_path, capsys):
    """The space reads its tokens in any order; a table is joined by the text."""
    space = mnas.Config(space="mnas", target=1).search_space()
    archs = sample_architectures(space, 3, 0)
    other = ["|".join("_".join(reversed(block.split("_"))) for block in arch.split("|")) for arch in archs]
    assert {str(space.parse(text)) for text in other} == set(archs)
    assert not set(archs) & set(other)
    pd.DataFrame({"arch": [archs[0], *other[1:]], "top1": [60.0, 70, 65]}).to_csv(tmp_path / "table.csv", index=False)
    flags = [f"--output={tmp_path / 'out'}", "--space=mnas", "--dataset=synthetic", "--accuracy=table", "--target=1e6"]
    flags += [f"--table={tmp_path / 'table.csv'}", "--num_archs=3", "--width=8", "--depth=1"]
    assert mnas.main(flags) == app.USAGE_ERROR
    error = capsys.readouterr().err.splitlines()[-1]
    assert "2 of 3 rows hold no architectures of mnas, first row 2: not in the form of mnas" in error
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_where_nothing_can_be_ranked_the_run_has_failed(files):
    folder, frame = files
    other = sample_architectures(mnas.Config(space="nasbench201", target=1).search_space(), 9, 1)
    other = [arch for arch in other if arch not in frame.index][:2]
    (folder / "archs.txt").write_text("\n".join(other))
    assert known(folder, f"--archs={folder / 'archs.txt'}", "--target=1e5") == (app.FAILED, None)


def test_an_empty_shard_has_not_failed(files):
    folder, frame = files
    count = next(n for n in range(2, 99) if not any(in_shard(arch, 0, n) for arch in frame.index))
    assert known(folder, f"--num_archs={COUNT}", "--target=1e5", f"--shard=0/{count}") == (0, None)


@pytest.mark.parametrize("name", ["ops.txt", "ops", "ops.csv.gz"])
def test_operations_are_written_to_what_can_be_read(files, capsys, name):
    folder, _ = files
    code, _ = known(folder, f"--num_archs={COUNT}", "--target=1e5", f"--operations_out={folder / name}")
    assert code == app.USAGE_ERROR
    assert "--operations_out is a .csv, .tsv, .parquet file. Received: " in capsys.readouterr().err


def test_a_number_of_architectures_is_drawn_from_the_table_that_knows_them(files):
    folder, frame = files
    _, ranking = known(folder, "--num_archs=3", "--target=1e5")
    assert set(ranking.index) < set(frame.index)
    assert len(ranking) == 3
