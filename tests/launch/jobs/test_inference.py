"""Inference: records of all sizes from one pass, resume, kept members, statuses."""

import gc
import hashlib
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
from tfnas import data, memory, seeds
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
def digits_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    data.prepare_digits(folder)
    return folder


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

    @pytest.mark.parametrize("kernel", proxies.names("ensemble"))
    def test_scores_are_those_of_the_algorithm(self, kernel, tmp_path, digits_dir):
        """The same by hand: images, batches, weights and solve put together without the launcher.

        On digits, of which even a small network learns something, and all of whose accuracies are compared.
        """
        sizes = {"n_train": (30,), "n_val": (200,), "ensemble": (2,)} if kernel == "ntk" else {"n_val": (200,)}
        more = {"dataset": "digits", "data_dir": str(digits_dir), "kernel": kernel, "kernels": str(tmp_path / "kept")}
        more |= {"n_train": (20, 60), "bn_batch": 40} | sizes
        run(tmp_path / "out", ARCHS[:1], **more)
        n_train, arch = max(more["n_train"]), ARCHS[0]
        train = data.balanced_prefixes("digits", "train", n_train, 3, data_dir=digits_dir)
        val = data.balanced_prefixes("digits", "test", 200, 3, data_dir=digits_dir)
        graph = spaces.get("nasbench201").layer_graph(arch, width=4, depth=1, classes=10, input_shape=(8, 8, 1))
        members = []
        for member in range(2):
            seed = seeds.derive_seed(3, "batch normalisation", member)
            batch, _ = data.batch("digits", "train", 40, seed, data_dir=digits_dir)
            arrays = algorithm.member_weights(graph, "torch", seeds.derive_seed(3, "nasbench201", arch, member), batch)
            members.append(algorithm.MEMBERS[kernel](graph, arrays, algorithm.Data(*train, *val, 10), block_size=50))
            kept = Kept(settings(**more), arch, kernel, member, (n_train, 200), digest_of(more, member)).read(
                members[-1].train.shape[1]
            )
            for name in ("train", "val"):
                ours, expected = getattr(kept, name), getattr(members[-1], name)
                np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
        assert not np.allclose(members[0].val, members[1].val, rtol=0.01)
        if kernel == "nngp":
            z = [np.concatenate(parts, 1) for parts in ([m.train for m in members], [m.val for m in members])]
            kernels = z[0].astype(float) @ z[0].T, z[1].astype(float) @ z[0].T
        else:
            kernels = [sum(parts) for parts in ([m.train for m in members], [m.val for m in members])]
        sweep = ridge.from_kernels(*kernels, train[1], val[1], 10, ridge.REGULARIZERS)
        frame = records.read(tmp_path / "out").set_index("proxy")
        found = json.loads(frame.details[f"{kernel}_{n_train}_200_2"])["accuracies"]
        # Rounding moves the smallest regularisers' predictions: an image of 200 may fall either way.
        np.testing.assert_allclose(found, sweep.accuracies, atol=0.0051)
        assert frame.score[f"{kernel}_{n_train}_200_2"] == pytest.approx(sweep.accuracy, abs=0.0051)
        assert 0.3 < sweep.accuracy < 1
        assert len(set(found)) > 5
        assert frame.score.params == graph.count_params()
        assert frame.score.flops == graph.flops()

    def test_members_differ_in_their_weights_and_in_the_batch_that_moves_their_norms(self, monkeypatch, tmp_path):
        """What is handed to `member_weights`, member by member."""
        seen, original = [], algorithm.member_weights

        def note(graph, init, seed, batch, **options):
            seen.append((init, seed, batch.copy(), options["dtype"]))
            return original(graph, init, seed, batch, **options)

        monkeypatch.setattr(algorithm, "member_weights", note)
        run(tmp_path, ARCHS[:1], n_train=(10,), ensemble=(3,), init="lecun", dtype="float64")
        assert [(init, dtype) for init, _, _, dtype in seen] == [("lecun", "float64")] * 3
        assert [seed for _, seed, *_ in seen] == [seeds.derive_seed(3, "nasbench201", ARCHS[0], i) for i in range(3)]
        for index, (_, _, batch, _) in enumerate(seen):
            expected, _ = data.batch("synthetic", "train", 10, seeds.derive_seed(3, "batch normalisation", index))
            np.testing.assert_array_equal(batch, expected)
        assert len({batch.tobytes() for _, _, batch, _ in seen}) == 3

    def test_labels_are_those_drawn_everywhere(self, digits_dir):
        more = {"dataset": "digits", "data_dir": str(digits_dir), "labels": 3, "bn_batch": 15}
        worker = InferenceJob(settings(**more)).worker()
        labels = data.draw_labels("digits", 3, 3, ("train", "test"), data_dir=digits_dir)
        where = {"data_dir": digits_dir, "labels": labels}
        for part, size, images, found in (
            ("train", 20, worker.data.train, worker.data.train_labels),
            ("test", 30, worker.data.val, worker.data.val_labels),
        ):
            expected = data.balanced_prefixes("digits", part, size, 3, **where)
            np.testing.assert_array_equal(images, expected[0])
            np.testing.assert_array_equal(found, expected[1])
        assert worker.data.classes == worker.settings.network().classes == 3
        every, targets = data.load("digits", "train", data_dir=digits_dir)
        known = {image.tobytes(): label for image, label in zip(every, targets, strict=True)}
        for batch in worker.batches:
            assert {known[image.tobytes()] for image in batch} == set(labels)

    def test_sizes_do_not_depend_on_what_else_is_asked_for(self, whole, tmp_path):
        run(tmp_path, ARCHS[:1], n_train=(10,), ensemble=(2,), block_size=7)
        alone = stable(tmp_path)
        both = stable(whole)
        both = both[both.proxy.isin(alone.proxy) & (both.arch == ARCHS[0])].reset_index(drop=True)
        assert alone.equals(both)

    def test_regularizers_are_those_asked_for(self, whole, tmp_path):
        """In the order given; two of the usual ones have the accuracies that they have among all."""
        wanted = ridge.REGULARIZERS[-1], ridge.REGULARIZERS[8]
        run(tmp_path, ARCHS[:1], regularizers=wanted, ensemble=(1,))
        row = stable(tmp_path).set_index("proxy").loc["nngp_20_30_1"]
        every = json.loads(stable(whole).set_index(["arch", "proxy"]).details[ARCHS[0], "nngp_20_30_1"])["accuracies"]
        assert tuple(json.loads(row.options)["regularizers"]) == wanted
        assert json.loads(row.details)["accuracies"] == [every[-1], every[8]]
        assert json.loads(row.details)["regularizer"] == wanted[0 if every[-1] >= every[8] else 1]

    def test_the_momentum_moves_the_norms(self, tmp_path):
        """Without momentum the moving statistics are the batch's, so features are others."""
        found = {}
        for momentum in (0.0, 0.9, None):
            more = {**ONE, "bn_momentum": momentum, "kernels": str(tmp_path / f"kept {momentum}")}
            frame = run(tmp_path / f"{momentum}", ARCHS[:1], **more).set_index("proxy")
            assert json.loads(frame.options.nngp_10_30_1)["bn_momentum"] == (0.9 if momentum is None else momentum)
            found[momentum] = Kept(settings(**more), ARCHS[0], "nngp", 0, (10, 30), digest_of(more)).read(16).val
        np.testing.assert_array_equal(found[None], found[0.9])
        assert not np.allclose(found[0.0], found[0.9], rtol=0.1)


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
        changes += [{"dtype": "float64"}, {"dataset": "digits"}, {"train_split": "train[:50%]"}, {"val_split": "train"}]
        changes += [{"labels": 3}, {"depth": 2}, {"flavour": "zcnas"}, {"space": "nasbench101", "width": 16}]
        paths = {
            Kept(settings(kernels="k", **change), arch, kernel, index, sizes, "").path
            for change in changes
            for arch in ARCHS
            for kernel in proxies.names("ensemble")
            for index in (0, 1)
            for sizes in ((20, 30), (10, 30))
        }
        assert len(paths) == len(changes) * 16

    @pytest.mark.parametrize("part", ["train", "val", "batch"])
    def test_other_images_of_the_same_name_are_other_files(self, kept, part, tmp_path, monkeypatch):
        """One image of one part is another: another --data_dir, or a data set that was made anew."""
        more, file = kept

        def changed(images):
            images = np.array(images)
            images[-1] += 1
            return images

        def prefixes(name, split, *arguments, original=data.balanced_prefixes, **where):
            images, labels = original(name, split, *arguments, **where)
            return (changed(images) if part == {"train": "train", "test": "val"}[split] else images), labels

        def batch(*arguments, original=data.batch, **where):
            images, labels = original(*arguments, **where)
            return (changed(images) if part == "batch" else images), labels

        monkeypatch.setattr(data, "balanced_prefixes", prefixes)
        monkeypatch.setattr(data, "batch", batch)
        content = file.read_bytes()
        run(tmp_path / "second", ARCHS[:1], **more)
        (other,) = set(file.parent.iterdir()) - {file}
        assert file.read_bytes() == content
        assert other.read_bytes() != content

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


