"""What benchmarks count, on made-up times and scores; each in a process of its own, as all define flags."""

import subprocess
import sys

COST = """
import pathlib, sys
import pandas as pd
from benchmarks import nngp

met = []

def inference(arch, data, batch, spent):
    sizes = [len(data.train), len(data.val)]
    slow = 100 * (not met)  # the kernels
    met.append(sizes)
    spent.update({"weights and BN": 1.0 + slow, "features": sum(sizes) + slow, "regression": 1.0})

nngp.inference = inference
nngp.noise = lambda count, seed: (range(count), range(count))
nngp.cost(pathlib.Path(sys.argv[1]))
rows = pd.read_csv(pathlib.Path(sys.argv[1]) / "cost.csv")
assert met[1:] == rows[["n_train", "n_val"]].to_numpy().tolist()
assert (rows["weights and BN"] == 1).all()
assert (rows["features"] == rows["n_train"] + rows["n_val"]).all()
"""

DIFFERENCE = """
import numpy as np, pandas as pd
from benchmarks import workers

def frame(**scores):
    return pd.DataFrame([(p, s) for p, values in scores.items() for s in values], columns=["proxy", "score"])

nan, inf = np.nan, np.inf
one, other = frame(a=[1, nan, inf], b=[2, 3, 4], c=[nan, 1, 1]), frame(a=[1, nan, inf], b=[2, 3, 5], c=[1, 1, 1])
assert workers.difference(one, other) == {"a": 0.0, "b": 0.2, "c": inf}
assert workers.difference(other, one)["c"] == inf
"""


def passes(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_cost_of_inference_counts_no_tracing(tmp_path):
    passes(COST, str(tmp_path))


def test_scores_that_are_nothing_twice_are_equal_and_once_are_not():
    passes(DIFFERENCE)
