"""Cost of NNGP inference, as ratios measured in one process.

    python -m benchmarks.nngp                   # everything, about ten minutes on 2 cores
    python -m benchmarks.nngp --networks=1 --sweep=0 --output=

A network's total is what `launch.nngp` pays for it at (n_train, n_val) = (500, 2000): graph, weights, the pass that
moves the BN statistics, features, kernel, all regularisers. The unit is the bare forward passes of the same 2,500
images through the Keras model in a warm `tf.function`. Networks are drawn uniformly from NAS-Bench-101 (width 128,
depth 3) and new to the process; images are noise of CIFAR-10's shape.
"""

import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from absl import app, flags
from matplotlib.figure import Figure
from scipy.linalg import cho_factor, cho_solve, eigh

import spaces
from benchmarks.timing import timed
from proxies import nngp
from tfnas.evidence import plots
from tfnas.inference import ridge
from tfnas.inference.fit import fit_features, fit_kernel, targets
from tfnas.networks import weights
from tfnas.networks.keras_model import to_keras

NETWORKS = flags.DEFINE_integer("networks", 4, "networks to average over; 0 for none")
BATCH = flags.DEFINE_integer("batch", 50, "images that run at once")
SWEEP = flags.DEFINE_integer("sweep", 8000, "n_train of the regulariser sweep in feature space; 0 for none")
OUTPUT = flags.DEFINE_string("output", "output/benchmark_nngp", "folder for cost.csv and cost.png; empty for none")

CLASSES = 10
SPACE = spaces.get("nasbench101")


def noise(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, 32, 32, 3), dtype=np.float32), np.arange(count) % CLASSES


def inference(arch, data: nngp.Data, batch: np.ndarray, spent: dict[str, float]) -> None:
    """All that a network costs; `spent` takes the seconds of its parts."""
    clock = time.perf_counter
    times = [clock()]
    graph = SPACE.layer_graph(arch)
    arrays = nngp.member_weights(graph, SPACE.init, 0, batch)
    times.append(clock())
    member = nngp.nngp_member(graph, arrays, data, block_size=BATCH.value)
    times.append(clock())
    nngp.infer([member], data, len(data.train), len(data.val), ridge.REGULARIZERS)
    times.append(clock())
    for part, seconds in zip(("weights and BN", "features", "regression"), np.diff(times), strict=True):
        spent[part] = spent.get(part, 0.0) + seconds


def bare_passes(arch, images: np.ndarray) -> float:
    """Seconds of the forward passes alone, through a Keras model that is built and traced already."""
    graph = SPACE.layer_graph(arch)
    model = to_keras(graph, weights.initialize(graph, SPACE.init))
    features = keras.Model(model.input, model.get_layer(graph.features).output)
    forward = tf.function(lambda x: features(x, training=False), autograph=False)
    batches = [tf.constant(images[i : i + BATCH.value]) for i in range(0, len(images), BATCH.value)]
    for x in {len(x): x for x in batches}.values():  # the last may be smaller, and traced anew
        forward(x)
    return timed(lambda: [forward(x).numpy() for x in batches])


def networks(count: int) -> None:
    """Total against bare passes, at (500, 2000)."""
    data = nngp.Data(*noise(500, 0), *noise(2000, 1), CLASSES)
    batch, _ = noise(250, 2)
    images = np.concatenate([data.train, data.val])
    archs = [SPACE.sample_uniform(np.random.default_rng(seed)) for seed in range(count + 1)]
    # The first network of a process traces the kernels that most others share.
    first = timed(lambda: inference(archs[0], data, batch, {}))
    total, bare, spent = 0.0, 0.0, {}
    for arch in archs[1:]:
        total += timed(lambda arch=arch: inference(arch, data, batch, spent))
        bare += bare_passes(arch, images)
    print(f"total at (500, 2000) / bare warm passes: {total / bare:.2f}  ({total / count:.1f} s a network)")
    print("  " + ", ".join(f"{part} {seconds / bare:.3f}" for part, seconds in spent.items()))
    print(f"first network of the process: {first:.1f} s")


