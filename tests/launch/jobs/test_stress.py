"""Eight processes in one folder, killed at random, end like one that nobody disturbed."""

import os
import random
import signal

import pandas as pd
import pytest

from launch.flags.execution import Execution
from launch.jobs import base
from tests.launch.jobs.counting import CountingJob, calls
from tests.launch.jobs.test_processes import Run, same
from tfnas.runs import records

ARCHS = [f"|{'x' * (i % 7)}{i}|" for i in range(1000)]  # two records each


@pytest.mark.slow
def test_eight_processes_that_are_killed_at_random_end_like_one(tmp_path):
    rng = random.Random(0)
    base.run(CountingJob(str(tmp_path)), ARCHS, Execution(output=str(tmp_path / "serial")))
    wanted = records.read(tmp_path / "serial", stable=True)
    assert len(wanted) == 2000
    for _ in range(3):
        runs = [Run(tmp_path, ARCHS, f"--shard={index}/8") for index in range(8)]
        before = len(calls(tmp_path / "notes"))
        for run in rng.sample(runs, len(runs)):
            before += rng.randrange(1, 20)
            while len(calls(tmp_path / "notes")) < before and run.process.poll() is None:
                pass
            if run.process.poll() is None:
                os.killpg(run.process.pid, rng.choice([signal.SIGKILL, signal.SIGTERM]))
        for run in runs:
            run.process.communicate()
    with Run(tmp_path, ARCHS, "--workers=8") as last:
        code, _, error = last.end()
    assert code == 0, error
    parts = [
        pd.read_parquet(path).assign(writer=path.name.rpartition("-")[0])
        for path in sorted((tmp_path / "out").glob("part-*.parquet"))
    ]
    rows = pd.concat(parts)
    # A writer that is interrupted when a part has its name, and does not know yet, writes the same part again.
    again = rows[rows.duplicated(list(records.KEY), keep=False)]
    assert len(rows.drop_duplicates()) == len(rows.drop_duplicates(list(records.KEY))) == 2000, again
    assert len(last.records()) == 2000
    assert same(last.records(), wanted)
