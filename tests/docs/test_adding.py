"""What docs/adding.md shows is code: it is taken from there, run, and does what the page says."""

import numpy as np
import pandas as pd
import pytest

import proxies
import spaces
from launch import score
from launch.flags.execution import Execution
from launch.papers import registry
from launch.papers.facts import facts
from tests import engine_cases
from tests.conftest import ROOT
from tests.docs import documents
from tfnas import data, evidence
from tfnas.data import sources
from tfnas.networks.keras_reader import from_keras
from tfnas.runs import records
from tfnas.runs.executor import Serial

PAGE = ROOT / "docs" / "adding.md"


BLOCKS = documents.blocks(PAGE)


@pytest.fixture
def follow(session, monkeypatch):
    """Follows a section; entries go where the page says that they go. Gives the module that its code makes."""

    def read(title):
        for block in (block for block in BLOCKS if block.heading == title):
            session.do(block)
            for fact in session.data:
                monkeypatch.setitem(facts(), fact["id"], fact)
            for entry in getattr(session.module, "EXPERIMENTS", ()):
                monkeypatch.setitem(registry.EXPERIMENTS, entry.id, entry)
            if source := getattr(session.module, "ENTRY", None):
                monkeypatch.setitem(sources.SOURCES, source.name, source)
            if executor := getattr(session.module, "executor", None):
                monkeypatch.setattr(Execution, "executor", executor)
        return session.module

    return read


def test_every_section_is_followed():
    titles = ["A proxy", "A space", "An experiment", "A data set", "An executor"]
    assert list(dict.fromkeys(block.heading for block in BLOCKS)) == titles


def test_a_proxy(follow, tmp_path):
    module = follow("A proxy")
    found = proxies.score(module.model, module.images, module.labels, ["contrast"], dtype="float64")["contrast"]
    # Not `predict`, which rounds images to float32.
    logits = np.asarray(engine_cases.keras_model(*from_keras(module.model))(module.images, training=False))
    assert logits.dtype == np.float64
    assert found == pytest.approx(np.log(logits.var(axis=0).mean()), rel=1e-12)
    assert "contrast" in proxies.names()
    written = records.read(tmp_path / "output" / "contrast")
    assert set(written["proxy"]) == {"contrast", "synflow", "params", "flops"}
    assert (written["status"] == "ok").all()
    ranked = pd.read_csv(tmp_path / "output" / "contrast" / "evidence" / "correlations.csv")
    assert "contrast" in set(ranked["proxy"])


def test_a_space(follow, tmp_path):
    module = follow("A space")
    space = module.space
    every = list(space.enumerate())
    assert len(set(every)) == space.size
    assert all(space.parse(str(arch)) == arch for arch in every)
    assert {space.mutate(module.arch, np.random.default_rng(seed)) for seed in range(100)} == set(
        space.neighbors(module.arch)
    )
    kernels = module.arch.kernels
    sizes = [(3, 4), (4, 8), (8, 16)]
    convolutions = sum(k * k * a * b for k, (a, b) in zip(kernels, sizes, strict=True))
    assert module.model.count_params() == convolutions + 4 * (4 + 8 + 16) + 16 * 10 + 10
    assert spaces.get("chain") is space
    for folder, names in (("chain", {"gradsign", "synflow"}), ("chain_nngp", {"nngp_10_50_1"})):
        written = records.read(tmp_path / "output" / folder)
        assert set(written["proxy"]) == names | {"params", "flops"}
        assert (written["status"] == "ok").all()
        assert set(written["arch"]) <= set(map(str, every))


def test_an_experiment(follow, tmp_path, capsys):
    follow("An experiment")
    told = " ".join(capsys.readouterr().out.split())
    assert "doe_table1: Accuracy of the network that a score ranks first" in told
    folder = tmp_path / "output" / "doe_table1"
    rows = pd.read_csv(folder / "results.csv").set_index("method")
    assert rows["paper"].to_dict() == {"synflow": 95.0, "naswot": 94.1}
    scores = records.read(folder / "scores")
    truth = evidence.load_truth("nasbench201_digits")["accuracy"]
    for name in ("synflow", "naswot"):
        mine = scores[scores["proxy"] == name].set_index("arch")["score"]
        assert len(mine) == 6
        assert rows["ours"][name] == pytest.approx(truth[mine.idxmax()], abs=1e-3)
    assert (folder / "doe_table1.png").exists()


def test_a_data_set(follow, tmp_path):
    follow("A data set")
    images, labels = data.load("stripes", "train", data_dir=tmp_path / "data")
    assert images.shape == (256, 8, 8, 1)
    assert abs(images.mean()) < 0.05
    assert abs(images.std() - 1) < 0.05
    across = np.abs(np.diff(images, axis=2)).mean(axis=(1, 2, 3)) > np.abs(np.diff(images, axis=1)).mean(axis=(1, 2, 3))
    np.testing.assert_array_equal(across, labels == 1)
    assert (records.read(tmp_path / "output" / "stripes")["dataset"] == "stripes").all()
    trained = records.read(tmp_path / "output" / "stripes_train")
    assert set(trained["proxy"]) == {"test_accuracy", "train_accuracy"}


def test_an_executor(follow, tmp_path, monkeypatch):
    taken = []

    class Noting(Serial):
        def map(self, start, tasks):
            taken.append([getattr(task, "arch", task) for task in tasks])
            return super().map(start, tasks)

    with monkeypatch.context() as patch:
        patch.setattr("tfnas.runs.executor.Serial", Noting)
        module = follow("An executor")
    assert set(taken[0]) == set(records.read(tmp_path / "output" / "shuffled")["arch"])
    assert [task for task, _ in module.Shuffled(Given(), seed=1).map(None, range(20))] != list(range(20))
    assert sorted(task for task, _ in module.Shuffled(Given(), seed=1).map(None, range(20))) == list(range(20))

    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    arguments = ["--num_archs=4", "--width=4", "--depth=1", "--proxies=synflow", "--batch_size=8", "--output=plain"]
    assert score.main(arguments) == 0
    plain, shuffled = (records.read(tmp_path / folder, stable=True) for folder in ("plain", "output/shuffled"))
    pd.testing.assert_frame_equal(plain, shuffled)
    assert len(taken) == 1


class Given:
    """An executor that gives tasks back in the order in which it gets them."""

    def map(self, start, tasks):
        return iter([(task, None) for task in tasks])
