"""launch.score: the same records whatever the order, the shard, the interruptions."""

import collections
import dataclasses
import errno
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
import types

import numpy as np
import pandas as pd
import pytest

import proxies
import spaces
from launch import app, architectures, score, scorer
from tests.conftest import ROOT
from tfnas import environment
from tfnas.errors import InputError
from tfnas.runs import records

SPACE = spaces.get("nasbench201")
NONE = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SMALL = {"space": "nasbench201", "dataset": "synthetic", "width": 2, "depth": 1, "batch_size": 4}


def fake_evaluate(graph, weights, images, labels, names, options, **more):
    """Numbers that depend on weights, batch, proxy and noise seed, as real scores do."""
    total = sum(float(np.abs(array).sum(dtype=np.float64)) for array in weights.values())
    total += float(images.sum(dtype=np.float64)) + options.seed / 2**63
    return {
        name: proxies.Outcome(total * (1 + len(name)), "ok", "", 0.001, proxies.get(name).mode(options))
        for name in names
    }


@pytest.fixture
def no_tensorflow(monkeypatch):
    monkeypatch.setattr(environment, "device", lambda: "test")


def config(output, **settings):
    return score.Config(**({"output": str(output), "proxies": ("gradsign", "fnorm", "zen")} | SMALL | settings))


def run(output, archs, evaluate=fake_evaluate, **settings):
    score.score(config(output, **settings), archs, evaluate)
    return records.read(output, stable=True)


def same(left, right):
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    return True


ARCHS = architectures.sample_architectures(SPACE, 12, seed=7)


# Which architectures -------------------------------------------------------------------------------------------------


def test_sampled_architectures_are_distinct_and_grow_from_the_front():
    assert len(set(ARCHS)) == 12
    assert architectures.sample_architectures(SPACE, 30, seed=7)[:12] == ARCHS
    assert architectures.sample_architectures(SPACE, 12, seed=8) != ARCHS
    assert {str(SPACE.parse(arch)) for arch in ARCHS} == set(ARCHS)


def test_every_operation_is_drawn_equally_often():
    drawn = architectures.sample_architectures(SPACE, 2000, seed=0)
    counts = collections.Counter(part.split("~")[0] for arch in drawn for part in arch.replace("+", "|").split("|"))
    shares = np.array([count for op, count in counts.items() if op]) / (2000 * 6)
    assert len(shares) == 5
    # Five standard deviations of a binomial share of 1/5 among 12,000.
    assert np.abs(shares - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / 12000)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_shards_share_out_every_architecture_once(count):
    every = architectures.sample_architectures(SPACE, 1000, seed=0)
    parts = [[arch for arch in every if architectures.in_shard(arch, i, count)] for i in range(count)]
    assert sorted(itertools.chain.from_iterable(parts)) == sorted(every)
    assert min(map(len, parts)) > 1000 / count * 0.8


def test_a_file_of_architectures(tmp_path):
    path = tmp_path / "archs.txt"
    path.write_text(f"# the best\n{ARCHS[0]}\n\n  {ARCHS[1]}  # second\n{ARCHS[0]}\n")
    assert architectures.choose(config(tmp_path, archs=str(path))) == ARCHS[:2]
    both = config(tmp_path, archs=str(path), num_archs=1)
    assert set(architectures.choose(both)) < set(ARCHS[:2])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_of_architectures(tmp_path, suffix):
    path = tmp_path / f"table.{suffix}"
    frame = pd.DataFrame({"arch": ARCHS[:3], "accuracy": [1.0, 2.0, 3.0]})
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    assert architectures.choose(config(tmp_path, archs=str(path))) == ARCHS[:3]


def test_all_architectures(tmp_path):
    assert len(architectures.choose(config(tmp_path, all=True))) == SPACE.size


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"{ARCHS[0]}\n|oops~0|\n", "line 2"),
        ("# nothing\n\n", "has no architectures"),
        (b"\xff\xfe\x00", "not a text file"),
        (f"{ARCHS[0].replace('~0', '~1')}\n", "line 1"),
    ],
)
def test_a_bad_file_of_architectures_is_named_with_its_line(tmp_path, capsys, content, expected):
    path = tmp_path / "archs.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert score.main([f"--output={tmp_path / 'out'}", f"--archs={path}"]) == app.USAGE_ERROR
    error = capsys.readouterr().err
    assert str(path) in error
    assert expected in error
    assert not (tmp_path / "out").exists()


