"""Kernel metrics after training: figures 2 and 6 of Mok et al. 2022."""

from __future__ import annotations

from launch.papers import after
from launch.papers.base import Inputs, Made

METRICS = ("fnorm", "ntk_mean", "ncn", "lga")


def fig6(inputs: Inputs) -> Made:
    """Kendall's tau of every metric after each number of epochs."""
    rows = after.correlations(inputs, METRICS, "kendall")
    return Made(rows, after.over_epochs(rows, "Kendall's tau"), after.notes(inputs.records, inputs.space))
