"""What workers are worth: networks an hour of launch.score with one process and with two, and whether records agree.

    python -m benchmarks.workers --data_dir=DIR                  # 60 networks twice, about half an hour on 2 cores
    python -m benchmarks.workers --data_dir=DIR --networks=6
    python -m benchmarks.workers --dataset=digits --networks=6 --threads=1

The first networks of seed 0 of NAS-Bench-201 are scored through the command line, each time into a fresh folder.
Without --threads the one process takes all cores and each of the two its share; sums may then differ in their last
digits. With --threads=1 (or any number) records must be equal bit for bit, or the exit code is 1. Starting is part of
the time, so few networks say little; what is left once all processes are at work is told beside it.
"""

import dataclasses
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
from absl import app, flags

from tfnas import environment
from tfnas.runs import records

NETWORKS = flags.DEFINE_integer("networks", 60, "networks to score")
DATASET = flags.DEFINE_string("dataset", "cifar10", "data set, one of tfnas.data.names()")
DATA_DIR = flags.DEFINE_string("data_dir", "", "folder of prepared TFDS data sets")
PROXIES = flags.DEFINE_string("proxies", "gradsign,naswot,synflow,snip", "proxies to score with")
WORKERS = flags.DEFINE_list("workers", ["1", "2"], "numbers of processes to compare")
THREADS = flags.DEFINE_integer("threads", 0, "threads of each process (0: all cores, shared out)")


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of launch.score.

    Attributes:
        seconds: wall time.
        working: of these, how long networks took, shared out evenly among the processes.
        frame: its records without what time and host decide.
    """

    seconds: float
    working: float
    frame: pd.DataFrame


def score(workers: str) -> Run:
    """Scores the networks in processes of their own."""
    with tempfile.TemporaryDirectory() as folder:
        given = {
            "space": "nasbench201",
            "dataset": DATASET.value,
            "data_dir": DATA_DIR.value,
            "proxies": PROXIES.value,
            "num_archs": NETWORKS.value,
            "workers": workers,
            "threads": THREADS.value,
            "output": folder,
        }
        command = [sys.executable, "-m", "launch.score", *(f"--{name}={value}" for name, value in given.items())]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        working = records.read(folder).seconds.sum() / int(workers)
        return Run(seconds, working, records.read(folder, stable=True))


def difference(one: pd.DataFrame, other: pd.DataFrame) -> dict[str, float]:
    """Largest relative difference of the scores by proxy, inf where one alone is a number; of all else none."""
    rest = [column for column in one if column != "score"]
    pd.testing.assert_frame_equal(one[rest], other[rest])
    same = (one.score == other.score) | (one.score.isna() & other.score.isna())
    with np.errstate(invalid="ignore"):  # infinite on both sides
        gaps = np.where(same, 0.0, ((one.score - other.score).abs() / other.score.abs()).fillna(np.inf))
    return pd.Series(gaps).groupby(one.proxy).max().to_dict()


def main(_) -> None:
    print(f"{environment.cpu_model()}, {environment.usable_cores()} cores, --threads={THREADS.value}")
    first, *others = WORKERS.value
    runs = {}
    for workers in (first, *others):
        runs[workers] = run = score(workers)
        pace = 3600 * NETWORKS.value / run.seconds
        print(f"--workers={workers}: {pace:.0f} networks an hour ({run.seconds:.0f} s)", flush=True)
    equal = True
    for workers in others:
        whole, working = (getattr(runs[first], name) / getattr(runs[workers], name) for name in ("seconds", "working"))
        print(f"--workers={workers} against {first}: {whole:.2f} times as fast, {working:.2f} without the start")
        found = difference(runs[workers].frame, runs[first].frame)
        equal &= not any(found.values())
        largest = ", ".join(f"{name} {value:.1e}" for name, value in found.items() if value)
        count = len(runs[first].frame)
        print(f"  {count} records, {f'largest relative differences {largest}' if largest else 'all equal bit for bit'}")
    if THREADS.value and not equal:
        sys.exit("error: on as many threads all records have to be equal")


if __name__ == "__main__":
    app.run(main)
