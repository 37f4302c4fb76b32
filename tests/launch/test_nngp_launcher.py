"""The launcher of inference: records of all sizes from one pass, resume, kept kernels, statuses."""

import dataclasses
import json

import numpy as np
import pytest

import spaces
from launch import inference, nngp
from proxies import nngp as algorithm
from tfnas import data, seeds
from tfnas.inference import ridge
from tfnas.runs import records

ARCHS = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|",
    "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|",
)
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SMALL = {
    "width": 4,
    "depth": 1,
    "dataset": "synthetic",
    "train_split": "train",
    "val_split": "test",
    "n_train": ("10", "20"),
    "n_val": ("30",),
    "ensemble": ("1", "2"),
    "bn_batch": 10,
    "batch_size": 25,
    "seed": 3,
    "archs": "-",
}


def config(output, **settings):
    return nngp.Config(**({"output": str(output)} | SMALL | settings))


def stable(folder):
    return records.read(folder, stable=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    nngp.compute(config(folder), ARCHS)
    return folder


class TestRecords:
    def test_one_for_every_combination(self, whole):
        frame = records.read(whole)
        names = {"nngp_10_30_1", "nngp_10_30_2", "nngp_20_30_1", "nngp_20_30_2", "params", "flops"}
        assert set(map(tuple, frame[["arch", "proxy"]].to_numpy())) == {(a, name) for a in ARCHS for name in names}
        assert set(frame.status) == {"ok"}
        assert set(frame.init) == {"torch"}
        for row in frame[frame.proxy.str.startswith("nngp")].to_dict("records"):
            details = json.loads(row["details"])
            assert len(details["accuracies"]) == 20
            assert row["score"] == pytest.approx(max(details["accuracies"]), abs=1e-9)
            assert json.loads(row["options"])["bn_momentum"] == 0.9

    def test_scores_are_those_of_the_algorithm(self, whole):
        """The same by hand: images, batches, weights and solve put together without the launcher."""
        train = data.balanced_prefixes("synthetic", "train", 20, 3)
        val = data.balanced_prefixes("synthetic", "test", 30, 3)
        arch = ARCHS[0]
        graph = spaces.get("nasbench201").layer_graph(arch, width=4, depth=1, classes=10, input_shape=(32, 32, 3))
        members = []
        for member in range(2):
            batch, _ = data.batch("synthetic", "train", 10, seeds.derive_seed(3, "batch normalisation", member))
            seed = seeds.derive_seed(3, "nasbench201", arch, member)
            arrays = algorithm.member_weights(graph, "torch", seed, batch)
            members.append(algorithm.nngp_member(graph, arrays, algorithm.Data(*train, *val, 10), batch_size=50))
        z = [np.concatenate(parts, 1) for parts in ([m.train for m in members], [m.val for m in members])]
        k_tt, k_vt = z[0].astype(float) @ z[0].T, z[1].astype(float) @ z[0].T
        expected = ridge.from_kernels(k_tt, k_vt, train[1], val[1], 10, ridge.REGULARIZERS)
        frame = records.read(whole).set_index(["arch", "proxy"])
        assert frame.score[arch, "nngp_20_30_2"] == pytest.approx(expected.accuracy, abs=1e-9)
        assert frame.score[arch, "params"] == graph.count_params()
        assert frame.score[arch, "flops"] == graph.flops()

    def test_sizes_do_not_depend_on_what_else_is_asked_for(self, whole, tmp_path):
        nngp.compute(config(tmp_path, n_train=("10",), ensemble=("2",), batch_size=7), ARCHS[:1])
        alone = stable(tmp_path)
        both = stable(whole)
        both = both[both.proxy.isin(alone.proxy) & (both.arch == ARCHS[0])].reset_index(drop=True)
        assert alone.equals(both)

    def test_regularizers_and_momentum_are_settings(self, whole, tmp_path):
        nngp.compute(config(tmp_path, regularizers=("0.1", "10"), bn_momentum=0.0, ensemble=("1",)), ARCHS[:1])
        frame = stable(tmp_path)
        row = frame[frame.proxy == "nngp_20_30_1"].iloc[0]
        assert len(json.loads(row.details)["accuracies"]) == 2
        assert json.loads(row.options)["bn_momentum"] == 0.0
        assert not set(map(tuple, frame[["options"]].to_numpy())) & set(
            map(tuple, stable(whole)[["options"]].to_numpy())
        ) - {(frame[frame.proxy == "params"].options.iloc[0],)}

    def test_tangent_kernel(self, tmp_path):
        nngp.compute(config(tmp_path, kernel="ntk", n_train=("10",), n_val=("20",), ensemble=("1",)), ARCHS[:1])
        frame = records.read(tmp_path).set_index("proxy")
        assert frame.status["ntk_10_20_1"] == "ok"
        assert 0 <= frame.score["ntk_10_20_1"] <= 1


class TestResume:
    def test_nothing_is_computed_twice(self, whole, monkeypatch):
        before = sorted(path.name for path in whole.iterdir())
        monkeypatch.setattr(inference.Inference, "__call__", lambda *_: pytest.fail("computed again"))
        nngp.compute(config(whole), ARCHS)
        assert sorted(path.name for path in whole.iterdir()) == before

    def test_interrupted_and_sharded_runs_equal_one(self, whole, tmp_path):
        calls = []

        def interrupted(self, arch, call=inference.Inference.__call__):
            if calls:
                raise KeyboardInterrupt
            calls.append(arch)
            return call(self, arch)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(inference.Inference, "__call__", interrupted)
            with pytest.raises(KeyboardInterrupt):
                nngp.compute(config(tmp_path), ARCHS)
        assert len(stable(tmp_path).arch.unique()) == 1
        for index in range(2):
            nngp.compute(config(tmp_path, shard=f"{index}/2"), ARCHS)
        assert stable(tmp_path).equals(stable(whole))


class TestKeptKernels:
    @pytest.mark.parametrize("kernel", nngp.KERNELS)
    def test_are_used_again(self, kernel, tmp_path, monkeypatch):
        settings = {"kernel": kernel, "n_train": ("10",), "ensemble": ("1",), "kernels": str(tmp_path / "kept")}
        nngp.compute(config(tmp_path / "first", **settings), ARCHS[:1])
        assert len(list((tmp_path / "kept").iterdir())) == 1
        monkeypatch.setattr(algorithm, "member_weights", lambda *_: pytest.fail("computed again"))
        nngp.compute(config(tmp_path / "second", **settings), ARCHS[:1])
        assert stable(tmp_path / "second").equals(stable(tmp_path / "first"))

    def test_other_settings_are_other_files(self, tmp_path):
        base = config(tmp_path)
        blanks = inference.blank_records(base)
        digests = set()
        changes = (
            {},
            {"seed": 4},
            {"init": "lecun"},
            {"width": 5},
            {"bn_momentum": 0.0},
            {"bn_batch": 20},
            {"dtype": "float64"},
        )
        for change in changes:
            other = inference.Inference(dataclasses.replace(base, **change), blanks)
            digests |= {other.digest(ARCHS[0], 0), other.digest(ARCHS[0], 1)}
        assert len(digests) == 2 * len(changes)

    def test_torn_files_are_computed_again(self, tmp_path, capsys):
        settings = {"n_train": ("10",), "ensemble": ("1",), "kernels": str(tmp_path / "kept")}
        nngp.compute(config(tmp_path / "first", **settings), ARCHS[:1])
        (file,) = (tmp_path / "kept").iterdir()
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        nngp.compute(config(tmp_path / "second", **settings), ARCHS[:1])
        assert "cannot be read" in capsys.readouterr().err
        assert stable(tmp_path / "second").equals(stable(tmp_path / "first"))
        assert file.read_bytes() == content


class TestStatuses:
    def test_a_dead_network_is_no_rank(self, tmp_path):
        nngp.compute(config(tmp_path, ensemble=("1",)), [DEAD])
        frame = records.read(tmp_path)
        inferred = frame[frame.proxy.str.startswith("nngp")]
        assert set(inferred.status) == {"nan"}
        assert inferred.score.isna().all()
        assert inferred.message.str.startswith("singular: ").all()
        assert set(frame[frame.proxy == "params"].status) == {"ok"}

    @pytest.mark.parametrize(("error", "status"), [(MemoryError("all of it"), "oom"), (RuntimeError("dice"), "error")])
    def test_failures_are_statuses_and_can_be_retried(self, error, status, tmp_path, monkeypatch):
        settings = {"n_train": ("10",), "ensemble": ("1",)}
        with monkeypatch.context() as patch:
            patch.setattr(algorithm, "nngp_member", lambda *_, **__: (_ for _ in ()).throw(error))
            nngp.compute(config(tmp_path, **settings), ARCHS[:1])
        frame = records.read(tmp_path)
        assert set(frame.status) == {status}
        assert frame.message.str.contains(str(error)).all()
        nngp.compute(config(tmp_path, retry=True, **settings), ARCHS[:1])
        assert set(records.read(tmp_path).status) == {"ok"}


def test_the_summary_shows_every_size(whole, capsys):
    nngp.summarize(config(whole), ARCHS)
    out = capsys.readouterr().out
    assert "nngp_10_30_1" in out
    assert "nngp_20_30_2" in out
    assert "launch.correlate" in out
