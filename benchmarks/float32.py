"""What float32 costs a user: do networks rank as in float64, and does the number of threads change a score?

    python -m benchmarks.float32                # the tables of docs/float32.md, about ten minutes on 2 cores
    python -m benchmarks.float32 --networks=5 --save=

Random NAS-Bench-201 networks are scored by every proxy, as launch.score does it, in processes of their own: in float64
on one thread, in float32 on one thread, and in float32 on `--threads` twice. A relative difference is |a - b| / |b|,
the largest over the networks; beside it stands the same difference in standard deviations of the proxy's scores over
the networks, which is what matters for a ranking and means something where scores lie about zero.
"""

import json
import multiprocessing
import os
import sys
from concurrent import futures

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from absl import app, flags

import proxies
import spaces
from tfnas import data, environment, seeds
from tfnas.evidence import statistics

NETWORKS = flags.DEFINE_integer("networks", 100, "networks to score")
DATASET = flags.DEFINE_string("dataset", "digits", "data set, one of tfnas.data.names()")
DATA_DIR = flags.DEFINE_string("data_dir", "", "folder of prepared TFDS data sets")
WIDTH = flags.DEFINE_integer("width", 16, "channels of the first stage")
DEPTH = flags.DEFINE_integer("depth", 1, "cells a stage")
BATCH = flags.DEFINE_integer("batch", 64, "images")
NTK_BATCH = flags.DEFINE_integer("ntk_batch", 16, "images of the batch that the NTK proxies take")
REPEATS = flags.DEFINE_integer("repeats", 4, "draws that Zen and SWAP average over")
THREADS = flags.DEFINE_integer("threads", 2, "threads to compare with one")
SAVE = flags.DEFINE_string("save", "output/benchmark_float32.json", "file for all scores; empty for none")

SPACE = "nasbench201"
SETTINGS = ("networks", "dataset", "data_dir", "width", "depth", "batch", "ntk_batch", "repeats")


def scores(dtype: str, threads: int, settings: dict) -> dict[str, list[float]]:
    """Scores of all networks by proxy. A process computes with the threads of its first call."""
    import tensorflow as tf
    import threadpoolctl

    from tfnas.networks import weights

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    threadpoolctl.threadpool_limits(threads)  # numpy's linear algebra
    space, size, source = spaces.get(SPACE), settings["batch"], data.info(settings["dataset"])
    images, labels = data.batch(source.name, "train", 2 * size, 0, data_dir=settings["data_dir"] or None)
    network = {"classes": source.classes, "input_shape": images.shape[1:]}
    network |= {"width": settings["width"], "depth": settings["depth"]}
    names = proxies.names()
    found = {name: [] for name in names}
    rng = np.random.default_rng(0)
    for i in range(settings["networks"]):
        arch = space.sample(rng)
        seed = seeds.derive_seed(0, SPACE, str(arch), 0)
        graph = space.layer_graph(arch, **network)
        options = proxies.Options(
            dtype=dtype,
            seed=seed,
            prescribed_init=True,
            noise_repeats=settings["repeats"],
            ntk_batch_size=settings["ntk_batch"],
        )
        outcomes = proxies.evaluate(
            graph,
            weights.initialize(graph, seed=seed),
            images[:size],
            labels[:size],
            names,
            options,
            second=(images[size:], labels[size:]),
            thin=lambda arch=arch, **changes: space.layer_graph(arch, **network | {"width": space.min_width} | changes),
        )
        for name, outcome in outcomes.items():
            assert outcome.status in ("ok", "nan"), (str(arch), name, outcome)
            found[name].append(outcome.score)
        print(f"{dtype}, {threads} threads: {i + 1}/{settings['networks']}", file=sys.stderr, flush=True)
    return found


def in_processes_of_their_own(runs: list[tuple[str, int]], settings: dict) -> list[dict[str, np.ndarray]]:
    with futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        started = [pool.submit(scores, dtype, threads, settings) for dtype, threads in runs]
        return [{name: np.array(values) for name, values in run.result().items()} for run in started]


def differences(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Largest |a - b|, as a share of |b| and in standard deviations of b; inf where one alone is a finite number."""
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return np.inf, np.inf
    finite = np.isfinite(b)
    a, b = a[finite], b[finite]
    gaps = np.abs(a - b)
    if not gaps.any():
        return 0.0, 0.0
    with np.errstate(divide="ignore"):
        return np.max(gaps[gaps > 0] / np.abs(b[gaps > 0])), np.max(gaps) / np.std(b)


def rows(double: dict, single: dict, threaded: dict, again: dict) -> list[str]:
    """The table in Markdown, a row a proxy."""
    threads = f"{THREADS.value} threads"
    head = [
        "proxy",
        "finite scores",
        "f64: Spearman",
        "f64: relative difference",
        "f64: in std",
        f"{threads}: bit-equal",
        f"{threads}: relative difference",
        f"{threads}: in std",
        "twice: bit-equal",
    ]
    lines = [" | ".join(head), " | ".join(["---", *["--:"] * (len(head) - 1)])]
    for name, exact in double.items():
        cells = [
            f"`{name}`",
            f"{np.isfinite(exact).sum()}",
            f"{statistics.spearman(single[name], exact):.6f}",
            *(f"{value:.1e}" for value in differences(single[name], exact)),
            equal(threaded[name], single[name]),
            *(f"{value:.1e}" for value in differences(threaded[name], single[name])),
            equal(again[name], threaded[name]),
        ]
        lines.append(" | ".join(cells))
    return [f"| {line} |" for line in lines]


def equal(a: np.ndarray, b: np.ndarray) -> str:
    return f"{np.sum((a == b) | (np.isnan(a) & np.isnan(b)))} of {len(a)}"


def main(_) -> None:
    settings = {name: flags.FLAGS[name].value for name in SETTINGS}
    runs = [("float64", 1), ("float32", 1), ("float32", THREADS.value), ("float32", THREADS.value)]
    found = in_processes_of_their_own(runs, settings)
    if SAVE.value:
        os.makedirs(os.path.dirname(SAVE.value) or ".", exist_ok=True)
        with open(SAVE.value, "w") as file:
            everything = [
                {"dtype": dtype, "threads": threads, "scores": {name: values.tolist() for name, values in run.items()}}
                for (dtype, threads), run in zip(runs, found, strict=True)
            ]
            json.dump({"environment": environment.describe(), "settings": settings, "runs": everything}, file)
    print(f"{environment.cpu_model()}, {environment.usable_cores()} cores, {settings}\n")
    print("\n".join(rows(*found)))


if __name__ == "__main__":
    app.run(main)
