"""Inference: records of all sizes from one pass, resume, kept members, statuses."""

import io
import json

import numpy as np
import pytest

import proxies
import spaces
from launch.flags.execution import Execution
from launch.flags.inference import Inference
from launch.jobs import base, inference
from launch.jobs.inference import InferenceJob, Kept
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
    "n_train": (10, 20),
    "n_val": (30,),
    "ensemble": (1, 2),
    "bn_batch": 10,
    "block_size": 25,
    "seed": 3,
}
ONE = {"n_train": (10,), "ensemble": (1,)}


def settings(**more):
    return Inference(**SMALL | more)


def run(folder, archs=ARCHS, execution=None, **more):
    base.run(InferenceJob(settings(**more)), archs, Execution(output=str(folder), **execution or {}))
    return records.read(folder, stable=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return folder


def stable(folder):
    return records.read(folder, stable=True)


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
            members.append(algorithm.nngp_member(graph, arrays, algorithm.Data(*train, *val, 10), block_size=50))
        z = [np.concatenate(parts, 1) for parts in ([m.train for m in members], [m.val for m in members])]
        k_tt, k_vt = z[0].astype(float) @ z[0].T, z[1].astype(float) @ z[0].T
        expected = ridge.from_kernels(k_tt, k_vt, train[1], val[1], 10, ridge.REGULARIZERS)
        frame = records.read(whole).set_index(["arch", "proxy"])
        assert frame.score[arch, "nngp_20_30_2"] == pytest.approx(expected.accuracy, abs=1e-9)
        assert frame.score[arch, "params"] == graph.count_params()
        assert frame.score[arch, "flops"] == graph.flops()

    def test_sizes_do_not_depend_on_what_else_is_asked_for(self, whole, tmp_path):
        run(tmp_path, ARCHS[:1], n_train=(10,), ensemble=(2,), block_size=7)
        alone = stable(tmp_path)
        both = stable(whole)
        both = both[both.proxy.isin(alone.proxy) & (both.arch == ARCHS[0])].reset_index(drop=True)
        assert alone.equals(both)

    def test_regularizers_and_momentum_are_settings(self, whole, tmp_path):
        run(tmp_path, ARCHS[:1], regularizers=(0.1, 10.0), bn_momentum=0.0, ensemble=(1,))
        frame = stable(tmp_path)
        row = frame[frame.proxy == "nngp_20_30_1"].iloc[0]
        assert len(json.loads(row.details)["accuracies"]) == 2
        assert json.loads(row.options)["bn_momentum"] == 0.0
        assert not set(map(tuple, frame[["options"]].to_numpy())) & set(
            map(tuple, stable(whole)[["options"]].to_numpy())
        ) - {(frame[frame.proxy == "params"].options.iloc[0],)}

    def test_tangent_kernel(self, tmp_path):
        run(tmp_path, ARCHS[:1], kernel="ntk", n_train=(10,), n_val=(20,), ensemble=(1,))
        frame = records.read(tmp_path).set_index("proxy")
        assert frame.status["ntk_10_20_1"] == "ok"
        assert 0 <= frame.score["ntk_10_20_1"] <= 1


class TestResume:
    def test_nothing_is_computed_twice(self, whole, monkeypatch):
        before = sorted(path.name for path in whole.iterdir())
        monkeypatch.setattr(inference._Inferrer, "compute", lambda *_: pytest.fail("computed again"))
        run(whole)
        assert sorted(path.name for path in whole.iterdir()) == before

    def test_interrupted_and_sharded_runs_equal_one(self, whole, tmp_path):
        calls = []

        def interrupted(self, task, call=inference._Inferrer.compute):
            if calls:
                raise KeyboardInterrupt
            calls.append(task)
            return call(self, task)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(inference._Inferrer, "compute", interrupted)
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path)
        assert len(stable(tmp_path).arch.unique()) == 1
        for index in range(2):
            run(tmp_path, execution={"shard": f"{index}/2"})
        assert stable(tmp_path).equals(stable(whole))


