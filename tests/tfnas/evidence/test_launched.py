"""What launch.correlate takes where nothing is said, on networks of which the answer is known by counting."""

import numpy as np
import pandas as pd

from launch import correlate


def test_thresholds_that_the_top_50_20_5_and_1_percent_exceed(tmp_path):
    truth = np.arange(10.0, 90.0, 0.08).round(2)
    assert len(truth) == 1000
    archs = [f"net{i}" for i in range(1000)]
    pd.DataFrame({"arch": archs, "accuracy": truth}).to_csv(tmp_path / "table.csv", index=False)
    pd.DataFrame({"arch": archs, "p": truth}).to_csv(tmp_path / "scores.csv", index=False)
    files = [f"--{name}={tmp_path / name}.csv" for name in ("table", "scores")]
    assert correlate.main([*files, f"--output={tmp_path / 'out'}", "--bootstrap=0"]) == 0
    columns = pd.read_csv(tmp_path / "out" / "correlations.csv").columns
    cuts = sorted(float(name.removeprefix("pqetp_")) for name in columns if name.count("_") == 1 and "pqetp" in name)
    assert [sum(truth > cut) for cut in cuts] == [500, 200, 50, 10]
