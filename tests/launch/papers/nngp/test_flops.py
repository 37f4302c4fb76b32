"""FLOPs of networks: figure S2."""

import math

import numpy as np
import pandas as pd
import pytest

from launch.papers.nngp import flops
from tests.launch.papers.nngp.cases import ARCHS, SPACE, context_for, known_answer, make, one
from tfnas.networks import flops as counted


@known_answer("figS2")
def test_fig_s2_means_over_networks():
    rows, _ = make(flops.fig_s2, None, pd.DataFrame(index=ARCHS), context_for("nngp_figS2"))
    graphs = [SPACE.layer_graph(arch) for arch in ARCHS]
    forward = np.array([counted.forward_flops(graph) for graph in graphs])
    assert one(rows, "mean GFLOP", "F, all layers")["ours"] == pytest.approx(forward.sum(1).mean() / 1e9)
    assert one(rows, "mean GFLOP", "F, all layers")["paper"] == 2.51
    small = np.array([graph.count_params() < 10e6 for graph in graphs])
    found = one(rows, "mean GFLOP", "F, all layers, below 10M parameters")
    assert (found["n"], found["ours"]) == (small.sum(), pytest.approx(forward[small].sum(1).mean() / 1e9))
    ratio = one(rows, "mean ratio", "G / F, gradients alone")
    assert ratio["ours"] == pytest.approx(
        np.mean([counted.gradient_flops(graph) / both[0] for graph, both in zip(graphs, forward, strict=True)])
    )
    # A count among 60 networks says nothing about the paper's among all.
    assert math.isnan(one(rows, "networks", "networks below 10M parameters")["paper"])


@pytest.mark.slow
def test_fig_s2_of_the_whole_space_gives_the_papers_numbers():
    """Also where the paper's 297,000 networks come from: those of 1 to 10 million parameters."""
    table = pd.DataFrame(index=[str(arch) for arch in SPACE.enumerate()])
    rows, _ = make(flops.fig_s2, None, table, context_for("nngp_figS2"))
    assert one(rows, "mean GFLOP", "F, all layers")["ours"] == pytest.approx(2.51, abs=0.005)
    assert one(rows, "mean GFLOP", "F, all layers, 1M to 10M parameters")["ours"] == pytest.approx(1.29, abs=0.005)
    assert one(rows, "networks", "networks of 1M to 10M parameters")["ours"] == 297_198
    assert one(rows, "networks", "networks below 10M parameters")["paper"] == 297_000
