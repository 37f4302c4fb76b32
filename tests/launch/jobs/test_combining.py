"""launch.correlate --fit_combination and --combination."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from launch import correlate


@pytest.fixture
def case(tmp_path):
    """Two sets of networks whose accuracy is made of two scores: one to fit on, one to test on."""
    for seed, name in enumerate(("first", "second")):
        rng = np.random.default_rng(seed)
        archs = [f"{name}{i}" for i in range(80)]
        x, y = rng.uniform(size=(2, 80))
        pd.DataFrame({"arch": archs, "x": x, "y": np.exp(9 * y), "noise": rng.normal(size=80)}).to_csv(
            tmp_path / f"{name}_scores.csv", index=False
        )
        table = pd.DataFrame({"arch": archs, "accuracy": 50 + 20 * x + 20 * y, "params": rng.permutation(80) + 1})
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def launch(case, name, *flags):
    files = [f"--scores={case / name}_scores.csv", f"--table={case / name}.csv", f"--output={case / 'out'}"]
    return correlate.main([*files, "--bootstrap=30", "--cuts=bands", *flags])


def test_it_is_fitted_on_one_set_and_tested_on_another(case, capsys):
    file = case / "c.json"
    assert launch(case, "first", f"--fit_combination={file}") == 0
    out = capsys.readouterr().out
    content = json.loads(file.read_text())
    assert set(content["weights"]) >= {"x", "y"}
    assert f"{content['weights']['x']:.3f} x" in out
    assert "on folds left out: " in out
    assert content["fitted_on"] | {"digest": ""} == {
        "networks": 80, "target": "accuracy", "table": "first.csv", "space": "", "dataset": "", "seed": 0, "digest": "",
    }  # fmt: skip
    summary = pd.read_csv(case / "out" / "correlations.csv")
    assert "combination" not in set(summary["proxy"]), "what is fitted is not tested on the same networks"

    assert launch(case, "second", f"--combination={file}") == 0
    out = capsys.readouterr().out
    assert "lead of the combination" in out
    assert f"{content['best']} (best single where fitted)" in out
    assert "warning" not in out
    scores, table = (pd.read_csv(case / f"second{end}.csv").set_index("arch") for end in ("_scores", ""))
    expected = sum(weight * scores.get(name, table.get(name)).rank() for name, weight in content["weights"].items())
    rho = stats.spearmanr(expected, table["accuracy"]).statistic
    summary = pd.read_csv(case / "out" / "correlations.csv").set_index("proxy")
    assert summary.loc["combination", "spearman"] == pytest.approx(rho, rel=1e-5)
    assert rho > 0.95
    compared = pd.read_csv(case / "out" / "combination.csv").set_index("proxy")
    assert compared.index.tolist() == ["combination", content["best"], "params"]
    assert compared.loc["params", "spearman_lead"] == pytest.approx(rho - summary.loc["params", "spearman"], rel=1e-4)
    assert "combination" in set(pd.read_csv(case / "out" / "bands.csv")["proxy"])


def test_accuracies_of_the_tested_change_no_rank(case):
    """Leaks would show: other accuracies, the same scores of the combination."""
    assert launch(case, "first", f"--fit_combination={case / 'c.json'}") == 0
    found = []
    for shuffled in (False, True):
        table = pd.read_csv(case / "second.csv")
        if shuffled:
            table["accuracy"] = table["accuracy"].sample(frac=1, random_state=1).to_numpy()
            table.to_csv(case / "second.csv", index=False)
        assert launch(case, "second", f"--combination={case / 'c.json'}") == 0
        found.append(pd.read_csv(case / "out" / "scores.csv").set_index("arch")["combination"])
    pd.testing.assert_series_equal(*found)


def test_testing_on_the_fitted_is_warned_of(case, capsys):
    assert launch(case, "first", f"--fit_combination={case / 'c.json'}") == 0
    capsys.readouterr()
    assert launch(case, "first", f"--combination={case / 'c.json'}") == 0
    assert "fitted on these very networks and accuracies: this is no test" in capsys.readouterr().out
    table = pd.read_csv(case / "first.csv").rename(columns={"accuracy": "other"})
    table.to_csv(case / "first.csv", index=False)
    assert launch(case, "first", f"--combination={case / 'c.json'}") == 0
    assert "fitted on these very networks and with accuracy" in capsys.readouterr().out


def test_the_same_space_and_target_are_warned_of(case, capsys):
    for name in ("first", "second"):
        path = case / f"{name}_scores.csv"
        pd.read_csv(path).assign(space="nasbench201").to_csv(path, index=False)
    assert launch(case, "first", f"--fit_combination={case / 'c.json'}") == 0
    capsys.readouterr()
    assert launch(case, "second", f"--combination={case / 'c.json'}") == 0
    assert "warning: the combination was fitted on 80 networks of nasbench201 with accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--combination=CASE/none.json"], "none.json"),
        (["--combination=CASE/first.csv"], "not the file of a combination"),
        (["--combination=CASE/a.json", "--fit_combination=CASE/b.json"], "Give either"),
        (["--combination=CASE/other.json"], "Missing: z"),
        (["--fit_combination=CASE"], "There has to be a file"),
    ],
)
def test_bad_input_is_one_line(case, capsys, flags, message):
    other = {"version": 1, "weights": {"z": 1.0}, "best": "z", "steps": [], "fitted_on": {}}
    (case / "other.json").write_text(json.dumps(other))
    assert launch(case, "first", *(flag.replace("CASE", str(case)) for flag in flags)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_too_few_networks_lose_nothing_else(case, capsys):
    table = pd.read_csv(case / "first.csv")
    table[:20].to_csv(case / "first.csv", index=False)
    assert launch(case, "first", f"--fit_combination={case / 'c.json'}") == 2
    assert "A combination needs 50 networks" in capsys.readouterr().err
    assert (case / "out" / "correlations.csv").exists()
    assert not (case / "c.json").exists()
