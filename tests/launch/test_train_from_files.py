"""Launchers that train on a split that memory does not hold: the same records, and no more images at once than used."""

import numpy as np
import pandas as pd
import pytest

from launch import score, train
from tfnas import memory
from tfnas.data import reading
from tfnas.runs import records
from tfnas.training import EVAL_BATCH

SMALL = ["--num_archs=1", "--width=2", "--depth=1", "--crop=1"]
LAUNCHERS = {
    "train": (train, ["--epochs=2", "--batch_size=32", "--val_split=train[600:660]", "--stop_on=val_accuracy"]),
    "score": (score, ["--proxies=snip,fear", "--after_epochs=1", "--batch_size=8", "--train_batch_size=32"]),
}
LAUNCHERS["score"][1].extend(["--fear_threshold=0.01", "--fear_cells=1", "--fear_epochs=1", "--fear_batch_size=32"])


@pytest.mark.parametrize("name", LAUNCHERS)
def test_records_are_those_of_images_in_memory(tmp_path, digits_dir, monkeypatch, name):
    launcher, more = LAUNCHERS[name]
    monkeypatch.setenv("TFNAS_CACHE", str(tmp_path / "cache"))
    read, counts = reading.read, []

    def counted(source, split, builder, indices):
        counts.append(len(indices))
        return read(source, split, builder, indices)

    monkeypatch.setattr(reading, "read", counted)
    found = []
    for folder, free in (("held", 1 << 40), ("left", 1 << 16)):
        # What is free decides where images are, and what may be read at once: 256 of them.
        monkeypatch.setattr(memory, "available", lambda free=free: free)
        output = [f"--output={tmp_path / folder}", f"--data_dir={digits_dir}", "--memory_mb=1000"]
        assert launcher.main([*output, *SMALL, *more, "--train_split=train[:600]"]) == 0
        frame = records.read(tmp_path / folder, stable=True)
        found.append(frame[frame.proxy != "time_to_threshold"].reset_index(drop=True))
        assert (max(counts) <= EVAL_BATCH) == (folder == "left")
        counts.clear()
    assert set(found[0].status) == {"ok"}
    pd.testing.assert_frame_equal(*found, check_exact=True)
    assert np.isfinite(found[0].score).all()
