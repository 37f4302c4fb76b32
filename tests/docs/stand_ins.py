"""Small files under the names of those that the documentation's commands read."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import pandas as pd

import spaces
from launch.flags.architectures import sample_architectures
from tests.conftest import ROOT

COUNT = 12
_OPS = ("conv3x3", "conv1x1", "maxpool3x3")


def write(folder: pathlib.Path) -> None:
    """All of them; which a document reads is its own affair."""
    rng = np.random.default_rng(0)
    archs = sample_architectures(spaces.get("nasbench201"), COUNT, seed=0)
    columns = ("cifar10_test_200", "cifar10_test_200_v1_0", "cifar100_test_200", "in16_test_200")
    accuracies = pd.DataFrame({"arch": archs} | {name: rng.uniform(50, 95, COUNT) for name in columns})
    accuracies["params"] = rng.integers(10**5, 10**6, COUNT)
    accuracies.to_parquet(folder / "nb201_accuracy.parquet")
    accuracies.to_csv(folder / "nb201.csv", index=False)
    small = accuracies[["arch", "cifar10_test_200", "params"]]
    small.set_axis(["arch_str", "acc", "params"], axis=1).to_csv(folder / "published.csv", index=False)
    small.set_axis(["arch", "accuracy", "params"], axis=1).to_csv(folder / "accuracies.csv", index=False)
    pd.DataFrame({"arch": archs, "mine": rng.normal(size=COUNT)}).to_csv(folder / "scores.csv", index=False)
    published = pd.DataFrame({"arch": archs, "dataset": "cifar10", "synflow": rng.normal(size=COUNT)})
    published.to_parquet(folder / "nb201_nbsuitezero_proxies.parquet")

    cells = sample_architectures(spaces.get("nasbench101"), COUNT, seed=42)
    graphs = pd.DataFrame([_numbers(cell) for cell in cells])
    graphs["test_acc_108_mean"] = rng.uniform(0.8, 0.95, COUNT)
    graphs["params"] = rng.integers(10**6, 10**7, COUNT)
    graphs.to_parquet(folder / "nb101_graphs.parquet")
    table = pd.DataFrame({"arch": cells, "test_108": graphs["test_acc_108_mean"], "params": graphs["params"]})
    for name in ("nb101", "nb101_50000", "nasbench101"):
        table.to_parquet(folder / f"{name}.parquet")
    hashes = pd.DataFrame({"hash": [f"{number:032x}" for number in range(COUNT)], "dataset": "cifar10"})
    hashes = hashes.assign(snip=rng.normal(size=COUNT), synflow=rng.normal(size=COUNT))
    hashes.assign(test_acc_108_mean=graphs["test_acc_108_mean"]).to_parquet(folder / "nb101_nbsuitezero.parquet")

    networks = sample_architectures(spaces.get("mnas"), COUNT, seed=0)
    mnas = pd.DataFrame({"arch": networks, "val_top1": rng.uniform(50, 67, COUNT)})
    mnas.assign(latency_ms=rng.uniform(2, 20, COUNT)).to_parquet(folder / "mnas.parquet")
    shutil.copy(ROOT / "results/fear_table2/synthetic.csv", folder)

    (folder / "results" / "nasbench201_cifar10").mkdir(parents=True)
    scores = "results/nasbench201_cifar10/scores.csv"
    shutil.copy(ROOT / scores, folder / scores)


def _numbers(cell: str) -> dict[str, object]:
    """A cell as tables of graphs store it, from its string."""
    vertices = [part.split("~") for part in cell.split("|")]
    bits = sum(1 << int(x) + y * (y - 1) // 2 for y, (_, reads) in enumerate(vertices, start=1) for x in reads)
    labels = "".join(str(_OPS.index(op)) for op, _ in vertices[:-1])
    return {"num_vertices": len(vertices) + 1, "adj_bits": bits, "op_labels": labels}