class TestKeptMembers:
    @pytest.fixture
    def kept(self, tmp_path):
        """Settings with a folder for members, and the file of the one that a first run has kept there."""
        more = ONE | {"kernels": str(tmp_path / "kept")}
        run(tmp_path / "first", ARCHS[:1], **more)
        (file,) = (tmp_path / "kept").iterdir()
        return more, file

    @pytest.mark.parametrize("kernel", proxies.names("ensemble"))
    def test_are_used_again(self, kernel, tmp_path, monkeypatch, capsys):
        more = ONE | {"kernel": kernel, "kernels": str(tmp_path / "kept")}
        run(tmp_path / "first", ARCHS[:1], **more)
        assert len(list((tmp_path / "kept").iterdir())) == 1
        monkeypatch.setattr(algorithm, "member_weights", lambda *_: pytest.fail("computed again"))
        run(tmp_path / "second", ARCHS[:1], **more)
        assert stable(tmp_path / "second").equals(stable(tmp_path / "first"))
        assert "cannot" not in capsys.readouterr().err

    def test_other_settings_are_other_files(self):
        changes = [{}, {"seed": 4}, {"init": "lecun"}, {"width": 5}, {"bn_momentum": 0.0}, {"bn_batch": 20}]
        changes += [{"dtype": "float64"}, {"dataset": "digits"}, {"train_split": "train[:50%]"}]
        paths = {
            Kept(settings(kernels="k", **change), arch, kernel, index, sizes).path
            for change in changes
            for arch in ARCHS
            for kernel in proxies.names("ensemble")
            for index in (0, 1)
            for sizes in ((20, 30), (10, 30))
        }
        assert len(paths) == len(changes) * 16

    @pytest.mark.parametrize(
        "spoil",
        {
            "half": lambda content, arrays: content[: len(content) // 2],
            "a flipped bit": lambda content, arrays: content[:200] + bytes([content[200] ^ 1]) + content[201:],
            "empty": lambda content, arrays: b"",
            "a text": lambda content, arrays: b"hello",
            "one array": lambda content, arrays: saved(train=arrays["train"]),
            "fewer images": lambda content, arrays: saved(train=arrays["train"][:5], val=arrays["val"]),
            "fewer columns": lambda content, arrays: saved(train=arrays["train"][:, 1:], val=arrays["val"][:, 1:]),
            "three axes": lambda content, arrays: saved(train=arrays["train"][None], val=arrays["val"]),
            "no numbers": lambda content, arrays: saved(train=arrays["train"], val=arrays["val"].astype(str)),
            "objects": lambda content, arrays: saved(train=arrays["train"], val=arrays["val"].astype(object)),
            "not finite": lambda content, arrays: saved(train=arrays["train"], val=arrays["val"] * np.nan),
            "an array alone": lambda content, arrays: alone(arrays["train"]),
        }.items(),
        ids=lambda item: item[0],
    )
    def test_what_does_not_fit_is_named_and_computed_again(self, kept, tmp_path, capsys, spoil):
        more, file = kept
        content = file.read_bytes()
        with np.load(file) as arrays:
            file.write_bytes(spoil[1](content, dict(arrays)))
        run(tmp_path / "second", ARCHS[:1], **more)
        assert f"{file} cannot be used (" in capsys.readouterr().err
        assert stable(tmp_path / "second").equals(stable(tmp_path / "first"))
        assert file.read_bytes() == content

    def test_a_folder_that_cannot_be_written_costs_one_line(self, tmp_path, capsys):
        (tmp_path / "file").write_text("")
        frame = run(tmp_path / "out", **ONE, kernels=str(tmp_path / "file" / "kept"))
        assert set(frame.status) == {"ok"}
        assert frame.arch.nunique() == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if "kept" in line]
        assert len(lines) == 1
        assert lines[0].startswith(f"warning: --kernels={tmp_path / 'file' / 'kept'} cannot be written")


def saved(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def alone(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


class TestStatuses:
    def test_a_dead_network_is_no_rank(self, tmp_path):
        run(tmp_path, [DEAD], ensemble=(1,))
        frame = records.read(tmp_path)
        inferred = frame[frame.proxy.str.startswith("nngp")]
        assert set(inferred.status) == {"nan"}
        assert inferred.score.isna().all()
        assert inferred.message.str.startswith("singular: ").all()
        assert set(frame[frame.proxy == "params"].status) == {"ok"}

    @pytest.mark.parametrize(("error", "status"), [(MemoryError("all of it"), "oom"), (RuntimeError("dice"), "error")])
    def test_failures_are_statuses_and_can_be_retried(self, error, status, tmp_path, monkeypatch):
        def fail(*_, **__):
            raise error

        with monkeypatch.context() as patch:
            patch.setitem(algorithm.MEMBERS, "nngp", fail)
            frame = run(tmp_path, ARCHS[:1], **ONE)
        assert set(frame.status) == {status}
        assert frame.message.str.contains(str(error)).all()
        assert set(run(tmp_path, ARCHS[:1], {"retry": True}, **ONE).status) == {"ok"}