def features_like(count: int, d: int, seed: int) -> np.ndarray:
    """ReLU features of a random layer [count, d], positive and correlated like those of networks."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 64))
    mixing = np.random.default_rng(0).standard_normal((64, d)) / 8
    return np.maximum(x @ mixing, 0).astype(np.float32)


def solves(k_tt: np.ndarray, y: np.ndarray) -> None:
    unit = np.trace(k_tt) / len(k_tt)
    for eps in ridge.REGULARIZERS:
        shifted = k_tt.copy()
        shifted.flat[:: len(k_tt) + 1] += eps * unit
        cho_solve(cho_factor(shifted, lower=True, overwrite_a=True), y)


def kernel_of(z: np.ndarray) -> np.ndarray:
    z = z.astype(np.float64)
    return z @ z.T / z.shape[1]


def feature_space(n: int) -> None:
    """Sweep at d = 512 in feature space against twenty Cholesky solves of the n x n kernel."""
    train, labels = features_like(n, 512, 1), np.arange(n) % CLASSES
    fit = timed(lambda: fit_features([train], labels, CLASSES).predict([train[:100]]))
    k_tt = kernel_of(train)
    cholesky = timed(lambda: solves(k_tt, targets(labels, CLASSES)))
    print(f"twenty Cholesky solves / sweep, n_train {n}, d 512: {cholesky / fit:.0f}  ({cholesky:.1f} s, {fit:.2f} s)")


def sample_space(sizes: tuple[int, ...]) -> None:
    """Sweep in sample space against one eigendecomposition and against twenty Cholesky solves, features d = n."""
    for n in sizes:
        train, labels = features_like(n, max(n, 512), 1), np.arange(n) % CLASSES
        k_tt, y = kernel_of(train), targets(labels, CLASSES)
        calls = {
            "sweep": lambda k=k_tt, at=labels: fit_kernel(k, at, CLASSES)._solve(np.array(ridge.REGULARIZERS)),
            "eigendecomposition": lambda k=k_tt: eigh(k, driver="evd", check_finite=False),
            "twenty Cholesky": lambda k=k_tt, y=y: solves(k, y),
        }
        rounds = max(2, 10_000 // n)
        seconds = {name: min(timed(call) for _ in range(rounds)) for name, call in calls.items()}
        cheaper = min(seconds["eigendecomposition"], seconds["twenty Cholesky"])
        print(
            f"sweep / cheaper of both, n_train {n}, sample space: {seconds['sweep'] / cheaper:.2f}  "
            + ", ".join(f"{name} {value:.3f} s" for name, value in seconds.items())
        )


def cost(folder: pathlib.Path) -> None:
    """Seconds of the parts over n_train and n_val; straight lines through the features' are fitted and drawn."""
    arch = SPACE.sample_uniform(np.random.default_rng(1))
    rows = []
    # Kernels of this network and of these sizes of batches are met before anything counts.
    inference(arch, nngp.Data(*noise(100, 0), *noise(100, 1), CLASSES), noise(100, 2)[0], {})
    for varied, fixed, values in (("n_train", 100, (100, 200, 400, 800)), ("n_val", 100, (100, 200, 400, 800))):
        for value in values:
            n_train, n_val = (value, fixed) if varied == "n_train" else (fixed, value)
            data = nngp.Data(*noise(n_train, 0), *noise(n_val, 1), CLASSES)
            spent: dict[str, float] = {}
            inference(arch, data, noise(100, 2)[0], spent)
            rows.append({"varied": varied, "n_train": n_train, "n_val": n_val, **spent})
    table = pd.DataFrame(rows)
    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (varied, group) in zip(panels, table.groupby("varied", sort=False), strict=True):
        x = group[varied].to_numpy(float)
        for part in ("features", "weights and BN", "regression"):
            axes.plot(x, group[part], "o-", label=part, markersize=3)
        slope, start = np.polyfit(x, group["features"], 1)
        explained = np.corrcoef(x, group["features"])[0, 1] ** 2
        axes.plot(x, slope * x + start, ":", color="black", linewidth=1)
        axes.set_xlabel(varied)
        print(f"features over {varied}: {slope * 1000:.1f} ms an image, a straight line explains {explained:.4f}")
    panels[0].set_ylabel("seconds")
    panels[0].legend(fontsize=8)
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "cost.csv", index=False, float_format="%.4g")
    plots.save(figure, folder / "cost.png")
    print(f"written to {folder}: cost.csv, cost.png")


def main(_) -> None:
    if NETWORKS.value:
        networks(NETWORKS.value)
    if SWEEP.value:
        sample_space((100, 500, 1000, 2000))
        feature_space(SWEEP.value)
    if OUTPUT.value:
        cost(pathlib.Path(OUTPUT.value))


if __name__ == "__main__":
    app.run(main)
