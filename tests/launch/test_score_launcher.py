"""launch.score from the command line: every proxy, the same bits in every process, with any number of workers."""

import os
import subprocess
import sys

import pandas as pd
import pytest

import proxies
import spaces
from launch import score
from launch.flags.architectures import sample_architectures
from tests.conftest import ROOT
from tfnas.runs import records

SPACE = spaces.get("nasbench201")
NONE = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SMALL = ["--dataset=synthetic", "--width=2", "--depth=1", "--batch_size=4", "--noise_repeats=2"]
ARCHS = sample_architectures(SPACE, 2, seed=7)


@pytest.fixture(scope="module")
def archs(tmp_path_factory):
    path = tmp_path_factory.mktemp("archs") / "archs.txt"
    path.write_text("\n".join([*ARCHS, NONE]))
    return path


@pytest.fixture(scope="module")
def everything(tmp_path_factory, archs):
    """Every proxy of two networks and of the one that passes nothing on, in one run through main."""
    folder = tmp_path_factory.mktemp("scores")
    assert score.main([*SMALL, f"--archs={archs}", f"--output={folder}"]) == 0
    return records.read(folder)


def stable(frame):
    return frame.drop(columns=[column for column in records.HOST if column in frame])


def same(left, right):
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    return True


def elsewhere(*flags, **environment):
    """The launcher in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "launch.score", *SMALL, *flags],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_every_proxy_has_a_record_with_a_status(everything):
    assert set(everything.proxy) == set(proxies.names())
    assert len(everything) == 3 * len(proxies.names())
    assert set(everything[everything.arch != NONE].status) == {"ok"}
    assert (everything.seconds >= 0).all()
    assert everything.device.str.len().min() > 3
    assert everything.tensorflow_version.str.len().min() > 3


def test_a_network_that_passes_nothing_on_has_statuses_not_failures(everything):
    cut = everything[everything.arch == NONE].set_index("proxy")
    assert set(cut.status) <= {"ok", "nan"}
    assert (cut.score.isna() == (cut.status == "nan")).all()
    assert (cut.message.str.len() > 0).equals(cut.status == "nan")


def test_scores_do_not_depend_on_order_shard_or_company(everything, archs, tmp_path):
    names = proxies.names()
    (tmp_path / "backwards.txt").write_text("\n".join([NONE, *ARCHS[::-1]]))
    common = [*SMALL, f"--output={tmp_path / 'out'}"]
    for shard in ("1/2", "0/2"):
        for few in (names[::4], names[1::2][::-1]):
            flags = [f"--archs={tmp_path / 'backwards.txt'}", f"--shard={shard}", f"--proxies={','.join(few)}"]
            assert score.main([*common, *flags]) == 0
    assert score.main([*common, f"--archs={archs}"]) == 0
    assert same(records.read(tmp_path / "out", stable=True), stable(everything))


def test_another_process_gives_the_same_bits(everything, archs, tmp_path):
    """Sets of strings come in another order in every process: nothing may be summed in theirs."""
    # This process has another one, or draws its own.
    done = elsewhere(f"--archs={archs}", f"--output={tmp_path}", PYTHONHASHSEED="20240229")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].startswith("networks: 3/3")
    assert f"{len(everything)} records" in done.stdout
    assert same(records.read(tmp_path, stable=True), stable(everything))


def test_any_number_of_workers_gives_the_same_bits_on_as_many_threads(archs, tmp_path):
    frames = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        how = [f"--workers={workers}", "--threads=1", "--proxies=gradsign,zico,lga,grasp,naswot,synflow,zen"]
        done = elsewhere(f"--archs={archs}", f"--output={out}", *how)
        assert done.returncode == 0, done.stderr
        assert done.stderr.splitlines()[-1].startswith("networks: 3/3")
        assert done.stdout.count(" records (") == 1
        frames.append(records.read(out, stable=True))
    assert same(*frames)


def test_proxies_of_ensembles_take_their_sizes_from_flags(archs, tmp_path, capsys):
    flags = [f"--archs={archs}", f"--output={tmp_path}", "--dataset=digits", "--proxies=nngp,snip"]
    flags += ["--n_train=10,20", "--n_val=30", "--num_archs=1"]
    assert score.main([*SMALL, *flags]) == 0
    assert set(records.read(tmp_path).proxy) == {"nngp_10_30_1", "nngp_20_30_1", "snip", "params", "flops"}
    capsys.readouterr()
    assert score.main([*SMALL, *flags]) == 0
    assert capsys.readouterr().out.count("1 of 1 networks are done") == 2


def test_the_next_step_names_the_table_that_gave_the_architectures(tmp_path, capsys):
    flags = ["--archs=nasbench201_digits", "--num_archs=1", f"--output={tmp_path}", "--proxies=params"]
    assert score.main([*SMALL, *flags]) == 0
    assert "--table=nasbench201_digits" in capsys.readouterr().out.splitlines()[-1]


def test_where_everything_fails_the_exit_code_says_so_though_sizes_do_not(archs, tmp_path, monkeypatch, capsys):
    def fail(passes):
        raise RuntimeError("broken")

    broken = {name: proxies.base.dataclasses.replace(proxies.get(name), compute=fail) for name in ("snip", "zen")}
    monkeypatch.setattr(proxies.base, "_REGISTRY", proxies.base._REGISTRY | broken)
    flags = [*SMALL, f"--archs={archs}", f"--output={tmp_path}"]
    assert score.main([*flags, "--proxies=snip"]) == 1
    assert "--retry" in capsys.readouterr().out
    assert score.main([*flags, "--proxies=snip,plain"]) == 0
    assert set(records.read(tmp_path).query("proxy == 'snip'").status) == {"error"}
    monkeypatch.undo()
    assert score.main([*flags, "--proxies=snip", "--retry"]) == 0
    assert set(records.read(tmp_path).status) == {"ok"}
