"""Rank statistics against the reference values of golden/proxies/expected_extra.json."""

import json
import re

import numpy as np
import pytest

from tfnas.evidence import statistics

# Numbers of pairs stand for the coefficients made of them; tau-c is not among our statistics.
NOT_OURS = {"P", "Q", "tie_x_only", "tie_y_only", "tie_both", "kendall_tau_c"}


def ours(name, score, truth):
    if name in ("nngp_eq6", "kendall_tau_b", "kendall_drop"):
        return statistics.kendall(score, truth)
    if name == "kendall_tau_a":
        return statistics.kendall_a(score, truth)
    if name in ("spearman", "spearman_omit"):
        return statistics.spearman(score, truth)
    if name == "pearson":
        return statistics.pearson(score, truth)
    if match := re.fullmatch(r"pqetp_(\d+)", name):
        return statistics.pqetp(score, truth, float(match[1]))
    if match := re.fullmatch(r"discovered_top(\d+)_stable", name):
        return statistics.discovered(score, truth, int(match[1]))
    if match := re.fullmatch(r"discovered_top(\d+)_indices", name):
        # With the indicator of one network as truth, the best among the top k is 1 just where that one is in it.
        found = [i for i in range(len(score)) if statistics.discovered(score, np.eye(len(score))[i], int(match[1]))]
        return found
    if match := re.fullmatch(r"fear_top(\d+)_(spearman|common)", name):
        function = {"spearman": statistics.top_spearman, "common": statistics.common_ratio}[match[2]]
        return function(score, truth, float(match[1]))
    raise AssertionError(f"a golden value that no test knows: {name}")


def test_golden_metrics(shared):
    folder = shared / "golden" / "proxies"
    expected = json.loads((folder / "expected_extra.json").read_text())["metrics"]
    inputs = np.load(folder / "metrics_inputs.npz")
    assert set(inputs) == {"gt", *expected}
    checked = 0
    for case, values in expected.items():
        for name in sorted(set(values) - NOT_OURS):
            result = ours(name, inputs[case], inputs["gt"])
            if name.endswith("indices"):
                assert result == sorted(values[name]), (case, name)
            else:
                assert result == pytest.approx(values[name], rel=1e-9, abs=1e-12), (case, name)
            checked += 1
    assert checked > 40