# The same records ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_tensorflow")
def test_order_shards_resume_and_added_proxies_do_not_change_a_score(tmp_path):
    whole = run(tmp_path / "whole", ARCHS, repeats=2)
    assert len(whole) == 12 * 2 * 5  # three proxies, params and flops
    assert same(run(tmp_path / "backwards", ARCHS[::-1], repeats=2), whole)

    for shard in ("1/3", "0/3", "2/3"):
        shards = run(tmp_path / "shards", ARCHS, repeats=2, shard=shard)
    assert same(shards, whole)

    run(tmp_path / "grown", ARCHS[5:], repeats=1, proxies=("zen",))
    run(tmp_path / "grown", ARCHS[:7], repeats=2, proxies=("gradsign",))
    assert same(run(tmp_path / "grown", ARCHS, repeats=2), whole)


@pytest.mark.usefixtures("no_tensorflow")
def test_repeats_seeds_and_architectures_have_weights_of_their_own(tmp_path):
    frames = [run(tmp_path / str(seed), ARCHS[:3], repeats=2, seed=seed) for seed in (0, 1)]
    scores = pd.concat(frames).query("proxy == 'gradsign'").score
    assert scores.nunique() == len(scores) == 12


@pytest.mark.usefixtures("no_tensorflow")
def test_only_what_is_missing_is_scored(tmp_path):
    calls = []

    def counting(graph, weights, images, labels, names, options, **more):
        calls.append(list(names))
        return fake_evaluate(graph, weights, images, labels, names, options)

    run(tmp_path, ARCHS[:2], counting, proxies=("gradsign",))
    assert [sorted(names) for names in calls] == [["flops", "gradsign", "params"]] * 2
    calls.clear()
    run(tmp_path, ARCHS[:3], counting, proxies=("gradsign", "snip"))
    assert sorted(map(sorted, calls)) == [["flops", "gradsign", "params", "snip"], ["snip"], ["snip"]]
    calls.clear()
    run(tmp_path, ARCHS[:3], counting, proxies=("gradsign", "snip"))
    assert calls == []


@pytest.mark.usefixtures("no_tensorflow")
@pytest.mark.parametrize(
    ("setting", "value", "changed"),
    [
        ("ntk_batch_size", 2, {"fnorm"}),
        ("kernel", "trace", {"fnorm"}),
        ("params", "all", {"fnorm"}),
        ("prescribed_init", False, {"zen"}),
        ("noise_repeats", 3, {"zen"}),
        ("bn", "inference", {"fnorm", "gradsign"}),
        ("init", "xavier", {"fnorm", "zen", "gradsign", "params", "flops"}),
        ("batch_size", 8, {"fnorm", "zen", "gradsign", "params", "flops"}),
        ("width", 4, {"fnorm", "zen", "gradsign", "params", "flops"}),
        ("flavour", "zcnas", {"fnorm", "zen", "gradsign", "params", "flops"}),
    ],
)
def test_another_setting_lies_beside_the_first(tmp_path, setting, value, changed):
    run(tmp_path, ARCHS[:1])
    frame = run(tmp_path, ARCHS[:1], **{setting: value})
    assert set(frame.proxy[frame.proxy.duplicated()]) == changed
    asked = score.results(config(tmp_path, **{setting: value}), ARCHS[:1])
    assert len(asked) == 5


