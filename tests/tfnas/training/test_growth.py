"""Memory of a process that trains one network after the other."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_a_further_network_leaves_next_to_nothing_behind():
    command = [sys.executable, "-c", "from benchmarks import training; print(training.memory(100))"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout.split()[-1]) < 0.2, "MB a network"
