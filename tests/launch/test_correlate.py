"""From scores and a table to the evidence, through the launcher."""

import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from launch import correlate
from tests.conftest import needed
from tests.tfnas.evidence.cases import long
from tfnas import evidence, tables
from tfnas.runs import records


@pytest.fixture
def case(tmp_path):
    """A folder of records of 30 networks under two initialisations, and a table of 40."""
    rng = np.random.default_rng(1)
    archs = [f"|net{i}|" for i in range(40)]
    accuracy = 60 + 30 * rng.random(40)
    frame = pd.DataFrame({"arch": archs, "accuracy": accuracy, "params": (1e4 * np.exp(accuracy / 30)).astype(int)})
    frame["flops"] = rng.permutation(frame["params"]) * 7
    table = tables.Table(frame, {"accuracy": "percent"}, "made for a test", "nasbench201")
    tables.write(table, tmp_path / "table.parquet")
    with records.Writer(tmp_path / "scores") as writer:
        for arch, value in zip([*archs[:30], "|unknown|"], [*accuracy[:30], 0.0], strict=True):
            for repeat in range(2):
                common = {"space": "nasbench201", "arch": arch, "dataset": "digits", "repeat": repeat}
                good = float(value + 10 * rng.normal())
                writer.add([records.Record(**common, proxy="good", score=good)])
                status = {"score": math.nan, "status": "nan"} if arch == "|net3|" else {"score": float(rng.normal())}
                writer.add([records.Record(**common, proxy="noise", **status)])
    return tmp_path


def launch(case, *flags, table="table.parquet", scores="scores"):
    return correlate.main(
        [f"--scores={case / scores}", f"--table={case / table}", f"--output={case / 'out'}", "--bootstrap=50", *flags]
    )


def test_end_to_end(case, capsys):
    (case / "scores" / "part-torn-00000.parquet").write_bytes(b"PAR1 torn")
    assert launch(case, "--thresholds=70,80", "--top_k=5") == 0
    out, err = capsys.readouterr()
    assert "part-torn" in err
    summary = pd.read_csv(case / "out" / "correlations.csv").set_index("proxy")
    assert set(summary.index) == {"good", "noise", "params", "flops"}
    assert summary["n"].to_dict() == {"good": 30, "noise": 29, "params": 30, "flops": 30}
    assert summary["kendall"].is_monotonic_decreasing
    assert summary.loc["good", "why"] == "1 not in the table"
    assert summary.loc["good", "repeats"] == 2
    frame = records.read(case / "scores").query("proxy == 'good'").groupby("arch")["score"].mean()
    truth = tables.read(case / "table.parquet").frame.set_index("arch")["accuracy"]
    both = pd.concat([frame, truth], axis=1, join="inner")
    assert summary.loc["good", "kendall"] == pytest.approx(stats.kendalltau(both.score, both.accuracy)[0], rel=1e-5)
    for column in ("kendall_lo", "spearman_hi", "pearson", "top10_spearman", "top50_common", "pqetp_70", "pqetp_80_lo",
                   "discovered", "discovered_hi", "discovered_mean", "regret"):  # fmt: skip
        assert column in summary
    for text in ("good", "noise", "params", "flops", "30 networks", "up to 2 repeats", "PQETP 70", "best of 5",
                 "1 nan", "1 not in the table"):  # fmt: skip
        assert text in " ".join(out.split()), text
    names = {file.name for file in (case / "out").iterdir()}
    assert names == {
        "correlations.csv", "scores.csv", "scatter.png", "bars.png", "pqetp.png", "config.json", "environment.json",
        *(f"{cut}.{kind}" for cut in ("bands", "size", "similarity", "seeds") for kind in ("csv", "png")),
    }  # fmt: skip
    assert json.loads((case / "out" / "config.json").read_text())["top_k"] == 5
    for name in ("scatter.png", "bars.png", "pqetp.png"):
        assert 1000 < (case / "out" / name).stat().st_size < 200_000


def test_same_seed_same_numbers(case):
    assert launch(case) == 0
    first = (case / "out" / "correlations.csv").read_bytes()
    assert launch(case) == 0
    assert (case / "out" / "correlations.csv").read_bytes() == first
    assert launch(case, "--seed=1") == 0
    assert (case / "out" / "correlations.csv").read_bytes() != first