@pytest.mark.usefixtures("no_tensorflow")
def test_records_hold_the_settings_as_used(tmp_path):
    frame = run(tmp_path, ARCHS[:1], width=None, depth=None, ntk_batch_size=2).set_index("proxy")
    assert (frame.width == 16).all()
    assert (frame.depth == 5).all()
    assert (frame.flavour == "tiny").all()
    assert frame.batch_size.to_dict() == {"gradsign": 4, "fnorm": 2, "zen": 4, "params": 4, "flops": 4}
    assert frame.bn.to_dict() == {"gradsign": "example", "fnorm": "batch", "zen": "batch", "params": "", "flops": ""}
    assert frame.options["fnorm"].startswith('{"classes":10,"input_shape":[32,32,3],"kernel":"sum_logits"')


# When things go wrong ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_tensorflow")
@pytest.mark.parametrize(("error", "status"), [(RuntimeError("broken\nlayer"), "error"), (MemoryError(), "oom")])
def test_one_bad_network_does_not_end_the_run_and_can_be_retried(tmp_path, error, status):
    def failing(graph, weights, images, labels, names, options, **more):
        if not calls.popleft():
            raise error
        return fake_evaluate(graph, weights, images, labels, names, options)

    calls = collections.deque([True, False, True])
    frame = run(tmp_path / "a", ARCHS[:3], failing)
    bad = frame[frame.arch == ARCHS[1]]
    assert set(bad.status) == {status}
    assert bad.score.isna().all()
    assert all(type(error).__name__ in text and "\n" not in text for text in bad.message)
    assert set(frame[frame.arch != ARCHS[1]].status) == {"ok"}

    calls = collections.deque()
    assert same(run(tmp_path / "a", ARCHS[:3], failing), frame)
    calls = collections.deque([True])
    assert same(run(tmp_path / "a", ARCHS[:3], failing, retry=True), run(tmp_path / "b", ARCHS[:3]))


@pytest.mark.usefixtures("no_tensorflow")
def test_bad_input_found_late_ends_the_run(tmp_path):
    def refusing(*args, **more):
        raise InputError("labels do not fit")

    with pytest.raises(InputError):
        run(tmp_path, ARCHS[:2], refusing)


@pytest.mark.usefixtures("no_tensorflow")
def test_a_disk_that_fills_up_keeps_what_is_there_and_the_run_goes_on_later(tmp_path, monkeypatch, capsys):
    whole = run(tmp_path / "whole", ARCHS[:4])
    real, written = records.files.write_atomic, []

    def filling(path, data):
        if path.name.startswith("part"):
            written.append(path)
            if len(written) > 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, data)

    one_by_one = types.SimpleNamespace(**vars(records))
    one_by_one.Writer = lambda folder, shard: records.Writer(folder, shard, every=1)
    monkeypatch.setattr(score, "records", one_by_one)
    monkeypatch.setattr(proxies, "evaluate", fake_evaluate)
    flags = [f"--{name}={value}" for name, value in SMALL.items()]
    flags += ["--proxies=gradsign,fnorm,zen", f"--output={tmp_path / 'out'}", f"--archs={tmp_path / 'archs.txt'}"]
    (tmp_path / "archs.txt").write_text("\n".join(ARCHS[:4]))
    with monkeypatch.context() as patch:
        patch.setattr(records.files, "write_atomic", filling)
        assert score.main(flags) == app.USAGE_ERROR
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {os.strerror(errno.ENOSPC)}"
    assert records.read(tmp_path / "out").arch.nunique() == 2
    assert score.main(flags) == 0
    assert same(records.read(tmp_path / "out", stable=True), whole)
    assert "2 of 4 networks are done" in capsys.readouterr().out


KILLED = """
import sys, time
from launch import score
from tests import test_score_launcher as test
from tfnas import environment, records

def slow(*args, **more):
    time.sleep(0.03)
    return test.fake_evaluate(*args, **more)

environment.device = lambda: "test"
real = records.Writer
records.Writer = lambda folder, shard: real(folder, shard, every=1)
score.score(test.config(sys.argv[1]), test.ARCHS, slow)
"""