def digest_of(more, member=0):
    """Checksums as the names of kept members have them, of images that are in memory."""
    worker = InferenceJob(settings(**more)).worker()
    images = hashlib.sha256(worker.data.train.tobytes() + worker.data.val.tobytes()).hexdigest()
    return f"{images} {hashlib.sha256(worker.batches[member].tobytes()).hexdigest()}"


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

    def test_members_count_as_memory_taken_until_their_network_is_done(self, monkeypatch):
        """What is left for the solve is what the members, of the first beginning with it, leave."""
        budgets, original = [], algorithm.Ensemble

        def note(*arguments, memory_budget):
            budgets.append(memory_budget)
            return original(*arguments, memory_budget=memory_budget)

        monkeypatch.setattr(algorithm, "Ensemble", note)
        job = InferenceJob(settings(n_train=(10,)))
        (task,) = job.tasks(ARCHS[:1])
        gc.collect()
        limit = 1 << 30
        with memory.limit(limit):
            before = memory.left()
            job.worker().compute(task)
            gc.collect()
            assert memory.left() == before
        each = (10 + 30) * 16 * 4  # float32 features of width 16
        assert [before - budget for budget in budgets] == [each, 2 * each]

    def test_a_solve_that_does_not_fit_is_out_of_memory_and_the_run_goes_on(self, tmp_path, monkeypatch):
        original, left = algorithm.Ensemble, [1]

        def first_without(*arguments, memory_budget):
            return original(*arguments, memory_budget=left.pop() if left else memory_budget)

        monkeypatch.setattr(algorithm, "Ensemble", first_without)
        frame = run(tmp_path, **ONE).set_index(["arch", "proxy"])
        first, second = (frame.loc[(arch, "nngp_10_30_1")] for arch in ARCHS)
        assert (first["status"], second["status"]) == ("oom", "ok")
        assert "--memory_mb" in first["message"]

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
