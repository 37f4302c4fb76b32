"""Time of Neural Predictor: training, a batch of trainings, predicting a whole space, drawing within a window.

    python -m benchmarks.predictor              # two minutes on 2 cores
    python -m benchmarks.predictor --epochs=10 --networks=2000 --candidates=1000

Accuracies are synthetic: what is measured does not depend on them. Compiling is part of the first training, as it is of
a run. Peak memory is that of the process at the end of the line.
"""

import os
import resource

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from absl import app, flags

import spaces
from benchmarks.timing import timed
from tfnas.predictor import model, pareto
from tfnas.predictor.settings import CHAIN, PAPER
from tfnas.predictor.training import Task

N_TRAIN = flags.DEFINE_integer("n_train", 172, "networks to learn from")
EPOCHS = flags.DEFINE_integer("epochs", 300, "of each training")
TOGETHER = flags.DEFINE_integer("together", 8, "trainings in a batch")
NETWORKS = flags.DEFINE_integer("networks", 423_624, "of NAS-Bench-101 to predict")
CANDIDATES = flags.DEFINE_integer("candidates", 112_000, "ProxylessNAS networks to draw and predict")


def told(what, seconds, more=""):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what:58} {seconds:7.1f} s{more}, peak {peak:.2f} GB", flush=True)


def cells():
    """Training and prediction in NAS-Bench-101."""
    import dataclasses

    space, settings = spaces.get("nasbench101"), dataclasses.replace(PAPER, epochs=EPOCHS.value)
    parts = {}
    told("encode NAS-Bench-101", timed(lambda: parts.update(all=space.features_of_all())))
    graphs = parts["all"].take(slice(0, NETWORKS.value))
    rng = np.random.default_rng(0)
    convolutions = parts["all"].nodes[:, :, 2].sum(1)
    accuracies = 0.9 + 0.005 * convolutions + 0.002 * rng.standard_normal(len(convolutions))
    rows = [rng.permutation(len(accuracies))[: N_TRAIN.value] for _ in range(TOGETHER.value)]

    def train(count):
        tasks = [Task(part, seed) for seed, part in enumerate(rows[:count])]
        parts["model"] = model.fit(settings, parts["all"], accuracies, tasks)

    what = f"train on {N_TRAIN.value} networks for {EPOCHS.value} epochs"
    told(f"{what}, compiling", timed(lambda: train(1)))
    told(f"{what}, compiled", timed(lambda: train(1)))
    single = parts["model"]
    told(f"{what}, {TOGETHER.value} at once", timed(lambda: train(TOGETHER.value)))
    told(f"predict {len(graphs)} networks", timed(lambda: parts.update(found=single.predict_graphs(graphs))))
    correlation = np.corrcoef(parts["found"][:, 0], convolutions[: len(graphs)])[0, 1]
    print(f"correlation of predictions with the number of 3x3 convolutions: {correlation:.3f}")


def chains():
    """Drawing within a window, prediction and soft front in ProxylessNAS, with a made table of latencies."""
    from spaces.mobile.proxylessnas.latency import LayerLatencies
    from tfnas.predictor.gcn import GCN

    space, rng = spaces.get("proxylessnas"), np.random.default_rng(0)
    # About as much as the published table: some 5 ms a layer, and 8% of all networks within the window.
    layers = np.tile([1.8, 3.6, 2.1, 4.2, 2.7, 5.4, 0.0], (21, 1))
    times = LayerLatencies(24.0, np.array([3.9, 6.8, 10.9]), layers, "search")
    parts = {}
    what = f"draw {CANDIDATES.value} ProxylessNAS networks within 75 to 85 ms"
    told(what, timed(lambda: parts.update(drawn=times.sample(space, rng, CANDIDATES.value, 75, 85))))
    archs, latencies = parts["drawn"]
    gcn = GCN(CHAIN, 10)
    gcn.initialize([0])
    predictor = model.Predictor(gcn)
    told("encode them", timed(lambda: parts.update(graphs=space.features(archs))))
    part = parts["graphs"].take(slice(0, min(len(archs), 20_000)))
    told(f"predict {len(part)} of them by 18 layers", timed(lambda: predictor.predict_graphs(part)))
    oracle = 70 + 0.1 * latencies + rng.standard_normal(len(latencies))
    found = pareto.soft_front(oracle, latencies, 6)
    print(f"soft front (J = 6) of {len(archs)} networks by an oracle with noise: {len(found)}")


def main(argv):
    del argv
    cells()
    chains()


if __name__ == "__main__":
    app.run(main)