@pytest.mark.usefixtures("no_tensorflow")
def test_kill_9_in_the_middle_and_again_equals_an_undisturbed_run(tmp_path):
    folder = tmp_path / "killed"
    script = [sys.executable, "-c", textwrap.dedent(KILLED), str(folder)]
    process = subprocess.Popen(script, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(list(folder.glob("part-*.parquet"))) < 3:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert 0 < len(records.read(folder)) < 12 * 5
    assert same(run(folder, ARCHS), run(tmp_path / "whole", ARCHS))


# The real thing ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Every proxy of two networks and of the one that passes nothing on, in one run through main."""
    folder = tmp_path_factory.mktemp("scores")
    (folder / "archs.txt").write_text("\n".join([*ARCHS[:2], NONE]))
    flags = [f"--{name}={value}" for name, value in SMALL.items()]
    assert score.main([*flags, f"--archs={folder / 'archs.txt'}", f"--output={folder / 'out'}"]) == 0
    return records.read(folder / "out")


def test_every_proxy_has_a_record_with_a_status(everything):
    assert set(everything.proxy) == set(proxies.names())
    assert len(everything) == 3 * len(proxies.names())
    usable = everything[everything.arch != NONE]
    assert set(usable.status) == {"ok"}
    assert (everything.seconds >= 0).all()
    assert everything.device.str.len().min() > 3
    assert everything.tensorflow_version.str.len().min() > 3


def test_a_network_that_passes_nothing_on_has_statuses_not_failures(everything):
    cut = everything[everything.arch == NONE].set_index("proxy")
    assert set(cut.status) <= {"ok", "nan"}
    assert (cut.score.isna() == (cut.status == "nan")).all()
    assert (cut.message.str.len() > 0).equals(cut.status == "nan")


def test_real_scores_do_not_depend_on_order_shard_or_company(everything, tmp_path):
    names = tuple(proxies.names())
    for shard in ("1/2", "0/2"):
        for few in (names[::4], names[1::2][::-1]):
            run(tmp_path, [NONE, *ARCHS[:2][::-1]], None, proxies=few, shard=shard)
    again = run(tmp_path, [*ARCHS[:2], NONE], None, proxies=("all",))
    assert same(again, everything.drop(columns=list(records.HOST)))


def test_another_process_gives_the_same_bits(everything, tmp_path):
    """Sets of strings come in another order in every process: nothing may be summed in theirs."""
    (tmp_path / "archs.txt").write_text("\n".join([*ARCHS[:2], NONE]))
    flags = [f"--{name}={value}" for name, value in SMALL.items()]
    flags += [f"--archs={tmp_path / 'archs.txt'}", f"--output={tmp_path / 'out'}"]
    done = subprocess.run(
        [sys.executable, "-m", "launch.score", *flags],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "20240229"},  # this process has another one, or draws its own
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].startswith("networks: 3/3")
    assert f"{len(everything)} records" in done.stdout
    assert same(records.read(tmp_path / "out", stable=True), everything.drop(columns=list(records.HOST)))


@pytest.mark.parametrize("name", spaces.names())
def test_proxies_that_are_published_on_a_thin_network_score_every_space(name, tmp_path):
    space = spaces.get(name)
    archs = [str(arch) for arch in space.sample_distinct(np.random.default_rng(0), 3)]
    settings = {"space": name, "width": None, "proxies": ("linear_regions",)}
    assert set(run(tmp_path, archs, None, **settings)["status"]) == {"ok"}


def test_every_option_that_changes_a_proxy_is_in_its_records():
    """For each setting the proxies whose score moves with it are those that record it, or fewer."""
    other = {"kernel": "trace", "params": "all", "prescribed_init": False, "noise_repeats": 1}
    other["synflow_kept_bn"] = ("reduction",)
    assert set(other) == set(scorer.CHANGES)
    base = score.Config(output="", flavour="zcnas", **SMALL)
    network = base.network()

    def scores(settings):
        changed = dataclasses.replace(base, **settings)
        one = scorer.Scorer(changed, network, scorer.blank_records(changed, network), None)
        return {record.proxy: record.score for record in one(ARCHS[0], 0, changed.names())}

    before = scores({})
    for setting, value in other.items():
        after = scores({setting: value})
        moved = {name for name in before if before[name] != after[name]}
        assert moved, f"{setting} changes nothing"
        assert moved <= set(scorer.CHANGES[setting]), setting
