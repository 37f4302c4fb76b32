"""Memory limits and too few images, seen from the launchers."""

import pandas as pd
import pytest

from launch import nngp, score, train
from launch.jobs import summary
from tfnas.runs import records

TINY = ["--num_archs=3", "--width=2", "--depth=1"]


@pytest.mark.parametrize("launcher", [score, nngp, train])
def test_endless_depth_is_refused(launcher, tmp_path, capsys):
    assert launcher.main(["--num_archs=1", "--depth=100000", f"--output={tmp_path / 'out'}"]) == 2
    assert "Received: depth=100000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("launcher", "flags"),
    [
        (score, ["--proxies=fnorm,gradsign"]),
        (nngp, ["--n_train=20", "--n_val=20"]),
        (train, ["--epochs=1", "--crop=0"]),
    ],
)
def test_what_does_not_fit_becomes_a_status(launcher, flags, tmp_path, capsys):
    launcher.main([*TINY, "--width=256", *flags, "--memory_mb=1", f"--output={tmp_path}"])
    frame = records.read(tmp_path)
    frame = frame[~frame.proxy.isin(("params", "flops"))]
    assert len(frame)
    assert set(frame.status) == {"oom"}
    assert frame.message.str.contains("--memory_mb").all()
    assert "MB needed" in capsys.readouterr().out


def test_a_block_may_be_larger_than_the_data(tmp_path):
    scores = []
    for block in (50, 10_000_000):
        folder = tmp_path / str(block)
        assert nngp.main([*TINY, "--n_train=20", "--n_val=20", f"--block_size={block}", f"--output={folder}"]) == 0
        scores.append(records.read(folder).sort_values(["arch", "proxy"]).score.tolist())
    assert scores[0] == scores[1]


def test_too_few_images_are_told_once(tmp_path, capsys):
    flags = [*TINY, "--proxies=jacob_cov,ncn,naswot", f"--output={tmp_path}"]
    score.main([*flags, "--batch_size=1"])
    told = capsys.readouterr()
    assert [line.split(" cannot")[0] for line in told.err.splitlines() if "cannot tell" in line] == [
        "warning: jacob_cov, ncn"
    ]
    assert "  jacob_cov, ncn: the same score for all networks" in told.out
    score.main([*flags, "--batch_size=8"])
    told = capsys.readouterr()
    assert "cannot tell" not in told.err
    assert "the same score" not in told.out


@pytest.mark.parametrize(
    ("scores", "statuses", "expected"),
    [
        ([1, 1, 1], ["ok"] * 3, ["a"]),
        ([1, 1, 2], ["ok"] * 3, []),
        ([1, 1], ["ok"] * 2, []),
        ([1, 1, 1], ["ok", "ok", "nan"], []),
    ],
)
def test_indifferent_scores(scores, statuses, expected):
    archs = list("xyz")[: len(scores)]
    assert (
        summary.indifferent(pd.DataFrame({"arch": archs, "proxy": "a", "score": scores, "status": statuses}))
        == expected
    )
