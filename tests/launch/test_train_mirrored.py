"""launch.train on two logical devices of the CPU, in a process of its own: TensorFlow fixes devices at its start."""

import json
import os
import subprocess
import sys

import pytest

from launch import train
from tests.conftest import ROOT
from tfnas.runs import records

ARCH = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"
# Both runs are of one process, as those of several data sets may be.
ON_TWO = """
import sys
import tensorflow as tf
from launch import train

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
for folder, *more in (sys.argv[1:2], [sys.argv[2], "--nosynchronized_bn"]):
    assert train.main([f"--output={folder}", "--strategy=mirrored", *more, *sys.argv[3:]]) == 0
"""


def told(folder):
    """Keys of the records, accuracies by name, and the training loss of the last epoch."""
    frame = records.read(folder)
    assert set(frame.status) == {"ok"}
    keys = set(frame[list(records.KEY)].itertuples(index=False, name=None))
    (loss,) = {json.loads(details)["train_loss"] for details in frame.details}
    return keys, frame.set_index("proxy").score.to_dict(), loss


def test_two_devices_train_as_one(tmp_path, digits_dir):
    (tmp_path / "archs.txt").write_text(ARCH)
    flags = [f"--data_dir={digits_dir}", f"--archs={tmp_path / 'archs.txt'}", "--width=2", "--depth=1", "--epochs=2"]
    flags += ["--batch_size=32", "--train_split=train[:96]", "--test_split=test[:100]", "--precision=float64"]
    together, apart, alone = (str(tmp_path / name) for name in ("together", "apart", "alone"))
    command = [sys.executable, "-c", ON_TWO, together, apart, *flags]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "there is one device" not in done.stderr
    assert train.main([f"--output={alone}", *flags]) == 0
    keys, accuracies, loss = told(alone)
    assert told(together) == (keys, accuracies, pytest.approx(loss, rel=1e-9))
    # They are two indeed: where each normalises its own half, another network comes out, under another key.
    other_keys, _, other_loss = told(apart)
    assert not other_keys & keys
    assert other_loss != pytest.approx(loss, rel=1e-3)