def test_default_thresholds_are_the_top_shares(case):
    assert launch(case) == 0
    columns = pd.read_csv(case / "out" / "correlations.csv").columns
    cuts = sorted(float(name.removeprefix("pqetp_")) for name in columns if name.count("_") == 1 and "pqetp" in name)
    truth = tables.read(case / "table.parquet").frame["accuracy"][:30]
    assert len(cuts) == 4
    # The cuts lie at 14.5, 23.2, 27.55 and 28.71 of 29 steps between 30 values in order: so many lie above.
    assert [(truth > cut).sum() for cut in cuts] == [15, 6, 2, 1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--thresholds=high"], "--thresholds takes numbers"),
        (["--top_k=0"], "at least 1"),
        (["--bootstrap=-1"], "--bootstrap must be at least 0"),
        (["--where=dataset"], "--where takes column=value"),
        (["--where=dataset=mnist"], "dataset=mnist"),
        (["--target=acuracy"], "'acuracy'"),
        (["--arch_column=network"], "No column 'network'"),
        (["--proxies=goood"], "'goood'"),
        (["--size_column=weight"], "'weight'"),
        (["--table=/nowhere/table.parquet"], "No such table: /nowhere/table.parquet"),
        (["--scores=/nowhere/scores"], "No such scores: /nowhere/scores"),
        (["--cuts=size,bonds"], "'bonds'"),
        (["--run_column=arch"], "'arch'"),
    ],
)
def test_bad_input_is_one_line(case, capsys, flags, message):
    assert launch(case, *flags) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.count("\n") == 1
    assert not out


def test_damaged_table_foreign_architectures_and_empty_folder(case, capsys):
    (case / "empty").mkdir()
    assert launch(case, scores="empty") == 2
    assert "No records" in capsys.readouterr().err
    pd.DataFrame({"arch": ["other"], "accuracy": [1.0]}).to_csv(case / "other.csv", index=False)
    assert launch(case, table="other.csv") == 2
    assert "'other'" in capsys.readouterr().err
    path = case / "table.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert launch(case) == 2
    assert str(path) in capsys.readouterr().err


def test_help_needs_no_tensorflow():
    code = (
        "import sys; from launch import correlate; code = correlate.main(['--help']); "
        "loaded = {'tensorflow', 'keras', 'pandas', 'matplotlib'} & set(sys.modules); print(loaded, file=sys.stderr); "
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.strip() == "set()"
    for flag in ("--scores", "--table", "--target", "--arch_column", "--thresholds", "--top_k", "--bootstrap", "--seed",
                 "--size_column", "--output"):  # fmt: skip
        assert flag in done.stdout


# Published scores and accuracies -------------------------------------------------------------------------------------


@pytest.fixture
def published(shared):
    return needed(shared / "data" / "tables" / "nb201_nbsuitezero_proxies.parquet").parent


def test_golden_published_scores(published, tmp_path):
    code = correlate.main(
        [
            f"--scores={published / 'nb201_nbsuitezero_proxies.parquet'}",
            "--where=dataset=cifar10",
            f"--table={published / 'nb201_accuracy.parquet'}",
            "--target=cifar10_test_200",
            "--size_column=params_cifar10,flops_m_cifar10",
            "--bootstrap=4",
            f"--output={tmp_path}",
        ]
    )
    assert code == 0
    summary = pd.read_csv(tmp_path / "correlations.csv").set_index("proxy")
    expected = {
        "nwot": 0.811, "jacov": 0.799, "synflow": 0.778, "snip": 0.603, "grad_norm": 0.600, "fisher": 0.552,
        "grasp": 0.537,
    }  # fmt: skip
    for proxy, value in expected.items():
        assert summary.loc[proxy, "spearman"] == pytest.approx(value, abs=6e-4), proxy
    assert {"params_cifar10", "flops_m_cifar10"} <= set(summary.index)
    assert (tmp_path / "scatter.png").stat().st_size < 200_000


@pytest.mark.parametrize(("dataset", "value"), [("cifar10", 0.753), ("cifar100", 0.728), ("in16", 0.691)])
def test_golden_parameters_alone(published, dataset, value):
    table = evidence.load_truth(published / "nb201_accuracy.parquet", target=f"{dataset}_test_200")
    scores = long([(arch, "index", 0.0) for arch in table.index])
    scores = evidence.with_baselines(scores, table, [f"params_{dataset}"]).query("proxy != 'index'")
    summary = evidence.correlate(scores, table[f"{dataset}_test_200"], resamples=0)
    assert summary["n"].tolist() == [15_625]
    assert summary["spearman"][0] == pytest.approx(value, abs=6e-4)
