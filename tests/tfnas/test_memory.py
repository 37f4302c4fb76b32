"""Scoring thousands of networks in one process must not fill the memory."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("jit", [False, True])
def test_memory_a_network_stays_below_a_megabyte(jit):
    command = [sys.executable, "-c", f"from benchmarks import engine; print(engine.memory({jit}, 60))"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 1
